import { type Belief, believe } from "../decide/index.ts";
import { SyncError, toSyncError } from "../errors/index.ts";
import type { PollMethod, PollResult, SecretSource, SourceFact } from "../ports/index.ts";
import type { Clock } from "../time/clock.ts";
import { changedMs } from "./changed.ts";
import { PollRequests } from "./poll-requests.ts";
import { sameFact } from "./same-fact.ts";
import { nextTick } from "./schedule.ts";
import { isStoreWide } from "./store-wide.ts";
import type { Demand, KnownFact, PolledEvent, StoreState } from "./types.ts";

export interface StorePollerOptions {
  /** The store identity's key; decides the place in the interval. */
  readonly key: string;
  readonly source: SecretSource;
  readonly clock: Clock;
  /** Asked anew at each poll, so a removed object is no longer polled for. */
  readonly demand: () => Demand;
  /** Version copied last, by path, for sources that can tell whether a new current version is older. */
  readonly known: () => ReadonlyMap<string, ReadonlySet<string>>;
  readonly onPolled: (event: PolledEvent) => void | Promise<void>;
  /** Called when the state changes between good and failing, and when facts have gone stale while it fails. */
  readonly onState: (what: "failing" | "recovered" | "stale") => void;
  readonly probeEveryMs?: number;
  /** One look is enough to believe that a secret is gone: for plans, which write nothing and come once. */
  readonly believeAtOnce?: boolean;
}

const COALESCE_MS = 50;
const STALE_INTERVALS = 3;
/** How much later than its interval a path may be looked at. */
const LATE_MS = 5_000;
const MAX_PAUSE_MS = 900_000;

/**
 * The one thing that polls a store identity: facts for all objects that read it. While the store fails it is only
 * probed (at most six times a minute); facts that were known stay known, with their age.
 */
export class StorePoller {
  readonly #options: StorePollerOptions;
  readonly #facts = new Map<string, KnownFact>();
  readonly #beliefs = new Map<string, Belief>();
  readonly #failures = new Map<string, { error: SyncError; asOfMs: number }>();
  readonly #subtrees = new Map<string, { paths: readonly string[]; asOfMs: number }>();
  readonly #subtreeFailures = new Map<string, SyncError>();
  readonly #unlisted = new Map<string, Set<string>>();
  readonly #requests = new PollRequests();
  readonly #abort = new AbortController();
  #state: StoreState = { state: "Unpolled" };
  #method: PollMethod | undefined;
  #notes: readonly string[] = [];
  #lastGoodMs: number | undefined;
  #lastFullMs: number | undefined;
  #running: Promise<void> | undefined;
  #again = false;
  #cancelTick: () => void = () => undefined;
  #tickMs: number | undefined;
  #usualMs: number | undefined;
  #cancelSoon: (() => void) | undefined;
  #cancelStale: () => void = () => undefined;
  #pausedUntilMs = 0;

  constructor(options: StorePollerOptions) {
    this.#options = options;
  }

  get state(): StoreState {
    return this.#state;
  }
  get method(): PollMethod | undefined {
    return this.#method;
  }
  get notes(): readonly string[] {
    return this.#notes;
  }
  /** End of the last full poll that succeeded, ms since the epoch. */
  get lastFullMs(): number | undefined {
    return this.#lastFullMs;
  }
  /** Last moment at which the store answered a poll, by the monotonic clock. */
  get lastGoodMs(): number | undefined {
    return this.#lastGoodMs;
  }
  /** The interval at which it polls, as of the last poll; undefined while nobody wants anything. */
  get intervalMs(): number | undefined {
    return this.#usualMs;
  }
  fact(path: string): KnownFact | undefined {
    return this.#facts.get(path);
  }
  failure(path: string): SyncError | undefined {
    return this.#failures.get(path)?.error;
  }
  subtree(prefix: string): { paths: readonly string[]; asOfMs: number } | undefined {
    return this.#subtrees.get(prefix);
  }
  /** Paths that an earlier walk of this process listed below a subtree and the last one did not. */
  unlisted(prefix: string): Iterable<string> {
    return this.#unlisted.get(prefix) ?? [];
  }
  /** Nothing is left of a path that went from a subtree: it need not be asked for any more. */
  settled(prefix: string, path: string): void {
    this.#unlisted.get(prefix)?.delete(path);
  }
  subtreeFailure(prefix: string): SyncError | undefined {
    return this.#subtreeFailures.get(prefix);
  }

  /**
   * When the store last said something of a path, or of a subtree by its prefix, be it that it refuses: by the monotonic
   * clock; -Infinity: never.
   */
  lookedAtMs(path: string): number {
    const walked = this.#subtreeFailures.has(path) ? this.#lastGoodMs : this.#subtrees.get(path)?.asOfMs;
    const looks = [this.#facts.get(path)?.asOfMs, this.#failures.get(path)?.asOfMs, walked];
    return Math.max(...looks.filter((at) => at !== undefined));
  }

  /** Polls everything soon; `fresh` refuses methods whose answers may lag. */
  pollNow(options: { fresh: boolean }): void {
    this.#requests.everything(options);
    this.#soon();
  }

  /** What is wanted may have become more urgent, such as by a shorter interval: the next poll is set anew soon. */
  reconsider(): void {
    this.#soon();
  }

  /** Polls single paths or subtrees soon; requests that come close together share one poll. */
  request(paths: readonly string[], options: { fresh: boolean; subtrees?: readonly string[] }): void {
    this.#requests.add(paths, options);
    this.#soon();
  }

  /** A read of a value failed for a reason that concerns the whole store: the outage begins here, not at the next poll. */
  noteFailure(error: SyncError): void {
    if (isStoreWide(error) && !this.#abort.signal.aborted) this.#failed(error);
  }

  async stop(): Promise<void> {
    this.#abort.abort();
    this.#cancelTick();
    this.#cancelSoon?.();
    this.#cancelStale();
    await this.#running;
  }

  /** The shortest interval that anybody wants; undefined when nobody wants anything. */
  #intervalMs(demand: Demand): number | undefined {
    const all = [...demand.paths.values(), ...demand.subtrees.values()];
    return all.length === 0 ? undefined : all.reduce((a, b) => Math.min(a, b));
  }

  #soon(): void {
    if (this.#abort.signal.aborted || this.#cancelSoon !== undefined) return;
    const wait = Math.max(COALESCE_MS, this.#pausedUntilMs - this.#options.clock.monotonic());
    this.#cancelSoon = this.#options.clock.setTimeout(() => {
      this.#cancelSoon = undefined;
      this.#kick();
    }, wait);
  }

  #kick(): void {
    if (this.#abort.signal.aborted) return;
    if (this.#running !== undefined) {
      this.#again = true;
      return;
    }
    this.#running = this.#run().finally(() => {
      this.#running = undefined;
      if (this.#again) {
        this.#again = false;
        this.#soon();
      }
    });
  }

  async #run(): Promise<void> {
    const failing = this.#state.state === "Failing";
    if (failing) {
      if (!(await this.#probe())) return;
      this.#requests.everything({ fresh: false });
    }
    const demand = this.#options.demand();
    const { full, fresh, ...requested } = this.#requests.take();
    const paths = full ? this.#due(demand, failing || fresh) : requested.paths;
    const subtrees = full ? [...demand.subtrees.keys()] : requested.subtrees;
    if (!full && paths.length === 0 && subtrees.length === 0) {
      this.#scheduleTick(demand, false);
      return;
    }
    const startedMs = this.#options.clock.monotonic();
    try {
      const known = this.#options.known();
      const result = await this.#options.source.poll({ paths, subtrees, known, fresh }, this.#abort.signal);
      if (this.#abort.signal.aborted) return;
      const changed = this.#take(result, demand, full);
      const ms = this.#options.clock.monotonic() - startedMs;
      const asked = full ? [] : [...paths, ...subtrees.map((prefix) => `${prefix}/`)];
      await this.#options.onPolled({ full, method: result.method, changed, asked, ms });
    } catch (error) {
      if (!this.#abort.signal.aborted) this.#failed(toSyncError(error, "poll"));
      return;
    } finally {
      this.#scheduleTick(demand, full);
    }
  }

  async #probe(): Promise<boolean> {
    try {
      await this.#options.source.probe(this.#abort.signal);
      return true;
    } catch (error) {
      if (!this.#abort.signal.aborted) this.#failed(toSyncError(error, "probe"));
      return false;
    }
  }

  /** Paths that would be older than their own interval allows if they waited for the tick after this one. */
  #due(demand: Demand, all: boolean): string[] {
    const now = this.#options.clock.monotonic();
    const shortest = this.#intervalMs(demand) ?? 0;
    return [...demand.paths]
      .filter(([path, intervalMs]) => {
        return all || now + shortest - this.lookedAtMs(path) > intervalMs + LATE_MS;
      })
      .map(([path]) => path);
  }

  #take(result: PollResult, demand: Demand, full: boolean): string[] {
    const now = this.#options.clock.monotonic();
    this.#requests.answered(result);
    const changed: string[] = [];
    for (const [path, fact] of result.facts) {
      if (!sameFact(this.#facts.get(path)?.fact, fact) || this.#failures.has(path)) changed.push(path);
      this.#failures.delete(path);
      const believedGone = this.#believe(path, fact, now, demand);
      if (believedGone !== (this.#facts.get(path)?.believedGone ?? false)) changed.push(path);
      this.#facts.set(path, {
        fact,
        asOfMs: now,
        believedGone,
        changedMs: changedMs(this.#facts.get(path), fact, this.#options.clock.now()),
      });
    }
    for (const [path, error] of result.failures) {
      if (this.#failures.get(path)?.error.reason !== error.reason) changed.push(path);
      this.#failures.set(path, { error, asOfMs: now });
      this.#beliefs.delete(path);
    }
    for (const [prefix, paths] of result.subtrees) {
      if (paths instanceof SyncError) {
        this.#subtreeFailures.set(prefix, paths);
      } else {
        this.#subtreeFailures.delete(prefix);
        this.#noteUnlisted(prefix, paths);
        this.#subtrees.set(prefix, { paths, asOfMs: now });
      }
    }
    this.#method = result.method;
    this.#notes = result.notes;
    this.#lastGoodMs = now;
    if (full) {
      this.#lastFullMs = this.#options.clock.now();
      this.#forget(demand);
    }
    this.#recovered(now);
    return changed;
  }

  #noteUnlisted(prefix: string, paths: readonly string[]): void {
    const now = new Set(paths);
    const gone = this.#unlisted.get(prefix) ?? new Set<string>();
    for (const path of this.#subtrees.get(prefix)?.paths ?? []) if (!now.has(path)) gone.add(path);
    for (const path of gone) if (now.has(path)) gone.delete(path);
    this.#unlisted.set(prefix, gone);
  }

  /** Belief in "gone" is decided elsewhere; here it is only kept from one look to the next. */
  #believe(path: string, fact: SourceFact, now: number, demand: Demand): boolean {
    if (fact.state !== "Gone") {
      this.#beliefs.delete(path);
      return false;
    }
    if (this.#options.believeAtOnce === true) return true;
    const intervalMs = demand.paths.get(path) ?? this.#intervalMs(demand) ?? 0;
    const belief = believe(this.#beliefs.get(path), "Gone", now, intervalMs);
    this.#beliefs.set(path, belief);
    return belief.believed;
  }

  /** What nobody wants any more is forgotten, so that memory follows the objects. */
  #forget(demand: Demand): void {
    const wanted = (path: string) =>
      demand.paths.has(path) || [...demand.subtrees.keys()].some((prefix) => path.startsWith(`${prefix}/`));
    for (const path of this.#facts.keys()) if (!wanted(path)) this.#facts.delete(path);
    for (const path of this.#failures.keys()) if (!wanted(path)) this.#failures.delete(path);
    for (const path of this.#beliefs.keys()) if (!wanted(path)) this.#beliefs.delete(path);
    for (const prefix of this.#subtrees.keys()) if (!demand.subtrees.has(prefix)) this.#subtrees.delete(prefix);
    for (const prefix of this.#unlisted.keys()) if (!demand.subtrees.has(prefix)) this.#unlisted.delete(prefix);
    for (const prefix of this.#subtreeFailures.keys())
      if (!demand.subtrees.has(prefix)) this.#subtreeFailures.delete(prefix);
  }

  /** After a poll of single paths a tick that comes in time stays; there may be none yet, or a shorter interval now. */
  #scheduleTick(demand: Demand, full: boolean): void {
    const intervalMs = this.#intervalMs(demand);
    this.#usualMs = intervalMs;
    if (intervalMs === undefined || this.#abort.signal.aborted) {
      this.#cancelTick();
      this.#tickMs = undefined;
      // Polls begin again with a request, and only what is not known is requested.
      if (intervalMs === undefined) this.#forget(demand);
      return;
    }
    const { clock, key } = this.#options;
    // The place in the interval is one of the wall clock, the way to it is not.
    const waitMs = nextTick(key, intervalMs, clock.now()) - clock.now();
    const dueMs = clock.monotonic() + waitMs;
    if (!full && this.#tickMs !== undefined && this.#tickMs <= dueMs) return;
    this.#cancelTick();
    this.#tickMs = dueMs;
    this.#cancelTick = clock.setTimeout(() => {
      this.#tickMs = undefined;
      this.pollNow({ fresh: false });
    }, waitMs);
  }

  #failed(error: SyncError): void {
    const now = this.#options.clock.monotonic();
    const was = this.#state.state;
    const sinceMs = this.#state.state === "Failing" ? this.#state.sinceMs : now;
    this.#state = { state: "Failing", sinceMs, error };
    const wait = Math.max(this.#options.probeEveryMs ?? 10_000, Math.min(error.retryAfterMs ?? 0, MAX_PAUSE_MS));
    this.#pausedUntilMs = now + wait;
    // Belief needs an unbroken row of positive answers.
    this.#beliefs.clear();
    this.#soon();
    if (was === "Failing") return;
    this.#options.onState("failing");
    const intervalMs = this.#intervalMs(this.#options.demand()) ?? 60_000;
    const staleAt = (this.#lastGoodMs ?? now) + STALE_INTERVALS * intervalMs;
    this.#cancelStale();
    this.#cancelStale = this.#options.clock.setTimeout(
      () => this.#options.onState("stale"),
      Math.max(1, staleAt - now),
    );
  }

  #recovered(now: number): void {
    const was = this.#state.state;
    if (was !== "Good") this.#state = { state: "Good", sinceMs: now };
    this.#pausedUntilMs = 0;
    this.#cancelStale();
    if (was === "Failing") this.#options.onState("recovered");
  }
}
