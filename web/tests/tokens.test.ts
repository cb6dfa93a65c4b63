import { create } from "@bufbuild/protobuf";
import { DurationSchema } from "@bufbuild/protobuf/wkt";
import { beforeEach, expect, test } from "vitest";
import { Failure } from "../src/protocol/failure";
import type { SignedIn } from "../src/protocol/tokens";
import { Tokens } from "../src/protocol/tokens";

let now: number;
let spent: string[];
let stored: Map<string, string>;
let queue: Promise<unknown>;

const answer = (n: string, userId = 9n): SignedIn => ({
  user: { userId, username: "ada" },
  accessToken: `access ${n}`,
  expiresIn: create(DurationSchema, { seconds: 900n }),
  refreshToken: `refresh ${n}`,
});

/** A tab: all share the storage and the lock. */
function tab(): Tokens {
  const storage = {
    getItem: (key: string) => stored.get(key) ?? null,
    setItem: (key: string, value: string) => void stored.set(key, value),
    removeItem: (key: string) => void stored.delete(key),
  };
  const exclusive = <T>(run: () => Promise<T>): Promise<T> => {
    const turn = queue.then(run, run);
    queue = turn.catch(() => {});
    return turn;
  };
  const refresh = async (refreshToken: string): Promise<SignedIn> => {
    if (spent.includes(refreshToken)) throw new Failure("unauthenticated", "REFRESH_TOKEN_REUSED", "", false);
    spent.push(refreshToken);
    return answer(`${spent.length + 1}`);
  };
  return new Tokens(storage, exclusive, refresh, () => now);
}

beforeEach(() => {
  [now, spent, stored, queue] = [0, [], new Map(), Promise.resolve()];
});

test("a good token is used as it is, one near its end is replaced before", async () => {
  const tokens = tab();
  tokens.accept(answer("1"));
  expect(await tokens.access(false)).toBe("access 1");
  now = 871_000;
  expect(await tokens.access(false)).toBe("access 2");
});

test("the access token is never stored", () => {
  tab().accept(answer("1"));
  expect([...stored.values()].join()).not.toContain("access");
});

test("a reload signs in with what was stored", async () => {
  tab().accept(answer("1"));
  const reloaded = tab();
  expect(reloaded.user).toEqual({ userId: 9n, username: "ada" });
  expect(await reloaded.access(false)).toBe("access 2");
});

test("two tabs that refresh at once spend two tokens, never one twice", async () => {
  tab().accept(answer("1"));
  const [one, two] = [tab(), tab()];
  expect(await Promise.all([one.access(false), two.access(false)])).toEqual(["access 2", "access 3"]);
  expect(spent).toEqual(["refresh 1", "refresh 2"]);
});

test("calls of one tab that need a token at once share one refresh", async () => {
  tab().accept(answer("1"));
  const tokens = tab();
  await Promise.all([tokens.access(false), tokens.access(true), tokens.access(false)]);
  expect(spent).toEqual(["refresh 1"]);
});

test("a tab whose browser was signed out, or in as somebody else, does not go on", async () => {
  const tokens = tab();
  tokens.accept(answer("1"));
  now = 1e9;
  tab().clear();
  await expect(tokens.access(false)).rejects.toMatchObject({ code: "unauthenticated" });

  tokens.accept(answer("1"));
  now = 2e9;
  const waiting = tokens.access(false);
  tab().accept(answer("5", 10n));
  await expect(waiting).rejects.toMatchObject({ code: "unauthenticated" });
  expect(spent).toEqual([]);
});

test("a tab does not become who signed in on another one long ago", async () => {
  const tokens = tab();
  tokens.accept(answer("1"));
  tab().accept(answer("5", 10n));
  await expect(tokens.access(true)).rejects.toMatchObject({ code: "unauthenticated" });
  expect(spent).toEqual([]);
});

test("a tab that ends leaves alone who signed in on another one meanwhile", () => {
  const [old, other] = [tab(), tab()];
  old.accept(answer("1"));
  now = 5_000;
  other.clear();
  other.accept(answer("5"));
  old.clear();
  expect(tab().user).toEqual({ userId: 9n, username: "ada" });
});

test("a reload and another tab end the sign-in that they found", () => {
  tab().accept(answer("1"));
  tab().clear();
  expect(stored.size).toBe(0);
});

test("a token that another tab stored a moment ago does not end the refresh that began with the old one", async () => {
  const tokens = tab();
  tokens.accept(answer("1"));
  const refreshing = tokens.access(true);
  await Promise.resolve(); // the refresh token is on its way
  stored.forEach((text, key) => stored.set(key, text.replace("refresh 1", "refresh 2")));
  expect(await refreshing).toBe("access 2");
});

test("a refresh that is answered after the sign-out does not undo it", async () => {
  const tokens = tab();
  tokens.accept(answer("1"));
  const refreshing = tokens.access(true);
  await Promise.resolve(); // the refresh token is on its way
  tokens.clear();
  await expect(refreshing).rejects.toMatchObject({ code: "unauthenticated" });
  expect(spent).toEqual(["refresh 1"]);
  expect(stored.size).toBe(0);
});
