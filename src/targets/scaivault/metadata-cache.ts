import { SyncError } from "../../errors/index.ts";
import {
  type BatchOutcome,
  type RateLane,
  type ScaiVaultClient,
  type SecretInfo,
  untilAborted,
} from "../../scaivault/index.ts";
import type { Clock } from "../../time/clock.ts";

type Outcome = BatchOutcome<SecretInfo>;

interface Waiter {
  readonly signal: AbortSignal;
  readonly resolve: (outcome: Outcome) => void;
}

interface Known {
  readonly outcome: Outcome;
  readonly atMs: number;
}

/** Longer than any call of ours lasts. */
const TOUCHED_MS = 60_000;
const lanes: readonly RateLane[] = ["user", "rotated", "new", "verification"];

/**
 * Metadata of ScaiVault paths, asked for in batches: calls of the same turn of the event loop become one, and what was
 * learned a moment ago, or written by us, answers without a call. So one call with all paths of a poll serves the
 * reconciles that follow it.
 */
export class MetadataCache {
  readonly #client: ScaiVaultClient;
  readonly #clock: Clock;
  readonly #freshForMs: number;
  readonly #known = new Map<string, Known>();
  readonly #waiting = new Map<string, Waiter[]>();
  /** When, in turns, a write of ours last touched a path; answers that were asked for earlier are older than that. */
  readonly #touched = new Map<string, { readonly turn: number; readonly atMs: number }>();
  #turn = 0;
  #lane: RateLane = "verification";
  #sweptMs = 0;

  constructor(client: ScaiVaultClient, clock: Clock, freshForMs: number) {
    this.#client = client;
    this.#clock = clock;
    this.#freshForMs = freshForMs;
  }

  /** What was learned within the last `freshForMs`, else asked now. Failures come as outcomes, aborts are thrown. */
  async recent(path: string, lane: RateLane, signal: AbortSignal): Promise<Outcome> {
    const known = this.#known.get(path);
    if (known !== undefined && this.#clock.monotonic() - known.atMs < this.#freshForMs) return known.outcome;
    return this.now(path, lane, signal);
  }

  /** Asked now, together with whoever else asks in this turn. */
  now(path: string, lane: RateLane, signal: AbortSignal): Promise<Outcome> {
    if (signal.aborted) return Promise.reject(signal.reason as Error);
    // The most urgent caller sets the lane of the joined call.
    if (lanes.indexOf(lane) < lanes.indexOf(this.#lane)) this.#lane = lane;
    if (this.#waiting.size === 0) setImmediate(() => void this.#flush());
    const answer = new Promise<Outcome>((resolve) => {
      this.#waiting.set(path, [...(this.#waiting.get(path) ?? []), { signal, resolve }]);
    });
    return untilAborted(answer, signal);
  }

  /** Takes over what a write of ours made. */
  learn(path: string, outcome: Outcome): void {
    this.#touch(path);
    this.#keep(path, outcome);
  }

  /** A write of ours is about to change it. */
  forget(path: string): void {
    this.#touch(path);
    this.#known.delete(path);
  }

  #touch(path: string): void {
    this.#touched.set(path, { turn: ++this.#turn, atMs: this.#clock.monotonic() });
  }

  #keep(path: string, outcome: Outcome): void {
    this.#sweep();
    this.#known.set(path, { outcome, atMs: this.#clock.monotonic() });
  }

  /** What an answer says, unless a write of ours went past it. */
  #take(path: string, outcome: Outcome, asked: number): Outcome {
    if ((this.#touched.get(path)?.turn ?? 0) > asked) return this.#known.get(path)?.outcome ?? outcome;
    if (outcome.state === "Failed") this.#known.delete(path);
    else this.#keep(path, outcome);
    return outcome;
  }

  async #flush(): Promise<void> {
    const waiting = new Map(this.#waiting);
    const lane = this.#lane;
    const asked = this.#turn;
    this.#waiting.clear();
    this.#lane = "verification";
    // A joined call ends when nobody waits for it any more.
    const stop = new AbortController();
    const all = [...waiting.values()].flat();
    const onAbort = (): void => {
      if (all.every((waiter) => waiter.signal.aborted)) stop.abort(all[0]?.signal.reason);
    };
    for (const { signal } of all) signal.addEventListener("abort", onAbort, { once: true });
    try {
      onAbort();
      const outcomes = await this.#client.metadataBatch([...waiting.keys()], { signal: stop.signal, lane });
      for (const [path, waiters] of waiting) {
        const outcome = this.#take(path, outcomes.get(path) ?? { state: "Failed", error: missing(path) }, asked);
        for (const waiter of waiters) waiter.resolve(outcome);
      }
    } catch (error) {
      for (const [path, waiters] of waiting) {
        this.#known.delete(path);
        for (const waiter of waiters) waiter.resolve({ state: "Failed", error: error as Error });
      }
    } finally {
      for (const { signal } of all) signal.removeEventListener("abort", onAbort);
    }
  }

  /** Drops what is too old to be used, so that memory follows what is really synced. */
  #sweep(): void {
    const now = this.#clock.monotonic();
    if (now - this.#sweptMs < this.#freshForMs) return;
    this.#sweptMs = now;
    for (const [path, known] of this.#known) if (now - known.atMs >= this.#freshForMs) this.#known.delete(path);
    for (const [path, { atMs }] of this.#touched) if (now - atMs >= TOUCHED_MS) this.#touched.delete(path);
  }
}

function missing(path: string): SyncError {
  return new SyncError("ScaiVaultUnavailable", `nothing was learned of ${path}`);
}
