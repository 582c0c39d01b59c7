import type { Clock } from "../time/clock.ts";
import { type Lane, lanes, type WorkItem, type Workload } from "./lanes.ts";
import { WorkerPool, type WorkerOptions, type WorkHandler } from "./workers.ts";

/** What some workers take alone, so that it waits for nothing else; a flood of changed objects does not hold up drift. */
const urgentLanes: readonly Lane[] = ["drift", "user"];

export interface WorkQueueOptions {
  readonly clock: Clock;
  /** First delay after a failure; doubles with each further one. Default 1 s. */
  readonly baseMs?: number;
  /** Longest delay after a failure. Default 5 min. */
  readonly maxMs?: number;
  /** 0 <= x < 1, for jitter. Default Math.random. */
  readonly random?: () => number;
  /**
   * Groups share a lane in turns, so that one group with thousands of keys does not hold the others. Default: what stands
   * before the first `/` (the namespace).
   */
  readonly groupOf?: (key: string) => string;
}

/** Numbers for metrics. */
export interface WorkQueueStats {
  /** Keys that are due and wait for a worker, by lane. */
  readonly depth: Readonly<Record<Lane, number>>;
  /** Keys that wait for their time. */
  readonly delayed: number;
  readonly inFlight: number;
  /** Age of the oldest due key, ms. */
  readonly oldestMs: number;
  /** Age of the oldest handler that still runs, ms. */
  readonly longestRunMs: number;
  /** Keys with at least one failure since they last succeeded. */
  readonly failing: number;
}

interface Due {
  lane: Lane;
  since: number;
}

interface Waiter {
  readonly urgentOnly: boolean;
  readonly take: (item: WorkItem | undefined) => void;
}

interface Delayed {
  readonly due: number;
  readonly lane: Lane;
  readonly cancel: () => void;
}

/** Every this many keys the longest waiting one goes first, whatever its lane: no lane starves. */
const fairnessTurn = 8;

/**
 * A queue of keys. A key waits at most once and is in at most one pair of hands: added while it is being worked on, it comes
 * back when it is done. `run` gives it workers; a `QueueSet` has one queue with its workers for each store.
 */
export class WorkQueue implements Workload {
  readonly #clock: Clock;
  readonly #baseMs: number;
  readonly #maxMs: number;
  readonly #random: () => number;
  readonly #groupOf: (key: string) => string;
  /** Due keys; their order lives in `#lanes`. */
  readonly #due = new Map<string, Due>();
  /** Lane -> group -> keys. The first group is next; it goes to the end after its turn. */
  readonly #lanes = new Map<Lane, Map<string, Set<string>>>(lanes.map((lane) => [lane, new Map()]));
  readonly #delayed = new Map<string, Delayed>();
  readonly #inFlight = new Map<string, number>();
  /** Keys that were added while in flight, with the most urgent lane asked for. */
  readonly #dirty = new Map<string, Lane>();
  readonly #failures = new Map<string, number>();
  readonly #waiters: Waiter[] = [];
  #pool: WorkerPool | undefined;
  #taken = 0;
  #closed = false;

  constructor(options: WorkQueueOptions) {
    this.#clock = options.clock;
    this.#baseMs = options.baseMs ?? 1000;
    this.#maxMs = options.maxMs ?? 300_000;
    this.#random = options.random ?? Math.random;
    this.#groupOf = options.groupOf ?? ((key) => key.slice(0, Math.max(0, key.indexOf("/"))));
  }

  /** Makes a key due now. A key that is due already moves up when `lane` is more urgent. */
  add(key: string, lane: Lane = "user"): void {
    if (this.#closed) return;
    if (this.#inFlight.has(key)) {
      this.#dirty.set(key, moreUrgent(this.#dirty.get(key), lane));
      return;
    }
    const due = this.#due.get(key);
    if (due === undefined) {
      this.#due.set(key, { lane, since: this.#clock.monotonic() });
      this.#enqueue(key, lane);
    } else if (moreUrgent(due.lane, lane) !== due.lane) {
      this.#dequeue(key, due.lane);
      due.lane = lane;
      this.#enqueue(key, lane);
    }
    this.#serve();
  }

  /** Makes a key due after `ms`. Of two delays of one key the earlier stays. */
  addAfter(key: string, ms: number, lane: Lane = "refresh"): void {
    if (this.#closed) return;
    if (!(ms > 0)) {
      this.add(key, lane);
      return;
    }
    const due = this.#clock.monotonic() + ms;
    const old = this.#delayed.get(key);
    if (old !== undefined && old.due <= due) return;
    old?.cancel();
    const cancel = this.#clock.setTimeout(
      () => {
        this.#delayed.delete(key);
        this.add(key, lane);
      },
      ms,
      { unref: true },
    );
    this.#delayed.set(key, { due, lane, cancel });
  }

  /**
   * Counts a failure and makes the key due after its backoff, at least after `atLeastMs`.
   * @returns the delay in ms
   */
  addRateLimited(key: string, atLeastMs = 0, lane: Lane = "retry"): number {
    const failures = this.#failures.get(key) ?? 0;
    this.#failures.set(key, failures + 1);
    const full = Math.min(this.#maxMs, this.#baseMs * 2 ** Math.min(failures, 40));
    // Between 75 and 100 %: keys that failed together do not come back together.
    const delay = Math.max(atLeastMs, Math.round(full * (0.75 + 0.25 * this.#random())));
    this.addAfter(key, delay, lane);
    return delay;
  }

  /** Failures since the last `forget`. */
  failures(key: string): number {
    return this.#failures.get(key) ?? 0;
  }

  /** The key succeeded: its failures are forgotten and a waiting retry is dropped. */
  forget(key: string): void {
    this.#failures.delete(key);
    const delayed = this.#delayed.get(key);
    if (delayed?.lane === "retry") this.cancelDelay(key);
  }

  /** Drops the waiting delay of a key, if there is one. */
  cancelDelay(key: string): void {
    this.#delayed.get(key)?.cancel();
    this.#delayed.delete(key);
  }

  /** Drops everything about a key. A handler that has it keeps it; the key does not come back by itself. */
  remove(key: string): void {
    this.cancelDelay(key);
    this.#failures.delete(key);
    this.#dirty.delete(key);
    const due = this.#due.get(key);
    if (due === undefined) return;
    this.#due.delete(key);
    this.#dequeue(key, due.lane);
  }

  /** True when the key is due, delayed or in flight. */
  has(key: string): boolean {
    return this.#due.has(key) || this.#delayed.has(key) || this.#inFlight.has(key);
  }

  /**
   * Takes the next due key, waiting for one. `undefined` once the queue is closed. Call `done` after it.
   * @param urgentOnly of the lanes `drift` and `user` alone; whoever takes from all lanes is served before
   */
  next({ urgentOnly = false } = {}): Promise<WorkItem | undefined> {
    return new Promise((take) => {
      if (this.#closed) {
        take(undefined);
        return;
      }
      this.#waiters.push({ urgentOnly, take });
      this.#serve();
    });
  }

  /** The work on a key ended, well or not. */
  done(key: string): void {
    this.#inFlight.delete(key);
    const lane = this.#dirty.get(key);
    this.#dirty.delete(key);
    if (lane !== undefined) this.add(key, lane);
  }

  /** Starts workers. Once for each queue. */
  run(workers: number, handler: WorkHandler, options: Pick<WorkerOptions, "itemTimeoutMs" | "onError"> = {}): void {
    if (this.#pool !== undefined) throw new Error("the queue has its workers already");
    this.#pool = new WorkerPool(this, { clock: this.#clock, workers, handler, ...options });
  }

  /** Closes the queue and waits for the workers that `run` started; see `WorkerPool.shutdown`. */
  async shutdown(graceMs = 0, limitMs = 30_000): Promise<boolean> {
    this.close();
    return this.#pool === undefined || (await this.#pool.shutdown(graceMs, limitMs));
  }

  /** Takes nothing more and sends waiting workers home. Work in flight goes on. */
  close(): void {
    this.#closed = true;
    for (const delayed of this.#delayed.values()) delayed.cancel();
    this.#delayed.clear();
    this.#due.clear();
    for (const groups of this.#lanes.values()) groups.clear();
    for (const waiter of this.#waiters.splice(0)) waiter.take(undefined);
  }

  /** True when nothing is due, delayed or in flight. */
  get empty(): boolean {
    return this.#due.size === 0 && this.#delayed.size === 0 && this.#inFlight.size === 0;
  }

  /** Number of due keys. */
  get depth(): number {
    return this.#due.size;
  }

  stats(): WorkQueueStats {
    const depth: Record<Lane, number> = { user: 0, drift: 0, change: 0, retry: 0, refresh: 0 };
    const now = this.#clock.monotonic();
    let oldest = now;
    for (const due of this.#due.values()) {
      depth[due.lane] += 1;
      oldest = Math.min(oldest, due.since);
    }
    let started = now;
    for (const since of this.#inFlight.values()) started = Math.min(started, since);
    return {
      depth,
      delayed: this.#delayed.size,
      inFlight: this.#inFlight.size,
      oldestMs: now - oldest,
      longestRunMs: now - started,
      failing: this.#failures.size,
    };
  }

  #enqueue(key: string, lane: Lane): void {
    const groups = this.#lanes.get(lane);
    const group = this.#groupOf(key);
    const keys = groups?.get(group);
    if (keys === undefined) groups?.set(group, new Set([key]));
    else keys.add(key);
  }

  #dequeue(key: string, lane: Lane): void {
    const groups = this.#lanes.get(lane);
    const group = this.#groupOf(key);
    const keys = groups?.get(group);
    keys?.delete(key);
    if (keys?.size === 0) groups?.delete(group);
  }

  #serve(): void {
    while (this.#waiters.length > 0) {
      // Those who take anything go first, so that the others stay free for what is urgent.
      const at = Math.max(
        0,
        this.#waiters.findIndex(({ urgentOnly }) => !urgentOnly),
      );
      const key = this.#waiters[at]?.urgentOnly === true ? this.#first(urgentLanes) : this.#pick();
      if (key === undefined) return;
      const due = this.#due.get(key);
      const [waiter] = this.#waiters.splice(at, 1);
      if (due === undefined || waiter === undefined) return;
      this.#due.delete(key);
      this.#dequeue(key, due.lane);
      const now = this.#clock.monotonic();
      this.#inFlight.set(key, now);
      waiter.take({ key, lane: due.lane, waitedMs: now - due.since });
    }
  }

  #pick(): string | undefined {
    if (this.#due.size === 0) return undefined;
    this.#taken += 1;
    if (this.#taken % fairnessTurn === 0) {
      // Keys keep the order in which they became due, so the first is the one that waits longest.
      for (const key of this.#due.keys()) return key;
    }
    return this.#first(lanes);
  }

  /** The next key of the most urgent of these lanes that has one. */
  #first(among: readonly Lane[]): string | undefined {
    for (const lane of among) {
      const groups = this.#lanes.get(lane);
      const first = groups?.entries().next().value;
      if (groups === undefined || first === undefined) continue;
      const [group, keys] = first;
      groups.delete(group);
      groups.set(group, keys);
      for (const key of keys) return key;
    }
    return undefined;
  }
}

function moreUrgent(a: Lane | undefined, b: Lane): Lane {
  return a !== undefined && lanes.indexOf(a) <= lanes.indexOf(b) ? a : b;
}
