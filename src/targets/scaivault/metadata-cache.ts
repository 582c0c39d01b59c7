import { SyncError } from "../../errors/index.ts";
import {
  type BatchOutcome,
  BATCH_SIZE,
  type RateLane,
  rateLanes,
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

type Joined = readonly (readonly [string, readonly Waiter[]])[];

interface Known {
  readonly outcome: Outcome;
  readonly atMs: number;
}

/** Longer than any call of ours lasts. */
const TOUCHED_MS = 60_000;

/**
 * Metadata of ScaiVault paths, asked for in batches: calls of one lane in the same turn of the event loop become one, and
 * what was learned a moment ago, or written by us, answers without a call. So one call with all paths of a poll serves the
 * reconciles that follow it, and nobody urgent waits behind them.
 */
export class MetadataCache {
  readonly #client: ScaiVaultClient;
  readonly #clock: Clock;
  readonly #freshForMs: number;
  readonly #known = new Map<string, Known>();
  readonly #waiting = new Map<RateLane, Map<string, Waiter[]>>(rateLanes.map((lane) => [lane, new Map()]));
  /** When, in turns, a write of ours last touched a path; answers that were asked for earlier are older than that. */
  readonly #touched = new Map<string, { readonly turn: number; readonly atMs: number }>();
  #turn = 0;
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
    const waiting = this.#waiting.get(lane) ?? new Map<string, Waiter[]>();
    if (waiting.size === 0) setImmediate(() => void this.#flush(lane, waiting));
    const answer = new Promise<Outcome>((resolve) => {
      waiting.set(path, [...(waiting.get(path) ?? []), { signal, resolve }]);
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

  async #flush(lane: RateLane, joined: Map<string, Waiter[]>): Promise<void> {
    const waiting = [...joined];
    joined.clear();
    // A joined call ends when nobody waits for it any more.
    const stop = new AbortController();
    const all = waiting.flatMap(([, waiters]) => waiters);
    const onAbort = (): void => {
      if (all.every((waiter) => waiter.signal.aborted)) stop.abort(all[0]?.signal.reason);
    };
    for (const { signal } of all) signal.addEventListener("abort", onAbort, { once: true });
    onAbort();
    // Each call's answers count, also when the next one fails; then the rest is not asked for.
    let failure: Error | undefined;
    for (let at = 0; at < waiting.length; at += BATCH_SIZE) {
      const some = waiting.slice(at, at + BATCH_SIZE);
      if (failure === undefined) failure = await this.#ask(some, lane, stop.signal);
      else this.#tell(some, failOf(failure), this.#turn);
    }
    for (const { signal } of all) signal.removeEventListener("abort", onAbort);
  }

  /** One call. @returns why it failed */
  async #ask(waiting: Joined, lane: RateLane, signal: AbortSignal): Promise<Error | undefined> {
    const asked = this.#turn;
    try {
      const outcomes = await this.#client.metadataBatch(
        waiting.map(([path]) => path),
        { signal, lane },
      );
      this.#tell(waiting, (path) => outcomes.get(path) ?? { state: "Failed", error: missing(path) }, asked);
      return undefined;
    } catch (error) {
      this.#tell(waiting, failOf(error as Error), asked);
      return error as Error;
    }
  }

  #tell(waiting: Joined, outcomeOf: (path: string) => Outcome, asked: number): void {
    for (const [path, waiters] of waiting) {
      const outcome = this.#take(path, outcomeOf(path), asked);
      for (const waiter of waiters) waiter.resolve(outcome);
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

function failOf(error: Error): () => Outcome {
  return () => ({ state: "Failed", error });
}

function missing(path: string): SyncError {
  return new SyncError("ScaiVaultUnavailable", `nothing was learned of ${path}`);
}
