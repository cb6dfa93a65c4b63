import { RoomKind } from "../gen/polychat/chat/v1/room_pb";
import { useChat, useWatch } from "../store/hooks";
import type { RoomSummary } from "../store/rooms";

/** A room's own title, or in a direct room the other person's name. */
export function useRoomTitle({ kind, title, directUserId }: RoomSummary): string {
  const chat = useChat();
  return useWatch(chat, () => (kind === RoomKind.DIRECT ? chat.users.name(directUserId) : title));
}
