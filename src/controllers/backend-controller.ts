import {
  annotations,
  type Condition,
  effectiveBackend,
  effectiveFederation,
  type FederationBackend,
  type FederationBackendStatus,
  type SecretSyncStatus,
  SYNC_REQUEST_PATTERN,
} from "../api/index.ts";
import { type BackendStatusInput, backendStatus, registeredStatus } from "../decide/index.ts";
import { type SyncError, toSyncError } from "../errors/index.ts";
import type { KubeObject } from "../runtime/index.ts";
import type { ResolvedBackend } from "./backend-registry.ts";
import { caConfigMap, credentialSecrets } from "./backend-resolver.ts";
import { indexes } from "./caches.ts";
import type { Registrations } from "./registrations.ts";
import { type StatusWriter } from "./status-writer.ts";
import { backendLocation } from "./subject.ts";
import { runsInScaiVault, type TreeController } from "./tree-controller.ts";
import { viewBackend, viewDeclared } from "./views.ts";
import type { World } from "./world.ts";

/** What came of a backend. */
export interface BackendReconciled {
  /** Those who depend on it have to look again. */
  readonly changed: boolean;
  /** Something could not be asked, or may change unseen while the store fails; what was known before still holds. */
  readonly again: boolean;
  /** The clean-up of its tree is not over. */
  readonly requeueAfterMs?: number;
}

/** A CA that is not watched is not asked for more often while all is well, in milliseconds. */
const UNWATCHED_MS = 30_000;
const HELD = new Set(["DeletionHeld", "ChangeHeld", "ApprovalNeeded"]);

/** Reconciles FederationBackends: checks, credentials, the shared source, status. */
export class BackendController {
  readonly #world: World;
  readonly #status: StatusWriter;
  readonly #registrations: Registrations;
  readonly #trees: TreeController;
  readonly #handled = new Map<string, { value: string; atMs: number }>();
  /** What the last good checks of each backend rested on. */
  readonly #checked = new Map<string, string>();
  readonly #unwatchedAt = new Map<string, { version: string | undefined; atMs: number }>();

  constructor(world: World, status: StatusWriter, registrations: Registrations, trees: TreeController) {
    this.#world = world;
    this.#status = status;
    this.#registrations = registrations;
    this.#trees = trees;
  }

  async reconcile(key: string, signal: AbortSignal): Promise<BackendReconciled> {
    const { registry, caches } = this.#world;
    const object = caches.backends.get(key);
    if (object === undefined) {
      await registry.remove(key);
      this.#status.forget("FederationBackend", key);
      this.#handled.delete(key);
      this.#checked.delete(key);
      this.#unwatchedAt.delete(key);
      this.#trees.forget(key);
      return { changed: true, again: false };
    }
    const view = viewBackend(object);
    const { changed, again } = view.ok
      ? await this.#check(key, object, view.object, signal)
      : { changed: await this.#refuse(key, object, view.error), again: false };
    if (view.ok) this.#syncRequest(key, view.object);
    // Two never write the same paths: the operator's tree waits until ScaiVault's registration is gone.
    const held = view.ok && object.metadata.deletionTimestamp === undefined && this.#registrations.has(view.object);
    const { requeueAfterMs } = held && !runsInScaiVault(object) ? {} : await this.#trees.reconcile(key, object, signal);
    if (object.metadata.deletionTimestamp !== undefined && !runsInScaiVault(object))
      return { changed, again, ...(requeueAfterMs === undefined ? {} : { requeueAfterMs }) };
    const previous = this.#status.current<FederationBackendStatus>("FederationBackend", object);
    const input = this.#input(key, object, view.ok ? view.object : undefined, previous);
    const next =
      this.#registered(view.ok ? view.object : undefined, input) ?? withRecord(backendStatus(input), input, view.ok);
    await this.#status.backend(object, previous, next);
    return { changed, again: again || this.#mayMendUnseen(key, view.ok ? view.object : undefined) };
  }

  /** Checks the backend and takes the outcome in. Nothing is asked for while it rests on what it rested on before. */
  async #check(
    key: string,
    object: KubeObject,
    backend: FederationBackend,
    signal: AbortSignal,
  ): Promise<BackendReconciled> {
    const { registry, resolver } = this.#world;
    const basis = await this.#basisOf(backend, object, signal);
    const usable = registry.get(key).state === "Usable";
    if (usable && basis !== undefined && this.#checked.get(key) === basis) return { changed: false, again: false };
    this.#checked.delete(key);
    let outcome: ResolvedBackend;
    try {
      outcome = await resolver.resolve(backend, signal);
    } catch (error) {
      const failed = toSyncError(error, "resolve");
      // The API server did not answer: that says nothing against what works.
      if (usable && failed.reason === "KubernetesUnavailable") {
        this.#logRefusal(object, failed);
        return { changed: false, again: true };
      }
      return { changed: await this.#refuse(key, object, failed), again: false };
    }
    const changed = await registry.set(key, outcome, backendLocation(backend));
    if (basis !== undefined) this.#checked.set(key, basis);
    return { changed, again: false };
  }

  /** A store that fails may do so for a CA that is replaced without a watch telling. */
  #mayMendUnseen(key: string, backend: FederationBackend | undefined): boolean {
    const state = this.#world.registry.get(key);
    const failing = state.state === "Usable" && state.store.poller.state.state === "Failing";
    return failing && backend !== undefined && caConfigMap(backend) !== undefined;
  }

  async #refuse(key: string, object: KubeObject, error: SyncError): Promise<boolean> {
    this.#checked.delete(key);
    this.#logRefusal(object, error);
    return this.#world.registry.set(key, error, "");
  }

  /** What the checks rest on, as the watches show it; undefined when something of it cannot be told. */
  async #basisOf(backend: FederationBackend, object: KubeObject, signal: AbortSignal): Promise<string | undefined> {
    const { uid, generation, namespace = "" } = object.metadata;
    const versions = credentialSecrets(backend).map(
      (name) => this.#world.caches.credentials.get(`${namespace}/${name}`)?.metadata.resourceVersion,
    );
    if (versions.includes(undefined)) return undefined;
    const unwatched = await this.#unwatched(backend, signal);
    return unwatched === undefined ? undefined : JSON.stringify([uid, generation, versions, unwatched]);
  }

  /** A CA in a ConfigMap is asked for after each poll, at most every half minute; at once while the store fails. */
  async #unwatched(backend: FederationBackend, signal: AbortSignal): Promise<string | undefined> {
    if (caConfigMap(backend) === undefined) return "";
    const key = `${backend.metadata.namespace}/${backend.metadata.name}`;
    const { clock, registry, resolver } = this.#world;
    const known = this.#unwatchedAt.get(key);
    const state = registry.get(key);
    const good = state.state === "Usable" && state.store.poller.state.state !== "Failing";
    if (known !== undefined && good && clock.now() - known.atMs < UNWATCHED_MS) return known.version;
    const version = await resolver.unwatched(backend, signal);
    this.#unwatchedAt.set(key, { version, atMs: clock.now() });
    return version;
  }

  #logRefusal(object: KubeObject, error: SyncError): void {
    // Both are as people want it.
    if (error.reason === "BackendSuspended" || error.reason === "BackendNotReadable") return;
    this.#world.log.warn("backend refused", {
      kind: "FederationBackend",
      namespace: object.metadata.namespace ?? "",
      name: object.metadata.name,
      reason: error.reason,
      message: error.message,
      ...(error.detail === undefined ? {} : { detail: error.detail }),
    });
  }

  /** A sync request asks the store itself for everything, at most every thirty seconds. */
  #syncRequest(key: string, backend: FederationBackend): void {
    const value = backend.metadata.annotations?.[annotations.syncRequestedAt];
    if (value === undefined || !SYNC_REQUEST_PATTERN.test(value)) return;
    const last = this.#handled.get(key);
    const now = this.#world.clock.monotonic();
    if (value === (last?.value ?? backend.status?.lastHandledSyncRequest)) return;
    if (last !== undefined && now - last.atMs < 30_000) return;
    const state = this.#world.registry.get(key);
    if (state.state !== "Usable") return;
    this.#handled.set(key, { value, atMs: now });
    state.store.poller.pollNow({ fresh: true });
  }

  #input(
    key: string,
    object: KubeObject,
    backend: FederationBackend | undefined,
    previous: FederationBackendStatus | undefined,
  ): BackendStatusInput {
    const { clock, registry } = this.#world;
    const state = registry.get(key);
    const poller = state.state === "Usable" ? state.store.poller : undefined;
    return {
      previous,
      generation: object.metadata.generation ?? 0,
      nowMs: clock.now(),
      store: storeVerdict(state),
      identity: state.state === "Usable" ? state.store.identity : undefined,
      syncInterval: backend === undefined ? "" : effectiveBackend(backend.spec).syncInterval,
      poll: poller?.method,
      notes: poller?.notes ?? [],
      counts: this.#counts(key),
      lastPollMs: poller?.lastFullMs,
      scaivault: this.#scaivault(key),
      handledSyncRequest: this.#handled.get(key)?.value,
      tree: this.#trees.report(key),
      formerCopies: backend?.spec.federation === undefined ? previous?.federation?.copies : undefined,
    };
  }

  /** The status of a backend that ScaiVault runs; undefined for others. */
  #registered(backend: FederationBackend | undefined, input: BackendStatusInput): FederationBackendStatus | undefined {
    if (backend?.spec.federation === undefined) return undefined;
    const report = this.#registrations.report(backend);
    return report && registeredStatus(input, report, effectiveFederation(backend.spec.federation));
  }

  #counts(key: string): BackendStatusInput["counts"] {
    const counts = { dependants: 0, inSync: 0, failed: 0, conflicts: 0, held: 0 };
    for (const object of this.#world.caches.syncs.byIndex(indexes.backend, key)) {
      counts.dependants += 1;
      const conditions = this.#status.current<SecretSyncStatus>("SecretSync", object)?.conditions ?? [];
      const is = (type: string) =>
        conditions.some((condition: Condition) => condition.type === type && condition.status === "True");
      const suspended = conditions.some(({ type, reason }) => type === "Ready" && reason === "Suspended");
      if (is("Ready")) counts.inSync += 1;
      else if (is("Conflict")) counts.conflicts += 1;
      else if (suspended || conditions.some(({ type }) => HELD.has(type))) counts.held += 1;
      else counts.failed += 1;
    }
    return counts;
  }

  #scaivault(key: string): BackendStatusInput["scaivault"] {
    const uses = this.#world.caches.syncs.byIndex(indexes.backend, key).some((object) => {
      const view = viewDeclared(object);
      return view.ok && view.object.spec.targets.scaivault !== undefined;
    });
    const copies = this.#world.treeSizes.has(key);
    const now = this.#world.scaivault?.observations.reachability;
    if (!(uses || copies) || now === undefined) return undefined;
    if (now.state === "Unknown") return "AsBefore";
    if (now.state === "Reachable") return { reachable: true };
    return { reachable: false, reason: now.error.reason, message: now.error.message };
  }
}

/** The id of a registration, and where copies are, outlive a spec that cannot be read: without them, they would be nobody's. */
function withRecord(
  next: FederationBackendStatus,
  { previous }: BackendStatusInput,
  readable: boolean,
): FederationBackendStatus {
  const recorded = previous?.federation;
  const nothing = recorded?.id === undefined && recorded?.copies === undefined;
  if (readable || nothing || next === previous) return next;
  return { ...next, federation: { ...recorded, ...next.federation } };
}

function storeVerdict(state: ReturnType<World["registry"]["get"]>): BackendStatusInput["store"] {
  if (state.state === "Refused") {
    if (state.error.reason === "BackendSuspended") return { kind: "Suspended" };
    return { kind: "Refused", reason: state.error.reason, message: state.error.message };
  }
  if (state.state === "Pending") return { kind: "Unpolled" };
  const store = state.store.poller.state;
  if (store.state === "Failing") return { kind: "Failing", reason: store.error.reason, message: store.error.message };
  return store.state === "Good" ? { kind: "Good" } : { kind: "Unpolled" };
}
