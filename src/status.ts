import type { StatusReader } from "./cli/status.ts";
import type { SeenObject } from "./cli/status-report.ts";
import { API_VERSION } from "./api/index.ts";
import { ownResources } from "./controllers/index.ts";
import { errorCode, SyncError } from "./errors/index.ts";
import {
  ApiConnectionError,
  ApiStatusError,
  type ClusterConfig,
  KubeClient,
  type KubeObject,
  KubeTransport,
  loadClusterConfig,
} from "./runtime/index.ts";
import { systemClock } from "./time/clock.ts";
import { VERSION } from "./version.ts";

const TIMEOUT_MS = 30_000;

/** A client with the user's own login. @throws SyncError InvalidSpec */
export function userClient(query: { readonly kubeconfig: string | undefined; readonly context: string | undefined }): {
  readonly client: KubeClient;
  readonly config: ClusterConfig;
} {
  const { kubeconfig, context } = query;
  let config: ClusterConfig;
  try {
    config = loadClusterConfig({
      ...(kubeconfig === undefined ? {} : { kubeconfig }),
      ...(context === undefined ? {} : { context }),
    });
    new URL(config.server);
  } catch (error) {
    const code = errorCode(error) ?? "not valid";
    throw new SyncError("InvalidSpec", `${kubeconfig ?? "the default kubeconfig"} has no usable context (${code})`);
  }
  const transport = new KubeTransport({ config, clock: systemClock, userAgent: `scaivault-operator/${VERSION}` });
  return { client: new KubeClient(transport, { fieldManager: "scaivault-operator" }), config };
}

/** What an answer of the API server means for people. */
export function clusterError(error: unknown, what: string): SyncError {
  if (error instanceof ApiStatusError) {
    const why: Readonly<Record<number, string>> = {
      401: "the API server does not know this login",
      403: `this login may not do it`,
      404: `the API server does not know ${API_VERSION}: install the CRDs`,
    };
    return new SyncError("KubernetesUnavailable", `cannot ${what}: ${why[error.code] ?? "it failed"} (${error.code})`);
  }
  if (error instanceof ApiConnectionError)
    return new SyncError("KubernetesUnavailable", `cannot ${what}: the API server cannot be reached (${error.kind})`);
  throw error;
}

/** `status`: lists both kinds, with the rights of the caller. */
export const readStatus: StatusReader = async (query, { signal }) => {
  const { client, config } = userClient(query);
  const named = query.namespace === undefined ? { name: config.namespace ?? "default" } : query.namespace;
  const scope = named === "all" ? {} : { namespace: named.name };
  const where = named === "all" ? "all namespaces" : `namespace ${named.name}`;
  const list = async (resource: (typeof ownResources)["backends"]): Promise<SeenObject[]> => {
    try {
      return (await client.list<KubeObject & SeenObject>(resource, { ...scope, signal, timeoutMs: TIMEOUT_MS })).items;
    } catch (error) {
      throw clusterError(error, `list ${resource.plural} in ${where}`);
    }
  };
  try {
    // One after the other: what is refused is told of the same kind each time.
    const backends = await list(ownResources.backends);
    return { backends, syncs: await list(ownResources.syncs) };
  } finally {
    await client.transport.close();
  }
};
