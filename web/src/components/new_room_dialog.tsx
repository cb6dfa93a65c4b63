import { useId, useRef, useState } from "react";
import type { Room } from "../gen/polychat/chat/v1/room_pb";
import { RoomKind } from "../gen/polychat/chat/v1/room_pb";
import { RoomService } from "../gen/polychat/chat/v1/room_service_pb";
import { useChat } from "../store/hooks";
import { failureText } from "../store/reasons";
import { newRequestId } from "../store/request_id";
import { goToRoom } from "../store/route";
import { Dialog } from "./dialog";
import { PeopleSearch } from "./people_search";
import { PublicRooms } from "./public_rooms";
import { useAction } from "./use_action";

const TABS = { person: "A person", room: "New room", public: "Public rooms" } as const;
type Tab = keyof typeof TABS;

/** Where every conversation begins: with a person, in a room of one's own, or in a public one. */
export function NewRoomDialog({ onClose }: { onClose: () => void }) {
  const chat = useChat();
  const [tab, setTab] = useState<Tab>("person");
  const enter = (room: Room | undefined): void => {
    if (room === undefined) return;
    chat.book.entered(room);
    goToRoom(room.roomId);
    onClose();
  };
  return (
    <Dialog title="Start a chat" onClose={onClose}>
      <div className="tabs" role="group" aria-label="What to start">
        {(Object.keys(TABS) as Tab[]).map((name) => (
          <button key={name} type="button" aria-pressed={tab === name} onClick={() => setTab(name)}>{TABS[name]}</button>
        ))}
      </div>
      {tab === "person" && <DirectTab onEnter={enter} />}
      {tab === "room" && <CreateTab onEnter={enter} />}
      {tab === "public" && <PublicRooms onEnter={enter} />}
    </Dialog>
  );
}

interface TabProps {
  onEnter: (room: Room | undefined) => void;
}

function DirectTab({ onEnter }: TabProps) {
  const chat = useChat();
  const { busy, failure, run } = useAction();
  const open = (userId: bigint): void =>
    run(async () => onEnter((await chat.api.call(RoomService.method.openDirectRoom, { userId })).room));
  return (
    <>
      <PeopleSearch label="Who would you like to talk to?" action="" disabled={busy} onChoose={(user) => open(user.userId)} />
      {failure !== null && <p className="field-error" role="alert">{failureText(failure)}</p>}
    </>
  );
}

function CreateTab({ onEnter }: TabProps) {
  const chat = useChat();
  const field = useId();
  const { busy, failure, run } = useAction();
  const [title, setTitle] = useState("");
  const [kind, setKind] = useState(RoomKind.GROUP);
  // One for each thing asked for: pressing again after a lost answer gives the same room.
  const request = useRef({ of: "", requestId: "" });

  const createRoom = (): void =>
    run(async () => {
      const of = `${kind} ${title.trim()}`;
      if (request.current.of !== of) request.current = { of, requestId: newRequestId() };
      const { requestId } = request.current;
      onEnter((await chat.api.call(RoomService.method.createRoom, { requestId, title: title.trim(), kind })).room);
    });

  return (
    <form className="form" onSubmit={(event) => { event.preventDefault(); createRoom(); }}>
      <div className="field">
        <label htmlFor={field}>Title</label>
        <input
          id={field} value={title} maxLength={200} required autoFocus autoComplete="off" dir="auto"
          onChange={(event) => setTitle(event.target.value)}
        />
      </div>
      <fieldset>
        <legend>Who can come in</legend>
        <KindChoice kind={RoomKind.GROUP} chosen={kind} onChoose={setKind} title="Group" detail="Only people who are added" />
        <KindChoice kind={RoomKind.PUBLIC} chosen={kind} onChoose={setKind} title="Public" detail="Anyone may find it and join" />
      </fieldset>
      {failure !== null && <p className="field-error" role="alert">{failureText(failure)}</p>}
      <button type="submit" className="primary" disabled={busy || title.trim() === ""}>Create room</button>
    </form>
  );
}

interface KindProps {
  kind: RoomKind;
  chosen: RoomKind;
  onChoose: (kind: RoomKind) => void;
  title: string;
  detail: string;
}

function KindChoice({ kind, chosen, onChoose, title, detail }: KindProps) {
  return (
    <label className="kind">
      <input type="radio" name="kind" checked={chosen === kind} onChange={() => onChoose(kind)} />
      <span><strong>{title}</strong> <small>{detail}</small></span>
    </label>
  );
}
