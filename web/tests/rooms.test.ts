import { create } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { RoomKind, RoomSchema } from "../src/gen/polychat/chat/v1/room_pb";
import { RoomStateSchema } from "../src/gen/polychat/edge/v1/server_frame_pb";
import type { RoomSummary } from "../src/store/rooms";
import { inOrder, unknownRoom, withEvent, withRead, withRoom, withState } from "../src/store/rooms";
import { ROOM, deleted, edited, said } from "./events";

const ME = 1n;
const state = (head: bigint, read: bigint, unread: number): RoomSummary =>
  withState(unknownRoom(ROOM), create(RoomStateSchema, { roomId: ROOM, headSequence: head, readSequence: read, unreadCount: unread }));

test("what the welcome counted is not counted again when it is replayed", () => {
  let summary = state(44n, 41n, 3);
  for (const sequence of [42, 43, 44]) summary = withEvent(summary, said(sequence), ME);
  expect(summary.unread).toBe(3);
  expect(withEvent(summary, said(45), ME).unread).toBe(4);
});

test("one's own message reads everything before it", () => {
  const summary = withEvent(state(44n, 41n, 3), said(45, "mine", ME), ME);
  expect([summary.read, summary.unread]).toEqual([45n, 0]);
});

test("one's own message from another device, replayed, does not read what came after it", () => {
  const summary = withEvent(state(44n, 42n, 2), said(42, "mine", ME), ME);
  expect([summary.read, summary.unread]).toEqual([42n, 2]);
});

test("a receipt never goes back", () => {
  const summary = state(44n, 41n, 3);
  expect(withRead(summary, 40n, 4)).toBe(summary);
  expect(withRead(summary, 43n, 1)).toMatchObject({ read: 43n, unread: 1 });
});

test("a list that was made before an event does not undo it", () => {
  const live = withEvent(state(44n, 44n, 0), said(45), ME);
  const listed = withRoom(live, create(RoomSchema, { roomId: ROOM, title: "Team", kind: RoomKind.GROUP, headSequence: 44n, readSequence: 44n }));
  expect(listed).toMatchObject({ title: "Team", head: 45n, unread: 1 });
  expect(listed.lastMessage?.text).toBe("message 45");
});

test("the preview follows edits and deletions of the last message only", () => {
  const summary = withEvent(state(0n, 0n, 0), said(1), ME);
  expect(withEvent(summary, edited(2, 101n, "better"), ME).lastMessage?.text).toBe("better");
  expect(withEvent(summary, deleted(2, 101n), ME).lastMessage?.deleted).toBe(true);
  expect(withEvent(summary, deleted(2, 555n), ME).lastMessage?.deleted).toBe(false);
});

test("the most recently active room is first; one that is not described yet is not shown", () => {
  const room = (roomId: bigint, activity: number, kind = RoomKind.GROUP): RoomSummary => ({ ...unknownRoom(roomId), activity, kind });
  const shown = inOrder([room(1n, 5), room(2n, 9), room(3n, 7, RoomKind.UNSPECIFIED), room(4n, 7)]);
  expect(shown.map((summary) => summary.roomId)).toEqual([2n, 4n, 1n]);
});
