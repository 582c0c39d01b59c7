import type { Clock } from "../../src/time/clock.ts";
import { UNCOUNTED_CATEGORY } from "../assumptions.ts";

/** Requests per minute of each category, as the managed service has them. [advanced/rate-limiting] */
export const defaultLimits = {
  read: 1000,
  write: 100,
  delete: 100,
  list: 100,
  batch_read: 100,
  batch_metadata: 100,
  audit: 50,
  policy: 50,
  webhook: 20,
  subscription: 20,
  subscription_poll: 240,
  federation: 20,
  auth: 300,
  system: UNCOUNTED_CATEGORY.perMinute,
} as const satisfies Readonly<Record<string, number>>;

/** A rate category; `system` is never counted. */
export type Category = keyof typeof defaultLimits;

/** State of one bucket after a request. */
export interface RateState {
  readonly allowed: boolean;
  readonly limit: number;
  readonly remaining: number;
  /** Unix seconds. */
  readonly reset: number;
  /** Whole seconds until the request would be allowed; 0 when it is. */
  readonly retryAfterSeconds: number;
}

interface Bucket {
  tokens: number;
  filledAt: number;
}

/** What stands in the headers of an unlimited category. */
const unlimited = 1_000_000_000;

/** Token buckets by identity and category, with continuous refill and bursts up to the bucket's size. */
export class RateLimiter {
  readonly #clock: Clock;
  readonly #limits = new Map<Category, number>();
  readonly #buckets = new Map<string, Bucket>();

  constructor(clock: Clock, limits: Partial<Record<Category, number>>) {
    this.#clock = clock;
    for (const [category, perMinute] of Object.entries({ ...defaultLimits, ...limits }))
      this.#limits.set(category as Category, perMinute);
  }

  /** Sets requests per minute; `Infinity` lifts the limit. Buckets of the category start full again. */
  setLimit(category: Category, perMinute: number): void {
    this.#limits.set(category, perMinute);
    for (const key of this.#buckets.keys()) if (key.endsWith(`\n${category}`)) this.#buckets.delete(key);
  }

  /** Fills all buckets. */
  refill(): void {
    this.#buckets.clear();
  }

  /**
   * Takes `count` tokens when they are there. More than a bucket holds is taken from a full bucket, which then owes.
   * Without an identity nothing is counted.
   */
  take(identity: string | undefined, category: Category, count = 1): RateState {
    const limit = this.#limits.get(category) ?? defaultLimits[category];
    const now = this.#clock.now();
    const nowSeconds = Math.ceil(now / 1000);
    if (identity === undefined || category === "system" || !Number.isFinite(limit)) {
      const shown = Number.isFinite(limit) ? limit : unlimited;
      return { allowed: true, limit: shown, remaining: shown, reset: nowSeconds, retryAfterSeconds: 0 };
    }
    const key = `${identity}\n${category}`;
    const perMs = limit / 60_000;
    const bucket = this.#buckets.get(key) ?? { tokens: limit, filledAt: now };
    bucket.tokens = Math.min(limit, bucket.tokens + Math.max(0, now - bucket.filledAt) * perMs);
    bucket.filledAt = now;
    this.#buckets.set(key, bucket);
    const needed = Math.min(count, limit);
    // Refill in fractions must not leave a client one rounding error short of the token it was told to wait for.
    const allowed = limit > 0 && bucket.tokens + 1e-9 >= needed;
    if (allowed) bucket.tokens -= count;
    const missingMs = allowed ? 0 : limit > 0 ? (needed - bucket.tokens) / perMs : 60_000;
    return {
      allowed,
      limit,
      remaining: Math.max(0, Math.floor(bucket.tokens + 1e-9)),
      reset: limit > 0 ? Math.ceil((now + (limit - bucket.tokens) / perMs) / 1000) : nowSeconds + 60,
      retryAfterSeconds: allowed ? 0 : Math.max(1, Math.ceil(missingMs / 1000)),
    };
  }
}
