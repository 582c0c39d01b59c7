import { annotations } from "../api/index.ts";
import { type KubeObject, keyOf, type Lane, type PartialObjectMetadata, type WorkQueue } from "../runtime/index.ts";
import type { BackendRegistry } from "./backend-registry.ts";
import { indexes, ownerKeyOf } from "./caches.ts";
import type { DriftLooks } from "./drift-looks.ts";
import { releaseOrphan, releaseOrphansOf } from "./orphans.ts";
import type { ScaiVaultNews } from "./scaivault-news.ts";
import { lastWithinBudget } from "./subject.ts";
import { declaresPath, holdsScaiVaultPath } from "./target-claims.ts";
import type { TreeController } from "./tree-controller.ts";
import { backendKeyOf, viewDeclared } from "./views.ts";
import type { World } from "./world.ts";

/** Counts of a backend are written anew so long after the first of its objects moved. */
export const COUNTS_DEBOUNCE_MS = 2_000;

export interface ObjectChangesOptions {
  readonly world: World;
  readonly registry: BackendRegistry;
  readonly backendQueue: Pick<WorkQueue, "add" | "addAfter">;
  readonly trees: Pick<TreeController, "freed">;
  readonly news: Pick<ScaiVaultNews, "objectsChanged">;
  readonly drift: Pick<DriftLooks<PartialObjectMetadata>, "seen">;
  /** Aborts at the end of the term. */
  readonly signal: AbortSignal;
  /** A SecretSync is to be looked at. */
  readonly enqueue: (object: KubeObject, lane: Lane) => void;
  /** All SecretSyncs that read a backend are to be looked at. */
  readonly enqueueDependants: (backend: string, lane: Lane) => void;
  /** A SecretSync is gone. */
  readonly forget: (key: string) => void;
}

/** What a change of an object in the cluster sets to work: who has to look again, and in which lane. */
export class ObjectChanges {
  readonly #options: ObjectChangesOptions;
  readonly #world: World;

  constructor(options: ObjectChangesOptions) {
    this.#options = options;
    this.#world = options.world;
  }

  /** Follows the caches. @returns what ends it */
  subscribe(): readonly (() => void)[] {
    const { caches } = this.#world;
    // Backends first: their sources are made before the objects that read them are looked at.
    return [
      caches.backends.subscribe({
        add: (object) => this.#options.backendQueue.add(keyOf(object), "user"),
        update: (object, old) => this.#backendUpdated(object, old),
        delete: (object) => {
          this.#options.backendQueue.add(keyOf(object), "user");
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
          this.#options.news.objectsChanged();
          this.#options.enqueue(object, "refresh");
        },
        update: (object, old) => this.#syncUpdated(object, old),
        delete: (object) => this.#syncDeleted(object),
      }),
      caches.managed.subscribe({
        add: (object) => this.#secretChanged(object),
        update: (object) => this.#secretChanged(object),
        delete: (object) => this.#secretChanged(object, true),
      }),
    ];
  }

  #backendUpdated(object: KubeObject, old: KubeObject): void {
    if (!specChanged(object, old)) return;
    this.#options.backendQueue.add(keyOf(object), "user");
    if (object.metadata.generation !== old.metadata.generation) this.#pathsFreed(old);
    // Grants may have changed although the store is the same.
    this.#options.enqueueDependants(keyOf(object), "change");
  }

  /** What a backend's mappings held may be free now: whoever waits for a path there looks again. */
  #pathsFreed(old: KubeObject): void {
    const { caches } = this.#world;
    const waits = (path: string) => holdsScaiVaultPath(old, path.endsWith("/**") ? `${path.slice(0, -2)}x` : path);
    for (const object of caches.syncs.list()) {
      const view = viewDeclared(object);
      const path = view.ok ? view.object.spec.targets.scaivault?.path : undefined;
      if (path !== undefined && waits(path)) this.#options.enqueue(object, "change");
    }
    this.#options.trees.freed((path) => holdsScaiVaultPath(old, path));
  }

  #credentialChanged(object: PartialObjectMetadata): void {
    for (const backend of this.#world.caches.backends.byIndex(indexes.credential, keyOf(object)))
      this.#options.backendQueue.add(keyOf(backend), "user");
  }

  #syncUpdated(object: KubeObject, old: KubeObject): void {
    if (specChanged(object, old)) {
      this.#options.news.objectsChanged();
      this.#options.enqueue(object, "user");
      this.#intervalChanged(object, old);
      return;
    }
    if (object.metadata.resourceVersion !== old.metadata.resourceVersion) this.#countsChanged(object);
  }

  /** A shorter interval counts from now on, not from the next poll on. */
  #intervalChanged(object: KubeObject, old: KubeObject): void {
    const [now, before] = [viewDeclared(object), viewDeclared(old)];
    if (!now.ok || (before.ok && before.object.spec.syncInterval === now.object.spec.syncInterval)) return;
    const state = this.#options.registry.get(backendKeyOf(now.object));
    if (state.state === "Usable") state.store.poller.reconsider();
  }

  #syncDeleted(object: KubeObject): void {
    this.#options.news.objectsChanged();
    this.#options.forget(keyOf(object));
    this.#countsChanged(object);
    void releaseOrphansOf(this.#world, object, this.#options.signal);
    const { namespace = "" } = object.metadata;
    const admitted = lastWithinBudget(this.#world, namespace);
    if (admitted !== undefined) this.#options.enqueue(admitted, "user");
    // Whoever waits for the same targets may have them now.
    this.#options.trees.freed((path) => declaresPath(object, path));
    for (const other of this.#world.caches.syncs.byIndex(indexes.namespace, namespace))
      if (sharesTarget(object, other)) this.#options.enqueue(other, "user");
  }

  #secretChanged(object: PartialObjectMetadata, gone = false): void {
    const key = ownerKeyOf(this.#world.cluster, object);
    const owner = key === undefined ? undefined : this.#world.caches.syncs.get(key);
    if (owner !== undefined && gone) this.#options.enqueue(owner, "drift");
    else if (key !== undefined && owner !== undefined) this.#options.drift.seen(key, object);
    else if (key !== undefined) void releaseOrphan(this.#world, object, this.#options.signal);
    for (const named of this.#world.caches.syncs.byIndex(indexes.secretTarget, keyOf(object)))
      if (keyOf(named) !== key) this.#options.enqueue(named, "drift");
  }

  /** Counts of a backend move with its dependants, but not once for each of them. */
  #countsChanged(object: KubeObject): void {
    const view = viewDeclared(object);
    if (view.ok) this.#options.backendQueue.addAfter(backendKeyOf(view.object), COUNTS_DEBOUNCE_MS, "refresh");
  }
}

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
