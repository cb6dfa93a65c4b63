import { expect, test } from "vitest";
import { UserService } from "../src/gen/polychat/user/v1/user_service_pb";
import { post } from "../src/protocol/api";

const answering = (status: number, text: string) => async (): Promise<Response> => new Response(text, { status });
const getUser = (status: number, text: string): Promise<unknown> =>
  post(answering(status, text), UserService.method.getUser, { userId: 9n }, "token");

test("an answer is read, exact beyond 2^53, and what this page does not know is passed over", async () => {
  const text = '{"user":{"userId":"9007199254740993","username":"ada","later":1}}';
  expect(await getUser(200, text)).toMatchObject({ user: { userId: 9_007_199_254_740_993n } });
});

test("a failure has the server's code, reason and time", async () => {
  const details = [{ debug: { reason: "RATE_LIMITED" } }, { debug: { retryDelay: "1.5s" } }];
  const text = JSON.stringify({ code: "resource_exhausted", message: "slow down", details });
  await expect(getUser(429, text)).rejects.toMatchObject({ reason: "RATE_LIMITED", retryable: true, retryAfter: 1500 });
});

test.each([
  [200, "<html>Please log in to this network</html>"],
  [200, ""],
  [502, "<html>Bad gateway</html>"],
  [502, "null"],
])("%d with what is not ours means that no answer came", async (status, text) => {
  await expect(getUser(status, text)).rejects.toMatchObject({ code: "unavailable", retryable: true });
});
