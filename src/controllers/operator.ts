import { reasons, toSyncError } from "../errors/index.ts";
import type { Demand } from "../catalogue/index.ts";
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
import { indexes } from "./caches.ts";
import { demandOf, knownVersions } from "./demand.ts";
import { DriftLooks } from "./drift-looks.ts";
import { FirstLooks } from "./first-looks.ts";
import { COUNTS_DEBOUNCE_MS, ObjectChanges } from "./object-changes.ts";
import { newsOfSyncs } from "./news-of-syncs.ts";
import { ScaiVaultNews } from "./scaivault-news.ts";
import { Registrations } from "./registrations.ts";
import { StoreChanges } from "./store-changes.ts";
import { StatusWriter } from "./status-writer.ts";
import type { Requeue } from "./requeue.ts";
import { SyncController } from "./sync-controller.ts";
import { TreeController } from "./tree-controller.ts";
import { backendKeyOf, viewDeclared } from "./views.ts";
import type { World } from "./world.ts";
import { WriterWatch } from "./writer-watch.ts";

/** Queue of objects whose store is not known (yet). */
const NO_STORE = "";
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
  readonly #changes: ObjectChanges;
  readonly #stores: StoreChanges;
  /** Turns in the rate budget that somebody listens to already. */
  readonly #turns = new WeakSet<Promise<void>>();

  constructor(options: OperatorOptions) {
    const hooks: RegistryHooks = {
      demand: (backends) => this.#demand(backends),
      known: (backends) => knownVersions(this.#world, backends),
      onPolled: (store, event) => this.#stores.polled(store, event),
      onState: (store, what) => this.#stores.stateChanged(store, what),
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
      missed: () => this.#stores.lookAtAll(),
    });
    this.#news = new ScaiVaultNews(this.#world, [syncs, this.#trees.news(this.#abort.signal)], this.#abort.signal);
    this.#changes = this.#objectChanges();
    this.#stores = this.#storeChanges();
    this.#writerWatch = new WriterWatch(options.clock, (store, keys) => void this.#lookForWriter(store, keys));
    this.#backendHandler = { onError };
  }

  #objectChanges(): ObjectChanges {
    return new ObjectChanges({
      world: this.#world,
      registry: this.#registry,
      backendQueue: this.#backendQueue,
      trees: this.#trees,
      news: this.#news,
      drift: this.#drift,
      signal: this.#abort.signal,
      enqueue: (object, lane) => this.#enqueueSync(object, lane),
      enqueueDependants: (backend, lane) => this.#enqueueDependants([backend], lane),
      forget: (key) => {
        this.#syncQueues.forgetKey(key);
        this.#syncs.forget(key);
      },
    });
  }

  #storeChanges(): StoreChanges {
    return new StoreChanges({
      world: this.#world,
      stores: () => this.#registry.stores(),
      backendQueue: this.#backendQueue,
      trees: this.#trees,
      signal: this.#abort.signal,
      enqueue: (object, lane) => this.#enqueueSync(object, lane),
      enqueueDependants: (backends, lane) => this.#enqueueDependants(backends, lane),
      onError: (error) => this.#reconcileFailed("", error),
    });
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
    this.#world.scaivault?.observations.restart();
    this.#backendQueue.run(4, (key, context) => this.#reconcileBackend(key, context.signal), this.#backendHandler);
    this.#unsubscribe.push(...this.#changes.subscribe());
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
    await this.#stores.refresh(store, { counts: (key) => keys.has(key) });
    for (const key of keys) this.#enqueueKey(key, "refresh");
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

  #isEcho(secret: PartialObjectMetadata): boolean {
    const { namespace = "", name } = secret.metadata;
    return this.#world.secrets.isEcho?.({ namespace, name }, secret) === true;
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
}

/** Refusals that only an edit of the object ends, and that are as people want it. */
const wanted: ReadonlySet<string> = new Set(["BackendSuspended", "BackendNotReadable"]);
