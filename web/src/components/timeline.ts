/** Turns a room's copy and what is on its way out into the rows of the list: day lines, the unread divider, groups. Pure. */
import type { Message } from "../gen/polychat/chat/v1/message_pb";
import type { Outgoing } from "../protocol/outbox";
import type { TimelineEntry } from "../protocol/room_log";

export type Row =
  | { kind: "day"; key: string; time: number }
  | { kind: "unread"; key: string }
  | { kind: "notice"; key: string; entry: TimelineEntry }
  | { kind: "message"; key: string; entry: TimelineEntry; message: Message; deleted: boolean; own: boolean; first: boolean }
  | { kind: "outgoing"; key: string; outgoing: Outgoing; first: boolean };

/** Messages of one person closer together than this share one name and picture. */
const GROUP_MS = 5 * 60_000;

interface Previous {
  day: string;
  senderUserId: bigint;
  time: number;
}

/** `unreadAfter`: the divider goes before the first message of somebody else beyond it; null for none. */
export function rowsOf(
  entries: readonly TimelineEntry[],
  outgoing: readonly Outgoing[],
  me: bigint,
  unreadAfter: bigint | null,
): Row[] {
  const rows: Row[] = [];
  let previous: Previous = { day: "", senderUserId: 0n, time: 0 };
  let divided = unreadAfter === null;
  for (const entry of entries) {
    previous = withDay(rows, previous, entry.time);
    const { content } = entry;
    if (content.case !== "message") {
      rows.push({ kind: "notice", key: `n${entry.sequence}`, entry });
      previous = { ...previous, senderUserId: 0n };
      continue;
    }
    const own = entry.actorUserId === me;
    if (!divided && unreadAfter !== null && entry.sequence > unreadAfter && !own) {
      rows.push({ kind: "unread", key: "unread" });
      previous = { ...previous, senderUserId: 0n };
      divided = true;
    }
    const first = begins(previous, entry.actorUserId, entry.time);
    const { message, deleted } = content;
    rows.push({ kind: "message", key: keyOf(entry, own), entry, message, deleted, own, first });
    previous = { ...previous, senderUserId: entry.actorUserId, time: entry.time };
  }
  const shown = new Set(rows.map((row) => row.key));
  for (const item of outgoing) {
    if (shown.has(item.requestId)) continue; // its event came before its answer
    previous = withDay(rows, previous, item.time);
    rows.push({ kind: "outgoing", key: item.requestId, outgoing: item, first: begins(previous, me, item.time) });
    previous = { ...previous, senderUserId: me, time: item.time };
  }
  return rows;
}

/** One's own message keeps the key it had on its way out, so that its row stays the same element. */
function keyOf(entry: TimelineEntry, own: boolean): string {
  return own && entry.requestId !== "" ? entry.requestId : `m${entry.sequence}`;
}

function withDay(rows: Row[], previous: Previous, time: number): Previous {
  const day = new Date(time).toDateString();
  if (day === previous.day) return previous;
  rows.push({ kind: "day", key: `d${day}`, time });
  return { day, senderUserId: 0n, time: 0 };
}

function begins(previous: Previous, senderUserId: bigint, time: number): boolean {
  return previous.senderUserId !== senderUserId || time - previous.time > GROUP_MS;
}
