import { describe, expect, test } from "vitest";
import { backoff } from "../src/protocol/backoff";
import type { ConnectionState, Effect, Input } from "../src/protocol/connection";
import { INITIAL, step } from "../src/protocol/connection";

/** Runs inputs one after another; the last state and all effects. */
function run(inputs: Input[], now = 0, random = 0.5, from: ConnectionState = INITIAL): [ConnectionState, Effect[]] {
  let state = from;
  const all: Effect[] = [];
  for (const input of inputs) {
    const [next, effects] = step(state, input, { now, random });
    state = next;
    all.push(...effects);
  }
  return [state, all];
}

const UP: Input[] = [{ type: "start" }, { type: "token" }, { type: "opened" }, { type: "welcomed" }];
const timers = (effects: Effect[]): number[] => effects.flatMap((e) => (e.type === "set-timer" ? [e.milliseconds] : []));
const tokens = (effects: Effect[]): boolean[] => effects.flatMap((e) => (e.type === "get-token" ? [e.refresh] : []));

test("a connection comes up: token, socket, hello, welcome", () => {
  const [state, effects] = run(UP);
  expect(state.name).toBe("live");
  expect(effects.map((e) => e.type)).toEqual(["clear-timer", "get-token", "open-socket", "send-hello"]);
});

describe("full jitter", () => {
  test.each([[0, 500], [1, 1000], [5, 16_000], [6, 30_000], [60, 30_000]])("attempt %i waits below %i ms", (attempt, ceiling) => {
    expect(backoff(attempt, 0)).toBe(0);
    expect(backoff(attempt, 0.999_999)).toBeLessThanOrEqual(ceiling);
    expect(backoff(attempt, 0.999_999)).toBeGreaterThan(ceiling * 0.99);
  });

  test("the ceiling grows with every loss", () => {
    const [, effects] = run([...UP, { type: "closed", code: 4000 }, { type: "timer" }, { type: "token" }, { type: "closed", code: 1006 }]);
    expect(timers(effects)).toEqual([250, 500]);
  });

  test("a minute of health begins again", () => {
    const [waiting] = run([...UP, { type: "closed", code: 1006 }]);
    const [live] = run([{ type: "timer" }, ...UP.slice(1)], 0, 0.5, waiting);
    const [, short] = run([{ type: "closed", code: 1006 }], 59_999, 0.5, live);
    const [, long] = run([{ type: "closed", code: 1006 }], 60_000, 0.5, live);
    expect([timers(short), timers(long)]).toEqual([[500], [250]]);
  });
});

describe("the hundred of the close code", () => {
  test.each([1000, 1006, 4000, 4001, 4002, 4003, 4042])("%i: reconnect with the token there is", (code) => {
    const [state, effects] = run([...UP, { type: "closed", code }, { type: "timer" }]);
    expect(state.name).toBe("authorizing");
    expect(tokens(effects)).toEqual([false, false]);
  });

  test("4101: refresh first, also when a person does not wait", () => {
    const [, effects] = run([...UP, { type: "closed", code: 4101 }, { type: "now" }]);
    expect(tokens(effects)).toEqual([false, true]);
  });

  test.each([4103, 4104, 4150])("%i: a longer wait", (code) => {
    const [, effects] = run([...UP, { type: "closed", code }]);
    expect(timers(effects)).toEqual([4000]);
  });

  test.each([[4200, true], [4203, true], [4201, false], [4202, false], [4205, false], [4299, false]])("%i: stop, sign out: %s", (code, signOut) => {
    const [state, effects] = run([...UP, { type: "closed", code }, { type: "timer" }, { type: "now" }, { type: "online" }]);
    expect(state).toEqual({ name: "stopped", code, signOut });
    expect(timers(effects)).toEqual([]);
  });
});

describe("what the server says about the time wins", () => {
  test("goaway: leave at once, come back when told", () => {
    const [state, effects] = run([...UP, { type: "goaway", reconnectAfter: 2500 }], 1000);
    expect(state).toMatchObject({ name: "waiting", until: 3500 });
    expect(effects.slice(-2)).toEqual([{ type: "close-socket" }, { type: "set-timer", milliseconds: 2500 }]);
  });

  test("retryAfter of a refused hello", () => {
    const [, effects] = run([...UP.slice(0, 3), { type: "retry-after", retryAfter: 7000 }, { type: "closed", code: 4103 }]);
    expect(timers(effects)).toEqual([7000]);
  });
});

describe("tokens", () => {
  test("no token for now: wait and try again", () => {
    const [state, effects] = run([{ type: "start" }, { type: "token-failed", signOut: false, retryAfter: null }]);
    expect(state.name).toBe("waiting");
    expect(timers(effects)).toEqual([250]);
  });

  test("no token ever: the person has to sign in", () => {
    const [state] = run([{ type: "start" }, { type: "token-failed", signOut: true, retryAfter: null }]);
    expect(state).toMatchObject({ name: "stopped", signOut: true });
  });
});

describe("the network", () => {
  test("offline ends the connection and every attempt until it is back", () => {
    const [state, effects] = run([...UP, { type: "offline" }, { type: "timer" }, { type: "closed", code: 1006 }]);
    expect(state.name).toBe("offline");
    expect(effects.at(-1)).toEqual({ type: "close-socket" });
    const [back] = run([{ type: "online" }], 0, 0.5, state);
    expect(back.name).toBe("authorizing");
  });

  test("a token that comes after the network went opens nothing", () => {
    const [state, effects] = run([{ type: "start" }, { type: "offline" }, { type: "token" }]);
    expect(state.name).toBe("offline");
    expect(effects.some((e) => e.type === "open-socket")).toBe(false);
  });
});

test("stop ends everything from any state", () => {
  for (const inputs of [UP, UP.slice(0, 2), [...UP, { type: "closed", code: 4000 } as Input]]) {
    const [state, effects] = run([...inputs, { type: "stop" }]);
    expect(state.name).toBe("idle");
    expect(effects.slice(-2)).toEqual([{ type: "clear-timer" }, { type: "close-socket" }]);
  }
});
