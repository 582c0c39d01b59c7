import {
  effectiveBackend,
  effectiveFederation,
  type EffectiveFederation,
  type FederationBackend,
  type FederationBackendStatus,
  type SecretSync,
} from "../api/index.ts";
import { isTree, ownerOf, sourcePath, type TreeMapping, treePrefix } from "../decide/index.ts";
import type { SyncError } from "../errors/index.ts";
import { toSyncError } from "../errors/index.ts";
import { keyOf, type KubeObject } from "../runtime/index.ts";
import { backendLocation, type Subject } from "./subject.ts";
import { viewBackend } from "./views.ts";
import type { World } from "./world.ts";

/** A backend whose `federation` the operator runs, with everything that has to be known before its secrets are looked at. */
export interface Tree {
  /** Its name among objects: `namespace/FederationBackend name`. */
  readonly key: string;
  readonly backendKey: string;
  readonly backend: FederationBackend;
  readonly federation: EffectiveFederation;
  readonly mappings: readonly TreeMapping[];
  /** What all its secrets share; each of them adds its own `location`. */
  readonly subject: Subject;
}

/** Name of a backend's tree where SecretSyncs are named as well; no object's name has a space. */
export function treeKeyOf(backendKey: string): string {
  const slash = backendKey.indexOf("/");
  return `${backendKey.slice(0, slash)}/FederationBackend ${backendKey.slice(slash + 1)}`;
}

/** The tree of a backend; undefined when it has none that the operator runs, or cannot be read. */
export function resolveTree(world: World, object: KubeObject, status?: FederationBackendStatus): Tree | undefined {
  const view = viewBackend(object);
  const spec = view.ok ? view.object.spec.federation : undefined;
  if (!view.ok || spec === undefined) return undefined;
  const federation = effectiveFederation(spec);
  if (federation.runsIn !== "Operator") return undefined;
  const backend = view.object;
  const backendKey = keyOf(object);
  const { namespace, name } = backend.metadata;
  const base = { key: treeKeyOf(backendKey), backendKey, backend, federation };
  const subject = {
    kind: "FederationBackend" as const,
    key: base.key,
    sync: asSync(backend, status),
    effective: { ...effectiveBackend(backend.spec), ...federation, cleanupPolicy: federation.cleanupPolicy },
    owner: ownerOf(world.ring, { cluster: world.cluster, namespace, kind: "FederationBackend", name }),
    backend,
    location: undefined,
    ...(federation.tags.length === 0 ? {} : { tagRules: federation.tags }),
  };
  const refused = (refusal: SyncError): Tree => ({
    ...base,
    mappings: [],
    subject: { ...subject, store: undefined, refusal },
  });
  const protectedNamespace = world.rights.refusal(namespace);
  if (protectedNamespace !== undefined) return refused(protectedNamespace);
  let mappings: readonly TreeMapping[];
  try {
    mappings = mappingsOf(backend);
    checkRights(world, namespace, federation, mappings);
  } catch (error) {
    return refused(toSyncError(error, "check the mappings"));
  }
  const state = world.registry.get(backendKey);
  if (state.state === "Refused") return refused(state.error);
  const store = state.state === "Usable" && state.location === backendLocation(backend) ? state.store : undefined;
  return { ...base, mappings, subject: { ...subject, store, refusal: undefined } };
}

/** Where the operator only looks, a right to read is enough. @throws SyncError NotGranted */
function checkRights(
  world: World,
  namespace: string,
  { apply }: EffectiveFederation,
  mappings: readonly TreeMapping[],
): void {
  const looks = world.scaivault?.role === "Reader" || apply === "Never";
  for (const { scaivaultPath } of mappings) {
    const write = world.rights.scaivault(namespace, scaivaultPath, "write");
    if (write.ok || (looks && world.rights.scaivault(namespace, scaivaultPath, "read").ok)) continue;
    throw write.error;
  }
}

/** Mappings with their source paths as the store names them. @throws SyncError InvalidPath */
export function mappingsOf({ spec }: FederationBackend): TreeMapping[] {
  const region = spec.awsSecretsManager?.region;
  return (spec.federation?.pathMapping ?? []).map((mapping) => {
    const tree = isTree(mapping.sourcePath);
    const text = tree ? treePrefix(mapping.sourcePath).slice(0, -1) : mapping.sourcePath;
    const normal = sourcePath(spec.type, text, region === undefined ? {} : { region });
    return {
      scaivaultPath: mapping.scaivaultPath,
      sourcePath: tree ? `${normal}/**` : normal,
      exclude: mapping.exclude ?? [],
    };
  });
}

const targets = new WeakMap<object, SecretSync["spec"]>();

/** What planning and writing need of a SecretSync, as a backend has it for each of its secrets. */
function asSync(backend: FederationBackend, status: FederationBackendStatus | undefined): SecretSync {
  const { federation } = backend.spec;
  const known = federation === undefined ? undefined : targets.get(federation);
  const spec = known ?? specOf(backend);
  if (federation !== undefined) targets.set(federation, spec);
  const { observedGeneration, plan, problems, lastHandledApproval } = status ?? backend.status ?? {};
  return {
    apiVersion: backend.apiVersion,
    kind: "SecretSync",
    metadata: backend.metadata,
    spec,
    status: { observedGeneration, plan, problems, lastHandledApproval },
  };
}

function specOf({ metadata, spec: { federation } }: FederationBackend): SecretSync["spec"] {
  const { owner, maxVersions } = federation ?? {};
  return {
    source: { backendRef: { name: metadata.name, namespace: metadata.namespace } },
    targets: {
      scaivault: {
        path: "",
        ...(owner === undefined ? {} : { owner }),
        ...(maxVersions === undefined ? {} : { maxVersions }),
      },
    },
  };
}
