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

/** Whether an error says something of the whole store or login and not of one secret. */
export function isStoreWide(error: unknown): boolean {
  return (
    !(error instanceof SyncError) ||
    error.reason === "SourceUnavailable" ||
    error.reason === "SourceSealed" ||
    error.reason === "LoginFailed" ||
    error.reason === "RateLimited" ||
    error.reason === "Unexpected"
  );
}
