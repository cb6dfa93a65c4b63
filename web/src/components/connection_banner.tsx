import type { ConnectionState } from "../protocol/connection";
import { useChat, useClock, useWatch } from "../store/hooks";

/** What to say when it is over for good and the tokens are not to blame. */
const STOPPED: Record<number, string> = {
  4202: "This page is too old for the server.",
  4205: "You have too many connections open.",
  4206: "The server does not accept this page's address.",
};

/** Says what the connection does while it is not up, and lets a person not wait. */
export function ConnectionBanner() {
  const chat = useChat();
  const state = useWatch(chat, () => chat.session.state);
  const now = useClock(state.name === "waiting");
  const [text, detail] = words(state, now);
  const waits = state.name === "waiting" || state.name === "offline";
  return (
    <div role="status" className={text === "" ? "banner-place" : `banner ${state.name}`}>
      {text !== "" && <span className="dot" />}
      <span>{text}</span>
      {/* the seconds are for the eye: read aloud, they would never end */}
      {detail !== "" && <span aria-hidden="true">{detail}</span>}
      {waits && <button type="button" className="link" onClick={chat.session.reconnectNow}>Reconnect now</button>}
      {state.name === "stopped" && <button type="button" className="link" onClick={() => location.reload()}>Reload</button>}
    </div>
  );
}

function words(state: ConnectionState, now: number): [string, string] {
  switch (state.name) {
    case "authorizing":
    case "opening":
    case "greeting":
      return ["Connecting…", ""];
    case "waiting": {
      const seconds = Math.max(0, Math.ceil((state.until - now) / 1000));
      return ["Connection lost.", seconds > 0 ? `Trying again in ${seconds} s.` : "Trying again."];
    }
    case "offline":
      return ["You are offline. Messages are sent when you are back.", ""];
    case "stopped":
      return state.signOut ? ["", ""] : [STOPPED[state.code] ?? "The server closed the connection.", ""];
    default:
      return ["", ""];
  }
}
