/**
 * The rooms of a person: a summary of each for the list, and a copy of what was said, kept whole by the rule of room_log.ts. Takes
 * what the socket brings, fetches what it does not.
 */
import type { Api } from "../protocol/api";
import type { Failure } from "../protocol/failure";
import { asFailure } from "../protocol/failure";
import { RoomLog } from "../protocol/room_log";
import type { World } from "../protocol/session";
import type { Room } from "../gen/polychat/chat/v1/room_pb";
import { RoomService } from "../gen/polychat/chat/v1/room_service_pb";
import type { Gap, Skip, Welcome } from "../gen/polychat/edge/v1/server_frame_pb";
import type { RoomEvent } from "../gen/polychat/event/v1/room_event_pb";
import type { Receipt } from "../gen/polychat/message/v1/receipt_pb";
import { History } from "./history";
import { RoomListing } from "./room_listing";
import type { RoomSummary } from "./rooms";
import { inOrder, unknownRoom, withEvent, withRead, withReset, withRoom, withState } from "./rooms";
import type { Users } from "./users";

export interface BookOwner {
  changed(): void;
  /** These are in the copies now. */
  applied(events: readonly RoomEvent[]): void;
}

/** Rooms nobody looks at keep this many entries; the rest is loaded again when somebody does. */
const KEEP_ENTRIES = 200;
/** The open room keeps this many before it lets go of those far above. */
const MOST_ENTRIES = 1000;
/** A room is opened with at least this many, if it has them. */
const OPEN_ENTRIES = 50;
/** A longer gap is not filled from the past: the newest page is shown, older ones load when scrolled to. */
const LONGEST_FILL = 1000n;
/** As many as `hello` takes. */
const MOST_CURSORS = 1000;

export class RoomBook {
  /** In the order of the list; a new array after every change. */
  rooms: readonly RoomSummary[] = [];
  /** The list is whole: a room that is not in it is none of this person's. */
  listed = false;
  /** Of the log that the copies are of. */
  epoch = 0n;
  /** Why the open room's history could not be loaded; null when it could. */
  historyFailure: Failure | null = null;
  private readonly history: History;
  private readonly listing: RoomListing;
  private readonly summaries = new Map<bigint, RoomSummary>();
  private readonly logs = new Map<bigint, RoomLog>();
  /** The rooms of the last `hello`: what they missed is replayed. */
  private told: ReadonlySet<bigint> = new Set();
  private opened: bigint | null = null;

  constructor(
    private readonly me: bigint,
    private readonly api: Api,
    private readonly users: Users,
    world: World,
    private readonly owner: BookOwner,
  ) {
    this.history = new History(api, {
      log: (roomId) => this.logs.get(roomId),
      caughtUp: (events) => this.caughtUp(events),
      loadedOlder: (events) => this.loadedOlder(events),
      historyFailed: (roomId, failure) => this.historyFailed(roomId, failure),
      later: world.later,
    });
    this.listing = new RoomListing(api, {
      page: (rooms) => this.list(rooms),
      listed: () => this.wholeListed(),
      later: world.later,
    });
  }

  summary(roomId: bigint): RoomSummary | undefined {
    return this.summaries.get(roomId);
  }

  log(roomId: bigint): RoomLog | undefined {
    return this.logs.get(roomId);
  }

  isLoadingOlder(roomId: bigint): boolean {
    return this.history.loading.has(roomId);
  }

  /** The room a person looks at; null for none. */
  open(roomId: bigint | null): void {
    if (this.opened !== null && this.opened !== roomId) this.logs.get(this.opened)?.trim(KEEP_ENTRIES);
    this.opened = roomId;
    this.historyFailure = null;
    if (roomId !== null) void this.fillOpened(roomId);
  }

  loadOlder(roomId: bigint): void {
    this.historyFailure = null;
    const loading = this.history.loadOlder(roomId);
    this.owner.changed();
    void loading;
  }

  /** The newest message of the open room is on the screen: a page that stays open for days must not grow for ever. */
  trimOpened(roomId: bigint): void {
    const log = this.logs.get(roomId);
    if (log === undefined || log.entries.length <= MOST_ENTRIES) return;
    log.trim(KEEP_ENTRIES);
    this.owner.changed();
  }

  /** A room that this person made, joined or opened just now. */
  entered(room: Room): void {
    this.listing.enter(room.roomId);
    this.describeAs(room);
    this.reorder();
  }

  left(roomId: bigint): void {
    this.summaries.delete(roomId);
    this.forget(roomId);
    this.listing.leave(roomId);
    this.reorder();
  }

  /** Moves the reader's place; returns whether that is news. */
  read(roomId: bigint, sequence: bigint): boolean {
    const summary = this.summaries.get(roomId);
    if (summary === undefined || sequence <= summary.read) return false;
    const unread = this.unreadAfter(summary, sequence);
    this.summaries.set(roomId, withRead(summary, sequence, unread ?? summary.unread));
    if (unread === null) this.listing.refresh();
    this.reorder();
    return true;
  }

  /** Where each copy ends, for `hello`: the most recently active first, as many as it takes. */
  cursors(): { roomId: bigint; sequence: bigint }[] {
    const ordered = new Set([...this.rooms.map((room) => room.roomId), ...this.logs.keys()]);
    const logs = [...ordered].map((roomId) => this.logs.get(roomId)).filter((log) => log !== undefined);
    const told = logs.slice(0, MOST_CURSORS);
    this.told = new Set(told.map((log) => log.roomId));
    return told.map((log) => ({ roomId: log.roomId, sequence: log.cursor }));
  }

  welcomed(welcome: Welcome): void {
    const current = new Set(welcome.rooms.map((room) => room.roomId));
    if (!welcome.roomsTruncated) {
      for (const roomId of [...this.summaries.keys()]) if (!current.has(roomId)) this.left(roomId);
    }
    const restored = welcome.logEpoch !== this.epoch;
    this.epoch = welcome.logEpoch;
    // Whose place was told by neither side may have moved: the list, or the next event, begins it again. After a restore no copy is
    // kept, not even one that the welcome does not reset: what it still waits for was of the log before. Void from now on, whether
    // or not the line holds until the gaps have come.
    for (const roomId of [...this.logs.keys()]) {
      if (restored || (!current.has(roomId) && !this.told.has(roomId))) this.forget(roomId);
    }
    if (restored) for (const [roomId, summary] of this.summaries) this.summaries.set(roomId, withReset(summary, 0n));
    for (const state of welcome.rooms) {
      const { roomId } = state;
      // Whose place was not told begins at its head, and what is before it, back to the joining, is loaded when somebody looks.
      if (!this.logs.has(roomId) || !this.told.has(roomId)) this.logs.set(roomId, new RoomLog(roomId, state.headSequence ?? 0n));
      this.summaries.set(roomId, withState(this.summaries.get(roomId) ?? unknownRoom(roomId), state));
    }
    this.historyFailure = null;
    this.reorder();
    this.users.askAgain();
    this.listing.refresh();
    if (this.opened !== null) void this.fillOpened(this.opened);
  }

  received(event: RoomEvent): void {
    const { roomId, sequence, payload } = event;
    const joined = payload.case === "memberJoined" && payload.value.membership?.userId === this.me;
    const known = this.logs.get(roomId);
    const begins = known === undefined || (joined && sequence > known.cursor);
    const log = begins ? new RoomLog(roomId, sequence - 1n) : known;
    this.logs.set(roomId, log);
    const applied = log.apply(event);
    if (applied === "missing") this.history.catchUp(roomId, sequence);
    if (applied === "applied") this.caughtUp([event]);
    if (joined) this.listing.enter(roomId);
    else if (known === undefined && this.logs.has(roomId)) void this.describe(roomId);
  }

  skipped({ roomId, fromSequence, toSequence }: Skip): void {
    const log = this.logs.get(roomId);
    if (log?.skip(fromSequence, toSequence) === "missing") this.history.catchUp(roomId, toSequence);
  }

  gap({ roomId, headSequence, reset }: Gap): void {
    const log = this.logs.get(roomId);
    if (log !== undefined && !reset && headSequence - log.cursor <= LONGEST_FILL) {
      return this.history.catchUp(roomId, headSequence);
    }
    this.history.forget(roomId);
    this.logs.set(roomId, new RoomLog(roomId, headSequence));
    const summary = this.summaries.get(roomId);
    if (summary !== undefined && reset) this.summaries.set(roomId, withReset(summary, headSequence));
    if (roomId === this.opened) void this.fillOpened(roomId);
    this.listing.refresh();
    this.reorder();
  }

  /** How far somebody has read; one's own comes from another device. */
  receipt({ roomId, userId, readSequence }: Receipt): void {
    if (userId === this.me && readSequence !== undefined) this.read(roomId, readSequence);
  }

  private forget(roomId: bigint): void {
    this.history.forget(roomId);
    this.logs.delete(roomId);
  }

  private async fillOpened(roomId: bigint): Promise<void> {
    const log = this.logs.get(roomId);
    if (log !== undefined && log.entries.length < OPEN_ENTRIES) await this.history.loadOlder(roomId);
  }

  private list(rooms: readonly Room[]): void {
    for (const room of rooms) this.describeAs(room);
    this.reorder();
  }

  private wholeListed(): void {
    this.listed = true;
    if (this.opened !== null) void this.fillOpened(this.opened);
    this.owner.changed();
  }

  private describeAs(room: Room): void {
    if (!this.logs.has(room.roomId)) this.logs.set(room.roomId, new RoomLog(room.roomId, room.headSequence ?? 0n));
    this.summaries.set(room.roomId, withRoom(this.summaries.get(room.roomId) ?? unknownRoom(room.roomId), room));
    this.users.want(room.directUserId, room.lastMessage?.senderUserId ?? 0n);
  }

  /** A room that came without its first event, as the rest of a truncated welcome does. */
  private async describe(roomId: bigint): Promise<void> {
    try {
      const { room } = await this.api.call(RoomService.method.getRoom, { roomId });
      if (room !== undefined && this.logs.has(roomId)) this.describeAs(room); // it may have been left meanwhile
      this.reorder();
    } catch (error) {
      asFailure(error); // the list of the next welcome has it
    }
  }

  private caughtUp(events: readonly RoomEvent[]): void {
    for (const event of events) this.summarize(event);
    this.owner.applied(events);
    this.reorder();
  }

  private summarize(event: RoomEvent): void {
    const { roomId, sequence, actorUserId, payload } = event;
    const summary = this.summaries.get(roomId) ?? unknownRoom(roomId);
    const left = payload.case === "memberLeft" ? payload.value.userId : 0n;
    if (left === this.me && sequence > summary.joined) return this.left(roomId);
    this.summaries.set(roomId, withEvent(summary, event, this.me));
    const joined = payload.case === "memberJoined" ? (payload.value.membership?.userId ?? 0n) : 0n;
    this.users.want(actorUserId, left, joined);
    if (roomId !== this.opened) this.logs.get(roomId)?.trim(KEEP_ENTRIES);
  }

  private loadedOlder(events: readonly RoomEvent[]): void {
    for (const { actorUserId, payload } of events) {
      this.users.want(actorUserId);
      if (payload.case === "memberJoined") this.users.want(payload.value.membership?.userId ?? 0n);
      if (payload.case === "memberLeft") this.users.want(payload.value.userId);
    }
    this.owner.changed();
  }

  private historyFailed(roomId: bigint, failure: Failure): void {
    if (roomId === this.opened) this.historyFailure = failure;
    this.owner.changed();
  }

  /** Messages of others after `sequence`, counted in the copy; null when it does not have all of them. */
  private unreadAfter({ roomId, head }: RoomSummary, sequence: bigint): number | null {
    if (sequence >= head) return 0;
    const log = this.logs.get(roomId);
    if (log === undefined || log.oldest > sequence + 1n || log.cursor < head) return null;
    const later = log.entries.filter((e) => e.sequence > sequence && e.content.case === "message");
    return later.filter((e) => e.actorUserId !== this.me).length;
  }

  private reorder(): void {
    this.rooms = inOrder(this.summaries.values());
    this.owner.changed();
  }
}
