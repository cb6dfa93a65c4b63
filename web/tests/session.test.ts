import { beforeEach, describe, expect, test } from "vitest";
import type { ConnectionState } from "../src/protocol/connection";
import { Failure } from "../src/protocol/failure";
import type { Listener, Socket, World } from "../src/protocol/session";
import { Session } from "../src/protocol/session";

/** A socket whose other end is the test. */
class TestSocket implements Socket {
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: unknown }) => void) | null = null;
  onclose: ((event: { code: number }) => void) | null = null;
  sent: Record<string, any>[] = [];
  closed = false;
  send(text: string): void {
    this.sent.push(JSON.parse(text));
  }
  close(): void {
    this.closed = true;
  }
  say(frame: object): void {
    this.onmessage?.({ data: JSON.stringify(frame) });
  }
}

/** A clock that goes when it is told to. */
class TestWorld implements World {
  time = 0;
  sockets: TestSocket[] = [];
  private timers: { at: number; run: () => void }[] = [];
  now = (): number => this.time;
  random = (): number => 0.5;
  open = (): Socket => {
    this.sockets.push(new TestSocket());
    return this.socket;
  };
  later = (milliseconds: number, run: () => void): (() => void) => {
    const timer = { at: this.time + milliseconds, run };
    this.timers.push(timer);
    return () => {
      this.timers = this.timers.filter((other) => other !== timer);
    };
  };
  pass(milliseconds: number): void {
    this.time += milliseconds;
    const due = this.timers.filter((timer) => timer.at <= this.time);
    this.timers = this.timers.filter((timer) => timer.at > this.time);
    for (const timer of due) timer.run();
  }
  get socket(): TestSocket {
    return this.sockets[this.sockets.length - 1]!;
  }
}

const WELCOME = { id: 1, welcome: { connectionId: "5", userId: "9", heartbeat: "25s", limits: { textBytes: 1000 } } };

let world: TestWorld;
let session: Session;
let forced: boolean[];
let states: string[];
let frames: (string | undefined)[];
let refuse: Failure | null;

const settled = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 0));

async function connect(): Promise<TestSocket> {
  await settled();
  world.socket.onopen?.();
  world.socket.say(WELCOME);
  return world.socket;
}

beforeEach(async () => {
  [world, forced, states, frames, refuse] = [new TestWorld(), [], [], [], null];
  const access = async (force: boolean): Promise<string> => {
    forced.push(force);
    if (refuse !== null) throw refuse;
    return `token ${forced.length}`;
  };
  const listener: Listener = {
    state: (state: ConnectionState) => states.push(state.name),
    welcome: () => frames.push("welcome"),
    frame: (body) => frames.push(body.case),
    cursors: () => [{ roomId: 9_007_199_254_740_993n, sequence: 41n }],
    epoch: () => 1_790_000_000_000n,
  };
  session = new Session(world, access, listener);
  session.start();
});

describe("the greeting", () => {
  test("hello carries the token, the cursors and their epoch, exact beyond 2^53", async () => {
    const socket = await connect();
    const rooms = [{ roomId: "9007199254740993", sequence: "41" }];
    const hello = { accessToken: "token 1", client: "web/0.1", rooms, logEpoch: "1790000000000" };
    expect(socket.sent).toEqual([{ id: 1, hello }]);
    expect(states).toEqual(["authorizing", "opening", "greeting", "live"]);
    expect(session.textBytes).toBe(1000);
  });

  test("a server that does not greet is given up", async () => {
    await settled();
    world.socket.onopen?.();
    world.pass(15_000);
    expect([world.socket.closed, session.state.name]).toEqual([true, "waiting"]);
  });

  test("a refused refresh signs out", async () => {
    refuse = new Failure("unauthenticated", "REFRESH_TOKEN_INVALID", "", false);
    const socket = await connect();
    socket.onclose?.({ code: 4101 });
    world.pass(1000);
    await settled();
    expect(session.state).toMatchObject({ name: "stopped", signOut: true });
  });
});

describe("requests", () => {
  test("each reply finds its request, in whatever order", async () => {
    const socket = await connect();
    const one = session.request({ case: "receipt", value: { roomId: 7n, readSequence: 1n } });
    const two = session.request({ case: "receipt", value: { roomId: 8n, readSequence: 1n } });
    const [first, second] = socket.sent.slice(1).map((frame) => frame["id"]);
    socket.say({ id: second, error: { code: "PERMISSION_DENIED", reason: "NOT_A_MEMBER", retryable: false, metadata: {} } });
    socket.say({ id: first, ok: {} });
    expect((await one).case).toBe("ok");
    await expect(two).rejects.toMatchObject({ code: "permission_denied", reason: "NOT_A_MEMBER", retryable: false });
  });

  test("a lost connection fails what had no reply, and a late reply on it is not heard", async () => {
    const socket = await connect();
    const waiting = session.request({ case: "receipt", value: { roomId: 7n, readSequence: 1n } });
    const late = socket.onmessage;
    socket.onclose?.({ code: 1006 });
    await expect(waiting).rejects.toMatchObject({ reason: "NETWORK", retryable: true });
    expect(socket.onmessage).toBeNull();
    expect(late).not.toBeNull();
    await expect(session.request({ case: "receipt", value: {} })).rejects.toMatchObject({ reason: "NETWORK" });
  });

  test("no reply in 10 s is a failure of that request alone", async () => {
    await connect();
    const waiting = session.request({ case: "receipt", value: { roomId: 7n, readSequence: 1n } });
    world.pass(10_000);
    await expect(waiting).rejects.toMatchObject({ reason: "NETWORK" });
    expect(session.state.name).toBe("live");
  });
});

describe("a live connection", () => {
  test("answers pings", async () => {
    const socket = await connect();
    socket.say({ ping: {} });
    expect(socket.sent.at(-1)).toEqual({ pong: {} });
  });

  test("is dead after two silent heartbeats", async () => {
    const socket = await connect();
    world.pass(49_999);
    socket.say({ ping: {} });
    world.pass(49_999);
    expect(session.state.name).toBe("live");
    world.pass(1);
    expect([socket.closed, session.state.name]).toEqual([true, "waiting"]);
  });

  test("is dead when a doubt is not answered in 5 s", async () => {
    const socket = await connect();
    session.probe();
    expect(socket.sent.at(-1)).toEqual({ ping: {} });
    world.pass(5_000);
    expect(session.state.name).toBe("waiting");
  });

  test("gets a new token in band before the old one ends", async () => {
    const socket = await connect();
    socket.say({ tokenExpiring: { expiresIn: "60s" } });
    await settled();
    expect(forced).toEqual([false, true]);
    expect(socket.sent.at(-1)).toMatchObject({ refresh: { accessToken: "token 2" } });
    expect(session.state.name).toBe("live");
  });

  test("survives a frame of a later version", async () => {
    const socket = await connect();
    socket.say({ somethingNew: { a: 1 } });
    socket.say({ skip: { roomId: "7", fromSequence: "1", toSequence: "2" } });
    expect(frames).toEqual(["welcome", undefined, "skip"]);
  });
});
