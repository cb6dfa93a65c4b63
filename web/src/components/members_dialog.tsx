import { useCallback, useEffect, useState } from "react";
import type { Membership } from "../gen/polychat/chat/v1/membership_pb";
import { Role } from "../gen/polychat/chat/v1/membership_pb";
import { MembershipService } from "../gen/polychat/chat/v1/membership_service_pb";
import { useChat, useWatch } from "../store/hooks";
import { failureText } from "../store/reasons";
import { goToRoom } from "../store/route";
import type { RoomSummary } from "../store/rooms";
import { Avatar } from "./avatar";
import { Dialog } from "./dialog";
import { Icon } from "./icons";
import { PeopleSearch } from "./people_search";
import { useAction } from "./use_action";

const PAGE_SIZE = 100;

const ROLES: Record<Role, string> = {
  [Role.UNSPECIFIED]: "",
  [Role.OWNER]: "Owner",
  [Role.MODERATOR]: "Moderator",
  [Role.MEMBER]: "",
};

/** Who is in the room; owners and moderators add people here, and everybody can leave. */
export function MembersDialog({ summary, onClose }: { summary: RoomSummary; onClose: () => void }) {
  const chat = useChat();
  const { roomId } = summary;
  const { busy, failure, run } = useAction();
  const { members, more, load } = useMembers(roomId);
  const role = members.find((member) => member.userId === chat.me.userId)?.role;
  const mayAdd = role === Role.OWNER || role === Role.MODERATOR;
  useEffect(() => run(() => load("")), [load]); // not when `run` changes: it does with every run

  const add = (userId: bigint): void =>
    run(async () => {
      await chat.api.call(MembershipService.method.addMembers, { roomId, userIds: [userId] });
      await load("");
    });

  const leave = (): void =>
    run(async () => {
      await chat.api.call(MembershipService.method.leaveRoom, { roomId });
      goToRoom(null);
      chat.book.left(roomId);
    });

  return (
    <Dialog title="Members" onClose={onClose}>
      {mayAdd && <PeopleSearch label="Add people" action="Add" disabled={busy} onChoose={(user) => add(user.userId)} />}
      {failure !== null && <p className="field-error" role="alert">{failureText(failure)}</p>}
      <ul className="choices members" aria-label="Members">
        {members.map((member) => <Member key={String(member.userId)} member={member} />)}
      </ul>
      {more !== "" && <button type="button" className="secondary" disabled={busy} onClick={() => run(() => load(more))}>More</button>}
      <button type="button" className="secondary danger" disabled={busy} onClick={leave}>
        <Icon name="leave" /> Leave the room
      </button>
    </Dialog>
  );
}

function Member({ member }: { member: Membership }) {
  const chat = useChat();
  const name = useWatch(chat, () => chat.users.name(member.userId));
  return (
    <li className="choice">
      <Avatar id={member.userId} name={name} />
      <span className="choice-name">{name}{member.userId === chat.me.userId && " (you)"}</span>
      <span className="choice-detail">{ROLES[member.role]}</span>
    </li>
  );
}

interface Members {
  members: readonly Membership[];
  /** Of the next page; empty when there is none. */
  more: string;
  load(pageToken: string): Promise<void>;
}

function useMembers(roomId: bigint): Members {
  const chat = useChat();
  const [members, setMembers] = useState<readonly Membership[]>([]);
  const [more, setMore] = useState("");
  const load = useCallback(
    async (pageToken: string): Promise<void> => {
      const request = { roomId, pageSize: PAGE_SIZE, pageToken };
      const page = await chat.api.call(MembershipService.method.listMemberships, request);
      chat.users.want(...page.memberships.map((member) => member.userId));
      setMembers((known) => (pageToken === "" ? page.memberships : [...known, ...page.memberships]));
      setMore(page.nextPageToken);
    },
    [chat, roomId],
  );
  return { members, more, load };
}
