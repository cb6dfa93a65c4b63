/**
 * The access token lives in memory only. The refresh token is in localStorage, shared by all tabs of this browser, and spent under a
 * lock that the tabs share too. sessionStorage would look safer and is not: "duplicate tab" copies it, both copies would spend the
 * same token, and a reused token revokes the session (wire contract §2). Under the lock each tab reads the newest token before it
 * spends it, so one sign-in serves every tab and outlives a closed window. Browsers tell other tabs of a new value a moment late; who
 * reads the old one then spends the immediate predecessor, which the server answers with the same new pair.
 */
import type { Duration } from "@bufbuild/protobuf/wkt";
import { Failure, milliseconds } from "./failure";
import type { KeyValue } from "./outbox_storage";

/** What Register, Login and RefreshSession answer. */
export interface SignedIn {
  user?: { userId: bigint; username: string } | undefined;
  accessToken: string;
  expiresIn?: Duration | undefined;
  refreshToken: string;
}

/** Runs one function at a time among all tabs. */
export type Exclusive = <T>(run: () => Promise<T>) => Promise<T>;

interface Saved {
  userId: string;
  username: string;
  refreshToken: string;
  /** When the person signed in, milliseconds since 1970: tells this sign-in from a later one of the same person. */
  since: number;
}

const KEY = "polychat.session";
/** A token that ends sooner than this is replaced before it is used. */
const MARGIN_MS = 30_000;

export class Tokens {
  private accessToken = "";
  private expires = 0;
  private pending: Promise<string> | null = null;
  /** The sign-in that this tab goes by; what is stored may be another tab's by now. */
  private own: Saved | null;

  constructor(
    private readonly storage: KeyValue,
    private readonly exclusive: Exclusive,
    private readonly refreshSession: (refreshToken: string) => Promise<SignedIn>,
    private readonly now: () => number,
  ) {
    this.own = this.saved();
  }

  /** Who signed in on this browser; null when nobody is. */
  get user(): { userId: bigint; username: string } | null {
    const saved = this.saved();
    return saved === null ? null : { userId: BigInt(saved.userId), username: saved.username };
  }

  /** Somebody signed in on this tab. */
  accept(signedIn: SignedIn): void {
    const { userId = 0n, username = "" } = signedIn.user ?? {};
    this.keep(signedIn, { userId: String(userId), username, since: this.now() });
  }

  /** An access token that is good for a while. Raises Failure; with code `unauthenticated` the person has to sign in again. */
  async access(force: boolean): Promise<string> {
    if (!force && this.accessToken !== "" && this.now() < this.expires - MARGIN_MS) return this.accessToken;
    this.pending ??= this.refresh().finally(() => {
      this.pending = null;
    });
    return this.pending;
  }

  /** Ends the sign-in of this tab; a later one, made on another tab, is not its to end. */
  clear(): void {
    if (this.saved()?.since === this.own?.since) this.storage.removeItem(KEY);
    this.accessToken = "";
    this.own = null;
  }

  private async refresh(): Promise<string> {
    await this.exclusive(async () => {
      const saved = this.saved();
      // Another tab signed out, or in as somebody else: this one must not become them unseen.
      if (saved === null || saved.userId !== this.own?.userId) throw signedOutMeanwhile();
      const answer = await this.refreshSession(saved.refreshToken);
      // The same while the answer was on its way: it must not undo that.
      if (this.saved()?.since !== saved.since) throw signedOutMeanwhile();
      this.keep(answer, saved);
    });
    return this.accessToken;
  }

  private keep({ accessToken, expiresIn, refreshToken }: SignedIn, who: Omit<Saved, "refreshToken">): void {
    this.accessToken = accessToken;
    this.expires = this.now() + (expiresIn === undefined ? 0 : milliseconds(expiresIn));
    this.own = { ...who, refreshToken };
    this.storage.setItem(KEY, JSON.stringify(this.own));
  }

  private saved(): Saved | null {
    const text = this.storage.getItem(KEY);
    return text === null ? null : (JSON.parse(text) as Saved);
  }
}

function signedOutMeanwhile(): Failure {
  return new Failure("unauthenticated", "SESSION_REVOKED", "Signed out in another tab.", false);
}
