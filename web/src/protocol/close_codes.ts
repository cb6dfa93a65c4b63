/** What a close code asks of the client (wire contract §3): the hundred says it, for codes made later too. */
export type CloseAction = "reconnect" | "refresh" | "wait" | "sign-out" | "stop";

/** The connection's own code for "nothing was heard for too long"; never on the wire. */
export const SILENT = 4003;

const TOKEN_EXPIRED = 4101;
const UNAUTHENTICATED = 4200;
const BANNED_OR_DELETED = 4203;

export function closeAction(code: number): CloseAction {
  if (code === TOKEN_EXPIRED) return "refresh";
  if (code === UNAUTHENTICATED || code === BANNED_OR_DELETED) return "sign-out";
  if (code >= 4100 && code < 4200) return "wait";
  if (code >= 4200 && code < 4300) return "stop";
  return "reconnect";
}
