import { isDeepStrictEqual } from "node:util";
import type { KubeObject } from "../runtime/index.ts";
import { type Caches, indexes } from "./caches.ts";

/** An object that is to be planned, as it would stand in the cluster after the manifests were applied. */
export interface PlannedObject {
  readonly object: KubeObject;
  /** `Cluster`: it is in no manifest, but reads a backend that one of them changes. */
  readonly origin: "Manifest" | "Cluster";
  /** Whether the cluster has it already. Without a UID there is no hash to approve yet. */
  readonly exists: boolean;
}

export interface Overlay {
  readonly syncs: readonly PlannedObject[];
  /** Backends among the manifests. */
  readonly backends: readonly PlannedObject[];
}

interface Stored extends KubeObject {
  readonly spec?: unknown;
  readonly status?: object;
}

/**
 * Lays manifests over the caches as if they had been applied: UID and status of what exists stay, a changed spec counts
 * the generation up as the API server would, so that hashes to approve come out the same.
 * @param options.namespace namespace of manifests that name none
 */
export function overlayManifests(
  caches: Caches,
  manifests: readonly object[],
  options: { readonly namespace: string; readonly nowMs: number },
): Overlay {
  const syncs = new Map<string, PlannedObject>();
  const backends: PlannedObject[] = [];
  const changed: string[] = [];
  for (const manifest of manifests as readonly Stored[]) {
    const namespace = manifest.metadata.namespace ?? options.namespace;
    const key = `${namespace}/${manifest.metadata.name}`;
    const store = manifest.kind === "FederationBackend" ? caches.backends : caches.syncs;
    const old = store.get(key) as Stored | undefined;
    const object = merged(manifest, old, namespace, options.nowMs);
    store.upsert(object);
    const planned: PlannedObject = { object, origin: "Manifest", exists: old !== undefined };
    if (manifest.kind === "SecretSync") syncs.set(key, planned);
    else {
      backends.push(planned);
      if (!isDeepStrictEqual(old?.spec, manifest.spec)) changed.push(key);
    }
  }
  for (const object of changed.flatMap((key) => caches.syncs.byIndex(indexes.backend, key))) {
    const key = `${object.metadata.namespace ?? ""}/${object.metadata.name}`;
    if (!syncs.has(key)) syncs.set(key, { object, origin: "Cluster", exists: true });
  }
  return { syncs: [...syncs.values()], backends };
}

function merged(manifest: Stored, old: Stored | undefined, namespace: string, nowMs: number): KubeObject {
  const { labels, annotations } = manifest.metadata;
  // A store takes an object with a known resourceVersion for one that it has already.
  const { resourceVersion: _, ...stored } = old?.metadata ?? {};
  const before =
    old !== undefined ? stored : { uid: "not-applied-yet", creationTimestamp: new Date(nowMs).toISOString() };
  const moved = old !== undefined && !isDeepStrictEqual(old.spec, manifest.spec);
  const generation = (old?.metadata.generation ?? 1) + (moved ? 1 : 0);
  return {
    apiVersion: manifest.apiVersion,
    kind: manifest.kind,
    metadata: {
      ...before,
      name: manifest.metadata.name,
      namespace,
      generation,
      // What people set by hand, such as an approval, stays through an apply.
      labels: { ...old?.metadata.labels, ...labels },
      annotations: { ...old?.metadata.annotations, ...annotations },
    },
    ...(manifest.spec === undefined ? {} : { spec: manifest.spec }),
    ...(old?.status === undefined ? {} : { status: old.status }),
  } as KubeObject;
}
