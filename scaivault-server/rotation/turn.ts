/** When a secret's rotation is due and what is told until then: pure decisions. Times in ms since the epoch. */

/** What a policy says about time. */
export interface RotationTimes {
  readonly intervalMs: number;
  readonly graceMs: number;
  /** How long before the rotation it is told, any order. */
  readonly warnMs: readonly number[];
}

/** Where a secret stands since its last rotation. */
export interface Turn {
  readonly lastRotatedAt: number;
  /** Set when somebody asked for the rotation now. */
  readonly askedAt: number | null;
  /** The smallest threshold that was told; the greater ones are done with. */
  readonly warnedMs: number | null;
  readonly dueTold: boolean;
  readonly overdueTold: boolean;
}

/** The next thing to tell. */
export interface Step {
  readonly at: number;
  readonly kind: "warn" | "due" | "overdue";
  /** Of a `warn`: which threshold. */
  readonly thresholdMs?: number;
}

/** The turn that begins with a rotation. */
export function newTurn(lastRotatedAt: number): Turn {
  return { lastRotatedAt, askedAt: null, warnedMs: null, dueTold: false, overdueTold: false };
}

export function dueAt(turn: Turn, times: RotationTimes): number {
  return turn.askedAt ?? turn.lastRotatedAt + times.intervalMs;
}

/** Whether a write now is the rotation: something was told. */
export function isAwaited(turn: Turn): boolean {
  return turn.dueTold || turn.warnedMs !== null;
}

/** What comes next and when; of several thresholds that have passed, the last one. */
export function nextStep(turn: Turn, times: RotationTimes, now: number): Step | undefined {
  const due = dueAt(turn, times);
  if (turn.dueTold) return turn.overdueTold ? undefined : { at: due + times.graceMs, kind: "overdue" };
  if (due <= now || turn.askedAt !== null) return { at: due, kind: "due" };
  const ahead = times.warnMs
    .filter((ms) => ms < times.intervalMs && (turn.warnedMs === null || ms < turn.warnedMs))
    .sort((a, b) => b - a);
  const passed = ahead.filter((ms) => due - ms <= now).at(-1);
  const threshold = passed ?? ahead[0];
  return threshold === undefined
    ? { at: due, kind: "due" }
    : { at: due - threshold, kind: "warn", thresholdMs: threshold };
}

/** The turn after a step was told. */
export function afterStep(turn: Turn, step: Step): Turn {
  if (step.kind === "due") return { ...turn, dueTold: true };
  if (step.kind === "overdue") return { ...turn, overdueTold: true };
  return { ...turn, warnedMs: step.thresholdMs ?? null };
}
