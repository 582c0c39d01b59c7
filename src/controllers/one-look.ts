import { SyncError, toSyncError } from "../errors/index.ts";
import { BackendRegistry } from "./backend-registry.ts";
import { demandOf, knownVersions } from "./demand.ts";
import { findLingering } from "./lingering.ts";
import { refreshScaiVault } from "./scaivault-refresh.ts";
import { backendLocation, type Subject } from "./subject.ts";
import { viewBackend } from "./views.ts";
import type { World } from "./world.ts";

/** How long a store may take to answer its first poll, in milliseconds. */
export const POLL_TIMEOUT_MS = 60_000;
/** What is said of a store that did not. */
export const NO_ANSWER = "the store gave no answer in a minute";

/**
 * The stores of some objects, looked at once by the parts that `run` is made of, for commands that write nothing. What is
 * gone counts as gone at the first look.
 */
export class OneLook {
  readonly world: World;
  readonly #waiting = new Set<() => void>();
  readonly #refreshed = new Map<string, Promise<void>>();
  #only: ReadonlySet<string> = new Set();

  constructor(clock: World["clock"], makeWorld: (registry: BackendRegistry) => World) {
    const wake = (): void => {
      for (const one of [...this.#waiting]) one();
    };
    const registry = new BackendRegistry({
      clock,
      believeAtOnce: true,
      hooks: {
        demand: (backends) => demandOf(this.world, backends, this.#only),
        known: (backends) => knownVersions(this.world, backends),
        onPolled: wake,
        onState: wake,
      },
    });
    this.world = makeWorld(registry);
  }

  /** Keys of the objects that are looked at; nothing is polled for others. */
  only(keys: ReadonlySet<string>): void {
    this.#only = keys;
  }

  /** Makes the sources of these backends. @returns what is wrong with the others, by key */
  async resolveBackends(keys: Iterable<string>, signal: AbortSignal): Promise<Map<string, SyncError>> {
    const refused = new Map<string, SyncError>();
    for (const key of new Set(keys)) {
      const object = this.world.caches.backends.get(key);
      const view = object === undefined ? undefined : viewBackend(object);
      if (view === undefined) continue;
      const outcome = view.ok
        ? await this.world.resolver.resolve(view.object, signal).catch((error: unknown) => toSyncError(error))
        : view.error;
      if (outcome instanceof SyncError && outcome.reason !== "BackendSuspended") refused.set(key, outcome);
      await this.world.registry.set(key, outcome, view.ok ? backendLocation(view.object) : "");
    }
    return refused;
  }

  /**
   * Asks until there is an answer: after each poll of a store, and once more when the time is up.
   * @throws SyncError SourceUnavailable when there was none in a minute
   */
  async untilPolled<T>(ask: () => Promise<T | undefined>, signal: AbortSignal): Promise<T> {
    for (;;) {
      const woken = this.#nextPoll(signal);
      const answer = await ask();
      if (answer !== undefined) return answer;
      if (signal.aborted) throw new SyncError("SourceUnavailable", NO_ANSWER);
      await woken;
    }
  }

  /** Once a store has been polled, ScaiVault is asked for all targets of its objects in a few calls. */
  async refreshTargets({ store }: Subject, signal: AbortSignal): Promise<void> {
    if (store?.poller.state.state !== "Good") return;
    const begun =
      this.#refreshed.get(store.identityKey) ??
      findLingering(this.world, store, signal).then(() =>
        refreshScaiVault(this.world, store, signal, { counts: (key) => this.#only.has(key) }),
      );
    this.#refreshed.set(store.identityKey, begun);
    await begun;
  }

  close(): Promise<void> {
    return this.world.registry.close();
  }

  #nextPoll(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        this.#waiting.delete(done);
        signal.removeEventListener("abort", done);
        resolve();
      };
      this.#waiting.add(done);
      signal.addEventListener("abort", done, { once: true });
      if (signal.aborted) done();
    });
  }
}
