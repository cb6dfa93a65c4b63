import type { Duration } from "@bufbuild/protobuf/wkt";

/** An error as the server told it, whichever way it came (wire contract §5), or one of the way itself. */
export class Failure extends Error {
  constructor(
    /** Lower case with underscores, such as `permission_denied`. */
    readonly code: string,
    /** Such as `NOT_A_MEMBER`; NETWORK when no answer came at all; empty when the server gave none. */
    readonly reason: string,
    message: string,
    readonly retryable: boolean,
    /** Milliseconds; null when the server said nothing. */
    readonly retryAfter: number | null = null,
  ) {
    super(message);
    this.name = "Failure";
  }
}

/** No answer came: it may have been done or not. */
export function networkFailure(): Failure {
  return new Failure("unavailable", "NETWORK", "No answer from the server.", true);
}

/** What was caught, if it is a Failure; anything else is a bug and goes on up. */
export function asFailure(error: unknown): Failure {
  if (error instanceof Failure) return error;
  throw error;
}

export function milliseconds(duration: Duration): number {
  return Number(duration.seconds) * 1000 + Math.round(duration.nanos / 1e6);
}
