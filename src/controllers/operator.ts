import { annotations } from "../api/index.ts";
import { reasons, toSyncError } from "../errors/index.ts";
import type { Demand, PolledEvent } from "../catalogue/index.ts";
import {
  ApiConnectionError,
  ApiStatusError,
  isAborted,
  type KubeObject,
  keyOf,
  type Lane,
  type PartialObjectMetadata,
  QueueSet,
  NotLeaderError,
  WorkQueue,
} from "../runtime/index.ts";
import { BackendController } from "./backend-controller.ts";
import { BackendRegistry, type RegistryHooks, type StoreHandle } from "./backend-registry.ts";
import { indexes, ownerKeyOf } from "./caches.ts";
import { demandOf, knownVersions } from "./demand.ts";
import { DriftLooks } from "./drift-looks.ts";
import { FirstLooks } from "./first-looks.ts";
import { releaseOrphan, releaseOrphansOf } from "./orphans.ts";
import { newsOfSyncs } from "./news-of-syncs.ts";
import { ScaiVaultNews } from "./scaivault-news.ts";
import { type RefreshOptions, refreshScaiVault } from "./scaivault-refresh.ts";
import { holdMassChanges } from "./mass-changes.ts";
import { findLingering } from "./lingering.ts";
import { Registrations } from "./registrations.ts";
import { lastWithinBudget } from "./subject.ts";
import { StatusWriter } from "./status-writer.ts";
import type { Requeue } from "./requeue.ts";
import { SyncController } from "./sync-controller.ts";
import { TreeController } from "./tree-controller.ts";
import { declaresPath, holdsScaiVaultPath } from "./target-claims.ts";
import { backendKeyOf, viewDeclared } from "./views.ts";
import type { World } from "./world.ts";
import { WriterWatch } from "./writer-watch.ts";

/** Queue of objects whose store is not known (yet). */
const NO_STORE = "";
const COUNTS_DEBOUNCE_MS = 2_000;
/** A large first copy says how far it is this often. */
const PROGRESS_DEBOUNCE_MS = 10_000;
const REFUSED_RETRY_MS = 60_000;
const RECHECK_MS = 10_000;

export interface OperatorOptions {
  /** Everything that is shared; the registry is made here, because its hooks come from here. */
  readonly world: (registry: BackendRegistry) => World;
  readonly clock: World["clock"];
  /** SecretSyncs worked on at a time, per store. */
  readonly workers: number;
}

/**
 * One term of leadership: queues, registry and controllers, from the first enqueue to a clean end. Caches outlive it.
 */
export class OperatorTerm {
  readonly #world: World;
  readonly #registry: BackendRegistry;
  readonly #syncs: SyncController;
  readonly #backends: BackendController;
  readonly #registrations: Registrations;
  readonly #trees: TreeController;
  readonly #syncQueues: QueueSet;
  /** Secrets of trees, each by itself: `namespace/name path`. */
  readonly #treeQueues: QueueSet;
  readonly #backendQueue: WorkQueue;
  readonly #unsubscribe: (() => void)[] = [];
  readonly #abort = new AbortController();
  readonly #writerWatch: WriterWatch<StoreHandle>;
  readonly #firstLooks: FirstLooks;
  readonly #drift = new DriftLooks<PartialObjectMetadata>({
    isEcho: (object) => this.#isEcho(object),
    look: (owner) => this.#enqueueKey(owner, "drift"),
  });
  readonly #news: ScaiVaultNews;
  /** Turns in the rate budget that somebody listens to already. */
  readonly #turns = new WeakSet<Promise<void>>();
  /** Stores whose targets are being asked for; true: once more afterwards. */
  readonly #verifying = new Map<StoreHandle, boolean>();

  constructor(options: OperatorOptions) {
    const hooks: RegistryHooks = {
      demand: (backends) => this.#demand(backends),
      known: (backends) => knownVersions(this.#world, backends),
      onPolled: (store, event) => this.#polled(store, event),
      onState: (store, what) => this.#stateChanged(store, what),
    };
    this.#registry = new BackendRegistry({ clock: options.clock, hooks });
    this.#world = options.world(this.#registry);
    const status = new StatusWriter(this.#world);
    this.#firstLooks = new FirstLooks(options.clock, (key) => this.#enqueueKey(key, "refresh"));
    this.#syncs = new SyncController(this.#world, status, this.#firstLooks);
    this.#registrations = new Registrations(this.#world, {
      changed: (key) => this.#backendQueue.add(key, "user"),
      onError: (key, error, retryInMs) => this.#reconcileFailed(key, error, retryInMs),
    });
    this.#trees = new TreeController(this.#world, status, {
      due: ({ backendKey, subject }, path, lane) => {
        if (subject.store !== undefined && !this.#abort.signal.aborted)
          this.#treeQueues.add(subject.store.identityKey, `${backendKey} ${path}`, lane);
      },
      changed: (backendKey, soon) =>
        this.#backendQueue.addAfter(backendKey, soon ? COUNTS_DEBOUNCE_MS : PROGRESS_DEBOUNCE_MS, "refresh"),
    });
    this.#backends = new BackendController(this.#world, status, this.#registrations, this.#trees);
    const onError = (key: string, error: unknown, retryInMs?: number) => this.#reconcileFailed(key, error, retryInMs);
    this.#syncQueues = new QueueSet({
      clock: options.clock,
      workers: options.workers,
      handler: (key, context) => this.#reconcileSync(key, context.lane, context.signal),
      onError,
    });
    this.#treeQueues = new QueueSet({
      clock: options.clock,
      workers: options.workers,
      handler: (key, context) => this.#reconcilePath(key, context.lane, context.signal),
      onError,
    });
    this.#backendQueue = new WorkQueue({ clock: options.clock });
    const syncs = newsOfSyncs(this.#world, {
      changed: (object) => this.#enqueueSync(object, "drift"),
      missed: () => this.#lookAtAll(),
    });
    this.#news = new ScaiVaultNews(this.#world, [syncs, this.#trees.news(this.#abort.signal)], this.#abort.signal);
    this.#writerWatch = new WriterWatch(options.clock, (store, keys) => void this.#lookForWriter(store, keys));
    this.#backendHandler = { onError };
  }

  readonly #backendHandler: { onError: (key: string, error: unknown, retryInMs?: number) => void };

  /** Stores and targets answer with outcomes; what is thrown is the API server's doing, a lost lease, or a defect. */
  #reconcileFailed(key: string, error: unknown, retryInMs?: number): void {
    if (error instanceof NotLeaderError || isAborted(error)) return;
    const [namespace = "", name = ""] = key.split("/");
    const api = error instanceof ApiStatusError || error instanceof ApiConnectionError;
    const detail = api ? (error instanceof ApiStatusError ? error.reason : error.kind) : toSyncError(error).detail;
    const code = error instanceof ApiStatusError ? String(error.code) : undefined;
    this.#world.log[api ? "warn" : "error"]("reconcile failed", {
      namespace,
      name,
      reason: api ? "KubernetesUnavailable" : "Unexpected",
      ...(code === undefined ? {} : { code }),
      ...(detail === undefined ? {} : { detail }),
      ...(retryInMs === undefined ? {} : { retryInMs }),
    });
  }

  /** Works until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const { caches } = this.#world;
    this.#world.scaivault?.observations.restart();
    this.#backendQueue.run(4, (key, context) => this.#reconcileBackend(key, context.signal), this.#backendHandler);
    // Backends first: their sources are made before the objects that read them are looked at.
    this.#unsubscribe.push(
      caches.backends.subscribe({
        add: (object) => this.#backendQueue.add(keyOf(object), "user"),
        update: (object, old) => this.#backendUpdated(object, old),
        delete: (object) => {
          this.#backendQueue.add(keyOf(object), "user");
          this.#pathsFreed(object);
        },
      }),
      caches.credentials.subscribe({
        add: (object) => this.#credentialChanged(object),
        update: (object, old) => {
          if (object.metadata.resourceVersion !== old.metadata.resourceVersion) this.#credentialChanged(object);
        },
        delete: (object) => this.#credentialChanged(object),
      }),
      caches.syncs.subscribe({
        add: (object) => {
          this.#news.objectsChanged();
          this.#enqueueSync(object, "refresh");
        },
        update: (object, old) => this.#syncUpdated(object, old),
        delete: (object) => this.#syncDeleted(object),
      }),
      caches.managed.subscribe({
        add: (object) => this.#secretChanged(object),
        update: (object) => this.#secretChanged(object),
        delete: (object) => this.#secretChanged(object, true),
      }),
    );
    this.#registrations.run();
    const following = this.#world.scaivault?.news?.run(this.#news, this.#abort.signal);
    await new Promise<void>((resolve) => {
      if (signal.aborted) resolve();
      signal.addEventListener("abort", () => resolve(), { once: true });
    });
    await this.#end();
    await following;
  }

  /** The queues as they stand. */
  stats() {
    return {
      syncs: this.#syncQueues.stats(),
      trees: this.#treeQueues.stats(),
      backends: this.#backendQueue.stats(),
    };
  }

  /** Depth of the queues by store, for metrics. */
  queueDepths(): { store: string; depth: number; inFlight: number }[] {
    const names = new Map([...this.#registry.stores()].map((store) => [store.identityKey, store.identity]));
    const byStore = new Map<string, { store: string; depth: number; inFlight: number }>();
    const own = ["registrations", this.#registrations.stats()] as const;
    for (const [id, { depth, inFlight }] of [...this.#syncQueues.stats(), ...this.#treeQueues.stats(), own]) {
      const store = id === own[0] ? id : (names.get(id) ?? "none");
      const one = byStore.get(id) ?? { store, depth: 0, inFlight: 0 };
      one.depth += Object.values(depth).reduce((sum, count) => sum + count, 0);
      one.inFlight += inFlight;
      byStore.set(id, one);
    }
    return [...byStore.values()];
  }

  get registry(): BackendRegistry {
    return this.#registry;
  }

  async #end(): Promise<void> {
    this.#abort.abort();
    for (const unsubscribe of this.#unsubscribe) unsubscribe();
    this.#writerWatch.close();
    this.#firstLooks.close();
    this.#news.close();
    await Promise.all([
      this.#syncQueues.shutdown(5_000),
      this.#treeQueues.shutdown(5_000),
      this.#backendQueue.shutdown(5_000),
      this.#registrations.end(),
    ]);
    await this.#registry.close();
  }

  async #reconcileSync(key: string, lane: string, signal: AbortSignal) {
    const look = (): Promise<Requeue> => this.#timed("SecretSync", () => this.#syncs.reconcile(key, lane, signal));
    const next = await this.#drift.during(key, look);
    this.#waits(key, next);
    return next;
  }

  /** One secret of a tree. */
  async #reconcilePath(key: string, lane: string, signal: AbortSignal): Promise<Requeue> {
    const space = key.indexOf(" ");
    const next = await this.#trees.evaluate(key.slice(0, space), key.slice(space + 1), lane, signal);
    const home = this.#treeQueues.homeOf(key);
    if (next === undefined) {
      this.#treeQueues.forgetKey(key);
      return {};
    }
    for (const turn of next.turns ?? []) {
      if (this.#turns.has(turn)) continue;
      this.#turns.add(turn);
      void turn.then(() => {
        if (home !== undefined && !this.#abort.signal.aborted) this.#treeQueues.add(home, key, "retry");
      });
    }
    return next;
  }

  async #timed<T>(kind: string, work: () => Promise<T>): Promise<T> {
    const { clock, metrics } = this.#world;
    const started = clock.monotonic();
    let outcome: "done" | "failed" = "failed";
    try {
      const result = await work();
      outcome = "done";
      return result;
    } finally {
      metrics.reconciled(kind, outcome, clock.monotonic() - started);
    }
  }

  /** An object comes back when it is its turn to write, and is looked at while another cluster has to write. */
  #waits(key: string, { turns = [], waitsForWriter }: Requeue): void {
    for (const turn of turns) {
      if (this.#turns.has(turn)) continue;
      this.#turns.add(turn);
      void turn.then(() => this.#enqueueKey(key, "retry"));
    }
    const object = waitsForWriter === true ? this.#world.caches.syncs.get(key) : undefined;
    const view = object === undefined ? undefined : viewDeclared(object);
    const state = view?.ok === true ? this.#registry.get(backendKeyOf(view.object)) : undefined;
    if (state?.state === "Usable") this.#writerWatch.note(state.store, key);
  }

  async #lookForWriter(store: StoreHandle, keys: ReadonlySet<string>): Promise<void> {
    await this.#refresh(store, { counts: (key) => keys.has(key) });
    for (const key of keys) this.#enqueueKey(key, "refresh");
  }

  /** News may have been lost: ScaiVault is asked for all targets once, as after a poll. */
  #lookAtAll(): void {
    for (const store of this.#registry.stores()) void this.#verify(store, new Set());
  }

  #enqueueKey(key: string, lane: Lane): void {
    const object = this.#world.caches.syncs.get(key);
    if (object !== undefined && !this.#abort.signal.aborted) this.#enqueueSync(object, lane);
  }

  async #reconcileBackend(key: string, signal: AbortSignal) {
    const outcome = await this.#timed("FederationBackend", () => this.#backends.reconcile(key, signal));
    const { changed, again, requeueAfterMs } = outcome;
    if (changed) this.#enqueueDependants([key], "change");
    if (requeueAfterMs !== undefined) return { requeueAfterMs };
    if (again) return { requeueAfterMs: RECHECK_MS };
    const state = this.#registry.get(key);
    // Credentials are watched, but not everything that may be missing (ConfigMaps, rights, the API server).
    const mendable = state.state === "Refused" && reasons[state.error.reason].kind !== "terminal";
    return mendable && !wanted.has(state.error.reason) ? { requeueAfterMs: REFUSED_RETRY_MS } : {};
  }

  #backendUpdated(object: KubeObject, old: KubeObject): void {
    if (!specChanged(object, old)) return;
    this.#backendQueue.add(keyOf(object), "user");
    if (object.metadata.generation !== old.metadata.generation) this.#pathsFreed(old);
    // Grants may have changed although the store is the same.
    this.#enqueueDependants([keyOf(object)], "change");
  }

  /** What a backend's mappings held may be free now: whoever waits for a path there looks again. */
  #pathsFreed(old: KubeObject): void {
    const { caches } = this.#world;
    const waits = (path: string) => holdsScaiVaultPath(old, path.endsWith("/**") ? `${path.slice(0, -2)}x` : path);
    for (const object of caches.syncs.list()) {
      const view = viewDeclared(object);
      const path = view.ok ? view.object.spec.targets.scaivault?.path : undefined;
      if (path !== undefined && waits(path)) this.#enqueueSync(object, "change");
    }
    this.#trees.freed((path) => holdsScaiVaultPath(old, path));
  }

  #credentialChanged(object: PartialObjectMetadata): void {
    for (const backend of this.#world.caches.backends.byIndex(indexes.credential, keyOf(object)))
      this.#backendQueue.add(keyOf(backend), "user");
  }

  #syncUpdated(object: KubeObject, old: KubeObject): void {
    if (specChanged(object, old)) {
      this.#news.objectsChanged();
      this.#enqueueSync(object, "user");
      this.#intervalChanged(object, old);
      return;
    }
    if (object.metadata.resourceVersion !== old.metadata.resourceVersion) this.#countsChanged(object);
  }

  /** A shorter interval counts from now on, not from the next poll on. */
  #intervalChanged(object: KubeObject, old: KubeObject): void {
    const [now, before] = [viewDeclared(object), viewDeclared(old)];
    if (!now.ok || (before.ok && before.object.spec.syncInterval === now.object.spec.syncInterval)) return;
    const state = this.#registry.get(backendKeyOf(now.object));
    if (state.state === "Usable") state.store.poller.reconsider();
  }

  #syncDeleted(object: KubeObject): void {
    this.#news.objectsChanged();
    this.#syncQueues.forgetKey(keyOf(object));
    this.#syncs.forget(keyOf(object));
    this.#countsChanged(object);
    void releaseOrphansOf(this.#world, object, this.#abort.signal);
    const { namespace = "" } = object.metadata;
    const admitted = lastWithinBudget(this.#world, namespace);
    if (admitted !== undefined) this.#enqueueSync(admitted, "user");
    // Whoever waits for the same targets may have them now.
    this.#trees.freed((path) => declaresPath(object, path));
    for (const other of this.#world.caches.syncs.byIndex(indexes.namespace, namespace))
      if (sharesTarget(object, other)) this.#enqueueSync(other, "user");
  }

  #secretChanged(object: PartialObjectMetadata, gone = false): void {
    const key = ownerKeyOf(this.#world.cluster, object);
    const owner = key === undefined ? undefined : this.#world.caches.syncs.get(key);
    if (owner !== undefined && gone) this.#enqueueSync(owner, "drift");
    else if (key !== undefined && owner !== undefined) this.#drift.seen(key, object);
    else if (key !== undefined) void releaseOrphan(this.#world, object, this.#abort.signal);
    for (const named of this.#world.caches.syncs.byIndex(indexes.secretTarget, keyOf(object)))
      if (keyOf(named) !== key) this.#enqueueSync(named, "drift");
  }

  #isEcho(secret: PartialObjectMetadata): boolean {
    const { namespace = "", name } = secret.metadata;
    return this.#world.secrets.isEcho?.({ namespace, name }, secret) === true;
  }

  /** Counts of a backend move with its dependants, but not once for each of them. */
  #countsChanged(object: KubeObject): void {
    const view = viewDeclared(object);
    if (view.ok) this.#backendQueue.addAfter(backendKeyOf(view.object), COUNTS_DEBOUNCE_MS, "refresh");
  }

  #enqueueSync(object: KubeObject, lane: Lane): void {
    const view = viewDeclared(object);
    const backend = view.ok ? backendKeyOf(view.object) : "";
    const state = view.ok ? this.#registry.get(backend) : undefined;
    const isThere = this.#world.caches.backends.get(backend) !== undefined;
    if (this.#firstLooks.takes(keyOf(object), object, lane, isThere ? state : undefined)) return;
    const queue = state?.state === "Usable" ? state.store.identityKey : NO_STORE;
    this.#syncQueues.add(queue, keyOf(object), lane);
  }

  #enqueueDependants(backends: Iterable<string>, lane: Lane, only?: ReadonlySet<string>): void {
    for (const backend of backends) {
      for (const object of this.#world.caches.syncs.byIndex(indexes.backend, backend)) {
        if (only === undefined || only.has(keyOf(object))) this.#enqueueSync(object, lane);
      }
    }
  }

  #demand(backends: ReadonlySet<string>): Demand {
    return demandOf(this.#world, backends);
  }

  /**
   * A poll ended: ScaiVault is asked for the targets of what changed, and these objects are looked at. All others follow,
   * and may take as long as ScaiVault's rate budget makes them wait.
   */
  async #polled(store: StoreHandle, event: PolledEvent): Promise<void> {
    this.#world.metrics.poll(store.identity, event.method, event.ms);
    const changed = new Set(event.changed);
    const asked = new Set(event.asked);
    holdMassChanges(this.#world, store, changed);
    void this.#polledTrees(store, event);
    if (event.full) await findLingering(this.#world, store, this.#abort.signal);
    const concerned = this.#dependants(store, (object) => changed.size > 0 && concerns(object, changed));
    const keys = new Set(concerned.map(keyOf));
    if (event.full && keys.size > 0) await this.#refresh(store, { counts: (key) => keys.has(key), changed: true });
    for (const object of concerned) this.#enqueueSync(object, "change");
    for (const backend of store.backends) this.#backendQueue.add(backend, "refresh");
    if (event.full) void this.#verify(store, keys);
    else if (asked.size > 0)
      for (const object of this.#dependants(store, (one) => concerns(one, asked)))
        if (!keys.has(keyOf(object))) this.#enqueueSync(object, "refresh");
  }

  /** Failures stand in the observations; what is thrown is the end of the term, or a defect. */
  async #polledTrees(store: StoreHandle, event: PolledEvent): Promise<void> {
    try {
      await this.#trees.polled(store, event, this.#abort.signal);
    } catch (error) {
      this.#reconcileFailed("", error);
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
    await this.#refresh(store, { counts: (key) => !done.has(key) });
    const again = this.#verifying.get(store) === true;
    this.#verifying.delete(store);
    for (const object of this.#dependants(store, (one) => !done.has(keyOf(one)))) this.#enqueueSync(object, "refresh");
    if (again && !this.#abort.signal.aborted) await this.#verify(store, new Set());
  }

  /** Failures stand in the observations; what is thrown is the end of the term, or a defect. */
  async #refresh(store: StoreHandle, options: RefreshOptions): Promise<void> {
    try {
      await refreshScaiVault(this.#world, store, this.#abort.signal, options);
    } catch (error) {
      this.#reconcileFailed("", error);
    }
  }

  #stateChanged(store: StoreHandle, what: "failing" | "recovered" | "stale"): void {
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
    for (const backend of store.backends) this.#backendQueue.add(backend, "user");
    if (what === "stale" || what === "failing") this.#enqueueDependants(store.backends, "refresh");
    if (what === "stale") this.#trees.storeChanged(store);
  }
}

/** Refusals that only an edit of the object ends, and that are as people want it. */
const wanted: ReadonlySet<string> = new Set(["BackendSuspended", "BackendNotReadable"]);

/** Status writes of ours do not count. */
function specChanged(object: KubeObject, old: KubeObject): boolean {
  const own = (o: KubeObject) => [
    o.metadata.uid,
    o.metadata.generation,
    o.metadata.deletionTimestamp,
    o.metadata.annotations?.[annotations.syncRequestedAt],
    o.metadata.annotations?.[annotations.approve],
  ];
  const before = own(old);
  return own(object).some((value, at) => value !== before[at]);
}

function concerns(object: KubeObject, changed: ReadonlySet<string>): boolean {
  const view = viewDeclared(object);
  if (!view.ok) return false;
  const { path, subtree } = view.object.spec.source;
  if (path !== undefined) return changed.has(path) || path.startsWith("arn:");
  const prefix = subtree?.slice(0, -"**".length) ?? "";
  return [...changed].some((one) => one.startsWith(prefix));
}

function sharesTarget(a: KubeObject, b: KubeObject): boolean {
  const [left, right] = [viewDeclared(a), viewDeclared(b)];
  if (!left.ok || !right.ok) return false;
  const [x, y] = [left.object, right.object];
  const name = (o: typeof x) =>
    o.spec.targets.kubernetesSecret && (o.spec.targets.kubernetesSecret.name ?? o.metadata.name);
  const sameSecret = name(x) !== undefined && name(x) === name(y);
  const path = x.spec.targets.scaivault?.path;
  return sameSecret || (path !== undefined && path === y.spec.targets.scaivault?.path);
}
