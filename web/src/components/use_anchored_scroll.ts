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

/**
 * Keeps a list that grows at both ends still for its reader: who is at the end stays there, who reads above keeps the same message at
 * the same place, whatever is put before or after. The browser's own anchoring is switched off in the style sheet, because it gives up
 * at the very top, which is where older messages are loaded. `version` changes with the rows.
 */
export function useAnchoredScroll(version: unknown): AnchoredScroll {
  const list = useRef<HTMLDivElement>(null);
  const anchor = useRef<{ element: HTMLElement; top: number } | null>(null);
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
    observer.observe(element);
    return () => observer.disconnect();
  }, []);

  return { list, atEnd, scrolled, toEnd };
}

/** The first message that can be seen, and how far below the list's top it begins. */
function anchorOf(list: HTMLElement): { element: HTMLElement; top: number } | null {
  for (const element of list.querySelectorAll<HTMLElement>("[data-anchor]")) {
    if (element.offsetTop + element.offsetHeight > list.scrollTop) return { element, top: element.offsetTop - list.scrollTop };
  }
  return null;
}

/** Puts the anchor where it was; without one, shows the end. */
function settle(list: HTMLElement | null, anchor: { element: HTMLElement; top: number } | null): void {
  if (list === null) return;
  if (anchor === null) list.scrollTop = list.scrollHeight;
  else if (anchor.element.isConnected) list.scrollTop = anchor.element.offsetTop - anchor.top;
}
