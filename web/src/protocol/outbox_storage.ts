import type { Outgoing } from "./outbox";

/** Where the outbox survives a reload: the tab's own storage, so that two tabs never send each other's messages. */
export interface KeyValue {
  getItem(key: string): string | null;
  setItem(key: string, value: string): void;
  removeItem(key: string): void;
}

export function loadOutbox(storage: KeyValue, userId: bigint): Outgoing[] {
  const text = storage.getItem(keyOf(userId));
  if (text === null) return [];
  const saved = JSON.parse(text) as (Omit<Outgoing, "roomId" | "sequence"> & { roomId: string })[];
  return saved.map((entry) => ({ ...entry, roomId: BigInt(entry.roomId), sequence: 0n }));
}

export function saveOutbox(storage: KeyValue, userId: bigint, entries: readonly Outgoing[]): void {
  if (entries.length === 0) return storage.removeItem(keyOf(userId));
  const plain = entries.map(({ sequence: _, ...entry }) => ({ ...entry, roomId: String(entry.roomId) }));
  storage.setItem(keyOf(userId), JSON.stringify(plain));
}

function keyOf(userId: bigint): string {
  return `polychat.outbox.${userId}`;
}
