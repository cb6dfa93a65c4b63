/** Which room is open, in the part of the address behind `#`: a reload and the back button keep it. */
import { useSyncExternalStore } from "react";

const ROOM = /^#\/rooms\/([0-9]{1,19})$/;

export function useOpenRoom(): bigint | null {
  const hash = useSyncExternalStore(
    (listener) => {
      addEventListener("hashchange", listener);
      return () => removeEventListener("hashchange", listener);
    },
    () => location.hash,
  );
  const match = ROOM.exec(hash);
  return match?.[1] === undefined ? null : BigInt(match[1]);
}

export function goToRoom(roomId: bigint | null): void {
  location.hash = roomId === null ? "" : `#/rooms/${roomId}`;
}
