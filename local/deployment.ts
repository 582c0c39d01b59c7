/**
 * Runs a Deployment of the local cluster on this machine, since the local environment has no kubelet: command, arguments,
 * environment and mounted files are read back from the API server, so what runs is what the chart rendered, with the
 * chart's ServiceAccount token and rights alone.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { ControlPlaneClient } from "./control-plane-client.ts";
import { call } from "./http.ts";
import { freePort } from "./ports.ts";
import { createProgram, type Program } from "./process.ts";

interface VolumeItem {
  readonly key?: string;
  readonly path: string;
}
interface ProjectedSource {
  readonly serviceAccountToken?: {
    readonly path: string;
    readonly audience?: string;
    readonly expirationSeconds?: number;
  };
  readonly configMap?: { readonly name: string; readonly items?: readonly VolumeItem[] };
  readonly downwardAPI?: { readonly items: readonly VolumeItem[] };
}
interface Volume {
  readonly name: string;
  readonly configMap?: { readonly name: string; readonly items?: readonly VolumeItem[] };
  readonly secret?: { readonly secretName: string; readonly items?: readonly VolumeItem[] };
  readonly projected?: { readonly sources: readonly ProjectedSource[] };
  readonly emptyDir?: object;
}
interface Container {
  readonly command?: readonly string[];
  readonly args?: readonly string[];
  readonly env?: readonly {
    readonly name: string;
    readonly value?: string;
    readonly valueFrom?: { readonly fieldRef?: { readonly fieldPath: string } };
  }[];
  readonly volumeMounts?: readonly { readonly name: string; readonly mountPath: string }[];
}
interface Deployment {
  readonly spec: {
    readonly template: {
      readonly spec: {
        readonly serviceAccountName?: string;
        readonly containers: readonly Container[];
        readonly volumes?: readonly Volume[];
      };
    };
  };
}

/** How a Deployment is run here. */
export interface DeploymentOptions {
  readonly cluster: ControlPlaneClient;
  readonly namespace: string;
  readonly name: string;
  /** Folder for the mounted files, logs and caches of all replicas. */
  readonly folder: string;
  /** What the image holds: path in the container to path on this machine, such as `/app` to the bundle's folder. */
  readonly image: Readonly<Record<string, string>>;
  /** Environment variables in place of, or beside, those of the container. */
  readonly env?: Readonly<Record<string, string>>;
  /** Which program stands for the container's command; default this Node. */
  readonly node?: string;
}

/** One replica: a program with its own files and ports. */
export interface Replica {
  readonly name: string;
  readonly program: Program;
  readonly healthUrl: string;
  readonly metricsUrl: string;
  /** The kubeconfig that the replica uses: the ServiceAccount's token from its mounted file. */
  readonly kubeconfig: string;
}

async function get<T>(cluster: ControlPlaneClient, path: string): Promise<T> {
  const answer = await cluster.request({ path });
  if (answer.status !== 200) throw new Error(`GET ${path} was answered with ${answer.status}`);
  return answer.json<T>();
}

function put(file: string, content: string | Buffer): void {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, content, { mode: 0o600 });
}

/** Writes the files that the kubelet would mount. */
async function mount(options: DeploymentOptions, account: string, volume: Volume, folder: string): Promise<void> {
  const { cluster, namespace } = options;
  mkdirSync(folder, { recursive: true });
  const entries = (data: Record<string, string | Buffer>, items: readonly VolumeItem[] | undefined) => {
    const chosen = items ?? Object.keys(data).map((key) => ({ key, path: key }));
    for (const { key, path } of chosen) put(join(folder, path), data[key ?? path] ?? "");
  };
  const configMap = async (name: string, items: readonly VolumeItem[] | undefined) => {
    const { data } = await get<{ data?: Record<string, string> }>(
      cluster,
      `/api/v1/namespaces/${namespace}/configmaps/${name}`,
    );
    entries(data ?? {}, items);
  };
  if (volume.configMap !== undefined) await configMap(volume.configMap.name, volume.configMap.items);
  if (volume.secret !== undefined) {
    const path = `/api/v1/namespaces/${namespace}/secrets/${volume.secret.secretName}`;
    const { data } = await get<{ data?: Record<string, string> }>(cluster, path);
    const decoded = Object.entries(data ?? {}).map(([key, text]) => [key, Buffer.from(text, "base64")] as const);
    entries(Object.fromEntries(decoded), volume.secret.items);
  }
  for (const source of volume.projected?.sources ?? []) {
    if (source.configMap !== undefined) await configMap(source.configMap.name, source.configMap.items);
    if (source.downwardAPI !== undefined)
      for (const { path } of source.downwardAPI.items) put(join(folder, path), namespace);
    const token = source.serviceAccountToken;
    if (token === undefined) continue;
    const audiences = token.audience === undefined ? undefined : [token.audience];
    put(
      join(folder, token.path),
      await cluster.serviceAccountToken(namespace, account, token.expirationSeconds ?? 3600, audiences),
    );
  }
}

/** Replaces container paths by paths on this machine; where several fit, the longest counts. */
function mapper(paths: ReadonlyMap<string, string>): (text: string) => string {
  const ordered = [...paths].sort(([a], [b]) => b.length - a.length);
  return (text) => {
    let out = "";
    for (let at = 0; at < text.length;) {
      const fit = ordered.find(([inside]) => text.startsWith(inside, at));
      out += fit?.[1] ?? text[at];
      at += fit?.[0].length ?? 1;
    }
    return out;
  };
}

const serviceAccountFolder = "/var/run/secrets/kubernetes.io/serviceaccount";

function kubeconfigText(server: string, mounted: string): string {
  const cluster = { name: "local", cluster: { server, "certificate-authority": join(mounted, "ca.crt") } };
  const user = {
    name: "pod",
    user: { "auth-provider": { name: "tokenFile", config: { tokenFile: join(mounted, "token") } } },
  };
  return JSON.stringify({
    apiVersion: "v1",
    kind: "Config",
    clusters: [cluster],
    users: [user],
    contexts: [{ name: "pod", context: { cluster: "local", user: "pod" } }],
    "current-context": "pod",
  });
}

/**
 * Prepares one replica; `program.start()` starts it and resolves when its health port answers.
 * @param index number of the replica, part of its pod name
 */
export async function prepareReplica(options: DeploymentOptions, index: number): Promise<Replica> {
  const { cluster, namespace } = options;
  const deployment = await get<Deployment>(
    cluster,
    `/apis/apps/v1/namespaces/${namespace}/deployments/${options.name}`,
  );
  const { containers, volumes = [], serviceAccountName = "default" } = deployment.spec.template.spec;
  const [container] = containers;
  if (container === undefined) throw new Error(`Deployment ${options.name} has no container`);
  const name = `${options.name}-${index}`;
  const root = join(options.folder, name);
  const paths = new Map(Object.entries(options.image));
  for (const { name: volumeName, mountPath } of container.volumeMounts ?? []) {
    const volume = volumes.find((candidate) => candidate.name === volumeName);
    if (volume === undefined) throw new Error(`volume ${volumeName} is not declared`);
    const folder = join(root, mountPath);
    await mount(options, serviceAccountName, volume, folder);
    paths.set(mountPath, folder);
  }
  // Folders above mounts, as permission flags name them.
  for (const above of ["/var/run/secrets", "/var/cache/scaivault-operator", "/etc/scaivault-operator"])
    paths.set(above, join(root, above));
  const map = mapper(paths);
  const kubeconfig = join(root, "etc/scaivault-operator/kubeconfig");
  put(kubeconfig, kubeconfigText(cluster.facts.url, join(root, serviceAccountFolder)));
  const health = await freePort();
  const metrics = await freePort();
  const env: Record<string, string> = {
    KUBECONFIG: kubeconfig,
    SCAIVAULT_OPERATOR_KUBERNETES_KUBECONFIG: kubeconfig,
    SCAIVAULT_OPERATOR_HEALTH_PORT: String(health),
    SCAIVAULT_OPERATOR_METRICS_PORT: String(metrics),
  };
  for (const { name: variable, value, valueFrom } of container.env ?? []) {
    env[variable] = valueFrom?.fieldRef?.fieldPath === "metadata.name" ? name : map(value ?? "");
  }
  const configFile = join(root, "etc/scaivault-operator/config.yaml");
  put(configFile, map(readFileSync(configFile, "utf8")));
  const program = createProgram({
    name,
    file: options.node ?? process.execPath,
    args: (container.args ?? []).map(map),
    env: { ...env, ...options.env },
    logFile: join(root, "operator.log"),
    ready: async () => (await call({ url: `http://127.0.0.1:${health}/readyz`, timeoutMs: 2_000 })).status === 200,
    graceMs: 15_000,
  });
  return {
    name,
    program,
    kubeconfig,
    healthUrl: `http://127.0.0.1:${health}`,
    metricsUrl: `http://127.0.0.1:${metrics}/metrics`,
  };
}
