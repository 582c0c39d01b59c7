import type { Lane } from "./lanes.ts";
import { WorkQueue, type WorkQueueOptions, type WorkQueueStats } from "./workqueue.ts";
import { WorkerPool, type WorkerOptions } from "./workers.ts";

/** Workers of each queue beside the configured ones, for hand edits of copies and for changes of single objects. */
const URGENT_WORKERS = 2;

/** `workers` is the number of workers of each queue; `urgentWorkers` is 2 by default. */
export interface QueueSetOptions extends WorkQueueOptions, WorkerOptions {}

interface Member {
  readonly queue: WorkQueue;
  readonly pool: WorkerPool;
}

/** The reason with which a signal aborts when its key was given to another queue. */
export class KeyMovedError extends Error {
  override readonly name = "KeyMovedError";
}

/**
 * One queue with its own workers for each store identity: a store that hangs holds its own workers and nobody else's.
 *
 * A key belongs to one queue at a time. Adding it to another moves it; work on it in the old queue is aborted, and the new
 * queue gets the key only when that work ended, so that no key is ever in two pairs of hands.
 */
export class QueueSet {
  readonly #options: QueueSetOptions;
  readonly #members = new Map<string, Member>();
  readonly #homes = new Map<string, string>();
  /** Keys that are being worked on, with the queue that has them. */
  readonly #busy = new Map<string, string>();
  /** Keys that wait for their old queue to let go. */
  readonly #moving = new Map<string, Lane>();
  readonly #pools = new Set<WorkerPool>();
  #closed = false;

  constructor(options: QueueSetOptions) {
    this.#options = options;
  }

  /** Makes a key due now in the queue of `id`, which is made when it does not exist. */
  add(id: string, key: string, lane: Lane = "user"): void {
    if (this.#closed) return;
    this.#settleHome(id, key);
    const busy = this.#busy.get(key);
    if (busy !== undefined && busy !== id) {
      this.#moving.set(key, lane);
      this.#members.get(busy)?.pool.abort(key, new KeyMovedError("the key moved to another queue"));
      return;
    }
    this.#moving.delete(key);
    this.#member(id).queue.add(key, lane);
  }

  /** Makes a key due after `ms` in the queue of `id`. Of two delays the earlier stays. */
  addAfter(id: string, key: string, ms: number, lane: Lane = "refresh"): void {
    if (this.#closed) return;
    const busy = this.#busy.get(key);
    if (busy !== undefined && busy !== id) {
      this.add(id, key, lane);
      return;
    }
    this.#settleHome(id, key);
    this.#member(id).queue.addAfter(key, ms, lane);
  }

  /** The queue that a key belongs to. */
  homeOf(key: string): string | undefined {
    return this.#homes.get(key);
  }

  /** Forgets a key that does not exist any more. Work on it goes on to its end. */
  forgetKey(key: string): void {
    const home = this.#homes.get(key);
    if (home !== undefined) this.#members.get(home)?.queue.remove(key);
    this.#homes.delete(key);
    this.#moving.delete(key);
  }

  /** Ends a queue that has nothing to do. @returns false when it still has keys */
  dropIfEmpty(id: string): boolean {
    const member = this.#members.get(id);
    if (member === undefined) return true;
    if (!member.queue.empty) return false;
    this.#members.delete(id);
    for (const [key, home] of this.#homes) if (home === id) this.#homes.delete(key);
    void member.pool.shutdown().finally(() => this.#pools.delete(member.pool));
    return true;
  }

  /** Numbers of each queue. */
  stats(): ReadonlyMap<string, WorkQueueStats> {
    return new Map([...this.#members].map(([id, { queue }]) => [id, queue.stats()]));
  }

  /** Closes all queues and waits for their workers; see `WorkerPool.shutdown`. */
  async shutdown(graceMs = 0, limitMs = 30_000): Promise<boolean> {
    this.#closed = true;
    const ended = await Promise.all([...this.#pools].map((pool) => pool.shutdown(graceMs, limitMs)));
    return ended.every(Boolean);
  }

  #settleHome(id: string, key: string): void {
    const home = this.#homes.get(key);
    if (home === id) return;
    if (home !== undefined) this.#members.get(home)?.queue.remove(key);
    this.#homes.set(key, id);
  }

  #member(id: string): Member {
    const known = this.#members.get(id);
    if (known !== undefined) return known;
    const queue = new WorkQueue(this.#options);
    const pool = new WorkerPool(queue, {
      urgentWorkers: URGENT_WORKERS,
      ...this.#options,
      handler: async (key, context) => {
        this.#busy.set(key, id);
        try {
          return await this.#options.handler(key, context);
        } finally {
          this.#busy.delete(key);
          this.#finishMove(key);
        }
      },
      stillMine: (key) => this.#homes.get(key) === id,
    });
    const member = { queue, pool };
    this.#members.set(id, member);
    this.#pools.add(pool);
    return member;
  }

  #finishMove(key: string): void {
    const lane = this.#moving.get(key);
    const home = this.#homes.get(key);
    this.#moving.delete(key);
    if (lane !== undefined && home !== undefined) this.add(home, key, lane);
  }
}
