/** What a scenario runs on: a cluster, stores that count, and how many secrets. */
import type { Cluster } from "../local/cluster.ts";
import type { ControlPlaneClient } from "../local/control-plane-client.ts";
import type { Replica } from "../local/deployment.ts";
import type { Progress } from "../local/progress.ts";
import type { Stores } from "../local/quickstart/world.ts";
import { configDefaults } from "../src/config/schema.ts";
import { systemClock } from "../src/time/clock.ts";
import type { Outside } from "./outside.ts";
import type { SourceStage } from "./source.ts";

/** The store that secrets are read from. */
export type BackendType = "asm" | "vault";
/** Where the secrets go. */
export type Targets = "kubernetes" | "scaivault" | "both";

/** Settings of one run. */
export interface BenchSettings {
  /** SecretSyncs, and secrets in the store: exactly as many. */
  readonly size: number;
  readonly backend: BackendType;
  /** `spec.syncInterval` of the backend. */
  readonly interval: string;
  readonly targets: Targets;
  /** Time over which `propagation` spreads its changes, milliseconds; default one interval. */
  readonly spreadMs?: number;
  /** Length of the outage, milliseconds. */
  readonly outageMs: number;
  /** Secrets that are not ours, of `foreign`. */
  readonly foreign: number;
  /** Looks at the operator's memory, 200 ms apart, of which `foreign` takes the median; default 25. */
  readonly samples?: number;
}

/** The stage. */
export interface BenchWorld {
  readonly settings: BenchSettings;
  readonly cluster: Cluster;
  /** For the audit log, which a cluster elsewhere would not give. */
  readonly controlPlane: ControlPlaneClient;
  readonly stores: Stores;
  /** The store that is measured, and what is done to it. */
  readonly source: SourceStage;
  /** The cluster as others see it. */
  readonly outside: Outside;
  readonly release: string;
  readonly operatorNamespace: string;
  /** Namespace of the SecretSyncs. */
  readonly namespace: string;
  /** True when other operators run in the cluster: this one watches its own namespace alone. Default: all namespaces. */
  readonly shared?: boolean;
  readonly bundle: string;
  readonly folder: string;
  readonly progress: Progress;
  /** Figures of the running scenario that phases measured, by name. */
  readonly figures: Record<string, number>;
  /** Milliseconds from a change at the source to the last write at a target, one for each change. */
  readonly freshness: number[];
  /** Set by the phase `install`. */
  operator?: Replica;
  /** When its process was started last, wall clock; set by {@link startProcess}. */
  processStartedAt?: number;
}

/** Starts the operator's process; resolves when it is ready. The Lease is taken meanwhile or soon after. */
export async function startProcess(world: BenchWorld): Promise<void> {
  world.processStartedAt = systemClock.now();
  await world.operator?.start();
}

/** Connections to the API server over which the operator sends what it writes. */
const connections = 16;
/** Writes that the operator has under way at most: one for each of its workers, as far as connections reach. */
export const width = Math.min(configDefaults.workers, connections);

/** Name of a secret below the store's folder; the same for the SecretSync and its Secret. */
export const nameOf = (index: number): string => `secret-${String(index).padStart(5, "0")}`;

/** Folder of ScaiVault that the namespace may write. */
export const scaivaultFolder = (namespace: string): string => `environments/bench/${namespace}`;

/** Shows a phase's work. */
export async function say(
  { progress }: Pick<BenchWorld, "progress">,
  name: string,
  work: (update: (text: string) => void) => Promise<void>,
): Promise<void> {
  const step = progress.step(name);
  try {
    await work((text) => step.update(text));
    step.done();
  } catch (error) {
    step.fail();
    throw error;
  }
}
