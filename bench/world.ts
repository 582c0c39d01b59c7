/** What a scenario runs on: a cluster, stores that count, and how many secrets. */
import type { Cluster } from "../local/cluster.ts";
import type { ControlPlaneClient } from "../local/control-plane-client.ts";
import type { Replica } from "../local/deployment.ts";
import type { Progress } from "../local/progress.ts";
import type { Stores } from "../local/quickstart/world.ts";

/** The store that secrets are read from. */
export type BackendType = "asm" | "vault";

/** Settings of one run. */
export interface BenchSettings {
  /** SecretSyncs, and secrets in the store: exactly as many. */
  readonly size: number;
  readonly backend: BackendType;
  /** `spec.syncInterval` of the backend. */
  readonly interval: string;
}

/** The stage. */
export interface BenchWorld {
  readonly settings: BenchSettings;
  readonly cluster: Cluster;
  /** For the audit log, which a cluster elsewhere would not give. */
  readonly controlPlane: ControlPlaneClient;
  readonly stores: Stores;
  readonly release: string;
  readonly operatorNamespace: string;
  /** Namespace of the SecretSyncs. */
  readonly namespace: string;
  /** KV v2 mount of its own. */
  readonly vaultMount: string;
  readonly bundle: string;
  readonly folder: string;
  readonly progress: Progress;
  /** The backend's status as it changes. */
  readonly polls: PollWatch;
  /** Set by the phase `start`. */
  operator?: Replica;
}

/** The name of the one FederationBackend. */
export const backendName = "store";

/** One state of the backend's status. */
interface PollState {
  readonly lastPollTime: string;
  /** Status without `lastPollTime`, as text. */
  readonly rest: string;
}

/** Follows a FederationBackend and says when a poll has ended. */
export class PollWatch {
  readonly #states: PollState[] = [];
  readonly #versions = new Set<string>();
  readonly #waiting = new Set<() => void>();
  readonly #stop = new AbortController();

  follow(cluster: Cluster, namespace: string): void {
    const template = "{.metadata.resourceVersion}|{.status.lastPollTime}|{.status}";
    const resource = `federationbackends.scaivault.scailabs.ai/${backendName}`;
    cluster.follow({ namespace, resource, template }, (line) => this.#see(line), this.#stop.signal);
  }

  #see(line: string): void {
    const [version = "", lastPollTime = "", ...status] = line.split("|");
    // A watch that is taken up again begins with the state that is known.
    if (this.#versions.has(version)) return;
    this.#versions.add(version);
    this.#states.push({ lastPollTime, rest: status.join("|").replaceAll(lastPollTime || "-", "") });
    for (const wake of this.#waiting) wake();
  }

  /** How many states were seen so far: a value for `pollTimeWritesSince`. */
  get position(): number {
    return this.#states.length;
  }

  /** Writes since then that changed `lastPollTime` and nothing else. */
  pollTimeWritesSince(position: number): number {
    let count = 0;
    for (let at = Math.max(position, 1); at < this.#states.length; at++) {
      const [before, after] = [this.#states[at - 1], this.#states[at]];
      if (before?.rest === after?.rest && before?.lastPollTime !== after?.lastPollTime) count++;
    }
    return count;
  }

  /** Resolves when `lastPollTime` moves. @throws after `timeoutMs` */
  async next(timeoutMs: number): Promise<void> {
    const last = this.#states.at(-1)?.lastPollTime;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const look = (): void => {
      const now = this.#states.at(-1)?.lastPollTime;
      if (now !== last && now !== undefined && now !== "") resolve();
    };
    const late = setTimeout(() => reject(new Error("The backend was not polled in time.")), timeoutMs);
    this.#waiting.add(look);
    await promise.finally(() => {
      clearTimeout(late);
      this.#waiting.delete(look);
    });
  }

  stop(): void {
    this.#stop.abort();
  }
}
