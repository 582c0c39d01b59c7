import { StorePoller, type Demand, type PolledEvent } from "../catalogue/index.ts";
import type { SyncError } from "../errors/index.ts";
import type { SecretSource } from "../ports/index.ts";
import type { Clock } from "../time/clock.ts";

/** A backend that passed all checks: which store identity it is, and how to make its source. */
export interface ResolvedBackend {
  /** Key of R20: equal keys share one source, one login and one poll. Not for people: it holds keyed hashes. */
  readonly identityKey: string;
  /** What people see as `status.identity`. */
  readonly identity: string;
  create(): SecretSource;
}

/** What other controllers may know of a backend. */
export type BackendState =
  | {
      readonly state: "Usable";
      readonly store: StoreHandle;
      /** Where its secrets live, as its spec said when it was checked. A spec that says otherwise was not checked yet. */
      readonly location: string;
    }
  | { readonly state: "Refused"; readonly error: SyncError }
  /** Its first reconcile has not ended. */
  | { readonly state: "Pending" };

/** One store identity: a source and its poller, shared by all backends that resolve to the same identity. */
export interface StoreHandle {
  readonly identityKey: string;
  readonly identity: string;
  readonly source: SecretSource;
  readonly poller: StorePoller;
  /** Keys of the backends that share it. */
  readonly backends: ReadonlySet<string>;
}

interface Entry extends StoreHandle {
  readonly backends: Set<string>;
  readonly reads: Reads;
}

/** How long values that are being read with a replaced credential may still take, in milliseconds. */
const DRAIN_MS = 30_000;

/** What happens around the stores; the controllers supply it. */
export interface RegistryHooks {
  demand(backends: ReadonlySet<string>): Demand;
  known(backends: ReadonlySet<string>): ReadonlyMap<string, ReadonlySet<string>>;
  onPolled(store: StoreHandle, event: PolledEvent): void | Promise<void>;
  onState(store: StoreHandle, what: "failing" | "recovered" | "stale"): void;
}

/** Keeps one source and one poller per store identity, and knows which backend uses which. */
export class BackendRegistry {
  readonly #clock: Clock;
  readonly #hooks: RegistryHooks;
  readonly #believeAtOnce: boolean;
  readonly #stores = new Map<string, Entry>();
  readonly #byBackend = new Map<string, BackendState>();
  readonly #draining = new Set<Promise<void>>();
  readonly #closed = new AbortController();

  /** @param options.believeAtOnce as in {@link StorePoller} */
  constructor(options: { clock: Clock; hooks: RegistryHooks; believeAtOnce?: boolean }) {
    this.#clock = options.clock;
    this.#hooks = options.hooks;
    this.#believeAtOnce = options.believeAtOnce ?? false;
  }

  /** `Pending` for a backend that was never reconciled. */
  get(backendKey: string): BackendState {
    return this.#byBackend.get(backendKey) ?? { state: "Pending" };
  }

  stores(): Iterable<StoreHandle> {
    return this.#stores.values();
  }

  /**
   * Takes the outcome of a backend's checks in. A changed identity makes a new base: facts and beliefs of the old one
   * are gone with its poller. The old one is not asked anything any more; objects move to the new one's queue, which
   * gives their reads up and makes them anew, and any other read comes to its end: a new credential costs nobody a failure.
   * @param location where the secrets live, as the spec that was checked says it
   * @returns true when anything changed for those who depend on the backend
   */
  async set(backendKey: string, outcome: ResolvedBackend | SyncError, location: string): Promise<boolean> {
    const before = this.get(backendKey);
    if (outcome instanceof Error) {
      await this.#leave(backendKey);
      this.#byBackend.set(backendKey, { state: "Refused", error: outcome });
      return before.state !== "Refused" || before.error.reason !== outcome.reason;
    }
    if (before.state === "Usable" && before.store.identityKey === outcome.identityKey) {
      this.#byBackend.set(backendKey, { ...before, location });
      before.store.poller.reconsider();
      return before.location !== location;
    }
    const old = this.#detach(backendKey);
    const entry = this.#stores.get(outcome.identityKey) ?? this.#open(outcome);
    entry.backends.add(backendKey);
    this.#byBackend.set(backendKey, { state: "Usable", store: entry, location });
    entry.poller.pollNow({ fresh: false });
    if (old !== undefined) this.#retire(old);
    return true;
  }

  /** The backend is gone. */
  async remove(backendKey: string): Promise<void> {
    await this.#leave(backendKey);
    this.#byBackend.delete(backendKey);
  }

  async close(): Promise<void> {
    const entries = [...this.#stores.values()];
    this.#stores.clear();
    this.#byBackend.clear();
    this.#closed.abort();
    await Promise.allSettled([...entries.map((entry) => this.#end(entry)), ...this.#draining]);
  }

  #open(resolved: ResolvedBackend): Entry {
    const backends = new Set<string>();
    const reads = new Reads();
    const source = reads.counted(resolved.create());
    const entry: Entry = {
      identityKey: resolved.identityKey,
      identity: resolved.identity,
      source,
      backends,
      reads,
      poller: new StorePoller({
        key: resolved.identityKey,
        source,
        clock: this.#clock,
        demand: () => this.#hooks.demand(backends),
        known: () => this.#hooks.known(backends),
        onPolled: (event) => this.#hooks.onPolled(entry, event),
        onState: (what) => this.#hooks.onState(entry, what),
        believeAtOnce: this.#believeAtOnce,
      }),
    };
    this.#stores.set(resolved.identityKey, entry);
    return entry;
  }

  async #leave(backendKey: string): Promise<void> {
    const entry = this.#detach(backendKey);
    if (entry !== undefined) await this.#end(entry);
  }

  /** @returns the store that the backend was the last to use */
  #detach(backendKey: string): Entry | undefined {
    const state = this.#byBackend.get(backendKey);
    if (state?.state !== "Usable") return undefined;
    const entry = this.#stores.get(state.store.identityKey);
    entry?.backends.delete(backendKey);
    if (entry === undefined || entry.backends.size > 0) return undefined;
    this.#stores.delete(entry.identityKey);
    return entry;
  }

  #retire(entry: Entry): void {
    const timer = new AbortController();
    const cancel = this.#clock.setTimeout(() => timer.abort(), DRAIN_MS, { unref: true });
    const drained = (async () => {
      await entry.poller.stop();
      await entry.reads.over(AbortSignal.any([timer.signal, this.#closed.signal]));
      await entry.source.close();
    })()
      // It is no longer used: what goes wrong with it concerns nobody.
      .catch(() => undefined)
      .finally(() => {
        cancel();
        this.#draining.delete(drained);
      });
    this.#draining.add(drained);
  }

  async #end(entry: Entry): Promise<void> {
    await entry.poller.stop();
    await entry.source.close();
  }
}

/** Counts the reads of values that are under way. */
class Reads {
  #running = 0;
  #told: (() => void) | undefined;

  counted(source: SecretSource): SecretSource {
    return {
      identity: source.identity,
      probe: (signal) => source.probe(signal),
      poll: (demand, signal) => source.poll(demand, signal),
      read: async (ref, signal) => {
        this.#running += 1;
        try {
          return await source.read(ref, signal);
        } finally {
          this.#running -= 1;
          if (this.#running === 0) this.#told?.();
        }
      },
      close: () => source.close(),
    };
  }

  /** Resolves when none is under way, or the signal aborts. */
  over(signal: AbortSignal): Promise<void> {
    if (this.#running === 0 || signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      this.#told = resolve;
      signal.addEventListener("abort", () => resolve(), { once: true });
    });
  }
}
