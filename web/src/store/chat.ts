/**
 * Everything a signed-in person has: the connection, their rooms, what is on its way out. Hands each frame to whom it concerns and
 * tells the views that something changed.
 */
import type { ConnectionState } from "../protocol/connection";
import type { Api } from "../protocol/api";
import { asFailure } from "../protocol/failure";
import { Outbox } from "../protocol/outbox";
import type { KeyValue } from "../protocol/outbox_storage";
import { loadOutbox, saveOutbox } from "../protocol/outbox_storage";
import type { World } from "../protocol/session";
import { Session } from "../protocol/session";
import type { ServerFrame } from "../gen/polychat/edge/v1/server_frame_pb";
import type { RoomEvent } from "../gen/polychat/event/v1/room_event_pb";
import { Observable } from "./observable";
import { RoomBook } from "./room_book";
import { Sender } from "./sender";
import { Typing } from "./typing";
import { Users } from "./users";

export interface Me {
  userId: bigint;
  username: string;
}

export class Chat extends Observable {
  readonly book: RoomBook;
  readonly users: Users;
  readonly typing: Typing;
  readonly outbox: Outbox;
  readonly session: Session;
  /** What was typed and not sent, by room. */
  readonly drafts = new Map<bigint, string>();
  private readonly sender: Sender;

  constructor(
    readonly me: Me,
    readonly api: Api,
    private readonly world: World,
    access: (forceRefresh: boolean) => Promise<string>,
    storage: KeyValue,
    private readonly signedOut: () => void,
  ) {
    super();
    this.users = new Users(api, () => this.changed());
    this.outbox = new Outbox(loadOutbox(storage, me.userId), (entries) => saveOutbox(storage, me.userId, entries));
    this.session = new Session(world, access, {
      state: (state) => this.stateChanged(state),
      welcome: (welcome) => this.book.welcomed(welcome),
      frame: (body) => this.framed(body),
      cursors: () => this.book.cursors(),
      epoch: () => this.book.epoch,
    });
    const cursor = (roomId: bigint): bigint => this.book.log(roomId)?.cursor ?? 0n;
    this.sender = new Sender(this.outbox, this.session, world, cursor, () => this.changed());
    this.typing = new Typing(world, this.session, () => this.changed());
    this.book = new RoomBook(me.userId, api, this.users, world, {
      changed: () => this.changed(),
      applied: (events) => this.applied(events),
    });
  }

  send(roomId: bigint, requestId: string, text: string): void {
    this.outbox.add(requestId, roomId, text, this.world.now());
    this.typing.stopped();
    this.sender.pump();
    this.changed();
  }

  retry(requestId: string): void {
    this.outbox.retry(requestId);
    this.sender.pump();
    this.changed();
  }

  discard(requestId: string): void {
    this.outbox.discard(requestId);
    this.sender.pump();
    this.changed();
  }

  /** Everything up to `sequence` was on the screen. */
  markRead(roomId: bigint, sequence: bigint): void {
    if (this.session.state.name !== "live" || !this.book.read(roomId, sequence)) return;
    // Without an answer the next welcome tells the old place, and the view comes here again.
    this.session.request({ case: "receipt", value: { roomId, readSequence: sequence } }).catch(asFailure);
  }

  private stateChanged(state: ConnectionState): void {
    if (state.name === "stopped" && state.signOut) this.signedOut();
    else if (state.name === "live") this.sender.pump();
    else this.outbox.disconnected();
    this.changed();
  }

  private framed(body: ServerFrame["body"]): void {
    switch (body.case) {
      case "event":
        return this.book.received(body.value);
      case "skip":
        return this.book.skipped(body.value);
      case "gap":
        return this.book.gap(body.value);
      case "receipt":
        return this.book.receipt(body.value);
      case "typing":
        return this.typing.heard(body.value.roomId, body.value.userId);
      default: // what this client does not know, it passes over
    }
  }

  private applied(events: readonly RoomEvent[]): void {
    for (const { roomId, actorUserId, payload } of events) {
      if (payload.case === "messageCreated") this.typing.wrote(roomId, actorUserId);
    }
    this.sender.committed(events.filter((event) => event.actorUserId === this.me.userId));
  }
}
