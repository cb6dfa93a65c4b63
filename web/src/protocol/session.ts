/**
 * Runs the machine of connection.ts on a real socket: opens and closes it, greets, answers pings, matches replies to requests,
 * notices silence, and refreshes the token in band. What the frames mean for rooms is the store's business.
 */
import { create, fromJsonString, toJsonString } from "@bufbuild/protobuf";
import type { ConnectionState, Effect, Input } from "./connection";
import { INITIAL, step } from "./connection";
import { SILENT } from "./close_codes";
import { Failure, milliseconds, networkFailure } from "./failure";
import type { ClientFrame } from "../gen/polychat/edge/v1/client_frame_pb";
import { ClientFrameSchema, RoomCursorSchema } from "../gen/polychat/edge/v1/client_frame_pb";
import type { Error as ErrorBody, ServerFrame, Welcome } from "../gen/polychat/edge/v1/server_frame_pb";
import { ServerFrameSchema } from "../gen/polychat/edge/v1/server_frame_pb";
import type { MessageInitShape } from "@bufbuild/protobuf";

/** The part of a WebSocket that is used. */
export interface Socket {
  onopen: (() => void) | null;
  onmessage: ((event: { data: unknown }) => void) | null;
  onclose: ((event: { code: number }) => void) | null;
  send(text: string): void;
  close(): void;
}

/** What a session needs of the world. */
export interface World {
  open(): Socket;
  /** Milliseconds since 1970. */
  now(): number;
  random(): number;
  /** Runs it later; the answer cancels. */
  later(milliseconds: number, run: () => void): () => void;
}

/** Who is told what happens. */
export interface Listener {
  state(state: ConnectionState): void;
  welcome(welcome: Welcome): void;
  frame(body: ServerFrame["body"]): void;
  /** Where each room's copy ends, for `hello`: at most 1,000. */
  cursors(): { roomId: bigint; sequence: bigint }[];
  /** Of the log that these copies are of; said with them. */
  epoch(): bigint;
}

type Body = NonNullable<MessageInitShape<typeof ClientFrameSchema>["body"]>;
type Reply = ServerFrame["body"];

interface Waiting {
  resolve(reply: Reply): void;
  reject(failure: Failure): void;
  cancel(): void;
}

const CLIENT = "web/0.1";
const HELLO_ID = 1;
/** The edge answers within 5 s; an answer later than this is not coming. */
const REPLY_MS = 10_000;
/** How long the opening handshake and the welcome may take together. */
const GREETING_MS = 15_000;
/** How long a `ping` may stay unanswered when there is reason to doubt the line. */
const PROBE_MS = 5_000;

export class Session {
  state: ConnectionState = INITIAL;
  /** The longest text of a message, in bytes of UTF-8. */
  textBytes = 16_384;
  private socket: Socket | null = null;
  private token = "";
  private lastId = HELLO_ID;
  private heartbeat = 25_000;
  private readonly waiting = new Map<number, Waiting>();
  private cancelTimer: () => void = () => {};
  private cancelSilence: () => void = () => {};

  constructor(
    private readonly world: World,
    private readonly access: (forceRefresh: boolean) => Promise<string>,
    private readonly listener: Listener,
  ) {}

  start = (): void => this.input({ type: "start" });
  stop = (): void => this.input({ type: "stop" });
  reconnectNow = (): void => this.input({ type: "now" });
  online = (): void => (this.state.name === "live" ? this.probe() : this.input({ type: "online" }));
  offline = (): void => this.input({ type: "offline" });

  /** Sends a frame and waits for its one reply. Raises Failure: the server's, or NETWORK when no reply came. */
  request(body: Body): Promise<Reply> {
    if (this.state.name !== "live") return Promise.reject(networkFailure());
    this.lastId += 1;
    const id = this.lastId;
    return new Promise((resolve, reject) => {
      const cancel = this.world.later(REPLY_MS, () => this.drop(id));
      this.waiting.set(id, { resolve, reject, cancel });
      this.write({ id, body });
    });
  }

  /** Sends a frame that has no reply and may be lost. */
  signal(body: Body): void {
    if (this.state.name === "live") this.write({ body });
  }

  /** Asks the other side for a sign of life, when the machine may have slept or changed networks. */
  probe(): void {
    if (this.state.name !== "live") return;
    this.signal({ case: "ping", value: {} });
    this.listenFor(PROBE_MS);
  }

  private input(input: Input): void {
    const [state, effects] = step(this.state, input, { now: this.world.now(), random: this.world.random() });
    const changed = state !== this.state;
    this.state = state;
    for (const effect of effects) this.perform(effect);
    if (changed) this.listener.state(this.state);
  }

  private perform(effect: Effect): void {
    switch (effect.type) {
      case "get-token":
        void this.authorize(effect.refresh);
        break;
      case "open-socket":
        this.open();
        break;
      case "send-hello":
        this.hello();
        break;
      case "close-socket":
        this.detach()?.close();
        break;
      case "set-timer":
        this.cancelTimer = this.world.later(effect.milliseconds, () => this.input({ type: "timer" }));
        break;
      case "clear-timer":
        this.cancelTimer();
        break;
    }
  }

  private async authorize(refresh: boolean): Promise<void> {
    try {
      this.token = await this.access(refresh);
      this.input({ type: "token" });
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      const signOut = error.code === "unauthenticated";
      this.input({ type: "token-failed", signOut, retryAfter: error.retryAfter });
    }
  }

  private open(): void {
    const socket = this.world.open();
    this.socket = socket;
    socket.onopen = () => this.input({ type: "opened" });
    socket.onmessage = ({ data }) => this.receive(String(data));
    socket.onclose = ({ code }) => this.lost(code);
    this.listenFor(GREETING_MS);
  }

  private hello(): void {
    const rooms = this.listener.cursors().map((room) => create(RoomCursorSchema, room));
    const value = { accessToken: this.token, client: CLIENT, rooms, logEpoch: this.listener.epoch() };
    this.write({ id: HELLO_ID, body: { case: "hello", value } });
  }

  private write(frame: MessageInitShape<typeof ClientFrameSchema>): void {
    const full: ClientFrame = create(ClientFrameSchema, frame);
    this.socket?.send(toJsonString(ClientFrameSchema, full));
  }

  private receive(text: string): void {
    const frame = fromJsonString(ServerFrameSchema, text, { ignoreUnknownFields: true });
    this.listenFor(this.heartbeat * 2);
    const waiting = this.waiting.get(frame.id);
    if (waiting !== undefined) {
      this.waiting.delete(frame.id);
      waiting.cancel();
      if (frame.body.case === "error") waiting.reject(failureOf(frame.body.value));
      else waiting.resolve(frame.body);
      return;
    }
    this.dispatch(frame.body);
  }

  private dispatch(body: Reply): void {
    switch (body.case) {
      case "welcome":
        if (body.value.heartbeat !== undefined) this.heartbeat = milliseconds(body.value.heartbeat);
        if (body.value.limits !== undefined) this.textBytes = body.value.limits.textBytes;
        this.listener.welcome(body.value);
        this.input({ type: "welcomed" });
        break;
      case "ping":
        this.write({ body: { case: "pong", value: {} } });
        break;
      case "goaway":
        this.input({ type: "goaway", reconnectAfter: body.value.reconnectAfter ? milliseconds(body.value.reconnectAfter) : 0 });
        break;
      case "tokenExpiring":
        void this.refreshInBand();
        break;
      case "error":
        if (body.value.retryAfter) this.input({ type: "retry-after", retryAfter: milliseconds(body.value.retryAfter) });
        break;
      default:
        this.listener.frame(body);
    }
  }

  private async refreshInBand(): Promise<void> {
    try {
      const accessToken = await this.access(true);
      await this.request({ case: "refresh", value: { accessToken } });
    } catch (error) {
      if (!(error instanceof Failure)) throw error; // a Failure needs nothing here: 4101 comes, and the machine refreshes then
    }
  }

  /** No frame within this time means that the line is dead, whatever the browser thinks. */
  private listenFor(time: number): void {
    this.cancelSilence();
    this.cancelSilence = this.world.later(time, () => {
      this.detach()?.close();
      this.input({ type: "closed", code: SILENT });
    });
  }

  private lost(code: number): void {
    this.detach();
    this.input({ type: "closed", code });
  }

  /** Lets go of the socket, so that nothing it still says is heard, and of every request on it. */
  private detach(): Socket | null {
    const socket = this.socket;
    this.socket = null;
    this.cancelSilence();
    if (socket !== null) socket.onopen = socket.onmessage = socket.onclose = null;
    for (const id of [...this.waiting.keys()]) this.drop(id);
    return socket;
  }

  private drop(id: number): void {
    const waiting = this.waiting.get(id);
    this.waiting.delete(id);
    waiting?.cancel();
    waiting?.reject(networkFailure());
  }
}

function failureOf(error: ErrorBody): Failure {
  const retryAfter = error.retryAfter === undefined ? null : milliseconds(error.retryAfter);
  return new Failure(error.code.toLowerCase(), error.reason, error.message, error.retryable === true, retryAfter);
}
