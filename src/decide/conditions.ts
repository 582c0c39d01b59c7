import type { Condition, Conflict, Problem } from "../api/index.ts";
import { cleanText, type Reason, reasons } from "../errors/index.ts";

/** Types of conditions. `Ready` is always there; the others only while they are True. */
export type ConditionType =
  | "Ready"
  | "Reconciling"
  | "Stalled"
  | "Stale"
  | "Conflict"
  | "DeletionHeld"
  | "ChangeHeld"
  | "ApprovalNeeded"
  | "TargetsDiverged"
  | "SourceReachable"
  | "ScaiVaultReachable";

/** A condition before it has a time. */
export interface Verdict {
  readonly type: ConditionType;
  readonly status: "True" | "False" | "Unknown";
  readonly reason: Reason | "Ok";
  readonly message: string;
}

const MAX_MESSAGE = 1024;

/** Conditions with their times: a time moves only when the status flips. The order is that of `verdicts`. */
export function stamp(
  verdicts: readonly Verdict[],
  previous: readonly Condition[] | undefined,
  generation: number,
  nowMs: number,
): Condition[] {
  return verdicts.map(({ type, status, reason, message }) => {
    const before = previous?.find((condition) => condition.type === type);
    const lastTransitionTime = before?.status === status ? before.lastTransitionTime : timeText(nowMs);
    return {
      type,
      status,
      reason,
      message: cleanText(message, MAX_MESSAGE),
      observedGeneration: generation,
      lastTransitionTime,
    };
  });
}

/** Whole seconds, as Kubernetes writes times. */
export function timeText(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19)}Z`;
}

/** Reason and message of a Ready condition decide which others stand beside it. */
export function companions(reason: Reason, message: string): Verdict[] {
  const verdicts: Verdict[] = [];
  const add = (type: ConditionType) => verdicts.push({ type, status: "True", reason, message });
  if (reason === "Progressing") add("Reconciling");
  if (reasons[reason].kind === "terminal") add("Stalled");
  if (reason === "Stale") add("Stale");
  return verdicts;
}

/** Problems keep the time at which they were first seen. At most `max`, by path. */
export function listProblems(
  found: readonly {
    readonly path: string;
    readonly reason: Reason;
    readonly message: string;
    readonly conflict?: Conflict;
  }[],
  previous: readonly Problem[] | undefined,
  max: number,
  nowMs: number,
): Problem[] {
  const sorted = [...found].sort((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : a.reason < b.reason ? -1 : 1));
  return sorted.slice(0, max).map(({ path, reason, message, conflict }) => {
    const shown = cleanText(path, 600);
    const before = previous?.find((problem) => problem.path === shown && problem.reason === reason);
    const since = before?.since ?? timeText(nowMs);
    return {
      path: shown,
      reason,
      message: cleanText(message, 512),
      since,
      ...(conflict === undefined ? {} : { conflict }),
    };
  });
}

/** Deep equality of two statuses; the order of members does not matter. */
export function sameStatus(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  if (Array.isArray(a) !== Array.isArray(b)) return false;
  const keys = new Set([...Object.keys(a), ...Object.keys(b)]);
  for (const key of keys) {
    const left = (a as Record<string, unknown>)[key];
    const right = (b as Record<string, unknown>)[key];
    if (!sameStatus(left, right)) return false;
  }
  return true;
}
