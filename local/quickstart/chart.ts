/** Installs the chart with real helm, as a platform team would, and runs its Deployment on this machine. */
import { join } from "node:path";
import type { Cluster } from "../cluster.ts";
import { prepareReplica, waitForLeader, type Replica } from "../deployment.ts";
import { repositoryRoot } from "../paths.ts";
import type { Logins } from "./stores.ts";
import { hosts, namespace, partOf, QuickstartFailed, scaivaultPaths, type Stores, type World } from "./world.ts";

/** The chart of this checkout. */
export const chart = join(repositoryRoot, "charts", "scaivault-operator");

const loginSecret = "scaivault-login";
const caConfigMap = "local-ca";

/** A namespace that may use the operator, and where it may write. */
export interface Tenant {
  readonly namespace: string;
  /** Globs of ScaiVault paths. */
  readonly paths: readonly string[];
}

/**
 * The operator's configuration: what a team would write, and three fields that only this machine needs (`localEnvironment`,
 * `allowLoopback`, `endpointOverrides`).
 */
export function operatorConfig({ asm, vault, scaivault }: Stores, tenant: Tenant): Record<string, unknown> {
  const url = `https://${hosts.scaivault}`;
  return {
    scaivault: { url, auth: { clientCredentials: { tokenURL: `${url}/oauth/token` } } },
    tenancy: [
      {
        namespaces: [tenant.namespace],
        scaivault: { read: tenant.paths, write: tenant.paths },
        endpoints: [`${hosts.vault}:8200`],
      },
    ],
    localEnvironment: true,
    allowLoopback: true,
    endpointOverrides: {
      [hosts.aws]: asm.tlsUrl ?? asm.url,
      [hosts.scaivault]: scaivault.url,
      ...(vault === undefined ? {} : { [`${hosts.vault}:8200`]: vault.facts.url }),
    },
  };
}

/** The values of the chart. */
export function chartValues(world: World): Record<string, unknown> {
  return {
    cluster: { name: "quickstart" },
    // Pods do not run here: one replica is started on this machine in their place.
    replicas: 1,
    podDisruptionBudget: { enabled: false },
    config: operatorConfig(world.stores, { namespace, paths: [scaivaultPaths] }),
    scaivault: { auth: { method: "clientCredentials", existingSecret: loginSecret } },
    extraCa: { configMapName: caConfigMap },
    credentialNamespaces: [{ namespace, secretNames: ["aws-reader", "vault-approle"], configMapNames: ["vault-ca"] }],
    ...world.values,
  };
}

/** Whether the quickstart made a namespace. `undefined`: there is none. */
export async function isOurs(cluster: Pick<Cluster, "find">, name: string): Promise<boolean | undefined> {
  const there = await cluster.find<{ metadata: { labels?: Record<string, string> } }>(`/api/v1/namespaces/${name}`);
  if (there === undefined) return undefined;
  return Object.entries(partOf).every(([label, text]) => there.metadata.labels?.[label] === text);
}

/**
 * Makes a namespace of the quickstart.
 * @param mayExist use one of that name that it did not make; else that is refused
 * @returns whether it is the quickstart's own, so that it may be deleted at the end
 * @throws QuickstartFailed
 */
export async function makeNamespace(cluster: Cluster, name: string, mayExist: boolean): Promise<boolean> {
  const ours = await isOurs(cluster, name);
  if (ours === false) {
    if (mayExist) return false;
    throw new QuickstartFailed(
      `The cluster has a namespace ${name} already, and the quickstart did not make it.`,
      "Use another cluster, or the local control plane (leave --context out).",
    );
  }
  await cluster.apply([{ apiVersion: "v1", kind: "Namespace", metadata: { name, labels: partOf } }]);
  return true;
}

/** Whether another release keeps an object; helm would refuse to take it over. */
async function keptByOther({ cluster, release, operatorNamespace }: World, path: string): Promise<boolean> {
  const there = await cluster.find<{ metadata: { annotations?: Record<string, string> } }>(path);
  if (there === undefined) return false;
  const { "meta.helm.sh/release-name": name, "meta.helm.sh/release-namespace": space } =
    there.metadata.annotations ?? {};
  return name !== release || space !== operatorNamespace;
}

/** Installs the chart. The Secret with the ScaiVault login and the authority come first, as its values name them. */
export async function installChart(world: World, logins: Pick<Logins, "scaivault">): Promise<void> {
  const { cluster, operatorNamespace, release, stores } = world;
  const own = { namespace: operatorNamespace, labels: partOf };
  await cluster.apply([
    {
      apiVersion: "v1",
      kind: "Secret",
      metadata: { name: loginSecret, ...own },
      stringData: { client_id: logins.scaivault.clientId, client_secret: logins.scaivault.clientSecret },
    },
    { apiVersion: "v1", kind: "ConfigMap", metadata: { name: caConfigMap, ...own }, data: { "ca.crt": stores.ca } },
  ]);
  const crd = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/secretsyncs.scaivault.scailabs.ai";
  const role = "/apis/rbac.authorization.k8s.io/v1/clusterroles/scaivault-view";
  const values = {
    ...chartValues(world),
    crds: { install: !(await keptByOther(world, crd)) },
    people: { install: !(await keptByOther(world, role)) },
  };
  await cluster.helm(["upgrade", "--install", release, chart, "-n", operatorNamespace], values);
  await cluster.kubectl([
    "wait",
    "--for=condition=Established",
    "crd/federationbackends.scaivault.scailabs.ai",
    "crd/secretsyncs.scaivault.scailabs.ai",
    "--timeout=60s",
  ]);
}

/** Name of the Deployment, the ServiceAccount and the ConfigMap that a release has. */
export function fullName(release: string): string {
  return release.includes("scaivault-operator") ? release : `${release}-scaivault-operator`;
}

/** Prepares the operator as the rendered Deployment says; it is not started yet. */
export function prepareOperator(world: World, env: Readonly<Record<string, string>> = {}): Promise<Replica> {
  const { cluster, operatorNamespace, release, folder, bundle } = world;
  const name = fullName(release);
  return prepareReplica({ cluster, namespace: operatorNamespace, name, folder, image: { "/app": bundle }, env }, 0);
}

/** Starts the operator and waits until it holds the Lease. @throws QuickstartFailed, ProgramFailed */
export async function startOperator(world: World, operator: Replica): Promise<void> {
  await operator.start();
  if (await waitForLeader({ cluster: world.cluster, namespace: world.operatorNamespace }, [operator])) return;
  throw new QuickstartFailed("The operator runs, but does not hold its Lease.", `Its log: ${operator.program.logFile}`);
}
