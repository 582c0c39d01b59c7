import { SyncError } from "../errors/index.ts";
import type { Clock } from "../time/clock.ts";
import { MAX_RETRY_AFTER_MS } from "./errors.ts";

/** Endpoint categories of ScaiVault's rate limits that the operator uses (advanced/rate-limiting). */
export type RateCategory = "read" | "write" | "delete" | "list" | "batchRead" | "batchMetadata" | "whoami";

/** Who goes first when the budget is short: a person's change, a rotated value, a first copy, a check. */
export type RateLane = "user" | "rotated" | "new" | "verification";

/** ScaiVault's documented defaults, calls a minute. A bucket holds one minute's worth. */
export const defaultLimits: Readonly<Record<RateCategory, number>> = {
  read: 1000,
  write: 100,
  delete: 100,
  list: 100,
  batchRead: 100,
  batchMetadata: 100,
  whoami: 300,
};

const laneOrder: readonly RateLane[] = ["user", "rotated", "new", "verification"];
/** The part of a bucket that a lane leaves to those before it, so that a bulk copy never blocks a person. */
const keepFree: Readonly<Record<RateLane, number>> = { user: 0, rotated: 0.05, new: 0.15, verification: 0.25 };

/** The three rate headers of an answer, unread. */
export interface RateHeaders {
  readonly limit: string | undefined;
  readonly remaining: string | undefined;
}

export interface RateBudgetOptions {
  readonly clock: Clock;
  /** Calls a minute where the tenant's limits differ from the documented ones. */
  readonly limits?: Partial<Readonly<Record<RateCategory, number>>>;
  /** Part of the limits that this process may use, above 0 up to 1 (several operators share one identity). Default 1. */
  readonly share?: number;
  /** Longest wait inside {@link RateBudget.acquire}, in milliseconds; a longer one is an error with `retryAfterMs`. Default 2,000. */
  readonly maxWaitMs?: number;
}

interface Waiter {
  readonly lane: number;
  readonly cost: number;
  readonly grant: () => void;
}

interface Bucket {
  readonly declared: number;
  /** What the server's headers say, never above `declared`. */
  limit: number;
  tokens: number;
  atMs: number;
  /** Halved by each 429, doubled by each quiet minute. */
  factor: number;
  factorAtMs: number;
  blockedUntilMs: number;
  /** When the calls that were sent away with a `retryAfterMs` will all have come back, by lane. */
  readonly promisedMs: number[];
  readonly waiting: Waiter[];
  cancelTimer: (() => void) | undefined;
}

/**
 * One token bucket per category, shared by all calls of the process. Answers' headers only ever lower it. A caller waits
 * a moment at most; when the bucket is further behind, it is sent away with the time to come back, so that no worker
 * sleeps and so that those sent away do not all come back at once.
 */
export class RateBudget {
  readonly #clock: Clock;
  readonly #share: number;
  readonly #maxWaitMs: number;
  readonly #buckets = new Map<RateCategory, Bucket>();

  constructor(options: RateBudgetOptions) {
    this.#clock = options.clock;
    this.#share = Math.min(Math.max(options.share ?? 1, 0.01), 1);
    this.#maxWaitMs = options.maxWaitMs ?? 2000;
    for (const category of Object.keys(defaultLimits) as RateCategory[]) {
      const limit = Math.max(1, options.limits?.[category] ?? defaultLimits[category]);
      this.#buckets.set(category, {
        declared: limit,
        limit,
        tokens: Math.max(1, limit * this.#share),
        atMs: this.#clock.monotonic(),
        factor: 1,
        factorAtMs: this.#clock.monotonic(),
        blockedUntilMs: 0,
        promisedMs: laneOrder.map(() => 0),
        waiting: [],
        cancelTimer: undefined,
      });
    }
  }

  /**
   * Takes `cost` calls out of the category's bucket, waiting at most `maxWaitMs`.
   * @throws SyncError RateLimited with `retryAfterMs`; the signal's reason when it aborts
   */
  async acquire(category: RateCategory, cost: number, lane: RateLane, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const bucket = this.#bucket(category);
    const order = laneOrder.indexOf(lane);
    this.#refill(bucket);
    const waitMs = this.#waitFor(bucket, cost, order);
    if (waitMs === 0 && !bucket.waiting.some((waiter) => waiter.lane <= order)) {
      bucket.tokens -= cost;
      return;
    }
    if (waitMs > this.#maxWaitMs) throw this.#sendAway(bucket, category, cost, order, waitMs);
    await this.#wait(bucket, cost, order, signal);
  }

  /** Reads an answer's rate headers; nonsense is ignored, and nothing in them can raise the budget. */
  observe(category: RateCategory, headers: RateHeaders): void {
    const bucket = this.#bucket(category);
    this.#refill(bucket);
    const limit = count(headers.limit);
    if (limit !== undefined) bucket.limit = Math.min(bucket.declared, Math.max(1, limit));
    const remaining = count(headers.remaining);
    if (remaining !== undefined) bucket.tokens = Math.min(bucket.tokens, remaining);
    bucket.tokens = Math.min(bucket.tokens, this.#capacity(bucket));
  }

  /** The server answered 429: half the rate, and nothing before `retryAfterMs` has passed. */
  limited(category: RateCategory, retryAfterMs: number): void {
    const bucket = this.#bucket(category);
    this.#refill(bucket);
    const now = this.#clock.monotonic();
    bucket.factor = Math.max(bucket.factor / 2, 1 / 16);
    bucket.factorAtMs = now;
    bucket.tokens = Math.min(bucket.tokens, 0);
    bucket.blockedUntilMs = Math.max(
      bucket.blockedUntilMs,
      now + Math.min(Math.max(retryAfterMs, 0), MAX_RETRY_AFTER_MS),
    );
  }

  /** Calls that could be made at once now, for metrics. */
  available(category: RateCategory): number {
    const bucket = this.#bucket(category);
    this.#refill(bucket);
    return Math.max(0, Math.floor(bucket.tokens));
  }

  #bucket(category: RateCategory): Bucket {
    const bucket = this.#buckets.get(category);
    if (bucket === undefined) throw new RangeError(`no rate category ${category}`);
    return bucket;
  }

  #capacity(bucket: Bucket): number {
    return Math.max(1, bucket.limit * this.#share * bucket.factor);
  }

  #perMs(bucket: Bucket): number {
    return this.#capacity(bucket) / 60_000;
  }

  #refill(bucket: Bucket): void {
    const now = this.#clock.monotonic();
    if (bucket.factor < 1 && now - bucket.factorAtMs >= 60_000) {
      bucket.factor = Math.min(1, bucket.factor * 2);
      bucket.factorAtMs = now;
    }
    const passed = Math.max(0, now - bucket.atMs);
    bucket.atMs = now;
    bucket.tokens = Math.min(this.#capacity(bucket), bucket.tokens + passed * this.#perMs(bucket));
  }

  /** Milliseconds until a caller of this lane has its calls, given those that wait before it. */
  #waitFor(bucket: Bucket, cost: number, order: number): number {
    const before = bucket.waiting.reduce((sum, waiter) => (waiter.lane <= order ? sum + waiter.cost : sum), 0);
    const missing = this.#needed(bucket, cost, order) + before - bucket.tokens;
    const refillMs = missing <= 0 ? 0 : missing / this.#perMs(bucket);
    return Math.ceil(Math.max(refillMs, bucket.blockedUntilMs - this.#clock.monotonic(), 0));
  }

  /** Tokens that must be there before a call of this lane goes: its cost and what the lane keeps free, if the bucket is large enough for that. */
  #needed(bucket: Bucket, cost: number, order: number): number {
    const capacity = this.#capacity(bucket);
    const free = capacity * keepFree[laneOrder[order] ?? "verification"];
    return Math.min(cost + free, capacity);
  }

  #sendAway(bucket: Bucket, category: RateCategory, cost: number, order: number, waitMs: number): SyncError {
    const now = this.#clock.monotonic();
    const promised = bucket.promisedMs.slice(0, order + 1).reduce((latest, at) => Math.max(latest, at), 0);
    const back = Math.max(now + waitMs, promised + cost / this.#perMs(bucket));
    const retryAfterMs = Math.min(Math.ceil(back - now), MAX_RETRY_AFTER_MS);
    bucket.promisedMs[order] = now + retryAfterMs;
    return new SyncError("RateLimited", "ScaiVault asks to slow down", {
      retryAfterMs,
      code: `budget_${category.toLowerCase()}`,
    });
  }

  #wait(bucket: Bucket, cost: number, order: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const onAbort = (): void => {
        const at = bucket.waiting.indexOf(waiter);
        if (at >= 0) bucket.waiting.splice(at, 1);
        reject(signal.reason as Error);
      };
      const waiter: Waiter = {
        lane: order,
        cost,
        grant: () => {
          signal.removeEventListener("abort", onAbort);
          resolve();
        },
      };
      signal.addEventListener("abort", onAbort, { once: true });
      const behind = bucket.waiting.findIndex((other) => other.lane > order);
      bucket.waiting.splice(behind < 0 ? bucket.waiting.length : behind, 0, waiter);
      this.#arm(bucket);
    });
  }

  #arm(bucket: Bucket): void {
    bucket.cancelTimer?.();
    bucket.cancelTimer = undefined;
    const first = bucket.waiting[0];
    if (first === undefined) return;
    const missing = this.#needed(bucket, first.cost, first.lane) - bucket.tokens;
    const waitMs = Math.max(
      missing <= 0 ? 0 : Math.ceil(missing / this.#perMs(bucket)),
      bucket.blockedUntilMs - this.#clock.monotonic(),
      0,
    );
    bucket.cancelTimer = this.#clock.setTimeout(() => this.#serve(bucket), waitMs, { unref: true });
  }

  #serve(bucket: Bucket): void {
    this.#refill(bucket);
    if (this.#clock.monotonic() >= bucket.blockedUntilMs) {
      for (let first = bucket.waiting[0]; first !== undefined; first = bucket.waiting[0]) {
        // A thousandth of a call is rounding, not debt.
        if (bucket.tokens + 0.001 < this.#needed(bucket, first.cost, first.lane)) break;
        bucket.tokens -= first.cost;
        bucket.waiting.shift();
        first.grant();
      }
    }
    this.#arm(bucket);
  }
}

/** A whole number of calls out of a header, undefined when it is none. */
function count(header: string | undefined): number | undefined {
  if (header === undefined || !/^\d{1,9}$/.test(header.trim())) return undefined;
  return Number(header);
}
