import { RoomKind } from "../gen/polychat/chat/v1/room_pb";
import { useChat, useWatch } from "../store/hooks";
import type { RoomSummary } from "../store/rooms";
import { Avatar } from "./avatar";
import { useRoomTitle } from "./room_title";
import { briefTime } from "./times";

export function RoomList({ openRoom }: { openRoom: bigint | null }) {
  const chat = useChat();
  const rooms = useWatch(chat, () => chat.book.rooms);
  const now = Date.now();
  if (rooms.length === 0) return <p className="empty-note">No rooms yet. Start a chat with the + above.</p>;
  return (
    <ul className="room-list">
      {rooms.map((room) => (
        <li key={String(room.roomId)}>
          <RoomItem room={room} open={room.roomId === openRoom} now={now} />
        </li>
      ))}
    </ul>
  );
}

function RoomItem({ room, open, now }: { room: RoomSummary; open: boolean; now: number }) {
  const title = useRoomTitle(room);
  const preview = usePreview(room);
  const direct = room.kind === RoomKind.DIRECT;
  return (
    <a className="room-item" href={`#/rooms/${room.roomId}`} aria-current={open ? "page" : undefined}>
      <Avatar id={direct ? room.directUserId : room.roomId} name={title} square={!direct} />
      <span className="room-line">
        <span className="room-title" dir="auto">{title}</span>
        {room.activity > 0 && <time className="room-time">{briefTime(room.activity, now)}</time>}
      </span>
      <span className="room-line">
        <span className="room-preview" dir="auto">{preview}</span>
        {room.unread > 0 && (
          <span className="badge">
            {room.unread > 99 ? "99+" : room.unread}
            <span className="unseen"> unread</span>
          </span>
        )}
      </span>
    </a>
  );
}

/** The last message in one line, with its sender where that is not clear. */
function usePreview({ lastMessage, kind }: RoomSummary): string {
  const chat = useChat();
  return useWatch(chat, () => {
    if (lastMessage === null) return "No messages yet";
    const text = lastMessage.deleted ? "Message deleted" : lastMessage.text;
    if (lastMessage.senderUserId === chat.me.userId) return `You: ${text}`;
    return kind === RoomKind.DIRECT ? text : `${chat.users.name(lastMessage.senderUserId)}: ${text}`;
  });
}
