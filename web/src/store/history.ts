/** Brings what the socket does not: older pages, and what is missing between a room's copy and its newest event. */
import type { RoomEvent } from "../gen/polychat/event/v1/room_event_pb";
import { MessageService } from "../gen/polychat/message/v1/message_service_pb";
import type { Api } from "../protocol/api";
import type { Failure } from "../protocol/failure";
import { asFailure } from "../protocol/failure";
import type { RoomLog } from "../protocol/room_log";

const PAGE_SIZE = 50;
const CATCH_UP_PAGE_SIZE = 100;
const RETRY_MS = 2_000;

export interface HistoryOwner {
  log(roomId: bigint): RoomLog | undefined;
  /** Events that were loaded after the cursor and are in the log now. */
  caughtUp(events: readonly RoomEvent[]): void;
  /** Events that were loaded before the oldest and are in the log now. */
  loadedOlder(events: readonly RoomEvent[]): void;
  /** The room cannot be read any more, or not now. */
  historyFailed(roomId: bigint, failure: Failure): void;
  later(milliseconds: number, run: () => void): () => void;
}

export class History {
  /** Rooms whose older page is under way. */
  readonly loading = new Set<bigint>();
  /** Room → how far its copy has to get. */
  private readonly targets = new Map<bigint, bigint>();
  private readonly running = new Set<bigint>();

  constructor(private readonly api: Api, private readonly owner: HistoryOwner) {}

  /** One page before what the copy has. Does nothing while one is under way or when there is none. */
  async loadOlder(roomId: bigint): Promise<void> {
    const log = this.owner.log(roomId);
    if (log === undefined || log.complete || this.loading.has(roomId)) return;
    this.loading.add(roomId);
    try {
      const cursor = { case: "beforeSequence" as const, value: log.oldest };
      const page = await this.api.call(MessageService.method.listEvents, { roomId, cursor, pageSize: PAGE_SIZE });
      log.prepend(page.events, page.nextPageToken === "");
      this.loading.delete(roomId);
      this.owner.loadedOlder(page.events);
    } catch (error) {
      this.loading.delete(roomId);
      this.owner.historyFailed(roomId, asFailure(error));
    }
  }

  /** Fetches until the copy has everything up to `target`. */
  catchUp(roomId: bigint, target: bigint): void {
    const known = this.targets.get(roomId) ?? 0n;
    this.targets.set(roomId, known > target ? known : target);
    if (!this.running.has(roomId)) void this.run(roomId);
  }

  forget(roomId: bigint): void {
    this.targets.delete(roomId);
  }

  private async run(roomId: bigint): Promise<void> {
    this.running.add(roomId);
    try {
      while (await this.fetchPage(roomId));
      this.targets.delete(roomId);
    } catch (error) {
      const failure = asFailure(error);
      if (failure.retryable) this.owner.later(failure.retryAfter ?? RETRY_MS, () => this.resume(roomId));
      else this.targets.delete(roomId);
      this.owner.historyFailed(roomId, failure);
    } finally {
      this.running.delete(roomId);
    }
  }

  private resume(roomId: bigint): void {
    const target = this.targets.get(roomId);
    if (target !== undefined) this.catchUp(roomId, target);
  }

  /** Returns whether there is more to fetch. */
  private async fetchPage(roomId: bigint): Promise<boolean> {
    const log = this.owner.log(roomId);
    if (log === undefined || log.cursor >= (this.targets.get(roomId) ?? 0n)) return false;
    const cursor = { case: "afterSequence" as const, value: log.cursor };
    const target = this.targets.get(roomId) ?? 0n;
    const page = await this.api.call(MessageService.method.listEvents, { roomId, cursor, pageSize: CATCH_UP_PAGE_SIZE });
    const fresh = page.events.filter((event) => event.sequence > log.cursor);
    log.applyPage(fresh);
    // The last page, and still short of what was known when it was asked for: the rest is nothing this user may see.
    if (page.nextPageToken === "" && log.cursor < target) log.skip(log.cursor + 1n, target);
    this.owner.caughtUp(fresh);
    return true;
  }
}
