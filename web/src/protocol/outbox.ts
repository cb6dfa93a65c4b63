/**
 * Messages on their way out: in order and one at a time per room, each with the requestId that makes sending it again harmless
 * (a repeat gets the first answer). What is not committed yet is kept by `save`, so that a reload does not lose it.
 */
export interface Outgoing {
  requestId: string;
  roomId: bigint;
  text: string;
  /** When the person sent it; milliseconds since 1970. */
  time: number;
  /** `waiting` its turn or a connection, `sending`, `sent` (committed, its event not seen yet), `failed` (a person decides). */
  state: "waiting" | "sending" | "sent" | "failed";
  /** Not before this time, when the server asked to wait. */
  notBefore: number;
  attempts: number;
  /** Once sent. */
  sequence: bigint;
  /** Why it failed; empty otherwise. */
  reason: string;
}

/** After this many tries a person is asked; each one waited for what the server said, or longer each time. */
const MAX_ATTEMPTS = 6;
const FIRST_RETRY_MS = 1_000;

export class Outbox {
  private entries: readonly Outgoing[];

  constructor(saved: readonly Outgoing[], private readonly save: (entries: readonly Outgoing[]) => void) {
    this.entries = saved.map((entry) => (entry.state === "sending" ? { ...entry, state: "waiting" } : entry));
  }

  /** The same array until something changes. */
  get all(): readonly Outgoing[] {
    return this.entries;
  }

  add(requestId: string, roomId: bigint, text: string, time: number): void {
    const entry: Outgoing = {
      requestId, roomId, text, time, state: "waiting", notBefore: 0, attempts: 0, sequence: 0n, reason: "",
    };
    this.put([...this.entries, entry]);
  }

  /** The first message of each room that may go now; they are `sending` from here on. */
  take(now: number): Outgoing[] {
    const taken = this.firsts().filter((entry) => entry.state === "waiting" && entry.notBefore <= now);
    for (const entry of taken) this.change(entry.requestId, { state: "sending", attempts: entry.attempts + 1 });
    return taken;
  }

  /** When the next one may go, if one only waits for its time; null otherwise. */
  nextTime(): number | null {
    const times = this.firsts().filter((e) => e.state === "waiting").map((e) => e.notBefore);
    return times.length === 0 ? null : Math.min(...times);
  }

  sent(requestId: string, sequence: bigint): void {
    this.change(requestId, { state: "sent", sequence });
  }

  /** The event of the message is there, or everything up to its sequence: nothing is left to show. */
  settle(done: (entry: Outgoing) => boolean): void {
    const left = this.entries.filter((entry) => !done(entry));
    if (left.length !== this.entries.length) this.put(left);
  }

  refused(requestId: string, reason: string, retryable: boolean, retryAfter: number | null, now: number): void {
    const entry = this.entries.find((candidate) => candidate.requestId === requestId);
    if (entry === undefined) return;
    if (!retryable || entry.attempts >= MAX_ATTEMPTS) {
      this.change(requestId, { state: "failed", reason });
      return;
    }
    const notBefore = now + (retryAfter ?? FIRST_RETRY_MS * 2 ** (entry.attempts - 1));
    this.change(requestId, { state: "waiting", notBefore });
  }

  /** The connection is gone: what had no answer goes again on the next one. A lost line is nobody's fault, so it is no attempt. */
  disconnected(): void {
    const back = (e: Outgoing): Outgoing => ({ ...e, state: "waiting", notBefore: 0, attempts: e.attempts - 1 });
    if (this.entries.some((entry) => entry.state === "sending")) {
      this.put(this.entries.map((entry) => (entry.state === "sending" ? back(entry) : entry)));
    }
  }

  retry(requestId: string): void {
    this.change(requestId, { state: "waiting", notBefore: 0, attempts: 0, reason: "" });
  }

  discard(requestId: string): void {
    this.settle((entry) => entry.requestId === requestId);
  }

  /** Of each room the first that is neither committed nor given up: the only one that may be on its way. */
  private firsts(): Outgoing[] {
    const rooms = new Map<bigint, Outgoing>();
    for (const entry of this.entries) {
      const open = entry.state === "waiting" || entry.state === "sending";
      if (open && !rooms.has(entry.roomId)) rooms.set(entry.roomId, entry);
    }
    return [...rooms.values()];
  }

  private change(requestId: string, part: Partial<Outgoing>): void {
    this.put(this.entries.map((entry) => (entry.requestId === requestId ? { ...entry, ...part } : entry)));
  }

  private put(entries: readonly Outgoing[]): void {
    this.entries = entries;
    this.save(entries.filter((entry) => entry.state !== "sent"));
  }
}
