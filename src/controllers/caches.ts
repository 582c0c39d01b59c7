import {
  federationBackendKind,
  GROUP,
  type KindInfo,
  LABEL_TRUE,
  secretMetadata,
  secretSyncKind,
  VERSION,
} from "../api/index.ts";
import { isTree, parseOwner, treePrefix } from "../decide/index.ts";
import type { Logger } from "../telemetry/index.ts";
import type { Clock } from "../time/clock.ts";
import {
  type KubeClient,
  type KubeObject,
  type PartialObjectMetadata,
  Reflector,
  type Resource,
  resources,
  Store,
  stripMeta,
} from "../runtime/index.ts";
import { watchedSecrets } from "./backend-resolver.ts";
import { backendKeyOf, sameDeclared, viewBackend, viewDeclared } from "./views.ts";

const resourceOf = (kind: KindInfo): Resource => ({
  group: GROUP,
  version: VERSION,
  plural: kind.plural,
  namespaced: true,
  kind: kind.kind,
});

/** Descriptors of our two kinds. */
export const ownResources = { backends: resourceOf(federationBackendKind), syncs: resourceOf(secretSyncKind) } as const;

/** Names of the stores' indexes. */
export const indexes = {
  /** SecretSyncs by `namespace/name` of their backend. */
  backend: "backend",
  /** Backends by `namespace/name` of the Secrets they log in with. */
  credential: "credential",
  /** SecretSyncs by the Secret (`namespace/name`) that they name. */
  secretTarget: "secretTarget",
  /** SecretSyncs and backends with a federation by ScaiVault path, trees by their prefix with a trailing slash. */
  scaivaultTarget: "scaivaultTarget",
  namespace: "namespace",
  /** Managed Secrets by `namespace/name` of the SecretSync that their mark names. */
  owner: "owner",
} as const;

/** What the operator watches. Secrets are watched by label and as metadata only: their data is never cached. */
export interface Caches {
  readonly backends: Store<KubeObject>;
  readonly syncs: Store<KubeObject>;
  /** Secrets with our label. */
  readonly managed: Store<PartialObjectMetadata>;
  /** Secrets that are released as credentials. */
  readonly credentials: Store<PartialObjectMetadata>;
}

/** @param cluster name of this cluster: marks of other clusters name nobody here */
export function createCaches(log: Logger, cluster: string): Caches {
  const onHandlerError = () => log.error("cache handler failed", { reason: "Unexpected" });
  return {
    backends: new Store<KubeObject>({
      onHandlerError,
      sameSpec: () => undefined,
      indexers: {
        [indexes.credential]: (object) => {
          const view = viewBackend(object);
          return view.ok ? watchedSecrets(view.object).map((name) => `${object.metadata.namespace ?? ""}/${name}`) : [];
        },
        [indexes.scaivaultTarget]: mappedPathsOf,
        [indexes.namespace]: (object) => [object.metadata.namespace ?? ""],
      },
    }),
    syncs: new Store<KubeObject>({
      onHandlerError,
      sameSpec: sameDeclared,
      indexers: {
        [indexes.backend]: (object) => {
          const view = viewDeclared(object);
          return view.ok ? [backendKeyOf(view.object)] : [];
        },
        [indexes.secretTarget]: secretTargetsOf,
        [indexes.scaivaultTarget]: scaivaultTargetsOf,
        [indexes.namespace]: (object) => [object.metadata.namespace ?? ""],
      },
    }),
    managed: new Store<PartialObjectMetadata>({
      onHandlerError,
      indexers: {
        [indexes.owner]: (secret) => {
          const owner = ownerKeyOf(cluster, secret);
          return owner === undefined ? [] : [owner];
        },
      },
    }),
    credentials: new Store<PartialObjectMetadata>({ onHandlerError }),
  };
}

/** One field of the mark on a Secret as it is written there, proven or not. */
export function markFieldOf(secret: PartialObjectMetadata, field: "owner" | "source" | "version"): string | undefined {
  const text = secret.metadata.annotations?.[secretMetadata.markAnnotation];
  const line = text?.split("\n").find((one) => one.startsWith(`${field}: `));
  return line?.slice(`${field}: `.length);
}

/** `namespace/name` of the SecretSync that a Secret's mark names; its readable part only, which is enough to find it. */
export function ownerKeyOf(cluster: string, secret: PartialObjectMetadata): string | undefined {
  const text = markFieldOf(secret, "owner");
  const owner = text === undefined ? undefined : parseOwner(text);
  if (owner?.kind !== "SecretSync" || owner.cluster !== cluster) return undefined;
  return owner.namespace === secret.metadata.namespace ? `${owner.namespace}/${owner.name}` : undefined;
}

/** Secrets whose mark names this object. */
export function ownSecrets({ managed }: Pick<Caches, "managed">, key: string): PartialObjectMetadata[] {
  return managed.byIndex(indexes.owner, key);
}

function secretTargetsOf(object: KubeObject): string[] {
  const view = viewDeclared(object);
  if (
    !view.ok ||
    view.object.spec.targets.kubernetesSecret === undefined ||
    view.object.spec.source.subtree !== undefined
  )
    return [];
  return [
    `${object.metadata.namespace ?? ""}/${view.object.spec.targets.kubernetesSecret.name ?? object.metadata.name}`,
  ];
}

function scaivaultTargetsOf(object: KubeObject): string[] {
  const view = viewDeclared(object);
  const path = view.ok ? view.object.spec.targets.scaivault?.path : undefined;
  return path === undefined ? [] : [path.endsWith("/**") ? path.slice(0, -2) : path];
}

function mappedPathsOf(object: KubeObject): string[] {
  const view = viewBackend(object);
  const mappings = view.ok ? (view.object.spec.federation?.pathMapping ?? []) : [];
  return mappings.map(({ scaivaultPath }) => (isTree(scaivaultPath) ? treePrefix(scaivaultPath) : scaivaultPath));
}

/** Keeps the caches filled. With `watchNamespaces` one reflector a namespace, so that Roles are enough. */
export class CacheReflectors {
  readonly #reflectors: Reflector<KubeObject>[] = [];

  constructor(options: {
    readonly client: KubeClient;
    readonly clock: Clock;
    readonly caches: Caches;
    readonly watchNamespaces: readonly string[] | undefined;
    readonly log: Logger;
  }) {
    const { client, clock, caches, log } = options;
    const onProblem = (problem: { name: string; phase: string; code: string | number; retryInMs: number }) =>
      log.warn("watch interrupted", {
        target: problem.name,
        action: problem.phase,
        code: String(problem.code),
        retryInMs: problem.retryInMs,
      });
    const scopes = options.watchNamespaces ?? [undefined];
    for (const namespace of scopes) {
      const scope = namespace === undefined ? {} : { namespace };
      const common = { client, clock, onProblem, ...scope };
      const labelled = (label: string) => ({ labelSelector: `${label}=${LABEL_TRUE}`, metadataOnly: true });
      this.#reflectors.push(
        new Reflector({
          ...common,
          resource: ownResources.backends,
          store: caches.backends,
          strip: stripMeta,
          name: "FederationBackend",
        }),
        new Reflector({
          ...common,
          resource: ownResources.syncs,
          store: caches.syncs,
          strip: stripMeta,
          name: "SecretSync",
        }),
        new Reflector({
          ...common,
          ...labelled(secretMetadata.managedLabel),
          resource: resources.secrets,
          store: caches.managed,
          name: "managed Secrets",
        }),
        new Reflector({
          ...common,
          ...labelled(secretMetadata.credentialLabel),
          resource: resources.secrets,
          store: caches.credentials,
          name: "credential Secrets",
        }),
      );
    }
  }

  start(): void {
    for (const reflector of this.#reflectors) reflector.start();
  }

  async stop(): Promise<void> {
    await Promise.all(this.#reflectors.map((reflector) => reflector.stop()));
  }

  /** Names of caches that have not synced yet. */
  unsynced(): string[] {
    return this.#reflectors
      .filter((reflector) => !reflector.hasSynced)
      .map((reflector) => `cache not synced`.concat(` (${reflector.name})`));
  }

  async synced(signal: AbortSignal): Promise<void> {
    await Promise.all(this.#reflectors.map((reflector) => reflector.synced(signal)));
  }

  /** Oldest attempt of any reflector, for liveness. */
  lastAttempts(): { name: string; lastAttemptMs: () => number }[] {
    return this.#reflectors.map((reflector) => ({
      name: reflector.name,
      lastAttemptMs: () => reflector.lastAttemptMs,
    }));
  }
}
