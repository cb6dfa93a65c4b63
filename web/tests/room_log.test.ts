import { describe, expect, test } from "vitest";
import { RoomLog } from "../src/protocol/room_log";
import { ROOM, deleted, edited, joined, said } from "./events";

const texts = (log: RoomLog): string[] =>
  log.entries.map(({ content }) => (content.case === "message" ? (content.deleted ? "deleted" : content.message.text) : content.case));

describe("the rule of the cursor", () => {
  test("the next event is applied, in order", () => {
    const log = new RoomLog(ROOM, 4n);
    expect(log.apply(said(5))).toBe("applied");
    expect(log.apply(said(6))).toBe("applied");
    expect(texts(log)).toEqual(["message 5", "message 6"]);
    expect(log.cursor).toBe(6n);
  });

  test("a repeat changes nothing", () => {
    const log = new RoomLog(ROOM, 4n);
    log.apply(said(5));
    expect(log.apply(said(5, "another"))).toBe("repeat");
    expect(log.apply(said(3))).toBe("repeat");
    expect(texts(log)).toEqual(["message 5"]);
  });

  test("an event behind a hole is not applied", () => {
    const log = new RoomLog(ROOM, 4n);
    expect(log.apply(said(6))).toBe("missing");
    expect(log.cursor).toBe(4n);
    expect(texts(log)).toEqual([]);
  });

  test("a skip moves the cursor over what may not be seen, and never over a hole", () => {
    const log = new RoomLog(ROOM, 4n);
    expect(log.skip(5n, 7n)).toBe("applied");
    expect(log.skip(5n, 7n)).toBe("repeat");
    expect(log.skip(10n, 11n)).toBe("missing");
    expect(log.apply(said(8))).toBe("applied");
  });

  test("a fetched page fills a hole and its repeats are ignored", () => {
    const log = new RoomLog(ROOM, 4n);
    log.applyPage([said(4), said(5), said(6)]);
    expect(log.apply(said(6))).toBe("repeat");
    expect(texts(log)).toEqual(["message 5", "message 6"]);
  });
});

describe("history", () => {
  test("older pages go before, until the first event", () => {
    const log = new RoomLog(ROOM, 3n);
    expect(log.complete).toBe(false);
    log.prepend([said(2), said(3)], false);
    expect([log.oldest, log.complete]).toEqual([2n, false]);
    log.prepend([joined(1, 9n)], true);
    expect(texts(log)).toEqual(["joined", "message 2", "message 3"]);
    expect(log.complete).toBe(true);
  });

  test("a page that overlaps what is there doubles nothing", () => {
    const log = new RoomLog(ROOM, 3n);
    log.prepend([said(3)], false);
    log.prepend([said(2), said(3)], false);
    expect(texts(log)).toEqual(["message 2", "message 3"]);
  });

  test("an empty last page means that older ones may not be seen", () => {
    const log = new RoomLog(ROOM, 30n);
    log.prepend([], true);
    expect(log.complete).toBe(true);
  });

  test("what is let go can be loaded again", () => {
    const log = new RoomLog(ROOM, 0n);
    for (let sequence = 1; sequence <= 10; sequence += 1) log.apply(said(sequence));
    log.trim(3);
    expect([log.oldest, log.complete, log.entries.length]).toEqual([8n, false, 3]);
    log.prepend([said(6), said(7)], false);
    expect(texts(log)).toEqual(["message 6", "message 7", "message 8", "message 9", "message 10"]);
  });
});

describe("changed messages", () => {
  test("an edit and a deletion change the message in its place", () => {
    const log = new RoomLog(ROOM, 0n);
    log.applyPage([said(1), said(2), edited(3, 101n, "better"), deleted(4, 102n)]);
    expect(texts(log)).toEqual(["better", "deleted"]);
    expect(log.cursor).toBe(4n);
  });

  test("an edit that was met before its message holds", () => {
    const log = new RoomLog(ROOM, 2n);
    log.apply(edited(3, 101n, "better"));
    log.prepend([said(1), edited(2, 101n, "good")], true);
    expect(texts(log)).toEqual(["better"]);
  });

  test("what was let go and comes again is as it was changed", () => {
    const log = new RoomLog(ROOM, 0n);
    log.applyPage([said(1), edited(2, 101n, "better"), said(3), said(4), edited(5, 103n, "best")]);
    log.trim(1);
    log.prepend([said(1), edited(2, 101n, "better"), said(3)], true);
    expect(texts(log)).toEqual(["better", "best", "message 4"]);
  });
});
