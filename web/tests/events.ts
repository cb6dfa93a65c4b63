import { create } from "@bufbuild/protobuf";
import type { RoomEvent } from "../src/gen/polychat/event/v1/room_event_pb";
import { RoomEventSchema } from "../src/gen/polychat/event/v1/room_event_pb";

export const ROOM = 7n;

/** A message whose id is 100 + its sequence. */
export function said(sequence: number, text = `message ${sequence}`, by = 9n, requestId = ""): RoomEvent {
  const message = { messageId: BigInt(100 + sequence), senderUserId: by, text };
  return event(sequence, by, { case: "messageCreated", value: { message } }, requestId);
}

export function edited(sequence: number, messageId: bigint, text: string): RoomEvent {
  return event(sequence, 9n, { case: "messageEdited", value: { message: { messageId, senderUserId: 9n, text } } });
}

export function deleted(sequence: number, messageId: bigint): RoomEvent {
  return event(sequence, 9n, { case: "messageDeleted", value: { messageId } });
}

export function joined(sequence: number, userId: bigint): RoomEvent {
  return event(sequence, userId, { case: "memberJoined", value: { membership: { roomId: ROOM, userId } } });
}

export function left(sequence: number, userId: bigint): RoomEvent {
  return event(sequence, userId, { case: "memberLeft", value: { userId } });
}

type Payload = NonNullable<Parameters<typeof create<typeof RoomEventSchema>>[1]>["payload"];

function event(sequence: number, actorUserId: bigint, payload: Payload, requestId = ""): RoomEvent {
  const createTime = { seconds: BigInt(1_760_000_000 + sequence * 60), nanos: 0 };
  return create(RoomEventSchema, { roomId: ROOM, sequence: BigInt(sequence), actorUserId, createTime, requestId, payload: payload! });
}
