import type { Observations } from "../catalogue/index.ts";
import type { KubernetesSecretTargetSpec, ScaiVaultTargetSpec, SecretSync, TagTransform } from "../api/index.ts";
import { type BrakeWindows, type KeyRing, type Rights, shapeDigest, transformTags } from "../decide/index.ts";
import type { FederationPort, SecretTarget } from "../ports/index.ts";
import type { EventRecorder, KubeClient } from "../runtime/index.ts";
import type { Logger, Metrics } from "../telemetry/index.ts";
import type { Clock } from "../time/clock.ts";
import type { BackendRegistry } from "./backend-registry.ts";
import type { BackendResolver } from "./backend-resolver.ts";
import type { Caches } from "./caches.ts";
import type { LingeringCopies } from "./lingering-copies.ts";

/** Order of a call in ScaiVault's rate budget. */
export type Lane = "user" | "rotated" | "new" | "verification";

/** Address of a ScaiVault path with the metadata that is declared for it. */
export interface ScaiVaultAddress {
  readonly path: string;
  readonly owner?: string | undefined;
  readonly description?: string | undefined;
  readonly tags?: readonly string[] | undefined;
  /** Of credentials: the hosts that they may be sent to. */
  readonly allowedHosts?: readonly string[] | undefined;
  readonly maxVersions?: number | undefined;
  readonly object?: string | undefined;
  readonly lane?: Lane | undefined;
  /** Not answered from what was learned a moment ago. */
  readonly fresh?: boolean | undefined;
}

/** An event of ScaiVault's. Nothing in it is proved: it says where to look, never what is there. */
export interface NewsEvent {
  readonly type: string;
  /** ISO 8601. */
  readonly timestamp: string | undefined;
  readonly path: string | undefined;
  /** Version that the event says is the newest. */
  readonly version: number | undefined;
}

/** Whom ScaiVault's news are handed on to. */
export interface NewsDesk {
  /** What objects target: paths, and `prefix/**` for subtrees. */
  targets(): readonly string[];
  /** @returns how many of the events are worth a look */
  heard(events: readonly NewsEvent[]): number;
  /** Events may have been lost: everything has to be looked at once. */
  missed(): void;
}

/** ScaiVault's news, as far as it tells any. */
export interface NewsFollower {
  /** Until the signal aborts; never throws. */
  run(desk: NewsDesk, signal: AbortSignal): Promise<void>;
  /** Whether polls for news are answered, and when (monotonic ms) the last one was. */
  readonly standing: { readonly mode: string; readonly contactMs: number | undefined };
}

/** Address of a Kubernetes Secret. */
export interface SecretAddress {
  readonly namespace: string;
  readonly name: string;
  readonly keys?: ReadonlySet<string> | undefined;
  readonly object?: string | undefined;
}

/** Where ScaiVault copies go; absent when no connection is configured. */
export interface ScaiVaultSide {
  /** `Reader`: it is looked at and never written. */
  readonly role: "Writer" | "Reader";
  /** Clusters whose marks are taken over. */
  readonly takeOverFrom: ReadonlySet<string>;
  readonly target: SecretTarget<ScaiVaultAddress>;
  readonly observations: Observations<ScaiVaultAddress>;
  /** Absent: `scaivault.news: Polling`. */
  readonly news?: NewsFollower;
  /** Paths that begin with a prefix, which ends in a slash. @throws SyncError */
  list(prefix: string, signal: AbortSignal): Promise<readonly string[]>;
  readonly federation: FederationSide;
  /** Names the ScaiVault installation in target ids, such as `scaivault.scailabs.ai/tenant`. */
  readonly id: string;
}

/** Federation backends of ScaiVault, and what has to be known before one is registered. */
export interface FederationSide {
  readonly backends: FederationPort;
  /** Calls a minute that this operator may make about them. */
  perMinute(): number;
  /** Hosts that the credentials at a path allow; undefined when nothing is there. @throws SyncError */
  allowedHosts(path: string, signal: AbortSignal): Promise<readonly string[] | undefined>;
  /** @throws SyncError when credentials must never be sent to this address (loopback, link-local, metadata, kube-apiserver) */
  checkAddress(address: string): void;
}

/** What the controllers share. Made by the composition root; nothing in it is global. */
export interface World {
  readonly clock: Clock;
  /** `cluster.name` of the configuration. */
  readonly cluster: string;
  readonly budgets: { readonly objects: number; readonly matches: number; readonly trees: number };
  readonly caches: Caches;
  readonly client: KubeClient;
  readonly registry: BackendRegistry;
  readonly resolver: BackendResolver;
  readonly rights: Rights;
  readonly ring: KeyRing;
  readonly brakes: BrakeWindows;
  readonly lingering: LingeringCopies;
  /** How many secrets each federated tree has, by `namespace/name` of its backend. */
  readonly treeSizes: Map<string, number>;
  readonly secrets: SecretTarget<SecretAddress>;
  readonly scaivault: ScaiVaultSide | undefined;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly events: Pick<EventRecorder, "record">;
  /** Throws when this replica may not write any more. */
  assertHeld(): void;
  /** True in `plan`: everything is looked at, nothing is written. */
  readonly dryRun: boolean;
}

/** Declared ScaiVault target of a SecretSync, or of a tree, for one of its secrets. */
export function scaivaultAddress(
  spec: ScaiVaultTargetSpec,
  path: string,
  { sync, tagRules = [] }: { readonly sync: SecretSync; readonly tagRules?: readonly TagTransform[] },
  sourceTags: readonly string[],
  lane: Lane,
): ScaiVaultAddress {
  const tags = [...new Set([...(spec.tags ?? []), ...transformTags(sourceTags, tagRules)])];
  return {
    path,
    owner: spec.owner,
    description: spec.description,
    // Undeclared tags are left as they are.
    tags: spec.tags === undefined && tagRules.length === 0 && tags.length === 0 ? undefined : tags,
    maxVersions: spec.maxVersions,
    object: `${sync.metadata.namespace}/${sync.metadata.name}`,
    lane,
  };
}

/** What shapes a copy in ScaiVault beside its content: not seen in metadata, so it stands in the mark. */
export function scaivaultShape(spec: ScaiVaultTargetSpec): object {
  return { maxVersions: spec.maxVersions ?? 0 };
}

/** What shapes a Secret: its type and which fields become which keys. */
export function secretShape(spec: KubernetesSecretTargetSpec): object {
  const data = (spec.data ?? []).map(({ key, field, decode }) => [key, field ?? "", decode ?? ""]);
  return { type: spec.type ?? "Opaque", data: data.sort(([a = ""], [b = ""]) => (a < b ? -1 : 1)) };
}

const shapes = new WeakMap<object, string>();

/** Digest of what shapes a target, found out once for each spec: specs are never changed in place. */
export function shapeOf<S extends object>(spec: S, shape: (spec: S) => object): string {
  const known = shapes.get(spec) ?? shapeDigest(shape(spec));
  shapes.set(spec, known);
  return known;
}
