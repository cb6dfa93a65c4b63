import { useEffect, useMemo } from "react";
import { RoomKind } from "../gen/polychat/chat/v1/room_pb";
import type { TimelineEntry } from "../protocol/room_log";
import { useChat, useVisible, useWatch } from "../store/hooks";
import { failureText } from "../store/reasons";
import { Icon } from "./icons";
import { TimelineRow } from "./message_row";
import type { Row } from "./timeline";
import { rowsOf } from "./timeline";
import { useAnchoredScroll } from "./use_anchored_scroll";

/** Older messages are asked for when the reader is this close to the first one. */
const LOAD_PX = 500;
const NOTHING: readonly TimelineEntry[] = [];

export function MessageList({ roomId, unreadAfter }: { roomId: bigint; unreadAfter: bigint | null }) {
  const chat = useChat();
  const entries = useWatch(chat, () => chat.book.log(roomId)?.entries ?? NOTHING);
  const outbox = useWatch(chat, () => chat.outbox.all);
  const complete = useWatch(chat, () => chat.book.log(roomId)?.complete ?? false);
  const loading = useWatch(chat, () => chat.book.isLoadingOlder(roomId));
  const failure = useWatch(chat, () => chat.book.historyFailure);
  const live = useWatch(chat, () => chat.session.state.name === "live");
  const direct = useWatch(chat, () => chat.book.summary(roomId)?.kind === RoomKind.DIRECT);
  const rows = useMemo(() => {
    // That both are in a direct chat is no news.
    const shown = direct ? entries.filter((entry) => entry.content.case === "message") : entries;
    return rowsOf(shown, outbox.filter((item) => item.roomId === roomId), chat.me.userId, unreadAfter);
  }, [entries, outbox, roomId, chat, unreadAfter, direct]);
  const names = useNames(rows);
  const { list, atEnd, scrolled, toEnd } = useAnchoredScroll(rows);

  const lastOwn = outbox.findLast((item) => item.roomId === roomId)?.requestId;
  useEffect(() => {
    if (lastOwn !== undefined) toEnd(); // who sends wants to see it
  }, [lastOwn, toEnd]);

  const loadWhenNear = (): void => {
    const near = (list.current?.scrollTop ?? 0) < LOAD_PX;
    if (near && live && !complete && !loading && failure === null) chat.book.loadOlder(roomId);
  };
  useEffect(loadWhenNear);
  useMarkRead(roomId, atEnd);

  return (
    <div className="message-area">
      <div
        className="message-list" ref={list} role="log" aria-label="Messages" aria-busy={loading} tabIndex={0}
        onScroll={() => { scrolled(); loadWhenNear(); }}
      >
        <div className="history-state">
          {loading && <span className="spinner" role="status"><span className="unseen">Loading older messages</span></span>}
          {failure !== null && (
            <p>{failureText(failure)} <button type="button" className="link" onClick={() => chat.book.loadOlder(roomId)}>Try again</button></p>
          )}
          {complete && rows.length > 0 && <p>This is the beginning.</p>}
          {complete && rows.length === 0 && <p>Nothing here yet. Say hello!</p>}
        </div>
        <div>
          {rows.map((row, index) => (
            <TimelineRow key={row.key} row={row} name={names[index]?.[0] ?? ""} actor={names[index]?.[1] ?? ""} />
          ))}
        </div>
      </div>
      {!atEnd && <JumpToLatest roomId={roomId} onJump={toEnd} />}
    </div>
  );
}

/** For each row who it is about, and who did it. */
function useNames(rows: readonly Row[]): (readonly [string, string])[] {
  const chat = useChat();
  useWatch(chat, () => chat.users.version);
  return rows.map((row) => {
    if (row.kind !== "message" && row.kind !== "notice") return ["", ""];
    const { content, actorUserId } = row.entry;
    const about = content.case === "joined" || content.case === "left" ? content.userId : actorUserId;
    return [chat.users.name(about), chat.users.name(actorUserId)];
  });
}

/** The newest message is on the screen: say so, and let go of those far above. */
function useMarkRead(roomId: bigint, atEnd: boolean): void {
  const chat = useChat();
  const visible = useVisible();
  const cursor = useWatch(chat, () => chat.book.log(roomId)?.cursor ?? 0n);
  const read = useWatch(chat, () => chat.book.summary(roomId)?.read ?? 0n);
  const live = useWatch(chat, () => chat.session.state.name === "live");
  useEffect(() => {
    if (!atEnd) return;
    if (visible && live && cursor > read) chat.markRead(roomId, cursor);
    chat.book.trimOpened(roomId);
  }, [chat, roomId, atEnd, visible, live, cursor, read]);
}

function JumpToLatest({ roomId, onJump }: { roomId: bigint; onJump: () => void }) {
  const chat = useChat();
  const unread = useWatch(chat, () => chat.book.summary(roomId)?.unread ?? 0);
  return (
    <button type="button" className="jump" onClick={onJump}>
      <Icon name="down" /> {unread > 0 ? `${unread} new` : "Latest"}
    </button>
  );
}
