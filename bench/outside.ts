/**
 * Looks at the cluster from outside, as an administrator of another connection: watches on backends, SecretSyncs and the
 * metadata of managed Secrets, with the time at which each event came.
 */
import { LABEL_TRUE, secretMetadata } from "../src/api/index.ts";
import { markFieldOf, ownResources } from "../src/controllers/caches.ts";
import {
  KubeClient,
  type KubeObject,
  KubeTransport,
  loadClusterConfig,
  type PartialObjectMetadata,
  Reflector,
  resources,
  Store,
  stripMeta,
} from "../src/runtime/index.ts";
import { systemClock } from "../src/time/clock.ts";
import { PollWatch } from "./poll-watch.ts";

interface WithStatus extends KubeObject {
  readonly status?: {
    readonly conditions?: readonly { readonly type: string; readonly status: string; readonly reason: string }[];
    readonly lastPollTime?: string;
    readonly lastHandledSyncRequest?: string;
    readonly counts?: { readonly dependants: number; readonly inSync: number };
    readonly targets?: readonly { readonly sourceVersion?: string }[];
  };
}

/** Ready condition as `Status Reason`; empty while there is none. */
export function readyOf(object: KubeObject | undefined): string {
  const ready = (object as WithStatus | undefined)?.status?.conditions?.find(({ type }) => type === "Ready");
  return ready === undefined ? "" : `${ready.status} ${ready.reason}`;
}

/** A managed Secret as it was seen. */
export interface SeenSecret {
  readonly name: string;
  readonly resourceVersion: string;
  /** Version of the source that its mark names; undefined when the Secret is gone. */
  readonly version: string | undefined;
  /** Monotonic milliseconds. */
  readonly at: number;
}

/** A client with an administrator's rights and a pool of its own. */
export function adminClient(kubeconfig: string): KubeClient {
  const transport = new KubeTransport({
    config: loadClusterConfig({ kubeconfig }),
    clock: systemClock,
    userAgent: "scaivault-bench",
    maxConcurrent: 16,
  });
  return new KubeClient(transport, { fieldManager: "bench" });
}

/** The watches of one namespace. */
export class Outside {
  readonly client: KubeClient;
  readonly polls = new PollWatch();
  readonly #namespace: string;
  readonly #reflectors: Reflector<never>[] = [];
  readonly #waiting = new Set<() => void>();
  readonly #secretHandlers = new Set<(seen: SeenSecret) => void>();
  readonly #ready = new Map<string, string>();
  readonly #versions = new Map<string, string>();
  #backendTold = "";
  readonly #backends = new Map<string, WithStatus>();
  readonly #secrets = new Map<string, SeenSecret>();
  #inSync = 0;
  /** How often the status of the backend came to say something else; times and answers to sync requests do not count. */
  backendChanges = 0;

  constructor(kubeconfig: string, namespace: string) {
    this.client = adminClient(kubeconfig);
    this.#namespace = namespace;
  }

  /** Opens the watches; the kinds must be installed. Does nothing when they are open. */
  async start(): Promise<void> {
    if (this.#reflectors.length > 0) return;
    const common = { client: this.client, clock: systemClock, namespace: this.#namespace };
    const backends = new Store<KubeObject>();
    backends.subscribe({ add: (object) => this.#backend(object), update: (object) => this.#backend(object) });
    const syncs = new Store<KubeObject>();
    syncs.subscribe({
      add: (object) => this.#sync(object),
      update: (object) => this.#sync(object),
      delete: (object) => this.#sync(object, true),
    });
    const secrets = new Store<PartialObjectMetadata>();
    secrets.subscribe({
      add: (object) => this.#secret(object),
      update: (object) => this.#secret(object),
      delete: (object) => this.#secret(object, true),
    });
    const reflectors = [
      new Reflector({ ...common, resource: ownResources.backends, store: backends, strip: stripMeta }),
      new Reflector({ ...common, resource: ownResources.syncs, store: syncs, strip: stripMeta }),
      new Reflector({
        ...common,
        resource: resources.secrets,
        store: secrets,
        strip: stripMeta,
        metadataOnly: true,
        labelSelector: `${secretMetadata.managedLabel}=${LABEL_TRUE}`,
      }),
    ];
    for (const reflector of reflectors) {
      reflector.start();
      this.#reflectors.push(reflector as unknown as Reflector<never>);
    }
    await Promise.all(reflectors.map((reflector) => reflector.synced()));
  }

  async stop(): Promise<void> {
    await Promise.all(this.#reflectors.splice(0).map((reflector) => reflector.stop()));
    await this.client.transport.close();
  }

  /** SecretSyncs that are Ready. */
  get inSync(): number {
    return this.#inSync;
  }

  /** Managed Secrets that are there. */
  get secrets(): number {
    return this.#secrets.size;
  }

  /** Version of the source that all targets of a SecretSync have by its status; several with commas between. */
  syncVersion(name: string): string {
    return this.#versions.get(name) ?? "";
  }

  /** Ready condition of a SecretSync as `Status Reason`. */
  syncReady(name: string): string {
    return this.#ready.get(name) ?? "";
  }

  /** How many SecretSyncs have this Ready condition. */
  syncsWith(test: (ready: string) => boolean): number {
    return [...this.#ready.values()].filter(test).length;
  }

  /** Ready condition of a backend as `Status Reason`. */
  backendReady(name: string): string {
    return readyOf(this.#backends.get(name));
  }

  /** In sync and dependants as a backend's status counts them. */
  counts(name: string): { inSync: number; dependants: number } {
    return this.#backends.get(name)?.status?.counts ?? { inSync: 0, dependants: 0 };
  }

  secret(name: string): SeenSecret | undefined {
    return this.#secrets.get(name);
  }

  /** Calls back at each event of a managed Secret. @returns what ends that */
  onSecret(handler: (seen: SeenSecret) => void): () => void {
    this.#secretHandlers.add(handler);
    return () => void this.#secretHandlers.delete(handler);
  }

  /** Resolves when the condition holds; it is looked at after each event. @throws after `timeoutMs`, with `what` */
  async until(condition: () => boolean, timeoutMs: number, what: () => string): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const look = (): void => {
      if (condition()) resolve();
    };
    const late = setTimeout(() => reject(new Error(what())), timeoutMs);
    this.#waiting.add(look);
    look();
    await promise.finally(() => {
      clearTimeout(late);
      this.#waiting.delete(look);
    });
  }

  #wake(): void {
    for (const look of this.#waiting) look();
  }

  #backend(object: WithStatus): void {
    const { name, resourceVersion = "" } = object.metadata;
    this.#backends.set(name, object);
    if (name === backendName) {
      const { lastPollTime = "", ...rest } = object.status ?? {};
      this.polls.see({ version: resourceVersion, lastPollTime, rest: JSON.stringify(rest) });
      const { lastHandledSyncRequest: _handled, ...told } = rest;
      if (JSON.stringify(told) !== this.#backendTold) this.backendChanges++;
      this.#backendTold = JSON.stringify(told);
    }
    this.#wake();
  }

  #sync(object: KubeObject, gone = false): void {
    const { name } = object.metadata;
    const isTrue = (ready: string | undefined): number => (ready?.startsWith("True") === true ? 1 : 0);
    const next = gone ? undefined : readyOf(object);
    this.#inSync += isTrue(next) - isTrue(this.#ready.get(name));
    if (next === undefined) this.#ready.delete(name);
    else this.#ready.set(name, next);
    const targets = (object as WithStatus).status?.targets ?? [];
    this.#versions.set(name, [...new Set(targets.map(({ sourceVersion = "" }) => sourceVersion))].join());
    this.#wake();
  }

  #secret(object: PartialObjectMetadata, gone = false): void {
    const { name, resourceVersion = "" } = object.metadata;
    // Vault's versions carry the time at which they were made.
    const version = gone ? undefined : (markFieldOf(object, "version") ?? "").split("@")[0];
    const seen = { name, resourceVersion, version, at: systemClock.monotonic() };
    if (gone) this.#secrets.delete(name);
    else this.#secrets.set(name, seen);
    for (const handler of this.#secretHandlers) handler(seen);
    this.#wake();
  }
}

/** The name of the FederationBackend that everything is measured on. */
export const backendName = "store";
