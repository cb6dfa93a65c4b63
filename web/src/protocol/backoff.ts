/** Full jitter: a random time below a ceiling that doubles, so that clients of one lost edge do not come back together. */

const FIRST_CEILING_MS = 500;
const LAST_CEILING_MS = 30_000;

/** After this long connected, the next loss begins again with the shortest wait. */
export const HEALTHY_MS = 60_000;

/** Milliseconds to wait before attempt `attempt` (0 is the first after a loss). `random` is in [0, 1). */
export function backoff(attempt: number, random: number): number {
  const ceiling = Math.min(LAST_CEILING_MS, FIRST_CEILING_MS * 2 ** Math.min(attempt, 16));
  return Math.round(ceiling * random);
}
