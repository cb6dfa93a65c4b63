/** Reads the whole list of a person's rooms: titles, kinds, last messages. `welcome` has only the numbers. */
import type { Room } from "../gen/polychat/chat/v1/room_pb";
import { RoomService } from "../gen/polychat/chat/v1/room_service_pb";
import type { Api } from "../protocol/api";
import { asFailure } from "../protocol/failure";

const PAGE_SIZE = 100;
const RETRY_MS = 2_000;

export interface ListingOwner {
  page(rooms: readonly Room[]): void;
  /** The last page was told. */
  listed(): void;
  later(milliseconds: number, run: () => void): () => void;
}

export class RoomListing {
  private running = false;
  private wanted = false;
  /** Rooms that were left while the list is read: a page that was made before still has them. */
  private readonly left = new Set<bigint>();

  constructor(private readonly api: Api, private readonly owner: ListingOwner) {}

  /** Reads it once; when that is under way, once more after it. */
  refresh(): void {
    this.wanted = true;
    if (!this.running) void this.run();
  }

  leave(roomId: bigint): void {
    if (this.running) this.left.add(roomId);
  }

  enter(roomId: bigint): void {
    this.left.delete(roomId);
  }

  private async run(): Promise<void> {
    this.running = true;
    try {
      while (this.wanted) await this.readAll();
      this.owner.listed();
    } catch (error) {
      const failure = asFailure(error);
      if (failure.retryable) this.owner.later(failure.retryAfter ?? RETRY_MS, () => this.refresh());
    } finally {
      this.running = false;
    }
  }

  private async readAll(): Promise<void> {
    this.wanted = false;
    this.left.clear();
    let pageToken = "";
    do {
      const page = await this.api.call(RoomService.method.listRooms, { pageSize: PAGE_SIZE, pageToken });
      this.owner.page(page.rooms.filter((room) => !this.left.has(room.roomId)));
      pageToken = page.nextPageToken;
    } while (pageToken !== "");
  }
}
