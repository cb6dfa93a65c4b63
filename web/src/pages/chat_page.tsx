import { useEffect, useState } from "react";
import { Avatar } from "../components/avatar";
import { ConnectionBanner } from "../components/connection_banner";
import { Conversation } from "../components/conversation";
import { Icon } from "../components/icons";
import { NewRoomDialog } from "../components/new_room_dialog";
import { RoomList } from "../components/room_list";
import { RoomKind } from "../gen/polychat/chat/v1/room_pb";
import type { Chat } from "../store/chat";
import { ChatContext, useChat, useWatch } from "../store/hooks";
import { useOpenRoom } from "../store/route";

export function ChatPage({ chat, onSignOut }: { chat: Chat; onSignOut: () => void }) {
  const openRoom = useOpenRoom();
  return (
    <ChatContext value={chat}>
      <div className={openRoom === null ? "chat-page" : "chat-page room-open"}>
        <ConnectionBanner />
        <Sidebar openRoom={openRoom} onSignOut={onSignOut} />
        <main>
          <OpenRoom openRoom={openRoom} />
        </main>
        <UnreadTitle />
      </div>
    </ChatContext>
  );
}

function Sidebar({ openRoom, onSignOut }: { openRoom: bigint | null; onSignOut: () => void }) {
  const chat = useChat();
  const [starting, setStarting] = useState(false);
  return (
    <nav className="sidebar" aria-label="Rooms">
      <header className="sidebar-header">
        <h1>Chats</h1>
        <button type="button" className="icon-button" aria-label="Start a chat" title="Start a chat" onClick={() => setStarting(true)}>
          <Icon name="plus" />
        </button>
      </header>
      <RoomList openRoom={openRoom} />
      <footer className="sidebar-footer">
        <Avatar id={chat.me.userId} name={chat.me.username} />
        <span className="own-name">{chat.me.username}</span>
        <button type="button" className="icon-button" aria-label="Sign out" title="Sign out" onClick={onSignOut}>
          <Icon name="leave" />
        </button>
      </footer>
      {starting && <NewRoomDialog onClose={() => setStarting(false)} />}
    </nav>
  );
}

function OpenRoom({ openRoom }: { openRoom: bigint | null }) {
  const chat = useChat();
  const summary = useWatch(chat, () => (openRoom === null ? undefined : chat.book.summary(openRoom)));
  const listed = useWatch(chat, () => chat.book.listed);
  if (openRoom === null) return <p className="placeholder">Choose a room, or start a chat.</p>;
  if (summary === undefined && listed) {
    return <p className="placeholder">You are not in this room. <a className="link" href="#">To your rooms</a></p>;
  }
  if (summary === undefined || summary.kind === RoomKind.UNSPECIFIED) return <p className="placeholder">Loading…</p>;
  return <Conversation key={String(openRoom)} summary={summary} />;
}

/** The tab says how much is unread. */
function UnreadTitle() {
  const chat = useChat();
  const unread = useWatch(chat, () => chat.book.rooms.reduce((sum, room) => sum + room.unread, 0));
  useEffect(() => {
    document.title = unread > 0 ? `(${unread}) Polychat` : "Polychat";
    return () => {
      document.title = "Polychat";
    };
  }, [unread]);
  return null;
}
