import { useEffect, useState } from "react";
import { RoomKind } from "../gen/polychat/chat/v1/room_pb";
import { useChat, useWatch } from "../store/hooks";
import { goToRoom } from "../store/route";
import type { RoomSummary } from "../store/rooms";
import { Avatar } from "./avatar";
import { Composer } from "./composer";
import { Icon } from "./icons";
import { MembersDialog } from "./members_dialog";
import { MessageList } from "./message_list";
import { useRoomTitle } from "./room_title";

/** The open room. Give it `key={roomId}`: drafts, divider and scroll position belong to one room. */
export function Conversation({ summary }: { summary: RoomSummary }) {
  const chat = useChat();
  const { roomId } = summary;
  const title = useRoomTitle(summary);
  const [unreadAfter, setUnreadAfter] = useState(summary.unread > 0 ? summary.read : null);

  useEffect(() => {
    chat.book.open(roomId);
    return () => chat.book.open(null);
  }, [chat, roomId]);

  useEffect(() => {
    const turnedAway = (): void => {
      if (document.visibilityState === "hidden") setUnreadAfter(chat.book.log(roomId)?.cursor ?? null);
    };
    document.addEventListener("visibilitychange", turnedAway);
    return () => document.removeEventListener("visibilitychange", turnedAway);
  }, [chat, roomId]);

  return (
    <section className="conversation" aria-label={title}>
      <Header summary={summary} title={title} />
      <MessageList roomId={roomId} unreadAfter={unreadAfter} />
      <Writers roomId={roomId} />
      {summary.archived ? (
        <p className="closed-note">This room is archived.</p>
      ) : (
        <Composer roomId={roomId} label={`Message ${title}`} onSent={() => setUnreadAfter(null)} />
      )}
    </section>
  );
}

function Header({ summary, title }: { summary: RoomSummary; title: string }) {
  const [members, setMembers] = useState(false);
  const direct = summary.kind === RoomKind.DIRECT;
  return (
    <header className="conversation-header">
      <button type="button" className="icon-button back" aria-label="Back to the rooms" onClick={() => goToRoom(null)}>
        <Icon name="back" />
      </button>
      <Avatar id={direct ? summary.directUserId : summary.roomId} name={title} square={!direct} />
      <div className="conversation-title">
        <h2 dir="auto">{title}</h2>
        <p>{KINDS[summary.kind]}</p>
      </div>
      {!direct && (
        <button type="button" className="icon-button" aria-label="Members" title="Members" onClick={() => setMembers(true)}>
          <Icon name="people" />
        </button>
      )}
      {members && <MembersDialog summary={summary} onClose={() => setMembers(false)} />}
    </header>
  );
}

const KINDS: Record<RoomKind, string> = {
  [RoomKind.UNSPECIFIED]: "",
  [RoomKind.DIRECT]: "Direct chat",
  [RoomKind.GROUP]: "Group",
  [RoomKind.PUBLIC]: "Public room",
};

function Writers({ roomId }: { roomId: bigint }) {
  const chat = useChat();
  const writers = useWatch(chat, () => chat.typing.in(roomId));
  const names = writers.map((userId) => chat.users.name(userId));
  const text = names.length === 1 ? `${names[0]} is writing…` : `${names.length} people are writing…`;
  return <p className="writers">{names.length === 0 ? "" : text}</p>;
}
