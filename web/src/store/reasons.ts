/** What to tell a person for each reason of a failure; the server's own words where there are none. */
import type { Failure } from "../protocol/failure";

const TEXTS: Record<string, string> = {
  INVALID_CREDENTIALS: "Wrong username or password.",
  USERNAME_TAKEN: "This username is taken.",
  SESSION_REVOKED: "You are signed out.",
  NETWORK: "The server cannot be reached.",
  RATE_LIMITED: "Too many attempts. Please wait a moment.",
  QUOTA_EXCEEDED: "The limit is reached.",
  OVERLOADED: "The server is busy. Please try again.",
  BACKEND_UNAVAILABLE: "This does not work right now. Please try again.",
  OUTCOME_UNKNOWN: "The server did not confirm it in time.",
  DEADLINE_EXCEEDED: "The server took too long. Please try again.",
  NOT_A_MEMBER: "You are not a member of this room.",
  ROLE_TOO_LOW: "Only moderators and owners of this room may do that.",
  BANNED: "You are banned from this room.",
  BLOCKED: "You cannot write to each other.",
  MUTED: "You are muted in this room.",
  ROOM_ARCHIVED: "This room is archived.",
  ROOM_NOT_FOUND: "There is no such room.",
  ROOM_NOT_PUBLIC: "This room is not public.",
  USER_NOT_FOUND: "There is no such user.",
  SELF_NOT_ALLOWED: "That is you.",
  LAST_OWNER: "A room needs an owner: make somebody else one first.",
  DIRECT_ROOM_FIXED: "A direct chat stays between the two of you.",
};

export function reasonText(reason: string, message = ""): string {
  return TEXTS[reason] ?? (message || "That did not work.");
}

export function failureText(failure: Failure): string {
  return reasonText(failure.reason, failure.message);
}
