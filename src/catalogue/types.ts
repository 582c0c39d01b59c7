import type { SyncError } from "../errors/index.ts";
import type { PollMethod, SourceFact } from "../ports/index.ts";

/** What the objects of one store identity want now: path or subtree prefix to the interval that its owner asks for. */
export interface Demand {
  readonly paths: ReadonlyMap<string, number>;
  readonly subtrees: ReadonlyMap<string, number>;
}

/** What is known of one path. */
export interface KnownFact {
  readonly fact: SourceFact;
  /** By the monotonic clock. */
  readonly asOfMs: number;
  /** Gone on two polls at least one interval apart, with nothing else seen between. */
  readonly believedGone: boolean;
  /** When the source changed to what the fact shows; see {@link changedMs}. */
  readonly changedMs?: number | undefined;
}

/** How the store stands, since when by the monotonic clock. `Unpolled` until the first poll has ended either way. */
export type StoreState =
  | { readonly state: "Unpolled" }
  | { readonly state: "Good"; readonly sinceMs: number }
  | { readonly state: "Failing"; readonly sinceMs: number; readonly error: SyncError };

/** What one poll brought; `paths` are those whose facts or failures are new since the poll before. */
export interface PolledEvent {
  readonly full: boolean;
  readonly method: PollMethod;
  readonly changed: readonly string[];
  /** Of a poll that is not full: the paths, and the subtrees as `prefix/`, that it was asked for. */
  readonly asked: readonly string[];
  readonly ms: number;
}
