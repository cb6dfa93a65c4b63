/** What the room list shows: one summary per room, kept from ListRooms, `welcome` and the events. Pure; replaced, never changed. */
import { timestampMs } from "@bufbuild/protobuf/wkt";
import type { Message } from "../gen/polychat/chat/v1/message_pb";
import type { Room } from "../gen/polychat/chat/v1/room_pb";
import { RoomKind } from "../gen/polychat/chat/v1/room_pb";
import type { RoomState } from "../gen/polychat/edge/v1/server_frame_pb";
import type { RoomEvent } from "../gen/polychat/event/v1/room_event_pb";

export interface RoomSummary {
  roomId: bigint;
  title: string;
  /** Unspecified until ListRooms or an event told it; such a room is not shown yet. */
  kind: RoomKind;
  directUserId: bigint;
  archived: boolean;
  /** Where this person's present membership begins; 0 when nobody said. */
  joined: bigint;
  head: bigint;
  read: bigint;
  unread: number;
  lastMessage: LastMessage | null;
  /** Milliseconds since 1970; orders the list. */
  activity: number;
}

export interface LastMessage {
  messageId: bigint;
  sequence: bigint;
  senderUserId: bigint;
  text: string;
  deleted: boolean;
}

export function unknownRoom(roomId: bigint): RoomSummary {
  return {
    roomId, title: "", kind: RoomKind.UNSPECIFIED, directUserId: 0n, archived: false,
    joined: 0n, head: 0n, read: 0n, unread: 0, lastMessage: null, activity: 0,
  };
}

/** What a Room says about itself; lists also say how far it is, which counts when nothing newer was seen. */
export function withRoom(summary: RoomSummary, room: Room): RoomSummary {
  const next: RoomSummary = {
    ...summary,
    title: room.title,
    kind: room.kind,
    directUserId: room.directUserId || summary.directUserId,
    archived: room.archiveTime !== undefined,
    activity: Math.max(summary.activity, timeOf(room)),
  };
  if (room.lastMessage !== undefined && room.lastMessage.sequence > (summary.lastMessage?.sequence ?? 0n)) {
    next.lastMessage = lastMessageOf(room.lastMessage, room.lastMessage.sequence);
  }
  if (room.headSequence === undefined || room.headSequence < summary.head) return next;
  next.head = room.headSequence;
  next.read = max(summary.read, room.readSequence ?? 0n);
  if (next.read === (room.readSequence ?? 0n)) next.unread = room.unreadCount ?? 0;
  return next;
}

/** `welcome` is the server's own arithmetic: it replaces ours. A receipt that was lost with the line is sent again by the view. */
export function withState(summary: RoomSummary, state: RoomState): RoomSummary {
  const [head, read, unread] = [state.headSequence ?? 0n, state.readSequence ?? 0n, state.unreadCount ?? 0];
  const joined = state.joinedSequence ?? summary.joined;
  return { ...summary, joined, head: max(summary.head, head), read, unread };
}

/** The server's log was set back to `head`; what it has of the room now comes with the next list. */
export function withReset(summary: RoomSummary, head: bigint): RoomSummary {
  return { ...summary, joined: min(summary.joined, head), head, read: min(summary.read, head), lastMessage: null };
}

export function withEvent(summary: RoomSummary, event: RoomEvent, me: bigint): RoomSummary {
  const time = event.createTime === undefined ? 0 : timestampMs(event.createTime);
  const next: RoomSummary = { ...summary, head: max(summary.head, event.sequence) };
  const { payload } = event;
  switch (payload.case) {
    case "messageCreated": {
      const message = payload.value.message;
      if (message === undefined) return next;
      next.activity = Math.max(summary.activity, time);
      next.lastMessage = newest(summary.lastMessage, lastMessageOf(message, event.sequence));
      if (message.senderUserId === me) return withRead(next, event.sequence, 0);
      // Up to `head` the server has counted; beyond it every message is one more.
      return event.sequence > summary.head ? { ...next, unread: summary.unread + 1 } : next;
    }
    case "messageEdited":
      return { ...next, lastMessage: edited(summary.lastMessage, payload.value.message) };
    case "messageDeleted":
      return { ...next, lastMessage: deleted(summary.lastMessage, payload.value.messageId) };
    case "memberJoined":
      next.activity = Math.max(summary.activity, time);
      if (payload.value.membership?.userId === me) next.joined = max(summary.joined, event.sequence);
      if (payload.value.room === undefined) return next;
      return { ...next, ...described(payload.value.room), directUserId: partner(summary, event, me) };
    case "roomUpdated":
      return { ...next, title: payload.value.room?.title ?? summary.title };
    case "roomArchived":
      return { ...next, archived: true };
    default:
      return next;
  }
}

/** `unread`: how many messages of others come after `read`, as far as the caller can count. */
export function withRead(summary: RoomSummary, read: bigint, unread: number): RoomSummary {
  return read <= summary.read ? summary : { ...summary, read, unread };
}

/** The most recently active first. */
export function inOrder(rooms: Iterable<RoomSummary>): RoomSummary[] {
  const shown = [...rooms].filter((room) => room.kind !== RoomKind.UNSPECIFIED);
  return shown.sort((a, b) => b.activity - a.activity || (a.roomId < b.roomId ? 1 : -1));
}

function described(room: Room): Pick<RoomSummary, "title" | "kind"> {
  return { title: room.title, kind: room.kind };
}

/** The other one of a direct room; both get the same event, so it cannot say "the other". */
function partner(summary: RoomSummary, { actorUserId, payload }: RoomEvent, me: bigint): bigint {
  if (payload.case !== "memberJoined" || payload.value.room?.kind !== RoomKind.DIRECT) return summary.directUserId;
  const { room, membership } = payload.value;
  const candidates = [summary.directUserId, room.directUserId, membership?.userId ?? 0n, actorUserId];
  return candidates.find((userId) => userId !== 0n && userId !== me) ?? 0n;
}

function lastMessageOf(message: Message, sequence: bigint): LastMessage {
  const { messageId, senderUserId, text } = message;
  return { messageId, sequence, senderUserId, text, deleted: message.deleteTime !== undefined };
}

function newest(known: LastMessage | null, other: LastMessage): LastMessage {
  return known !== null && known.sequence > other.sequence ? known : other;
}

function edited(last: LastMessage | null, message: Message | undefined): LastMessage | null {
  return last !== null && message?.messageId === last.messageId ? { ...last, text: message.text } : last;
}

function deleted(last: LastMessage | null, messageId: bigint): LastMessage | null {
  return last?.messageId === messageId ? { ...last, text: "", deleted: true } : last;
}

function timeOf(room: Room): number {
  const time = room.lastMessage?.createTime ?? room.createTime;
  return time === undefined ? 0 : timestampMs(time);
}

function min(a: bigint, b: bigint): bigint {
  return a < b ? a : b;
}

function max(a: bigint, b: bigint): bigint {
  return a > b ? a : b;
}
