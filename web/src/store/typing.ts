/** Who is writing where; a signal that may be lost, and that ends by itself. */
import type { Session, World } from "../protocol/session";

/** How long one signal holds. */
const HOLDS_MS = 5_000;
/** Not more often than this while a person goes on writing. */
const EVERY_MS = 3_000;

export class Typing {
  private readonly writers = new Map<bigint, readonly bigint[]>();
  private readonly cancels = new Map<string, () => void>();
  private lastSent = 0;

  constructor(private readonly world: World, private readonly session: Session, private readonly changed: () => void) {}

  /** Always the same array until somebody begins or ends. */
  in(roomId: bigint): readonly bigint[] {
    return this.writers.get(roomId) ?? NOBODY;
  }

  heard(roomId: bigint, userId: bigint): void {
    const key = `${roomId}/${userId}`;
    this.cancels.get(key)?.();
    this.cancels.set(key, this.world.later(HOLDS_MS, () => this.wrote(roomId, userId)));
    if (this.in(roomId).includes(userId)) return;
    this.writers.set(roomId, [...this.in(roomId), userId]);
    this.changed();
  }

  /** The message is there, or nothing was heard for a while. */
  wrote(roomId: bigint, userId: bigint): void {
    const key = `${roomId}/${userId}`;
    this.cancels.get(key)?.();
    this.cancels.delete(key);
    if (!this.in(roomId).includes(userId)) return;
    this.writers.set(roomId, this.in(roomId).filter((writer) => writer !== userId));
    this.changed();
  }

  /** This person pressed a key. */
  typed(roomId: bigint): void {
    const now = this.world.now();
    if (now - this.lastSent < EVERY_MS) return;
    this.lastSent = now;
    this.session.signal({ case: "typing", value: { roomId } });
  }

  /** This person sent what they wrote: the next key says it again at once. */
  stopped(): void {
    this.lastSent = 0;
  }
}

const NOBODY: readonly bigint[] = [];
