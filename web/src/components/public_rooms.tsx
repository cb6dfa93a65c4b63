import { useCallback, useEffect, useState } from "react";
import { MembershipService } from "../gen/polychat/chat/v1/membership_service_pb";
import type { Room } from "../gen/polychat/chat/v1/room_pb";
import { RoomService } from "../gen/polychat/chat/v1/room_service_pb";
import { useChat } from "../store/hooks";
import { failureText } from "../store/reasons";
import { Avatar } from "./avatar";
import { useAction } from "./use_action";

const PAGE_SIZE = 50;

/** The public rooms, page by page; choosing one joins it, or opens it where one is in already. */
export function PublicRooms({ onEnter }: { onEnter: (room: Room) => void }) {
  const chat = useChat();
  const { busy, failure, run } = useAction();
  const [rooms, setRooms] = useState<readonly Room[] | null>(null);
  const [pageToken, setPageToken] = useState("");

  const load = useCallback(
    async (token: string): Promise<void> => {
      const page = await chat.api.call(RoomService.method.listPublicRooms, { pageSize: PAGE_SIZE, pageToken: token });
      setRooms((known) => (token === "" ? page.rooms : [...(known ?? []), ...page.rooms]));
      setPageToken(page.nextPageToken);
    },
    [chat],
  );
  useEffect(() => run(() => load("")), [load]); // not when `run` changes: it does with every run

  const enter = (room: Room): void =>
    run(async () => {
      const inside = chat.book.summary(room.roomId) !== undefined;
      if (!inside) await chat.api.call(MembershipService.method.joinRoom, { roomId: room.roomId });
      onEnter(room);
    });

  return (
    <div className="search">
      {failure !== null && <p className="field-error" role="alert">{failureText(failure)}</p>}
      <ul className="choices" aria-label="Public rooms">
        {rooms?.map((room) => (
          <li key={String(room.roomId)}>
            <button type="button" className="choice" disabled={busy} onClick={() => enter(room)}>
              <Avatar id={room.roomId} name={room.title} square />
              <span className="choice-name" dir="auto">{room.title}</span>
              <span className="choice-action">{chat.book.summary(room.roomId) === undefined ? "Join" : "Open"}</span>
            </button>
          </li>
        ))}
      </ul>
      <p className="empty-note" role="status">{rooms?.length === 0 ? "There are no public rooms yet." : ""}</p>
      {pageToken !== "" && (
        <button type="button" className="secondary" disabled={busy} onClick={() => run(() => load(pageToken))}>More</button>
      )}
    </div>
  );
}
