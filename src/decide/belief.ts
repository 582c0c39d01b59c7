/** What is believed of a secret that may be gone. Made anew when the store identity changes. */
export interface Belief {
  /** First poll of an unbroken run of polls that said positively "not there", ms of the monotonic clock. */
  readonly firstGoneMs?: number;
  readonly believed: boolean;
}

/** Nothing was seen yet, or something else than "not there". */
export const noBelief: Belief = { believed: false };

/**
 * Belief after one more look. A secret counts as gone when two looks at least one interval apart both said so and every
 * look between them did too; presence, an error or a denial begins anew.
 * @param nowMs by the monotonic clock: a wall clock that is set on would make an interval of a moment
 */
export function believe(
  before: Belief | undefined,
  seen: "Present" | "Gone" | "Failed",
  nowMs: number,
  intervalMs: number,
): Belief {
  if (seen !== "Gone") return noBelief;
  const firstGoneMs = before?.firstGoneMs;
  // A time before the first look proves nothing.
  if (firstGoneMs === undefined || nowMs < firstGoneMs) return { firstGoneMs: nowMs, believed: false };
  return { firstGoneMs, believed: nowMs - firstGoneMs >= intervalMs };
}
