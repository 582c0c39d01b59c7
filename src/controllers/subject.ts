import {
  type EffectiveSync,
  effectiveSync,
  type FederationBackend,
  type SecretSync,
  sourceSelector,
  type TagTransform,
} from "../api/index.ts";
import { mapAll, ownerOf, sourceIDOf, sourcePath, type SubtreeMapping } from "../decide/index.ts";
import { SyncError, toSyncError } from "../errors/index.ts";
import type { SourceRef } from "../ports/index.ts";
import type { KubeObject } from "../runtime/index.ts";
import type { BackendState, StoreHandle } from "./backend-registry.ts";
import { indexes } from "./caches.ts";
import { backendKeyOf, viewBackend, viewSync } from "./views.ts";
import type { World } from "./world.ts";

/** One source secret of an object, with the names that its targets have. */
export interface Pair {
  readonly ref: SourceRef;
  readonly scaivaultPath: string | undefined;
  readonly secretName: string | undefined;
}

/** A SecretSync with everything that has to be known before its targets are looked at. */
export interface Subject {
  /** Whose secrets these are: a SecretSync's, or those of a FederationBackend's tree. */
  readonly kind: "SecretSync" | "FederationBackend";
  /** `namespace/name`; of a tree with its kind before it. */
  readonly key: string;
  readonly sync: SecretSync;
  readonly effective: EffectiveSync;
  readonly owner: string;
  readonly backend: FederationBackend | undefined;
  readonly store: StoreHandle | undefined;
  /** Why nothing can be done for the whole object. */
  readonly refusal: SyncError | undefined;
  /** The normalised source path, or the subtree's prefix without the trailing stars. */
  readonly location: { readonly kind: "path" | "subtree"; readonly path: string } | undefined;
  /** How tags of the source become tags in ScaiVault; absent: as they come. */
  readonly tagRules?: readonly TagTransform[];
}

/** Where a backend's secrets live, as one text; a changed one is a new base. */
export function backendLocation(backend: FederationBackend): string {
  const { awsSecretsManager, hashicorpVault } = backend.spec;
  return awsSecretsManager === undefined
    ? `vault ${hashicorpVault?.address ?? ""} ${hashicorpVault?.namespace ?? ""}`
    : `aws ${awsSecretsManager.region}`;
}

/** Name of the source of one path in marks. */
export function sourceIDFor(world: World, subject: Subject, path: string): string {
  const { backend } = subject;
  if (backend === undefined) return path;
  const { namespace, name } = backend.metadata;
  return sourceIDOf(world.ring, { namespace, name, location: backendLocation(backend) }, path);
}

/** Goes through what a SecretSync needs, in order; the first thing that is missing is its refusal. */
export function resolveSubject(world: World, object: KubeObject): Subject | SyncError {
  const view = viewSync(object);
  if (!view.ok) return view.error;
  const sync = view.object;
  const { namespace, name } = sync.metadata;
  const backendKey = backendKeyOf(sync);
  const found = world.caches.backends.get(backendKey);
  const backendView = found === undefined ? undefined : viewBackend(found);
  const backend = backendView?.ok === true ? backendView.object : undefined;
  const base = {
    kind: "SecretSync" as const,
    key: `${namespace}/${name}`,
    sync,
    effective: effectiveSync(sync.spec, backend?.spec),
    owner: ownerOf(world.ring, { cluster: world.cluster, namespace, kind: "SecretSync", name }),
    backend,
  };
  const refused = (refusal: SyncError): Subject => ({ ...base, store: undefined, refusal, location: undefined });
  const protectedNamespace = world.rights.refusal(namespace);
  if (protectedNamespace !== undefined) return refused(protectedNamespace);
  const overBudget = budgetRefusal(world, object);
  if (overBudget !== undefined) return refused(overBudget);
  if (backend === undefined)
    return refused(
      backendView?.ok === false
        ? new SyncError("BackendNotReady", `FederationBackend ${backendKey} is not valid`)
        : new SyncError("BackendNotFound", `FederationBackend ${backendKey} does not exist`),
    );
  let location: Subject["location"];
  try {
    location = locate(world, sync, backend);
  } catch (error) {
    return refused(toSyncError(error, "check the source path"));
  }
  // Only who may use the backend learns how it stands.
  const state = world.registry.get(backendKey);
  if (state.state === "Refused") return refused(backendRefusal(backendKey, namespace, state.error));
  return { ...base, store: storeOf(state, backend), refusal: undefined, location };
}

/** A backend that was just moved still has the store of the place where it was: nothing of that is for the new place. */
function storeOf(state: BackendState, backend: FederationBackend): StoreHandle | undefined {
  return state.state === "Usable" && state.location === backendLocation(backend) ? state.store : undefined;
}

/** What another namespace's backend lacks is not told in detail. */
function backendRefusal(backendKey: string, namespace: string, error: SyncError): SyncError {
  if (error.reason === "BackendSuspended")
    return new SyncError("BackendSuspended", `FederationBackend ${backendKey} is suspended`);
  if (error.reason === "BackendNotReadable")
    return new SyncError("BackendNotReadable", `FederationBackend ${backendKey} has no auth: only ScaiVault reads it`);
  const own = backendKey.startsWith(`${namespace}/`);
  return new SyncError(
    "BackendNotReady",
    `FederationBackend ${backendKey} is not ready${own ? `: ${error.message}` : ""}`,
  );
}

/** @throws SyncError InvalidPath, NotGranted */
function locate(world: World, sync: SecretSync, backend: FederationBackend): NonNullable<Subject["location"]> {
  const { path, subtree } = sync.spec.source;
  const { namespace, name } = backend.metadata;
  const kind = subtree === undefined ? "path" : "subtree";
  const text = subtree === undefined ? (path ?? "") : subtree.slice(0, -"/**".length);
  const region = backend.spec.awsSecretsManager?.region;
  const normal = sourcePath(backend.spec.type, text, region === undefined ? {} : { region });
  const asked = kind === "path" ? normal : `${normal}/**`;
  const grants = backend.spec.grants ?? [];
  const verdict = world.rights.source({ namespace: sync.metadata.namespace, path: asked }, { namespace, name, grants });
  if (!verdict.ok) throw verdict.error;
  return { kind, path: normal };
}

const ageOf = ({ metadata }: KubeObject): string => `${metadata.creationTimestamp ?? ""}/${metadata.name}`;

/** The newest object that a namespace's budget lets in, when it is used up: who comes next when one goes. */
export function lastWithinBudget(world: World, namespace: string): KubeObject | undefined {
  const all = world.caches.syncs.byIndex(indexes.namespace, namespace);
  if (all.length < world.budgets.objects) return undefined;
  return all.sort((a, b) => (ageOf(a) < ageOf(b) ? -1 : 1))[world.budgets.objects - 1];
}

/** Objects above the namespace's budget are refused, the newest first, so that those that worked go on working. */
function budgetRefusal(world: World, object: KubeObject): SyncError | undefined {
  const namespace = object.metadata.namespace ?? "";
  const { budgets, caches } = world;
  if (caches.syncs.countByIndex(indexes.namespace, namespace) <= budgets.objects) return undefined;
  if (ageOf(object) <= youngestWithin(world, namespace)) return undefined;
  return new SyncError("BudgetExceeded", `namespace ${namespace} has more than ${budgets.objects} SecretSyncs`);
}

const youngest = new WeakMap<World["caches"]["syncs"], Map<string, { membership: number; age: string }>>();

/** The youngest object of a namespace that its budget still holds; found anew when objects came or went. */
function youngestWithin({ budgets, caches: { syncs } }: World, namespace: string): string {
  const known = youngest.get(syncs) ?? new Map<string, { membership: number; age: string }>();
  youngest.set(syncs, known);
  const last = known.get(namespace);
  if (last?.membership === syncs.membership) return last.age;
  const ages = syncs.byIndex(indexes.namespace, namespace).map(ageOf).sort();
  const age = ages[budgets.objects - 1] ?? "";
  known.set(namespace, { membership: syncs.membership, age });
  return age;
}

/** The pairs of a subject: one, or one for each path below its subtree. Names that cannot be are problems of their path. */
export function pairsOf(
  subject: Subject,
  below: readonly string[],
): { readonly pairs: readonly Pair[]; readonly problems: SubtreeMapping["problems"] } {
  const { sync, location } = subject;
  const { scaivault, kubernetesSecret } = sync.spec.targets;
  if (location === undefined) return { pairs: [], problems: [] };
  if (location.kind === "path") {
    const ref = { path: location.path, ...sourceSelector(sync.spec) };
    const secretName = kubernetesSecret === undefined ? undefined : (kubernetesSecret.name ?? sync.metadata.name);
    return { pairs: [{ ref, scaivaultPath: scaivault?.path, secretName }], problems: [] };
  }
  const { mapped, problems } = mapAll(below, {
    from: `${location.path}/**`,
    ...(scaivault === undefined ? {} : { scaivault: scaivault.path }),
    ...(kubernetesSecret === undefined ? {} : { nameTemplate: kubernetesSecret.nameTemplate ?? "{path}" }),
  });
  return { pairs: mapped.map(({ path, ...names }) => ({ ref: { path }, ...names })), problems };
}
