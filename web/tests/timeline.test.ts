import { expect, test } from "vitest";
import { rowsOf } from "../src/components/timeline";
import { Outbox } from "../src/protocol/outbox";
import { RoomLog } from "../src/protocol/room_log";
import { ROOM, joined, said } from "./events";

const ME = 1n;

function log(...events: Parameters<RoomLog["applyPage"]>[0]): RoomLog {
  const made = new RoomLog(ROOM, 0n);
  made.applyPage(events);
  return made;
}

const kinds = (rows: ReturnType<typeof rowsOf>): string[] => rows.map((row) => row.kind);

test("a day line stands before the first message of a day", () => {
  const later = said(2);
  if (later.createTime !== undefined) later.createTime.seconds += 86_400n;
  expect(kinds(rowsOf(log(said(1), later).entries, [], ME, null))).toEqual(["day", "message", "day", "message"]);
});

test("messages of one person close together share one name", () => {
  const rows = rowsOf(log(said(1), said(2), said(3, "x", 8n), joined(4, 5n), said(5, "x", 8n)).entries, [], ME, null);
  expect(rows.flatMap((row) => (row.kind === "message" ? [row.first] : []))).toEqual([true, false, true, true]);
});

test("the divider stands before the first unread message of somebody else", () => {
  const { entries } = log(said(1), said(2, "mine", ME), said(3), said(4));
  expect(kinds(rowsOf(entries, [], ME, 1n))).toEqual(["day", "message", "message", "unread", "message", "message"]);
  expect(kinds(rowsOf(entries, [], ME, 4n))).not.toContain("unread");
});

test("a message on its way out is shown once, also when its event came before its answer", () => {
  const outbox = new Outbox([], () => {});
  outbox.add("a", ROOM, "hello", 1_760_000_000_000);
  expect(kinds(rowsOf(log(said(1)).entries, outbox.all, ME, null)).at(-1)).toBe("outgoing");
  const rows = rowsOf(log(said(1), said(2, "hello", ME, "a")).entries, outbox.all, ME, null);
  expect(kinds(rows)).toEqual(["day", "message", "message"]);
  expect(rows.at(-1)?.key).toBe("a");
});
