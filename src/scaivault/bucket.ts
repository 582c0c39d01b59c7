import type { Clock } from "../time/clock.ts";
import { MAX_RETRY_AFTER_MS } from "./errors.ts";

/** Who goes first when the budget is short: a person's change, a rotated value, a first copy, a check. */
export type RateLane = "user" | "rotated" | "new" | "verification";

/** All lanes, the first ones first. */
export const rateLanes: readonly RateLane[] = ["user", "rotated", "new", "verification"];

/** The part of a bucket that a lane leaves to those before it, so that a bulk copy never blocks a person. */
const keepFree: Readonly<Record<RateLane, number>> = { user: 0, rotated: 0.05, new: 0.15, verification: 0.25 };
/** Lanes of bulk work: those that wait without a worker go in groups, so that what they look up is asked for together. */
const bulk: ReadonlySet<RateLane> = new Set(["new", "verification"]);
const GROUP_PART = 0.1;
const MAX_GROUP = 10;
/** Least part of the budget that 429s leave. */
const MIN_FACTOR = 1 / 16;
/** What a minute without a 429 gives back, as a part of the whole. Adding slowly lets several operators find fair shares. */
const RECOVERY = 0.1;
const RECOVERY_MS = 60_000;
/** A thousandth of a call is rounding, not debt. */
const ROUNDING = 0.001;

/** Somebody whose calls are not there yet. */
export interface Waiter {
  readonly lane: RateLane;
  readonly cost: number;
  /** Waits without a worker, and comes back when it is told to. */
  readonly parked: boolean;
  readonly grant: () => void;
}

/** One category's calls: a token bucket that holds a minute's worth, and those who wait for it. */
export class Bucket {
  readonly #clock: Clock;
  readonly #declared: number;
  readonly #share: number;
  /** What the server's headers say, never above what is declared. */
  #limit: number;
  #tokens: number;
  #atMs: number;
  /** Halved by a 429; a tenth of the whole comes back with each quiet minute. */
  #factor = 1;
  #factorAtMs: number;
  #blockedUntilMs = 0;
  readonly #waiting = new Map<RateLane, Waiter[]>(rateLanes.map((lane) => [lane, []]));
  /** Calls that each lane waits for. */
  readonly #wanted = new Map<RateLane, number>();
  #cancelTimer: (() => void) | undefined;

  constructor(clock: Clock, limit: number, share: number) {
    this.#clock = clock;
    this.#declared = limit;
    this.#limit = limit;
    this.#share = share;
    this.#atMs = clock.monotonic();
    this.#factorAtMs = this.#atMs;
    this.#tokens = this.capacity;
  }

  get capacity(): number {
    return Math.max(1, this.#limit * this.#share * this.#factor);
  }

  get perMs(): number {
    return this.capacity / 60_000;
  }

  /** Calls that are there now; below zero after a call that cost more than there were. */
  get tokens(): number {
    this.#refill();
    return this.#tokens;
  }

  /** Whether the server asked to send nothing at the moment. */
  get blocked(): boolean {
    return this.#clock.monotonic() < this.#blockedUntilMs;
  }

  /** Takes the calls if they are there and nobody of the lane or before it waits. */
  take(cost: number, lane: RateLane): boolean {
    this.#refill();
    if (this.blocked || this.#waitsBefore(lane) > 0) return false;
    if (this.#tokens + ROUNDING < this.#needed(cost, lane)) return false;
    this.#tokens -= cost;
    return true;
  }

  /** Calls that were taken and not made. */
  giveBack(cost: number): void {
    this.#refill();
    this.#tokens = Math.min(this.capacity, this.#tokens + cost);
    this.#arm();
  }

  /** Milliseconds until a caller of this lane has its calls, given those that wait before it. */
  waitMs(cost: number, lane: RateLane): number {
    this.#refill();
    const missing = this.#needed(cost, lane) + this.#waitsBefore(lane) - this.#tokens;
    const refillMs = missing <= ROUNDING ? 0 : missing / this.perMs;
    return Math.ceil(Math.max(refillMs, this.#blockedUntilMs - this.#clock.monotonic(), 0));
  }

  /** @returns takes the waiter out again */
  wait(waiter: Waiter): () => void {
    this.#waiting.get(waiter.lane)?.push(waiter);
    this.#count(waiter, 1);
    this.#arm();
    return () => {
      const lane = this.#waiting.get(waiter.lane);
      const at = lane?.indexOf(waiter) ?? -1;
      if (at < 0) return;
      lane?.splice(at, 1);
      this.#count(waiter, -1);
    };
  }

  /** Takes over what an answer's headers say; nothing in them raises the budget. */
  observe(limit: number | undefined, remaining: number | undefined): void {
    this.#refill();
    if (limit !== undefined) this.#limit = Math.min(this.#declared, Math.max(1, limit));
    // The header is cut to whole calls.
    if (remaining !== undefined) this.#tokens = Math.min(this.#tokens, remaining + 1 - ROUNDING * 2);
    this.#tokens = Math.min(this.#tokens, this.capacity);
  }

  /** The server answered 429: half the rate, once for all calls that were under way, and nothing before the time is over. */
  limited(retryAfterMs: number): void {
    this.#refill();
    const now = this.#clock.monotonic();
    if (!this.blocked) this.#factor = Math.max(this.#factor / 2, MIN_FACTOR);
    this.#factorAtMs = now;
    this.#tokens = Math.min(this.#tokens, 0);
    const pause = retryAfterMs > 0 ? Math.min(retryAfterMs, MAX_RETRY_AFTER_MS) : 0;
    this.#blockedUntilMs = Math.max(this.#blockedUntilMs, now + pause);
    this.#arm();
  }

  #refill(): void {
    const now = this.#clock.monotonic();
    const minutes = this.#factor < 1 ? Math.floor((now - this.#factorAtMs) / RECOVERY_MS) : 0;
    if (minutes > 0) {
      this.#factor = Math.min(1, this.#factor + minutes * RECOVERY);
      this.#factorAtMs += minutes * RECOVERY_MS;
    }
    const passed = Math.max(0, now - this.#atMs);
    this.#atMs = now;
    this.#tokens = Math.min(this.capacity, this.#tokens + passed * this.perMs);
  }

  /** Calls that those of the lane and of the lanes before it wait for. */
  #waitsBefore(lane: RateLane): number {
    const lanes = rateLanes.slice(0, rateLanes.indexOf(lane) + 1);
    return lanes.reduce((sum, one) => sum + (this.#wanted.get(one) ?? 0), 0);
  }

  #count({ lane, cost }: Waiter, sign: 1 | -1): void {
    this.#wanted.set(lane, (this.#wanted.get(lane) ?? 0) + sign * cost);
  }

  /** Tokens that must be there before a call of this lane goes: its cost and what the lane keeps free, if the bucket is large enough for that. */
  #needed(cost: number, lane: RateLane): number {
    return Math.min(cost + this.capacity * keepFree[lane], this.capacity);
  }

  #first(): Waiter | undefined {
    for (const lane of rateLanes) {
      const [first] = this.#waiting.get(lane) ?? [];
      if (first !== undefined) return first;
    }
    return undefined;
  }

  /** What must be there before the first one goes: for bulk work as much as a group of them needs. */
  #neededFor(first: Waiter): number {
    const alone = this.#needed(first.cost, first.lane);
    if (!first.parked || !bulk.has(first.lane)) return alone;
    const group = Math.min(
      MAX_GROUP,
      Math.max(1, Math.floor(this.capacity * GROUP_PART)),
      this.#waiting.get(first.lane)?.length ?? 1,
    );
    return Math.min(alone + group - 1, this.capacity);
  }

  #arm(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    const first = this.#first();
    if (first === undefined) return;
    this.#refill();
    const missing = this.#neededFor(first) - this.#tokens;
    const waitMs = Math.max(
      missing <= ROUNDING ? 0 : Math.ceil(missing / this.perMs),
      this.#blockedUntilMs - this.#clock.monotonic(),
      0,
    );
    this.#cancelTimer = this.#clock.setTimeout(() => this.#serve(), waitMs, { unref: true });
  }

  #serve(): void {
    this.#refill();
    const first = this.#first();
    if (!this.blocked && first !== undefined && this.#tokens + ROUNDING >= this.#neededFor(first)) {
      for (let next = this.#first(); next !== undefined; next = this.#first()) {
        if (this.#tokens + ROUNDING < this.#needed(next.cost, next.lane)) break;
        this.#tokens -= next.cost;
        this.#waiting.get(next.lane)?.shift();
        this.#count(next, -1);
        next.grant();
      }
    }
    this.#arm();
  }
}
