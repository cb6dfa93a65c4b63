import { useEffect, useId, useState } from "react";
import type { User } from "../gen/polychat/user/v1/user_pb";
import { UserService } from "../gen/polychat/user/v1/user_service_pb";
import type { Failure } from "../protocol/failure";
import { asFailure } from "../protocol/failure";
import { useChat } from "../store/hooks";
import { failureText } from "../store/reasons";
import { Avatar } from "./avatar";

/** Not with every key: after this long without one. */
const PAUSE_MS = 200;
const PAGE_SIZE = 20;

interface Props {
  label: string;
  /** What choosing does, such as `Add`; empty where the row says enough. */
  action: string;
  disabled: boolean;
  onChoose: (user: User) => void;
}

/** Finds people by the beginning of their name and lets one be chosen. */
export function PeopleSearch({ label, action, disabled, onChoose }: Props) {
  const chat = useChat();
  const field = useId();
  const [query, setQuery] = useState("");
  const { users, failure } = useSearch(query.trim());
  const others = users?.filter((user) => user.userId !== chat.me.userId);
  return (
    <div className="search">
      <label htmlFor={field}>{label}</label>
      <input
        id={field} type="search" value={query} autoComplete="off" placeholder="Begin typing a name"
        onChange={(event) => setQuery(event.target.value)}
      />
      {failure !== null && <p className="field-error" role="alert">{failureText(failure)}</p>}
      <ul className="choices" aria-label="People found">
        {others?.map((user) => (
          <li key={String(user.userId)}>
            <button type="button" className="choice" disabled={disabled} onClick={() => onChoose(user)}>
              <Avatar id={user.userId} name={user.displayName || user.username} />
              <span className="choice-name">{user.displayName || user.username}</span>
              <span className="choice-detail">@{user.username}</span>
              {action !== "" && <span className="choice-action">{action}</span>}
            </button>
          </li>
        ))}
      </ul>
      <p className="empty-note" role="status">{others?.length === 0 ? "Nobody found." : ""}</p>
    </div>
  );
}

function useSearch(query: string): { users: readonly User[] | null; failure: Failure | null } {
  const chat = useChat();
  const [users, setUsers] = useState<readonly User[] | null>(null);
  const [failure, setFailure] = useState<Failure | null>(null);
  useEffect(() => {
    if (query === "") {
      setUsers(null);
      return undefined;
    }
    let current = true; // an answer that comes after the next key is of no interest
    const search = async (): Promise<void> => {
      try {
        const answer = await chat.api.call(UserService.method.searchUsers, { query, pageSize: PAGE_SIZE });
        if (!current) return;
        chat.users.add(answer.users);
        setUsers(answer.users);
        setFailure(null);
      } catch (error) {
        if (current) setFailure(asFailure(error));
      }
    };
    const timer = setTimeout(() => void search(), PAUSE_MS);
    return () => {
      current = false;
      clearTimeout(timer);
    };
  }, [chat, query]);
  return { users, failure };
}
