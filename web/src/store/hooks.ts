import { createContext, useContext, useEffect, useState, useSyncExternalStore } from "react";
import type { Chat } from "./chat";
import type { Observable } from "./observable";

/** Reads a part of a store, again after every change. `read` returns something that stays the same until it changed. */
export function useWatch<T>(store: Observable, read: () => T): T {
  return useSyncExternalStore(store.subscribe, read);
}

export const ChatContext = createContext<Chat | null>(null);

/** The chat of the signed-in person; only below the chat page. */
export function useChat(): Chat {
  const chat = useContext(ChatContext);
  if (chat === null) throw new Error("useChat is for components of the chat page");
  return chat;
}

/** The time in milliseconds, again every second while `running`. */
export function useClock(running: boolean): number {
  const [now, setNow] = useState(() => Date.now());
  useEffect(() => {
    if (!running) return undefined;
    setNow(Date.now());
    const timer = setInterval(() => setNow(Date.now()), 1000);
    return () => clearInterval(timer);
  }, [running]);
  return now;
}

/** Whether the page can be seen. */
export function useVisible(): boolean {
  return useSyncExternalStore(
    (listener) => {
      document.addEventListener("visibilitychange", listener);
      return () => document.removeEventListener("visibilitychange", listener);
    },
    () => document.visibilityState === "visible",
  );
}
