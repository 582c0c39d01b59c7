/**
 * Why a key waits; earlier lanes are served first: somebody changed the object, somebody changed its target, its source or
 * its backend changed (which many may have in common), it failed, it is looked at as a matter of routine.
 */
export type Lane = "user" | "drift" | "change" | "retry" | "refresh";

/** All lanes, most urgent first. */
export const lanes: readonly Lane[] = ["user", "drift", "change", "retry", "refresh"];
/** What a worker hands to its handler. */
export interface WorkItem {
  readonly key: string;
  readonly lane: Lane;
  /** How long the key waited, from when it became due, in ms. */
  readonly waitedMs: number;
}

/** What workers need of the queue that they work for. */
export interface Workload {
  /** The next due key; waits for one. `undefined` once the queue is closed. */
  next(options: { readonly urgentOnly: boolean }): Promise<WorkItem | undefined>;
  /** The key's failures are over. */
  forget(key: string): void;
  cancelDelay(key: string): void;
  addAfter(key: string, ms: number, lane?: Lane): void;
  /** Again with backoff. @returns in how many ms */
  addRateLimited(key: string, atLeastMs?: number): number;
  /** The key is not this queue's any more. */
  remove(key: string): void;
  /** The key is out of the worker's hands. */
  done(key: string): void;
  close(): void;
}
