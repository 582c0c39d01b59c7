/**
 * Runs a Deployment of the cluster on this machine, since the local environment has no kubelet: command, arguments,
 * environment and mounted files are read back from the API server, so what runs is what the chart rendered, with the
 * chart's ServiceAccount token and rights alone.
 */
import { appendFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Cluster } from "./cluster.ts";
import { call } from "./http.ts";
import { type Container, Mounts, pathMapper, type PodSpec } from "./mounts.ts";
import { freePort, loopback } from "./ports.ts";
import { createProgram, waitFor, type Program } from "./process.ts";

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
  const mounts = new Mounts({ cluster, namespace, pod, name, root });
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
