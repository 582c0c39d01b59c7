/**
 * Runs a Deployment of the cluster on this machine, since the local environment has no kubelet: command, arguments,
 * environment and mounted files are read back from the API server, so what runs is what the chart rendered, with the
 * chart's ServiceAccount token and rights alone.
 */
import { appendFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Cluster } from "./cluster.ts";
import { call } from "./http.ts";
import { freePort, loopback } from "./ports.ts";
import { createProgram, waitFor, type Program } from "./process.ts";

interface VolumeItem {
  readonly key?: string;
  readonly path: string;
  readonly fieldRef?: { readonly fieldPath: string };
}
interface ProjectedSource {
  readonly serviceAccountToken?: {
    readonly path: string;
    readonly audience?: string;
    readonly expirationSeconds?: number;
  };
  readonly configMap?: { readonly name: string; readonly items?: readonly VolumeItem[] };
  readonly secret?: { readonly name: string; readonly items?: readonly VolumeItem[] };
  readonly downwardAPI?: { readonly items: readonly VolumeItem[] };
}
interface Volume {
  readonly name: string;
  readonly configMap?: { readonly name: string; readonly items?: readonly VolumeItem[] };
  readonly secret?: { readonly secretName: string; readonly items?: readonly VolumeItem[] };
  readonly projected?: { readonly sources: readonly ProjectedSource[] };
  readonly emptyDir?: object;
}
interface EnvVar {
  readonly name: string;
  readonly value?: string;
  readonly valueFrom?: { readonly fieldRef?: { readonly fieldPath: string } };
}
interface Container {
  readonly args?: readonly string[];
  readonly env?: readonly EnvVar[];
  readonly volumeMounts?: readonly { readonly name: string; readonly mountPath: string }[];
}
interface PodSpec {
  readonly serviceAccountName?: string;
  readonly containers: readonly Container[];
  readonly volumes?: readonly Volume[];
}
interface Deployment {
  readonly spec: { readonly template: { readonly spec: PodSpec } };
}

/** How a Deployment is run here. */
export interface DeploymentOptions {
  readonly cluster: Cluster;
  readonly namespace: string;
  readonly name: string;
  /** Folder for the mounted files, logs and caches of all replicas. It holds credentials: remove it at the end. */
  readonly folder: string;
  /** What the image holds: path in the container to path on this machine, such as `/app` to the bundle's folder. */
  readonly image: Readonly<Record<string, string>>;
  /** Environment variables in place of, or beside, those of the container. */
  readonly env?: Readonly<Record<string, string>>;
  /** Which program stands for the container's command; default this Node. */
  readonly node?: string;
  /**
   * Another URL that leads to the API server, e.g. a relay's; its certificate must be one that the cluster's authority signed
   * for that host.
   */
  readonly server?: string;
  /** How often mounted files are brought up to date, as a kubelet does. Default a minute. */
  readonly syncMs?: number;
}

/** One replica: a program with its own files and ports. */
export interface Replica {
  readonly name: string;
  readonly program: Program;
  readonly healthUrl: string;
  readonly metricsUrl: string;
  /** The kubeconfig that the replica uses: the ServiceAccount's token from its mounted file. */
  readonly kubeconfig: string;
  /** Mounted files as they now are in the cluster, and a new token when the old one has lived four fifths of its time. */
  sync(): Promise<void>;
  /** Starts it; resolves when `/readyz` answers. @throws ProgramFailed */
  start(): Promise<void>;
  /** Ends it in order and stops to bring its files up to date. */
  stop(): Promise<void>;
}

const serviceAccountFolder = "/var/run/secrets/kubernetes.io/serviceaccount";

/** The replica's own folder with what a kubelet would put there. */
class Mounts {
  readonly #options: DeploymentOptions;
  readonly #pod: PodSpec;
  readonly #root: string;
  readonly #name: string;
  /** Path of a mount in the container to its folder here. */
  readonly paths = new Map<string, string>();
  readonly #renewAt = new Map<string, number>();
  readonly #written = new Map<string, Buffer>();

  constructor(options: DeploymentOptions, pod: PodSpec, root: string, name: string) {
    this.#options = options;
    this.#pod = pod;
    this.#root = root;
    this.#name = name;
    for (const { mountPath } of pod.containers[0]?.volumeMounts ?? []) this.paths.set(mountPath, join(root, mountPath));
  }

  async sync(translate: (file: string, content: Buffer) => Buffer): Promise<void> {
    for (const { name, mountPath } of this.#pod.containers[0]?.volumeMounts ?? []) {
      const volume = this.#pod.volumes?.find((candidate) => candidate.name === name);
      if (volume === undefined) throw new Error(`volume ${name} is not declared`);
      const folder = join(this.#root, mountPath);
      mkdirSync(folder, { recursive: true, mode: 0o700 });
      for (const [path, content] of await this.#files(volume, folder))
        this.#put(join(folder, path), content, translate);
    }
  }

  #put(file: string, raw: string | Buffer, translate: (file: string, content: Buffer) => Buffer): void {
    const content = translate(file, Buffer.isBuffer(raw) ? raw : Buffer.from(raw));
    if (this.#written.get(file)?.equals(content) === true) return;
    mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
    writeFileSync(file, content, { mode: 0o600 });
    this.#written.set(file, content);
  }

  async #files(volume: Volume, folder: string): Promise<Map<string, string | Buffer>> {
    const files = new Map<string, string | Buffer>();
    const add = (data: Readonly<Record<string, string | Buffer>>, items: readonly VolumeItem[] | undefined): void => {
      for (const { key, path } of items ?? Object.keys(data).map((name) => ({ key: name, path: name }))) {
        const content = data[key ?? path];
        // A kubelet does not start a pod whose file is missing.
        if (content === undefined) throw new Error(`volume ${volume.name}: there is no entry ${key ?? path}`);
        files.set(path, content);
      }
    };
    if (volume.configMap !== undefined) add(await this.#configMap(volume.configMap.name), volume.configMap.items);
    if (volume.secret !== undefined) add(await this.#secret(volume.secret.secretName), volume.secret.items);
    for (const source of volume.projected?.sources ?? []) {
      if (source.configMap !== undefined) add(await this.#configMap(source.configMap.name), source.configMap.items);
      if (source.secret !== undefined) add(await this.#secret(source.secret.name), source.secret.items);
      for (const { path, fieldRef } of source.downwardAPI?.items ?? [])
        files.set(path, this.field(fieldRef?.fieldPath));
      const token = source.serviceAccountToken;
      if (token !== undefined && this.#due(join(folder, token.path), token.expirationSeconds ?? 3600))
        files.set(token.path, await this.#token(token));
    }
    return files;
  }

  /** A kubelet renews a token when it has lived four fifths of its time. */
  #due(file: string, seconds: number): boolean {
    const now = performance.now();
    if (now < (this.#renewAt.get(file) ?? 0)) return false;
    this.#renewAt.set(file, now + seconds * 800);
    return true;
  }

  async #token({ audience, expirationSeconds }: { audience?: string; expirationSeconds?: number }): Promise<string> {
    const { cluster, namespace } = this.#options;
    const account = this.#pod.serviceAccountName ?? "default";
    return await cluster.token(namespace, account, expirationSeconds ?? 3600, audience);
  }

  async #configMap(name: string): Promise<Record<string, string>> {
    const path = `/api/v1/namespaces/${this.#options.namespace}/configmaps/${name}`;
    return (await this.#options.cluster.get<{ data?: Record<string, string> }>(path)).data ?? {};
  }

  async #secret(name: string): Promise<Record<string, Buffer>> {
    const path = `/api/v1/namespaces/${this.#options.namespace}/secrets/${name}`;
    const { data = {} } = await this.#options.cluster.get<{ data?: Record<string, string> }>(path);
    return Object.fromEntries(Object.entries(data).map(([key, text]) => [key, Buffer.from(text, "base64")]));
  }

  /** The downward API's fields that the chart uses. */
  field(path: string | undefined): string {
    if (path === "metadata.name") return this.#name;
    if (path === "metadata.namespace") return this.#options.namespace;
    throw new Error(`the field ${path ?? "?"} is not known here`);
  }
}

/**
 * Replaces container paths by paths on this machine, where they stand as whole paths: at the beginning of the text, or after
 * `=`, a quote, a space or a line break, and up to their end or a slash.
 */
export function pathMapper(paths: ReadonlyMap<string, string>): (text: string) => string {
  const ordered = [...paths].toSorted(([a], [b]) => b.length - a.length);
  return (text) => {
    let out = "";
    for (let at = 0; at < text.length;) {
      const starts = at === 0 || " =\"'\n\t[,".includes(text.charAt(at - 1));
      const fit = starts
        ? ordered.find(([inside]) => {
            const next = text.charAt(at + inside.length);
            return text.startsWith(inside, at) && (next === "" || "/\"' \n\t],*".includes(next));
          })
        : undefined;
      out += fit?.[1] ?? text.charAt(at);
      at += fit?.[0].length ?? 1;
    }
    return out;
  };
}

/** A kubeconfig with the cluster's own entry and the mounted token. */
async function kubeconfigText(options: DeploymentOptions, mounted: string): Promise<string> {
  const entry = await options.cluster.entry();
  const cluster = options.server === undefined ? entry : { ...entry, server: options.server };
  const user = { "auth-provider": { name: "tokenFile", config: { tokenFile: join(mounted, "token") } } };
  return JSON.stringify({
    apiVersion: "v1",
    kind: "Config",
    clusters: [{ name: "cluster", cluster }],
    users: [{ name: "pod", user }],
    contexts: [{ name: "pod", context: { cluster: "cluster", user: "pod", namespace: options.namespace } }],
    "current-context": "pod",
  });
}

/** A container starts with an environment of its own: nothing of this process gets in. */
function cleanEnvironment(): Record<string, undefined> {
  return Object.fromEntries(Object.keys(process.env).map((name) => [name, undefined]));
}

/** What differs from a pod: where the API server is, and which ports are free. */
interface HostFacts {
  readonly kubeconfig: string;
  readonly health: number;
  readonly metrics: number;
}

function environmentOf(
  options: DeploymentOptions,
  container: Container,
  mounts: Mounts,
  map: (text: string) => string,
  { kubeconfig, health, metrics }: HostFacts,
): Record<string, string | undefined> {
  const own = (container.env ?? []).map(({ name, value, valueFrom }) => [
    name,
    valueFrom === undefined ? map(value ?? "") : mounts.field(valueFrom.fieldRef?.fieldPath),
  ]);
  return {
    ...cleanEnvironment(),
    ...(Object.fromEntries(own) as Record<string, string>),
    SCAIVAULT_OPERATOR_KUBECONFIG: kubeconfig,
    SCAIVAULT_OPERATOR_HEALTH_ADDRESS: loopback,
    SCAIVAULT_OPERATOR_HEALTH_LISTEN: String(health),
    SCAIVAULT_OPERATOR_METRICS_ADDRESS: loopback,
    SCAIVAULT_OPERATOR_METRICS_LISTEN: String(metrics),
    ...options.env,
  };
}

/**
 * Prepares one replica.
 * @param index number of the replica, part of its pod name
 */
export async function prepareReplica(options: DeploymentOptions, index: number): Promise<Replica> {
  const { cluster, namespace } = options;
  const path = `/apis/apps/v1/namespaces/${namespace}/deployments/${options.name}`;
  const pod = (await cluster.get<Deployment>(path)).spec.template.spec;
  const [container] = pod.containers;
  if (container === undefined) throw new Error(`Deployment ${options.name} has no container`);
  const name = `${options.name}-${index}`;
  const root = join(options.folder, name);
  rmSync(root, { recursive: true, force: true });
  const mounts = new Mounts(options, pod, root, name);
  const paths = new Map([...mounts.paths, ...Object.entries(options.image)]);
  // Folders above mounts, as permission flags name them.
  for (const above of ["/var/run/secrets", "/etc/scaivault-operator"]) paths.set(above, join(root, above));
  const map = pathMapper(paths);
  const configFolder = join(root, "/etc/scaivault-operator/");
  const sync = (): Promise<void> =>
    mounts.sync((file, content) => (file.startsWith(configFolder) ? Buffer.from(map(content.toString())) : content));
  await sync();
  const facts = {
    kubeconfig: join(configFolder, "kubeconfig"),
    health: await freePort(),
    metrics: await freePort(),
  };
  writeFileSync(facts.kubeconfig, await kubeconfigText(options, join(root, serviceAccountFolder)), { mode: 0o600 });
  const healthUrl = `http://${loopback}:${facts.health}`;
  const program = createProgram({
    name,
    file: options.node ?? process.execPath,
    args: (container.args ?? []).map(map),
    env: environmentOf(options, container, mounts, map, facts),
    cwd: root,
    logFile: join(root, "operator.log"),
    ready: async () => (await call({ url: `${healthUrl}/readyz`, timeoutMs: 2_000 })).status === 200,
    graceMs: 20_000,
  });
  return replica(
    {
      name,
      program,
      healthUrl,
      metricsUrl: `http://${loopback}:${facts.metrics}/metrics`,
      kubeconfig: facts.kubeconfig,
      sync,
    },
    options.syncMs ?? 60_000,
  );
}

function replica(parts: Omit<Replica, "start" | "stop">, syncMs: number): Replica {
  const { program, sync } = parts;
  let timer: NodeJS.Timeout | undefined;
  return {
    ...parts,
    async start() {
      await program.start();
      timer ??= setInterval(() => {
        // The next round tries again; a kubelet would not end the pod either.
        sync().catch(() =>
          appendFileSync(program.logFile, `{"msg":"mounted files could not be brought up to date"}\n`),
        );
      }, syncMs).unref();
    },
    async stop() {
      clearInterval(timer);
      timer = undefined;
      await program.stop();
    },
  };
}

/** Whether a replica holds the Lease: then what it does is seen. @returns false after `timeoutMs` */
export async function waitForLeader(
  options: Pick<DeploymentOptions, "cluster" | "namespace">,
  replicas: readonly Replica[],
  timeoutMs = 60_000,
): Promise<boolean> {
  const path = `/apis/coordination.k8s.io/v1/namespaces/${options.namespace}/leases/scaivault-operator`;
  return await waitFor(
    async () => {
      const lease = await options.cluster.find<{ spec?: { holderIdentity?: string } }>(path);
      const holder = lease?.spec?.holderIdentity ?? "";
      return replicas.some(({ name }) => holder.startsWith(name));
    },
    timeoutMs,
    250,
  );
}

/** The end of a log file, for people. */
export function readLog(program: Program): string {
  try {
    return readFileSync(program.logFile, "utf8");
  } catch {
    return "";
  }
}
