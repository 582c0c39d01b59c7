import { SyncError } from "../errors/index.ts";
import type { Clock } from "../time/clock.ts";
import { Bucket, type RateLane, rateLanes } from "./bucket.ts";
import { MAX_RETRY_AFTER_MS } from "./errors.ts";
import type { Permit, RateCategory, Reservation } from "./types.ts";

/** ScaiVault's documented defaults, calls a minute. A bucket holds one minute's worth. */
export const defaultLimits: Readonly<Record<RateCategory, number>> = {
  read: 1000,
  write: 100,
  delete: 100,
  list: 100,
  batchRead: 100,
  batchMetadata: 100,
  audit: 50,
  policy: 50,
  federation: 20,
  subscription: 20,
  subscriptionPoll: 240,
  whoami: 300,
};

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
  /** The same for the lane `verification`, in which no worker waits. Default 120,000. */
  readonly patienceMs?: number;
}

/** A turn that came and was not taken goes back after this time. */
const UNCLAIMED_MS = 30_000;

interface Parked {
  readonly lane: RateLane;
  readonly turn: Promise<void>;
  readonly granted: () => void;
  /** Takes it out of the bucket's line, or gives the call back that it had got already. */
  leave: () => void;
  permit: Permit | undefined;
}

/**
 * One token bucket per category, shared by all calls of the process. Answers' headers only ever lower it. A caller waits
 * a moment at most; when the bucket is further behind, it is sent away with the time to come back, so that no worker
 * sleeps and so that those sent away do not all come back at once.
 *
 * Who has to do something costly before a call, such as to read a value, asks for its turn first ({@link reserve}).
 */
export class RateBudget {
  readonly #clock: Clock;
  readonly #maxWaitMs: number;
  readonly #patienceMs: number;
  readonly #buckets = new Map<RateCategory, Bucket>();
  /** When the calls that were sent away with a `retryAfterMs` will all have come back, by category and lane. */
  readonly #promisedMs = new Map<string, number>();
  readonly #parked = new Map<string, Parked>();

  constructor(options: RateBudgetOptions) {
    this.#clock = options.clock;
    this.#maxWaitMs = options.maxWaitMs ?? 2000;
    this.#patienceMs = options.patienceMs ?? 120_000;
    const share = Math.min(Math.max(options.share ?? 1, 0.01), 1);
    for (const category of Object.keys(defaultLimits) as RateCategory[]) {
      const limit = Math.max(1, options.limits?.[category] ?? defaultLimits[category]);
      this.#buckets.set(category, new Bucket(this.#clock, limit, share));
    }
  }

  /**
   * Takes `cost` calls out of the category's bucket, waiting at most `maxWaitMs`.
   * @throws SyncError RateLimited with `retryAfterMs`; the signal's reason when it aborts
   */
  async acquire(category: RateCategory, cost: number, lane: RateLane, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const bucket = this.#bucket(category);
    if (bucket.take(cost, lane)) return;
    const waitMs = bucket.waitMs(cost, lane);
    const most = lane === "verification" ? this.#patienceMs : this.#maxWaitMs;
    if (waitMs > most) throw this.#sendAway(bucket, category, { cost, lane, waitMs });
    await new Promise<void>((resolve, reject) => {
      const onAbort = (): void => {
        leave();
        reject(signal.reason as Error);
      };
      const grant = (): void => {
        signal.removeEventListener("abort", onAbort);
        resolve();
      };
      signal.addEventListener("abort", onAbort, { once: true });
      const leave = bucket.wait({ lane, cost, parked: false, grant });
    });
  }

  /**
   * One call of the category, now or at its turn, without waiting. Who has to wait has one place in the line, however often
   * it asks; asked again in a more urgent lane it moves there. Call it again once `turn` has resolved.
   * @param key names who asks
   */
  reserve(category: RateCategory, lane: RateLane, key: string): Reservation {
    const name = `${category}\n${key}`;
    const parked = this.#parked.get(name);
    if (parked?.permit !== undefined) {
      this.#parked.delete(name);
      return { granted: true, permit: parked.permit };
    }
    if (parked !== undefined && rateLanes.indexOf(parked.lane) <= rateLanes.indexOf(lane))
      return { granted: false, turn: parked.turn };
    const bucket = this.#bucket(category);
    if (bucket.take(1, lane)) {
      parked?.leave();
      parked?.granted();
      this.#parked.delete(name);
      return { granted: true, permit: new CallPermit(bucket) };
    }
    return { granted: false, turn: this.#park(bucket, name, lane, parked) };
  }

  #park(bucket: Bucket, name: string, lane: RateLane, before: Parked | undefined): Promise<void> {
    before?.leave();
    const { promise, resolve } = Promise.withResolvers<void>();
    const one: Parked = {
      lane,
      turn: before?.turn ?? promise,
      granted: before?.granted ?? resolve,
      leave: () => undefined,
      permit: undefined,
    };
    const grant = (): void => {
      one.permit = new CallPermit(bucket);
      this.#clock.setTimeout(() => this.#unclaimed(name, one), UNCLAIMED_MS, { unref: true });
      one.granted();
    };
    this.#parked.set(name, one);
    one.leave = bucket.wait({ lane, cost: 1, parked: true, grant });
    return one.turn;
  }

  #unclaimed(name: string, one: Parked): void {
    if (this.#parked.get(name) !== one) return;
    this.#parked.delete(name);
    one.permit?.release();
  }

  /** Reads an answer's rate headers; nonsense is ignored, and nothing in them can raise the budget. */
  observe(category: RateCategory, headers: RateHeaders): void {
    this.#bucket(category).observe(count(headers.limit), count(headers.remaining));
  }

  /** The server answered 429: half the rate, and nothing before `retryAfterMs` (at most 15 minutes) has passed. */
  limited(category: RateCategory, retryAfterMs: number): void {
    this.#bucket(category).limited(retryAfterMs);
  }

  /** Calls that could be made at once now, for metrics. */
  available(category: RateCategory): number {
    return Math.max(0, Math.floor(this.#bucket(category).tokens + 0.001));
  }

  /** Calls a minute that the category has at the moment: its limit, less the share of others and what 429s took. */
  perMinute(category: RateCategory): number {
    return this.#bucket(category).capacity;
  }

  #bucket(category: RateCategory): Bucket {
    const bucket = this.#buckets.get(category);
    if (bucket === undefined) throw new RangeError(`no rate category ${category}`);
    return bucket;
  }

  #sendAway(
    bucket: Bucket,
    category: RateCategory,
    { cost, lane, waitMs }: { readonly cost: number; readonly lane: RateLane; readonly waitMs: number },
  ): SyncError {
    const now = this.#clock.monotonic();
    const before = rateLanes.slice(0, rateLanes.indexOf(lane) + 1);
    const promised = Math.max(0, ...before.map((one) => this.#promisedMs.get(`${category} ${one}`) ?? 0));
    const back = Math.max(now + waitMs, promised + cost / bucket.perMs);
    const retryAfterMs = Math.min(Math.ceil(back - now), MAX_RETRY_AFTER_MS);
    this.#promisedMs.set(`${category} ${lane}`, now + retryAfterMs);
    return new SyncError("RateLimited", "ScaiVault asks to slow down", {
      retryAfterMs,
      code: `budget_${category.toLowerCase()}`,
    });
  }
}

/** One call that was taken out of a bucket and is not made yet. */
class CallPermit implements Permit {
  readonly #bucket: Bucket;
  #open = true;

  constructor(bucket: Bucket) {
    this.#bucket = bucket;
  }

  use(): boolean {
    if (!this.#open || this.#bucket.blocked) return false;
    this.#open = false;
    return true;
  }

  release(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#bucket.giveBack(1);
  }
}

/** A whole number of calls out of a header, undefined when it is none. */
function count(header: string | undefined): number | undefined {
  if (header === undefined || !/^\d{1,9}$/.test(header.trim())) return undefined;
  return Number(header);
}
