import type { PolledEvent } from "../catalogue/index.ts";
import { type KubeObject, keyOf, type Lane, type WorkQueue } from "../runtime/index.ts";
import type { StoreHandle } from "./backend-registry.ts";
import { indexes } from "./caches.ts";
import { findLingering } from "./lingering.ts";
import { holdMassChanges } from "./mass-changes.ts";
import { type RefreshOptions, refreshScaiVault } from "./scaivault-refresh.ts";
import type { TreeController } from "./tree-controller.ts";
import { viewDeclared } from "./views.ts";
import type { World } from "./world.ts";

export interface StoreChangesOptions {
  readonly world: World;
  readonly stores: () => Iterable<StoreHandle>;
  readonly backendQueue: Pick<WorkQueue, "add">;
  readonly trees: Pick<TreeController, "polled" | "storeChanged">;
  /** Aborts at the end of the term. */
  readonly signal: AbortSignal;
  /** A SecretSync is to be looked at. */
  readonly enqueue: (object: KubeObject, lane: Lane) => void;
  /** All SecretSyncs that read these backends are to be looked at. */
  readonly enqueueDependants: (backends: Iterable<string>, lane: Lane) => void;
  readonly onError: (error: unknown) => void;
}

/** What a store's polls and its state set to work: which targets ScaiVault is asked for, and who looks again. */
export class StoreChanges {
  readonly #options: StoreChangesOptions;
  readonly #world: World;
  /** Stores whose targets are being asked for; true: once more afterwards. */
  readonly #verifying = new Map<StoreHandle, boolean>();

  constructor(options: StoreChangesOptions) {
    this.#options = options;
    this.#world = options.world;
  }

  /** News may have been lost: ScaiVault is asked for all targets once, as after a poll. */
  lookAtAll(): void {
    for (const store of this.#options.stores()) void this.#verify(store, new Set());
  }

  /**
   * A poll ended: ScaiVault is asked for the targets of what changed, and these objects are looked at. All others follow,
   * and may take as long as ScaiVault's rate budget makes them wait.
   */
  async polled(store: StoreHandle, event: PolledEvent): Promise<void> {
    this.#world.metrics.poll(store.identity, event.method, event.ms);
    const changed = new Set(event.changed);
    const asked = new Set(event.asked);
    holdMassChanges(this.#world, store, changed);
    void this.#polledTrees(store, event);
    if (event.full) await findLingering(this.#world, store, this.#options.signal);
    const concerned = this.#dependants(store, (object) => changed.size > 0 && concerns(object, changed));
    const keys = new Set(concerned.map(keyOf));
    if (event.full && keys.size > 0) await this.refresh(store, { counts: (key) => keys.has(key), changed: true });
    for (const object of concerned) this.#options.enqueue(object, "change");
    for (const backend of store.backends) this.#options.backendQueue.add(backend, "refresh");
    if (event.full) void this.#verify(store, keys);
    else if (asked.size > 0)
      for (const object of this.#dependants(store, (one) => concerns(one, asked)))
        if (!keys.has(keyOf(object))) this.#options.enqueue(object, "refresh");
  }

  /** Failures stand in the observations; what is thrown is the end of the term, or a defect. */
  async #polledTrees(store: StoreHandle, event: PolledEvent): Promise<void> {
    try {
      await this.#options.trees.polled(store, event, this.#options.signal);
    } catch (error) {
      this.#options.onError(error);
    }
  }

  #dependants(store: StoreHandle, which: (object: KubeObject) => boolean): KubeObject[] {
    const all = [...store.backends].flatMap((key) => this.#world.caches.syncs.byIndex(indexes.backend, key));
    return all.filter(which);
  }

  /** Looks at all objects of a store but those that were just looked at. One that still runs is not overtaken by the next. */
  async #verify(store: StoreHandle, done: ReadonlySet<string>): Promise<void> {
    if (this.#verifying.has(store)) {
      this.#verifying.set(store, true);
      return;
    }
    this.#verifying.set(store, false);
    await this.refresh(store, { counts: (key) => !done.has(key) });
    const again = this.#verifying.get(store) === true;
    this.#verifying.delete(store);
    for (const object of this.#dependants(store, (one) => !done.has(keyOf(one))))
      this.#options.enqueue(object, "refresh");
    if (again && !this.#options.signal.aborted) await this.#verify(store, new Set());
  }

  /** Failures stand in the observations; what is thrown is the end of the term, or a defect. */
  async refresh(store: StoreHandle, options: RefreshOptions): Promise<void> {
    try {
      await refreshScaiVault(this.#world, store, this.#options.signal, options);
    } catch (error) {
      this.#options.onError(error);
    }
  }

  /** A store fails, answers again, or has failed for so long that what is known of it is stale. */
  stateChanged(store: StoreHandle, what: "failing" | "recovered" | "stale"): void {
    const error = store.poller.state.state === "Failing" ? store.poller.state.error : undefined;
    this.#world.log[what === "recovered" ? "info" : "warn"](`store ${what}`, {
      store: store.identity,
      ...(error === undefined
        ? {}
        : {
            reason: error.reason,
            message: error.message,
            ...(error.detail === undefined ? {} : { detail: error.detail }),
          }),
    });
    for (const backend of store.backends) this.#options.backendQueue.add(backend, "user");
    if (what === "stale" || what === "failing") this.#options.enqueueDependants(store.backends, "refresh");
    if (what === "stale") this.#options.trees.storeChanged(store);
  }
}

function concerns(object: KubeObject, changed: ReadonlySet<string>): boolean {
  const view = viewDeclared(object);
  if (!view.ok) return false;
  const { path, subtree } = view.object.spec.source;
  if (path !== undefined) return changed.has(path) || path.startsWith("arn:");
  const prefix = subtree?.slice(0, -"**".length) ?? "";
  return [...changed].some((one) => one.startsWith(prefix));
}
