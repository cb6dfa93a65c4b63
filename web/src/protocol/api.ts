/** Unary calls over HTTP, the Connect protocol with JSON: any public method, typed by its descriptor. */
import type { DescMessage, DescMethodUnary, MessageInitShape, MessageShape } from "@bufbuild/protobuf";
import { create, fromJsonString, toJsonString } from "@bufbuild/protobuf";
import { Failure, networkFailure } from "./failure";

export type Fetch = (url: string, init: RequestInit) => Promise<Response>;

/** Longer than any deadline of the services, so that theirs is the answer. */
const TIMEOUT_MS = 15_000;

const RETRYABLE = new Set(["unavailable", "resource_exhausted", "aborted", "deadline_exceeded"]);

interface ErrorBody {
  code?: string;
  message?: string;
  details?: { type?: string; debug?: { reason?: string; retryDelay?: string } }[];
}

/** One call without a retry. `token` null for the four methods that need none. Raises Failure. */
export async function post<I extends DescMessage, O extends DescMessage>(
  fetch: Fetch,
  method: DescMethodUnary<I, O>,
  request: MessageInitShape<I>,
  token: string | null,
): Promise<MessageShape<O>> {
  const headers: Record<string, string> = { "content-type": "application/json" };
  if (token !== null) headers["authorization"] = `Bearer ${token}`;
  const body = toJsonString(method.input, create(method.input, request));
  const url = `/api/${method.parent.typeName}/${method.name}`;
  const [ok, text] = await exchange(fetch, url, { method: "POST", headers, body });
  if (!ok) throw failureOf(text);
  try {
    return fromJsonString(method.output, text, { ignoreUnknownFields: true });
  } catch {
    throw networkFailure(); // somebody on the way answered instead: the log-in page of a hotel's network, say
  }
}

async function exchange(fetch: Fetch, url: string, init: RequestInit): Promise<[boolean, string]> {
  try {
    const response = await fetch(url, { ...init, signal: AbortSignal.timeout(TIMEOUT_MS) });
    return [response.ok, await response.text()];
  } catch {
    throw networkFailure(); // whatever fetch and the body reader throw, it means that no answer came
  }
}

function failureOf(text: string): Failure {
  const body = parsed(text);
  const code = body.code ?? "unavailable";
  const debugs = body.details?.map((detail) => detail.debug) ?? [];
  const reason = debugs.find((debug) => debug?.reason !== undefined)?.reason ?? "";
  const delay = debugs.find((debug) => debug?.retryDelay !== undefined)?.retryDelay;
  const retryAfter = delay === undefined ? null : Math.round(Number.parseFloat(delay) * 1000);
  return new Failure(code, reason, body.message ?? "", RETRYABLE.has(code), retryAfter);
}

/** A proxy on the way may answer with something that is not ours. */
function parsed(text: string): ErrorBody {
  try {
    return (JSON.parse(text) as ErrorBody | null) ?? {};
  } catch {
    return {};
  }
}

/** Calls as the signed-in user; a token that ran out on the way is replaced once. */
export class Api {
  constructor(
    private readonly fetch: Fetch,
    private readonly access: (forceRefresh: boolean) => Promise<string>,
  ) {}

  async call<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    request: MessageInitShape<I>,
  ): Promise<MessageShape<O>> {
    try {
      return await post(this.fetch, method, request, await this.access(false));
    } catch (error) {
      if (!(error instanceof Failure) || error.reason !== "TOKEN_EXPIRED") throw error;
      return post(this.fetch, method, request, await this.access(true));
    }
  }
}
