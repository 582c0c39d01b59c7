import { fieldManagers } from "./api/index.ts";
import type { Config } from "./config/index.ts";
import { CacheReflectors, type Caches, createCaches } from "./controllers/index.ts";
import { errorCode, SyncError } from "./errors/index.ts";
import { EventRecorder, KubeClient, KubeTransport, loadClusterConfig } from "./runtime/index.ts";
import type { Logger, Metrics } from "./telemetry/index.ts";
import { systemClock } from "./time/clock.ts";

/** What the Kubernetes API is read, watched and written with. All of it runs on the system's clock. */
export interface KubernetesSide {
  readonly transport: KubeTransport;
  readonly client: KubeClient;
  readonly caches: Caches;
  readonly reflectors: CacheReflectors;
  readonly events: EventRecorder;
}

/** Makes the Kubernetes side; it connects to nothing yet. */
export function makeKubernetes(
  config: Config,
  parts: {
    readonly cluster: ReturnType<typeof clusterConfig>;
    readonly userAgent: string;
    readonly metrics: Metrics;
    readonly log: Logger;
    /** The name of this replica in events. */
    readonly instance: string;
  },
): KubernetesSide {
  const { cluster, userAgent, metrics, log, instance } = parts;
  const transport = new KubeTransport({
    config: cluster,
    clock: systemClock,
    userAgent,
    onRequest: ({ verb, resource, code, ms }) => metrics.kubeCall(verb, resource, String(code), ms),
  });
  const client = new KubeClient(transport, { fieldManager: fieldManagers.secrets });
  const caches = createCaches(log, config.cluster.name);
  const reflectors = new CacheReflectors({
    client,
    clock: systemClock,
    caches,
    watchNamespaces: config.watchNamespaces,
    log,
  });
  const events = new EventRecorder({
    client,
    clock: systemClock,
    controller: "scaivault.scailabs.ai/operator",
    instance,
  });
  return { transport, client, caches, reflectors, events };
}

/** The API server and how to log in there. @throws SyncError InvalidSpec */
export function clusterConfig(config: Config) {
  const { kubeconfig, context } = config.kubernetes;
  const given = kubeconfig !== undefined || context !== undefined;
  try {
    const loaded = loadClusterConfig({
      ...(kubeconfig === undefined ? {} : { kubeconfig }),
      ...(context === undefined ? {} : { context }),
      ...(given ? {} : { inCluster: true }),
    });
    // Outside a pod the address is made of variables that are not set.
    new URL(loaded.server);
    return loaded;
  } catch (error) {
    const where = given ? `kubernetes.kubeconfig: ${kubeconfig ?? "the default kubeconfig"}` : "kubernetes: the pod";
    const why = given
      ? "cannot be read or has no usable context"
      : "has no ServiceAccount token; outside a pod set kubernetes.kubeconfig";
    throw new SyncError("InvalidSpec", `${where} ${why} (${errorCode(error) ?? "not valid"})`);
  }
}
