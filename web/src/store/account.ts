/** Signed out, or signed in with a Chat. Knows the browser; everything below it is given what it needs. */
import { AuthService } from "../gen/polychat/auth/v1/auth_service_pb";
import { Api, post } from "../protocol/api";
import { asFailure } from "../protocol/failure";
import type { Socket, World } from "../protocol/session";
import type { Exclusive, SignedIn } from "../protocol/tokens";
import { Tokens } from "../protocol/tokens";
import { Chat } from "./chat";
import { Observable } from "./observable";

const DEVICE = "Web browser";
const SUBPROTOCOL = "polychat.v1.json";

const fetchHere = (url: string, init: RequestInit): Promise<Response> => fetch(url, init);

const browser: World = {
  open: () => new WebSocket(`${location.origin.replace(/^http/, "ws")}/ws`, SUBPROTOCOL) as Socket,
  now: () => Date.now(),
  random: () => Math.random(),
  later: (milliseconds, run) => {
    const timer = setTimeout(run, milliseconds);
    return () => clearTimeout(timer);
  },
};

/** Web Locks need https or localhost; elsewhere two tabs that refresh at once are covered only by the server's 10 s of grace. */
const exclusive: Exclusive = <T>(run: () => Promise<T>): Promise<T> =>
  "locks" in navigator ? (navigator.locks.request("polychat.refresh", run) as Promise<T>) : run();

export class Account extends Observable {
  chat: Chat | null = null;
  /** Why the person has to sign in again; empty when they chose to sign out. */
  notice = "";
  private readonly tokens = new Tokens(localStorage, exclusive, refreshSession, browser.now);

  constructor() {
    super();
    if (this.tokens.user !== null) this.enter();
    addEventListener("online", () => this.chat?.session.online());
    addEventListener("offline", () => this.chat?.session.offline());
    document.addEventListener("visibilitychange", () => {
      if (document.visibilityState === "visible") this.chat?.session.probe();
    });
  }

  /** Raises Failure. */
  async register(username: string, password: string, displayName: string): Promise<void> {
    const request = { username, password, displayName, deviceName: DEVICE };
    this.accept(await post(fetchHere, AuthService.method.register, request, null));
  }

  /** Raises Failure. */
  async login(username: string, password: string): Promise<void> {
    const request = { username, password, deviceName: DEVICE };
    this.accept(await post(fetchHere, AuthService.method.login, request, null));
  }

  /** Ends the session here at once, and on the server if it can be reached. */
  async logout(): Promise<void> {
    const token = await this.tokens.access(false).catch(() => null); // without one there is nothing to end
    this.tokens.clear();
    this.leave("");
    // What cannot be told to the server ends by itself, with the refresh token that nobody has any more.
    if (token !== null) await post(fetchHere, AuthService.method.logout, {}, token).catch(asFailure);
  }

  private accept(signedIn: SignedIn): void {
    this.tokens.accept(signedIn);
    this.enter();
  }

  private enter(): void {
    const user = this.tokens.user;
    if (user === null) return;
    const access = (force: boolean): Promise<string> => this.tokens.access(force);
    const api = new Api(fetchHere, access);
    this.notice = "";
    this.chat = new Chat(user, api, browser, access, sessionStorage, () => this.expired());
    this.chat.session.start();
    this.changed();
  }

  private expired(): void {
    this.tokens.clear();
    this.leave("Your session has ended. Please sign in again.");
  }

  private leave(notice: string): void {
    this.chat?.session.stop();
    this.chat = null;
    this.notice = notice;
    this.changed();
  }
}

async function refreshSession(refreshToken: string): Promise<SignedIn> {
  return post(fetchHere, AuthService.method.refreshSession, { refreshToken }, null);
}
