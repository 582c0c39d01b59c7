import { SyncError } from "../errors/index.ts";

/** Limits of one poll of a store. */
export interface PollLimits {
  /** Most secrets below all subtrees of one poll. */
  readonly maxItems: number;
  /** Deepest folder below a subtree. */
  readonly maxDepth: number;
}

export const defaultLimits: PollLimits = { maxItems: 50_000, maxDepth: 32 };

/** How long a denied optional call is not tried again, milliseconds. */
export const DENIED_MS = 3_600_000;

/** The caller has stopped the call. */
export function aborted(action: string): SyncError {
  return new SyncError("SourceUnavailable", "the store cannot be reached", { action, detail: "Aborted ABORTED" });
}

/**
 * Trouble with the answer for one secret while the store itself answers: SourceUnavailable with a code. Without a code
 * SourceUnavailable is an outage of the whole store. One odd secret must not take a shared store away from everybody.
 */
export function trouble(action: string, code: string): SyncError {
  return new SyncError("SourceUnavailable", "the store's answer for this secret cannot be used", {
    action,
    code,
    detail: code,
  });
}

/** Whether an error says something of the whole store or login and not of one secret. */
export function isStoreWide(error: unknown): boolean {
  if (!(error instanceof SyncError)) return true;
  if (error.reason === "SourceUnavailable") return error.code === undefined;
  return ["SourceSealed", "LoginFailed", "RateLimited", "Unexpected"].includes(error.reason);
}

/** When nothing but trouble was found, it is the store's. @throws SyncError SourceUnavailable without a code */
export function throwIfAllTroubled(facts: ReadonlyMap<string, unknown>, failures: Iterable<unknown>): void {
  const errors = [...failures].filter((error) => error instanceof SyncError);
  if (facts.size > 0 || errors.length === 0 || errors.some((error) => error.reason !== "SourceUnavailable")) return;
  throw new SyncError("SourceUnavailable", "the store cannot be reached", {
    action: "poll",
    detail: errors[0]?.detail ?? "",
  });
}
