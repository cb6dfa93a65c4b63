import { beforeEach, describe, expect, test } from "vitest";
import type { Outgoing } from "../src/protocol/outbox";
import { Outbox } from "../src/protocol/outbox";
import { loadOutbox, saveOutbox } from "../src/protocol/outbox_storage";

let saved: readonly Outgoing[];
let outbox: Outbox;
const ids = (entries: readonly Outgoing[]): string[] => entries.map((entry) => entry.requestId);
const states = (): string[] => outbox.all.map((entry) => entry.state);

beforeEach(() => {
  saved = [];
  outbox = new Outbox([], (entries) => (saved = entries));
  outbox.add("a", 7n, "first", 0);
  outbox.add("b", 7n, "second", 0);
  outbox.add("c", 8n, "elsewhere", 0);
});

describe("one at a time per room, in order", () => {
  test("the first of each room goes", () => expect(ids(outbox.take(0))).toEqual(["a", "c"]));

  test("the next goes when the one before is committed, not sooner", () => {
    outbox.take(0);
    expect(ids(outbox.take(0))).toEqual([]);
    outbox.sent("a", 5n);
    expect(ids(outbox.take(0))).toEqual(["b"]);
  });

  test("the event may come before the answer", () => {
    outbox.take(0);
    outbox.settle((entry) => entry.requestId === "a");
    expect(ids(outbox.take(0))).toEqual(["b"]);
    outbox.sent("a", 5n);
    expect(ids(outbox.all)).toEqual(["b", "c"]);
  });

  test("what waits to be tried again keeps the later ones waiting", () => {
    outbox.take(0);
    outbox.refused("a", "BACKEND_UNAVAILABLE", true, 1500, 1000);
    expect(ids(outbox.take(2000))).toEqual([]);
    expect(outbox.nextTime()).toBe(2500);
    expect(ids(outbox.take(2500))).toEqual(["a"]);
  });

  test("only the first of a room has a time to wait for", () => {
    outbox.take(0);
    outbox.refused("a", "MUTED", false, null, 0);
    outbox.take(0);
    outbox.refused("b", "BACKEND_UNAVAILABLE", true, 500, 0);
    outbox.retry("a");
    outbox.take(1000);
    expect(outbox.nextTime()).toBeNull();
  });
});

describe("failure", () => {
  test("a refusal for good waits for a person and lets the next one go", () => {
    outbox.take(0);
    outbox.refused("a", "MUTED", false, null, 0);
    expect(outbox.all[0]).toMatchObject({ state: "failed", reason: "MUTED" });
    expect(ids(outbox.take(0))).toEqual(["b"]);
  });

  test("after six tries a person is asked; a retry has the same requestId", () => {
    for (let attempt = 1; attempt <= 6; attempt += 1) {
      expect(ids(outbox.take(1e9 * attempt))).toContain("a");
      outbox.refused("a", "OUTCOME_UNKNOWN", true, null, 1e9 * attempt);
    }
    expect(states()[0]).toBe("failed");
    outbox.retry("a");
    expect(outbox.take(1e12).map((entry) => entry.requestId)).toContain("a");
  });

  test("a lost connection puts back what had no answer and is no attempt", () => {
    outbox.take(0);
    outbox.disconnected();
    expect(states()).toEqual(["waiting", "waiting", "waiting"]);
    expect(outbox.all[0]?.attempts).toBe(0);
    expect(ids(outbox.take(0))).toEqual(["a", "c"]);
  });

  test("what is discarded is gone", () => {
    outbox.discard("a");
    expect(ids(saved)).toEqual(["b", "c"]);
  });
});

describe("a reload", () => {
  const storage = new Map<string, string>();
  const keyValue = {
    getItem: (key: string) => storage.get(key) ?? null,
    setItem: (key: string, value: string) => void storage.set(key, value),
    removeItem: (key: string) => void storage.delete(key),
  };

  test("keeps what is not committed, in order, and sends it again", () => {
    outbox.take(0);
    outbox.sent("c", 3n);
    saveOutbox(keyValue, 9n, saved);
    const again = new Outbox(loadOutbox(keyValue, 9n), () => {});
    expect(ids(again.all)).toEqual(["a", "b"]);
    expect(again.take(0)[0]).toMatchObject({ requestId: "a", roomId: 7n, text: "first" });
  });

  test("never gives one person the messages of another", () => {
    saveOutbox(keyValue, 9n, saved);
    expect(loadOutbox(keyValue, 10n)).toEqual([]);
    saveOutbox(keyValue, 9n, []);
    expect(loadOutbox(keyValue, 9n)).toEqual([]);
  });
});
