import { useCallback, useEffect, useLayoutEffect, useRef, useState } from "react";
import type { RefObject } from "react";

/** Closer to the end than this is "at the end": a reader there follows what comes. */
const END_PX = 40;

export interface AnchoredScroll {
  list: RefObject<HTMLDivElement | null>;
  atEnd: boolean;
  /** For the list's onScroll. */
  scrolled(): void;
  toEnd(): void;
}

/** Held by its lower edge: what is put above may take the sender's name off it, and then it is its text that has to stay. */
interface Anchor {
  element: HTMLElement;
  /** How far below the list's top it ends. */
  bottom: number;
}

/**
 * Keeps a list that grows at both ends still for its reader: who is at the end stays there, who reads above keeps the same message at
 * the same place, whatever is put before or after. The browser's own anchoring is switched off in the style sheet, because it gives up
 * at the very top, which is where older messages are loaded. `version` changes with the rows.
 */
export function useAnchoredScroll(version: unknown): AnchoredScroll {
  const list = useRef<HTMLDivElement>(null);
  const anchor = useRef<Anchor | null>(null);
  const end = useRef(true);
  const placed = useRef(false);
  const [atEnd, setAtEnd] = useState(true);

  const scrolled = useCallback(() => {
    const element = list.current;
    if (element === null) return;
    end.current = element.scrollHeight - element.scrollTop - element.clientHeight < END_PX;
    anchor.current = anchorOf(element);
    setAtEnd(end.current);
  }, []);

  const toEnd = useCallback(() => {
    end.current = true;
    setAtEnd(true);
    settle(list.current, null);
  }, []);

  useLayoutEffect(() => {
    const element = list.current;
    if (element === null) return;
    const unread = placed.current ? null : element.querySelector<HTMLElement>("[data-unread]");
    if (unread !== null) element.scrollTop = unread.offsetTop - element.clientHeight / 3;
    else settle(element, end.current ? null : anchor.current);
    placed.current ||= element.querySelector("[data-anchor]") !== null;
    scrolled();
  }, [version, scrolled]);

  useEffect(() => {
    const element = list.current;
    if (element === null) return undefined;
    const observer = new ResizeObserver(() => settle(element, end.current ? null : anchor.current));
    // Its own size, and that of what is in it: a name that comes late may take one line more.
    for (const part of [element, ...element.children]) observer.observe(part);
    return () => observer.disconnect();
  }, []);

  return { list, atEnd, scrolled, toEnd };
}

/** The first message that can be seen. */
function anchorOf(list: HTMLElement): Anchor | null {
  for (const element of list.querySelectorAll<HTMLElement>("[data-anchor]")) {
    const bottom = bottomOf(element) - list.scrollTop;
    if (bottom > 0) return { element, bottom };
  }
  return null;
}

/** Puts the anchor where it was; without one, shows the end. */
function settle(list: HTMLElement | null, anchor: Anchor | null): void {
  if (list === null) return;
  if (anchor === null) list.scrollTop = list.scrollHeight;
  else if (anchor.element.isConnected) list.scrollTop = bottomOf(anchor.element) - anchor.bottom;
}

function bottomOf(element: HTMLElement): number {
  return element.offsetTop + element.offsetHeight;
}
