import { memo } from "react";
import type { Outgoing } from "../protocol/outbox";
import type { TimelineEntry } from "../protocol/room_log";
import { useChat } from "../store/hooks";
import { reasonText } from "../store/reasons";
import { Avatar, hue } from "./avatar";
import { Icon } from "./icons";
import { MessageText } from "./message_text";
import type { Row } from "./timeline";
import { clockTime, dayName, fullTime } from "./times";

/** One row; drawn again only when the row itself or a name in it changed. `names` is part of the props for that. */
export const TimelineRow = memo(
  function TimelineRow({ row, name, actor }: { row: Row; name: string; actor: string }) {
    switch (row.kind) {
      case "day":
        return <div className="day-line"><span>{dayName(row.time, Date.now())}</span></div>;
      case "unread":
        return <div className="unread-line" data-unread><span>New messages</span></div>;
      case "notice":
        return <p className="notice" data-anchor title={fullTime(row.entry.time)}>{noticeText(row.entry, name, actor)}</p>;
      case "message":
        return <MessageRow row={row} name={name} />;
      case "outgoing":
        return <OutgoingRow outgoing={row.outgoing} first={row.first} />;
    }
  },
  (before, after) => before.name === after.name && before.actor === after.actor && sameRow(before.row, after.row),
);

function sameRow(before: Row, after: Row): boolean {
  if (before.kind !== after.kind || before.key !== after.key) return false;
  if (before.kind === "outgoing" && after.kind === "outgoing") {
    return before.outgoing === after.outgoing && before.first === after.first;
  }
  if (before.kind === "message" && after.kind === "message") {
    return before.entry === after.entry && before.first === after.first;
  }
  return true;
}

function MessageRow({ row, name }: { row: Extract<Row, { kind: "message" }>; name: string }) {
  const { entry, message, deleted, own, first } = row;
  return (
    <article className={`message${own ? " own" : ""}${first ? " first" : ""}`} data-anchor aria-label={own ? "You" : name}>
      {!own && (first ? <Avatar id={entry.actorUserId} name={name} /> : <span className="avatar-space" />)}
      <div className="bubble">
        {first && !own && <span className={`sender ${hue(entry.actorUserId)}`}>{name}</span>}
        {deleted ? <p className="text deleted">This message was deleted.</p> : <MessageText text={message.text} />}
        <span className="meta">
          {message.editTime !== undefined && !deleted && <span>edited</span>}
          <time dateTime={new Date(entry.time).toISOString()} title={fullTime(entry.time)}>{clockTime(entry.time)}</time>
          {own && <span className="state" title="Sent"><Icon name="check" /><span className="unseen">Sent</span></span>}
        </span>
      </div>
    </article>
  );
}

function OutgoingRow({ outgoing, first }: { outgoing: Outgoing; first: boolean }) {
  const failed = outgoing.state === "failed";
  const sent = outgoing.state === "sent";
  return (
    <article className={`message own ${outgoing.state}${first ? " first" : ""}`} data-anchor aria-label="You">
      <div className="bubble">
        <MessageText text={outgoing.text} />
        <span className="meta">
          <time dateTime={new Date(outgoing.time).toISOString()}>{clockTime(outgoing.time)}</time>
          {!failed && (
            <span className="state" title={sent ? "Sent" : "Sending"}>
              <Icon name={sent ? "check" : "clock"} />
              <span className="unseen">{sent ? "Sent" : "Sending"}</span>
            </span>
          )}
        </span>
      </div>
      {failed && <Failed outgoing={outgoing} />}
    </article>
  );
}

function Failed({ outgoing: { requestId, reason } }: { outgoing: Outgoing }) {
  const chat = useChat();
  return (
    <div className="failed-line" role="alert">
      <span>Not sent. {reasonText(reason)}</span>
      <span className="failed-choices">
        <button type="button" className="link" onClick={() => chat.retry(requestId)}>Retry</button>
        <button type="button" className="link" onClick={() => chat.discard(requestId)}>Discard</button>
      </span>
    </div>
  );
}

function noticeText({ content, actorUserId }: TimelineEntry, name: string, actor: string): string {
  switch (content.case) {
    case "joined":
      return content.userId === actorUserId ? `${name} joined` : `${actor} added ${name}`;
    case "left":
      return content.userId === actorUserId ? `${name} left` : `${actor} removed ${name}`;
    case "renamed":
      return `${actor} named the room “${content.title}”`;
    case "archived":
      return `${actor} archived the room`;
    case "message":
      return "";
  }
}
