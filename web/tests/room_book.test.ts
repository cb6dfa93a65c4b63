import { create, toJson } from "@bufbuild/protobuf";
import { beforeEach, describe, expect, test } from "vitest";
import { RoomSchema } from "../src/gen/polychat/chat/v1/room_pb";
import { GapSchema, WelcomeSchema } from "../src/gen/polychat/edge/v1/server_frame_pb";
import type { Welcome } from "../src/gen/polychat/edge/v1/server_frame_pb";
import { RoomEventSchema } from "../src/gen/polychat/event/v1/room_event_pb";
import { ReceiptSchema } from "../src/gen/polychat/message/v1/receipt_pb";
import { Api } from "../src/protocol/api";
import { RoomBook } from "../src/store/room_book";
import { Users } from "../src/store/users";
import { ROOM, joined, left, said } from "./events";

const ME = 1n;

let answers: Record<string, (request: any) => object | Promise<object>>;
let calls: string[];
let book: RoomBook;

const settled = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 0));

/** The server of this test: what `answers` has for a method, or nothing at all. */
async function fetchHere(url: string, init: RequestInit): Promise<Response> {
  const method = url.split("/").pop() ?? "";
  calls.push(method);
  const answer = (await answers[method]?.(JSON.parse(String(init.body)))) ?? {};
  return new Response(JSON.stringify(answer));
}

function welcome(head: bigint, read = head, unread = 0, joinedSequence = 1n, roomId = ROOM): Welcome {
  const room = { roomId, headSequence: head, readSequence: read, unreadCount: unread, joinedSequence };
  return create(WelcomeSchema, { rooms: [room] });
}

const listed = (head: number, read: number, unread: number): object => ({
  rooms: [{ roomId: String(ROOM), title: "Team", kind: "ROOM_KIND_GROUP", headSequence: String(head), readSequence: String(read), unreadCount: unread }],
});

beforeEach(() => {
  [answers, calls] = [{}, []];
  const api = new Api(fetchHere, async () => "token");
  const world = { later: () => () => {} } as any;
  book = new RoomBook(ME, api, new Users(api, () => {}), world, { changed: () => {}, applied: () => {} });
});

describe("resume", () => {
  test("tells the place of a room that is not described yet too", () => {
    book.welcomed(welcome(44n));
    book.received(said(45));
    expect(book.cursors()).toEqual([{ roomId: ROOM, sequence: 45n }]);
  });

  test("a room beyond those that hello can tell begins again at its head, for nobody replays it", () => {
    const rooms = (head: bigint) => Array.from({ length: 1001 }, (_, n) => ({ roomId: BigInt(n + 1), headSequence: head }));
    book.welcomed(create(WelcomeSchema, { rooms: rooms(5n) }));
    expect(book.cursors()).toHaveLength(1000);
    book.welcomed(create(WelcomeSchema, { rooms: rooms(9n) }));
    expect([book.log(1000n)?.cursor, book.log(1001n)?.cursor]).toEqual([5n, 9n]);
  });

  test("an open room that neither hello nor a truncated welcome told begins again at its head, and is loaded", async () => {
    const others = Array.from({ length: 1000 }, (_, n) => ({ roomId: BigInt(n + 1000), headSequence: 1n }));
    book.welcomed(create(WelcomeSchema, { rooms: [...others, { roomId: ROOM, headSequence: 44n }] }));
    expect(book.cursors().map((room) => room.roomId)).not.toContain(ROOM);
    book.open(ROOM);
    await settled();
    answers["ListRooms"] = () => listed(46, 44, 2);
    answers["ListEvents"] = () => ({ events: [said(45), said(46)].map((event) => toJson(RoomEventSchema, event)) });
    book.welcomed(create(WelcomeSchema, { rooms: others, roomsTruncated: true }));
    await settled();
    const log = book.log(ROOM);
    expect([log?.cursor, log?.entries.map((entry) => entry.sequence)]).toEqual([46n, [45n, 46n]]);
  });

  test("a room that was joined while away is read back to the joining when it is opened", async () => {
    book.welcomed(create(WelcomeSchema, {}));
    answers["ListEvents"] = () => ({ events: [{ roomId: String(ROOM), sequence: "7", messageCreated: { message: { text: "hi" } } }] });
    book.welcomed(welcome(7n, 6n, 1, 6n));
    book.open(ROOM);
    await settled();
    const log = book.log(ROOM);
    expect([log?.entries.length, log?.complete]).toEqual([1, true]);
  });

  test("a leave that was before the present membership does not take the room away", async () => {
    book.welcomed(welcome(5n));
    book.cursors();
    book.welcomed(welcome(8n, 7n, 1, 7n));
    answers["ListEvents"] = () => ({ events: [left(6, ME), joined(7, ME), said(8)].map((event) => toJson(RoomEventSchema, event)) });
    book.gap(create(GapSchema, { roomId: ROOM, fromSequence: 6n, headSequence: 8n }));
    await settled();
    expect(book.summary(ROOM)).toMatchObject({ unread: 1, head: 8n });
    expect(book.log(ROOM)?.cursor).toBe(8n);
  });

  test("a failure to load is forgotten with the connection it was on", async () => {
    answers["ListEvents"] = () => Promise.reject(new TypeError("no line"));
    book.welcomed(welcome(5n));
    book.open(ROOM);
    await settled();
    expect(book.historyFailure).not.toBeNull();
    answers["ListEvents"] = () => ({ events: [] });
    book.welcomed(welcome(5n));
    await settled();
    expect(book.historyFailure).toBeNull();
  });
});

describe("a restored database", () => {
  test("a copy beyond the head is forgotten, and what comes then counts", async () => {
    book.welcomed(welcome(44n));
    book.cursors();
    book.welcomed(welcome(10n));
    answers["ListRooms"] = () => listed(10, 10, 0);
    book.gap(create(GapSchema, { roomId: ROOM, fromSequence: 45n, headSequence: 10n, reset: true }));
    await settled();
    book.received(said(11, "after the restore"));
    expect(book.summary(ROOM)).toMatchObject({ head: 11n, unread: 1, lastMessage: { text: "after the restore" } });
    expect(book.read(ROOM, 11n)).toBe(true);
  });
});

describe("a log that has grown again since a restore", () => {
  test("what the welcome resets is void at once, and its epoch is said from then on", async () => {
    book.welcomed(welcome(44n));
    book.cursors();
    const restored = create(WelcomeSchema, { ...welcome(60n), logEpoch: 7n, resetRoomIds: [ROOM] });
    book.welcomed(restored);
    await settled();
    expect(book.epoch).toBe(7n);
    expect(book.cursors()).toEqual([{ roomId: ROOM, sequence: 60n }]);
    expect(book.log(ROOM)?.entries).toEqual([]);
  });

  test("a room that a truncated welcome has no place for is void too, and begins again at its head", async () => {
    book.welcomed(welcome(44n));
    book.received(said(45));
    book.cursors();
    answers["ListRooms"] = () => listed(30, 30, 0);
    book.welcomed(create(WelcomeSchema, { logEpoch: 7n, roomsTruncated: true }));
    expect(book.log(ROOM)).toBeUndefined();
    await settled();
    book.received(said(31, "after the restore"));
    expect(book.log(ROOM)?.cursor).toBe(31n);
    expect(book.summary(ROOM)).toMatchObject({ head: 31n, unread: 1, lastMessage: { text: "after the restore" } });
  });

  test("what was being fetched is not waited for: it was of the log before", async () => {
    book.welcomed(welcome(40n));
    answers["ListEvents"] = () => Promise.reject(new TypeError("no line"));
    book.received(said(60));
    await settled();
    book.cursors();
    answers["ListEvents"] = () => ({ events: [] });
    book.welcomed(create(WelcomeSchema, { ...welcome(50n), logEpoch: 7n }));
    book.gap(create(GapSchema, { roomId: ROOM, fromSequence: 41n, headSequence: 50n }));
    await settled();
    book.received(said(51, "after the restore"));
    expect(book.log(ROOM)?.cursor).toBe(51n);
    expect(book.summary(ROOM)).toMatchObject({ head: 51n, unread: 1 });
  });

  test("leaving a room counts from its new numbers on, also where the membership had begun at a higher one", async () => {
    book.welcomed(welcome(44n, 44n, 0, 40n));
    book.cursors();
    answers["ListRooms"] = () => listed(30, 30, 0);
    book.welcomed(create(WelcomeSchema, { logEpoch: 7n, roomsTruncated: true }));
    await settled();
    book.received(left(31, ME));
    expect(book.summary(ROOM)).toBeUndefined();
  });

  test("a room that is shorter now counts from there, also when the line breaks before its gap has come", async () => {
    book.welcomed(welcome(44n));
    book.cursors();
    answers["ListRooms"] = () => listed(10, 10, 0);
    book.welcomed(create(WelcomeSchema, { ...welcome(10n), logEpoch: 7n, resetRoomIds: [ROOM] }));
    await settled();
    book.received(said(11, "after the restore"));
    expect(book.summary(ROOM)).toMatchObject({ head: 11n, unread: 1 });
  });
});

describe("answers that come late", () => {
  test("a list or a description that was asked for before a leave does not bring the room back", async () => {
    let release = (): void => {};
    const later = new Promise<void>((resolve) => (release = resolve));
    answers["ListRooms"] = () => later.then(() => listed(45, 45, 0));
    answers["GetRoom"] = () => later.then(() => ({ room: { roomId: "8", title: "Public", kind: "ROOM_KIND_PUBLIC" } }));
    book.welcomed(welcome(44n));
    book.received({ ...said(9), roomId: 8n });
    book.left(ROOM);
    book.left(8n);
    release();
    await settled();
    expect(book.rooms).toEqual([]);
  });

  test("however often the list is wanted meanwhile, it is asked for once more", async () => {
    answers["ListRooms"] = () => listed(5, 5, 0);
    for (let n = 0; n < 5; n += 1) book.welcomed(welcome(5n));
    await settled();
    expect(calls.filter((method) => method === "ListRooms")).toHaveLength(2);
  });
});

describe("unread", () => {
  const receipt = (readSequence: bigint) => create(ReceiptSchema, { roomId: ROOM, userId: ME, readSequence });

  test("a receipt of another device, where the copy does not reach back, leaves the counting to the server", async () => {
    book.welcomed(welcome(44n, 40n, 4));
    await settled();
    answers["ListRooms"] = () => listed(44, 42, 2);
    book.receipt(receipt(42n));
    await settled();
    expect(book.summary(ROOM)).toMatchObject({ read: 42n, unread: 2 });
  });

  test("where it reaches back it is counted here", async () => {
    book.welcomed(welcome(44n));
    for (const sequence of [45, 46, 47]) book.received(said(sequence));
    calls.length = 0;
    book.receipt(receipt(45n));
    expect(book.summary(ROOM)).toMatchObject({ read: 45n, unread: 2 });
    expect(calls).toEqual([]);
  });
});

test("a room that one made is there before its events", () => {
  book.entered(create(RoomSchema, { roomId: ROOM, title: "Team", kind: 2 }));
  expect(book.rooms.map((room) => room.title)).toEqual(["Team"]);
  book.received(joined(1, ME));
  book.received(said(2));
  expect(book.log(ROOM)?.entries).toHaveLength(2);
});
