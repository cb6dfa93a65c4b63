/**
 * The life of one connection as a state machine: inputs in, effects out. No socket, no clock, no chance in here: whoever runs it
 * (session.ts) brings the time and the random number, and does what the effects say.
 */
import { HEALTHY_MS, backoff } from "./backoff";
import { closeAction } from "./close_codes";

export type ConnectionState =
  | { name: "idle" }
  /** Until `until` (milliseconds of the same clock as the inputs), then the next attempt. */
  | { name: "waiting"; until: number; attempt: number; refresh: boolean }
  /** The browser says there is no network: no attempts until it says otherwise, or a person asks. */
  | { name: "offline"; attempt: number; refresh: boolean }
  | { name: "authorizing"; attempt: number }
  | { name: "opening"; attempt: number }
  /** `told`: milliseconds the server asked to stay away after the connection's end; null when it said nothing. */
  | { name: "greeting"; attempt: number; told: number | null }
  | { name: "live"; attempt: number; told: number | null; since: number }
  /** For good. `code` is the close code, `signOut` when the tokens are worth nothing any more. */
  | { name: "stopped"; code: number; signOut: boolean };

export type Input =
  | { type: "start" }
  | { type: "stop" }
  | { type: "timer" }
  /** A person does not want to wait. */
  | { type: "now" }
  | { type: "token" }
  | { type: "token-failed"; signOut: boolean; retryAfter: number | null }
  | { type: "opened" }
  | { type: "welcomed" }
  | { type: "goaway"; reconnectAfter: number }
  /** `hello` was refused for now. */
  | { type: "retry-after"; retryAfter: number }
  | { type: "closed"; code: number }
  | { type: "offline" }
  | { type: "online" };

export type Effect =
  | { type: "get-token"; refresh: boolean }
  | { type: "open-socket" }
  | { type: "send-hello" }
  | { type: "close-socket" }
  | { type: "set-timer"; milliseconds: number }
  | { type: "clear-timer" };

export interface Chance {
  /** Milliseconds, of a clock that does not go back. */
  now: number;
  /** In [0, 1). */
  random: number;
}

type Step = [ConnectionState, Effect[]];

/** A code 4103 or 4104 without a time to wait: longer than the first wait after a loss. */
const BUSY_ATTEMPT = 4;

export const INITIAL: ConnectionState = { name: "idle" };

export function step(state: ConnectionState, input: Input, chance: Chance): Step {
  if (input.type === "stop") return [INITIAL, [{ type: "clear-timer" }, { type: "close-socket" }]];
  switch (state.name) {
    case "idle":
    case "stopped":
      return input.type === "start" ? authorize(0, false) : [state, []];
    case "waiting":
    case "offline":
      return stepApart(state, input);
    default:
      return stepTogether(state, input, chance);
  }
}

/** Without a socket and without an attempt under way. */
function stepApart(state: Extract<ConnectionState, { name: "waiting" | "offline" }>, input: Input): Step {
  switch (input.type) {
    case "timer":
      return state.name === "waiting" ? authorize(state.attempt, state.refresh) : [state, []];
    case "now":
    case "online":
      return authorize(state.attempt, state.refresh);
    case "offline":
      return [{ name: "offline", attempt: state.attempt, refresh: state.refresh }, [{ type: "clear-timer" }]];
    default:
      return [state, []];
  }
}

/** With an attempt under way or a live connection. */
function stepTogether(
  state: Extract<ConnectionState, { attempt: number }>,
  input: Input,
  chance: Chance,
): Step {
  switch (input.type) {
    case "token":
      return state.name === "authorizing"
        ? [{ name: "opening", attempt: state.attempt }, [{ type: "open-socket" }]]
        : [state, []];
    case "token-failed":
      if (state.name !== "authorizing") return [state, []];
      if (input.signOut) return [{ name: "stopped", code: 0, signOut: true }, []];
      return wait(state.attempt, input.retryAfter, false, chance);
    case "opened":
      return state.name === "opening"
        ? [{ name: "greeting", attempt: state.attempt, told: null }, [{ type: "send-hello" }]]
        : [state, []];
    case "welcomed":
      return state.name === "greeting"
        ? [{ ...state, name: "live", since: chance.now }, []]
        : [state, []];
    case "goaway":
      return goaway(state, input.reconnectAfter, chance);
    case "retry-after":
      return state.name === "greeting" ? [{ ...state, told: input.retryAfter }, []] : [state, []];
    case "offline":
      return [{ name: "offline", attempt: state.attempt, refresh: false }, [{ type: "close-socket" }]];
    case "closed":
      return closed(state, input.code, chance);
    default:
      return [state, []];
  }
}

/** The edge is leaving: go now, and come back when it says, to whichever answers. */
function goaway(state: ConnectionState, reconnectAfter: number, chance: Chance): Step {
  if (state.name !== "live" && state.name !== "greeting") return [state, []];
  const [next, effects] = wait(0, reconnectAfter, false, chance);
  return [next, [{ type: "close-socket" }, ...effects]];
}

function closed(state: Extract<ConnectionState, { attempt: number }>, code: number, chance: Chance): Step {
  if (state.name === "authorizing") return [state, []];
  const healthy = state.name === "live" && chance.now - state.since >= HEALTHY_MS;
  const attempt = healthy ? 0 : state.attempt;
  const told = state.name === "live" || state.name === "greeting" ? state.told : null;
  switch (closeAction(code)) {
    case "sign-out":
      return [{ name: "stopped", code, signOut: true }, []];
    case "stop":
      return [{ name: "stopped", code, signOut: false }, []];
    case "refresh":
      return wait(attempt, told, true, chance);
    case "wait":
      return wait(Math.max(attempt, BUSY_ATTEMPT), told, false, chance);
    case "reconnect":
      return wait(attempt, told, false, chance);
  }
}

/** What the server said about the time wins over the jitter. */
function wait(attempt: number, told: number | null, refresh: boolean, chance: Chance): Step {
  const milliseconds = told ?? backoff(attempt, chance.random);
  const state: ConnectionState = { name: "waiting", until: chance.now + milliseconds, attempt: attempt + 1, refresh };
  return [state, [{ type: "set-timer", milliseconds }]];
}

function authorize(attempt: number, refresh: boolean): Step {
  return [{ name: "authorizing", attempt }, [{ type: "clear-timer" }, { type: "get-token", refresh }]];
}
