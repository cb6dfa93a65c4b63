/**
 * A client's copy of a part of one room: the events from `oldest` to `cursor`, without holes, as a timeline of what a person sees.
 * The rule that keeps it whole: an event is applied only when its sequence is the cursor + 1; a lower one is a repeat, a higher one
 * means that something has to be fetched first.
 */
import type { Message } from "../gen/polychat/chat/v1/message_pb";
import type { RoomEvent } from "../gen/polychat/event/v1/room_event_pb";

export interface TimelineEntry {
  sequence: bigint;
  /** Milliseconds since 1970. */
  time: number;
  actorUserId: bigint;
  requestId: string;
  content: TimelineContent;
}

export type TimelineContent =
  | { case: "message"; message: Message; deleted: boolean }
  | { case: "joined"; userId: bigint }
  | { case: "left"; userId: bigint }
  | { case: "renamed"; title: string }
  | { case: "archived" };

export type Applied = "applied" | "repeat" | "missing";

/** What later events say about a message; kept beside it because paging backward meets them first. */
interface Change {
  sequence: bigint;
  message: Message | null;
}

export class RoomLog {
  /** Everything up to here is applied; the next event is this + 1. */
  cursor: bigint;
  /** The first sequence that was applied or loaded; older ones have to be asked for. */
  oldest: bigint;
  /** Nothing older can be loaded: the beginning, or the first event this user may see. */
  complete: boolean;
  /** A new array after every change, so that a view can compare. */
  entries: readonly TimelineEntry[] = [];
  private readonly changes = new Map<bigint, Change>();

  constructor(readonly roomId: bigint, cursor: bigint) {
    this.cursor = cursor;
    this.oldest = cursor + 1n;
    this.complete = cursor === 0n;
  }

  apply(event: RoomEvent): Applied {
    if (event.sequence <= this.cursor) return "repeat";
    if (event.sequence > this.cursor + 1n) return "missing";
    this.cursor = event.sequence;
    this.append(event);
    return "applied";
  }

  /** Sequences `from` to `to` hold nothing for this user. */
  skip(from: bigint, to: bigint): Applied {
    if (to <= this.cursor) return "repeat";
    if (from > this.cursor + 1n) return "missing";
    this.cursor = to;
    return "applied";
  }

  /** A page that begins right after the cursor. The server leaves out only what this user may not see, so its holes are none. */
  applyPage(events: readonly RoomEvent[]): void {
    for (const event of events) {
      if (event.sequence <= this.cursor) continue;
      this.cursor = event.sequence;
      this.append(event);
    }
  }

  /** A page that ends right before `oldest`. */
  prepend(events: readonly RoomEvent[], last: boolean): void {
    const older = events.filter((event) => event.sequence < this.oldest);
    for (const event of older) this.noteChange(event);
    const entries = older.map((event) => this.entryOf(event)).filter((entry) => entry !== null);
    if (older[0] !== undefined) this.oldest = older[0].sequence;
    if (last || this.oldest === 1n) this.complete = true;
    this.entries = [...entries, ...this.entries];
  }

  /** Lets go of all but the newest `keep` entries; they can be loaded again. */
  trim(keep: number): void {
    const first = this.entries[this.entries.length - keep];
    if (first === undefined || this.entries.length <= keep) return;
    this.entries = this.entries.slice(-keep);
    this.oldest = first.sequence;
    this.complete = false;
    for (const [messageId, change] of this.changes) if (change.sequence < this.oldest) this.changes.delete(messageId);
  }

  has(requestId: string, userId: bigint): boolean {
    return this.entries.some((entry) => entry.requestId === requestId && entry.actorUserId === userId);
  }

  private append(event: RoomEvent): void {
    const changed = this.noteChange(event);
    if (changed !== null) {
      this.entries = this.entries.map((entry) => this.refreshed(entry, changed));
      return;
    }
    const entry = this.entryOf(event);
    if (entry !== null) this.entries = [...this.entries, entry];
  }

  /** Returns the id of the message that the event changes, or null when it changes none. */
  private noteChange(event: RoomEvent): bigint | null {
    const change = changeOf(event);
    if (change === null) return null;
    const known = this.changes.get(change.messageId);
    if (known === undefined || known.sequence < event.sequence) {
      this.changes.set(change.messageId, { sequence: event.sequence, message: change.message });
    }
    return change.messageId;
  }

  private refreshed(entry: TimelineEntry, messageId: bigint): TimelineEntry {
    if (entry.content.case !== "message" || entry.content.message.messageId !== messageId) return entry;
    return { ...entry, content: this.present(entry.content.message) };
  }

  private present(message: Message): TimelineContent {
    const change = this.changes.get(message.messageId);
    if (change === undefined) return { case: "message", message, deleted: message.deleteTime !== undefined };
    return { case: "message", message: change.message ?? message, deleted: change.message === null };
  }

  private entryOf(event: RoomEvent): TimelineEntry | null {
    const content = this.contentOf(event);
    if (content === null) return null;
    const { sequence, actorUserId, requestId, createTime } = event;
    return { sequence, actorUserId, requestId, time: Number(createTime?.seconds ?? 0n) * 1000, content };
  }

  private contentOf({ payload }: RoomEvent): TimelineContent | null {
    switch (payload.case) {
      case "messageCreated":
        return payload.value.message === undefined ? null : this.present(payload.value.message);
      case "memberJoined":
        return { case: "joined", userId: payload.value.membership?.userId ?? 0n };
      case "memberLeft":
        return { case: "left", userId: payload.value.userId };
      case "roomUpdated":
        return { case: "renamed", title: payload.value.room?.title ?? "" };
      case "roomArchived":
        return { case: "archived" };
      default:
        return null;
    }
  }
}

function changeOf({ payload }: RoomEvent): { messageId: bigint; message: Message | null } | null {
  if (payload.case === "messageDeleted") return { messageId: payload.value.messageId, message: null };
  if (payload.case !== "messageEdited" || payload.value.message === undefined) return null;
  return { messageId: payload.value.message.messageId, message: payload.value.message };
}
