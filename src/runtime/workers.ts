import type { Clock } from "../time/clock.ts";
import type { Lane, WorkItem, Workload } from "./lanes.ts";

/** What a handler may ask for when it succeeded. */
export interface WorkResult {
  /** Look at the key again after this time; replaces a delay that waits already. */
  readonly requeueAfterMs?: number;
  /** Lane of that look. Default `refresh`. */
  readonly lane?: Lane;
}

export interface WorkContext extends Omit<WorkItem, "key"> {
  /** Aborts at shutdown, when the item's time is over, or when the key moved to another queue. */
  readonly signal: AbortSignal;
}

/**
 * Works on one key. Throwing means "again with backoff"; an error with a number `retryAfterMs` is not retried sooner than that.
 * A handler must end soon after its signal aborts: until then its key waits.
 */
export type WorkHandler = (key: string, context: WorkContext) => Promise<WorkResult | void>;

export interface WorkerOptions {
  readonly clock: Clock;
  /** How many keys are worked on at once. */
  readonly workers: number;
  /** How many more of the lanes `user` and `drift`, so that nothing slow keeps people waiting. Default 0. */
  readonly urgentWorkers?: number;
  readonly handler: WorkHandler;
  /** After this time the item's signal aborts. Default: none. */
  readonly itemTimeoutMs?: number;
  /** Told of each failure. The error must be classified by the caller before it is logged. */
  readonly onError?: (key: string, error: unknown, retryInMs: number) => void;
  /** Asked when work ended: false drops the key from this queue instead of bringing it back. Default: always true. */
  readonly stillMine?: (key: string) => boolean;
}

/** The reason with which a signal aborts when its item took too long. */
export class WorkTimeoutError extends Error {
  override readonly name = "WorkTimeoutError";
}

/** Workers of one queue. They begin at once. */
export class WorkerPool {
  readonly #queue: Workload;
  readonly #options: WorkerOptions;
  readonly #running = new Map<string, AbortController>();
  readonly #loops: Promise<unknown>;

  constructor(queue: Workload, options: WorkerOptions) {
    this.#queue = queue;
    this.#options = options;
    const { workers, urgentWorkers = 0 } = options;
    const loops = Array.from({ length: workers + urgentWorkers }, (_, at) => this.#loop(at >= workers));
    this.#loops = Promise.all(loops);
  }

  /** Aborts the work on a key, if there is any. */
  abort(key: string, reason: Error): void {
    this.#running.get(key)?.abort(reason);
  }

  /**
   * Closes the queue, aborts what runs, and waits for it.
   * @param graceMs how long handlers may run on before they are aborted
   * @param limitMs how long to wait in all
   * @returns false when handlers still ran at the end
   */
  async shutdown(graceMs = 0, limitMs = 30_000): Promise<boolean> {
    const { clock } = this.#options;
    this.#queue.close();
    let ended = false;
    const loops = this.#loops.then(() => void (ended = true));
    const wait = async (ms: number): Promise<void> => {
      const timer = new AbortController();
      await Promise.race([loops, clock.sleep(ms, timer.signal).catch(() => undefined)]);
      timer.abort();
    };
    if (graceMs > 0) await wait(graceMs);
    for (const running of this.#running.values()) running.abort(new Error("shutting down"));
    if (!ended) await wait(Math.max(0, limitMs - graceMs));
    return ended;
  }

  async #loop(urgentOnly: boolean): Promise<void> {
    for (;;) {
      const item = await this.#queue.next({ urgentOnly });
      if (item === undefined) return;
      await this.#work(item);
    }
  }

  async #work({ key, lane, waitedMs }: WorkItem): Promise<void> {
    const { clock, handler, itemTimeoutMs, onError } = this.#options;
    const queue = this.#queue;
    const abort = new AbortController();
    const stopTimer =
      itemTimeoutMs === undefined
        ? () => undefined
        : clock.setTimeout(() => abort.abort(new WorkTimeoutError("the item took too long")), itemTimeoutMs, {
            unref: true,
          });
    this.#running.set(key, abort);
    try {
      const result = await handler(key, { lane, waitedMs, signal: abort.signal });
      queue.forget(key);
      if (result?.requeueAfterMs !== undefined) {
        queue.cancelDelay(key);
        queue.addAfter(key, result.requeueAfterMs, result.lane ?? "refresh");
      }
    } catch (error) {
      const retryInMs = queue.addRateLimited(key, wantedDelay(error));
      try {
        onError?.(key, error, retryInMs);
      } catch {
        // A broken observer must not end the worker.
      }
    } finally {
      stopTimer();
      this.#running.delete(key);
      if (this.#options.stillMine?.(key) === false) queue.remove(key);
      queue.done(key);
    }
  }
}

function wantedDelay(error: unknown): number {
  if (typeof error !== "object" || error === null || !("retryAfterMs" in error)) return 0;
  const ms = error.retryAfterMs;
  return typeof ms === "number" && ms > 0 ? Math.min(ms, 15 * 60_000) : 0;
}
