import {
  API_VERSION,
  type Condition,
  type FederationBackendStatus,
  fieldManagers,
  type SecretSyncStatus,
  type TargetStatus,
} from "../api/index.ts";
import { sameStatus, type SyncStatusInput, syncStatus } from "../decide/index.ts";
import { reasons, type Reason } from "../errors/index.ts";
import type { KubeObject } from "../runtime/index.ts";
import { ownResources } from "./caches.ts";
import { metricScope } from "./metric-scope.ts";
import type { World } from "./world.ts";

interface WithStatus<S> extends KubeObject {
  readonly status?: S;
}

/**
 * Writes status, only when something other than a time changed, and tells events on transitions of Ready only. What was
 * written last is remembered, because the cache may lag behind our own write.
 */
export class StatusWriter {
  readonly #world: World;
  readonly #written = new Map<string, { uid: string; resourceVersion: string; status: unknown }>();

  constructor(world: World) {
    this.#world = world;
  }

  /** The status that stands: our last write where the object is the same, else what the cache has. */
  current<S>(kind: string, object: KubeObject): S | undefined {
    const key = `${kind} ${keyOf(object)}`;
    const known = this.#written.get(key);
    const { uid, resourceVersion } = object.metadata;
    if (known !== undefined && known.uid === uid && isOlder(resourceVersion, known.resourceVersion))
      return known.status as S;
    // The watch has brought our write, and whatever others made of it since.
    this.#written.delete(key);
    const { status } = object as WithStatus<S & { readonly conditions?: readonly unknown[] }>;
    // The API server's default (`observedGeneration: 0`) is not a status that was written.
    return status?.conditions === undefined ? undefined : status;
  }

  forget(kind: string, key: string): void {
    this.#written.delete(`${kind} ${key}`);
  }

  /** Computes and writes the status of a SecretSync. */
  async sync(object: KubeObject, input: Omit<SyncStatusInput, "previous" | "generation" | "nowMs">): Promise<void> {
    const previous = this.current<SecretSyncStatus>("SecretSync", object);
    const generation = object.metadata.generation ?? 0;
    const next = bounded(syncStatus({ ...input, previous, generation, nowMs: this.#world.clock.now() }));
    if (!sameStatus(next, previous)) await this.#write("SecretSync", object, previous, next);
  }

  /** Says that an approval is used, before anything is done by it: nothing else of the status moves. */
  async approvalUsed(kind: "SecretSync" | "FederationBackend", object: KubeObject, hash: string): Promise<void> {
    const previous = this.current<SecretSyncStatus | FederationBackendStatus>(kind, object);
    await this.#write(kind, object, previous, { ...previous, lastHandledApproval: hash });
  }

  /** Writes a backend's status when it differs. */
  async backend(
    object: KubeObject,
    previous: FederationBackendStatus | undefined,
    next: FederationBackendStatus,
  ): Promise<void> {
    if (next !== previous) await this.#write("FederationBackend", object, previous, next);
  }

  async #write(
    kind: "SecretSync" | "FederationBackend",
    object: KubeObject,
    previous: { conditions?: Condition[] | undefined } | undefined,
    next: SecretSyncStatus | FederationBackendStatus,
  ): Promise<void> {
    const world = this.#world;
    if (world.dryRun) return;
    world.assertHeld();
    const resource = kind === "SecretSync" ? ownResources.syncs : ownResources.backends;
    const { name, namespace = "", uid = "" } = object.metadata;
    const body = { apiVersion: API_VERSION, kind, metadata: { name, namespace, uid }, status: next };
    const { metadata } = await world.client.applyStatus(resource, body, {
      fieldManager: fieldManagers.status,
      force: true,
      guard: () => world.assertHeld(),
    });
    const { resourceVersion = "" } = metadata;
    this.#written.set(`${kind} ${namespace}/${name}`, { uid, resourceVersion, status: next });
    this.#tell(kind, object, previous?.conditions, next.conditions);
  }

  /** An event when Ready changes its status or its reason; nothing while it stays. */
  #tell(kind: string, object: KubeObject, before: Condition[] | undefined, now: Condition[] | undefined): void {
    const ready = (conditions: Condition[] | undefined) => conditions?.find(({ type }) => type === "Ready");
    const [old, next] = [ready(before), ready(now)];
    if (next === undefined || (old?.status === next.status && old.reason === next.reason)) return;
    const row = reasons[next.reason as Reason] as { kind: string } | undefined;
    const namespace = object.metadata.namespace ?? "";
    if (next.status !== "True" && row?.kind !== "ok")
      this.#world.metrics.failure(next.reason, metricScope(kind, object));
    this.#world.log.info("status changed", {
      kind,
      namespace,
      name: object.metadata.name,
      reason: next.reason,
      message: next.message,
    });
    if (next.reason === "Progressing") return;
    this.#world.events.record({
      regarding: { ...object, apiVersion: API_VERSION, kind },
      type: next.status === "True" || next.reason === "Suspended" ? "Normal" : "Warning",
      reason: next.reason,
      action: "Reconcile",
      note: next.message === "" ? next.reason : next.message,
    });
  }
}

function keyOf(object: KubeObject): string {
  return `${object.metadata.namespace ?? ""}/${object.metadata.name}`;
}

/** Resource versions grow as whole numbers wherever this runs; what cannot be compared counts as caught up. */
function isOlder(seen: string | undefined, written: string): boolean {
  return Number(seen) < Number(written);
}

/** Bounds of the schema: beyond them the API server would refuse the whole status. */
function bounded(status: SecretSyncStatus): SecretSyncStatus {
  if (status.targets === undefined) return status;
  const cut = (text: string, max: number) => (text.length <= max ? text : `${text.slice(0, max - 1)}…`);
  const targets = status.targets.map((target): TargetStatus => ({
    ...target,
    ref: cut(target.ref, 600),
    ...(target.sourceVersion === undefined ? {} : { sourceVersion: cut(target.sourceVersion, 128) }),
    ...(target.targetVersion === undefined ? {} : { targetVersion: cut(target.targetVersion, 64) }),
  }));
  return { ...status, targets };
}
