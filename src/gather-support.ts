/** `support-bundle`: asks the cluster, the metrics listener and `doctor`; what may not be asked is named. */
import { readFileSync } from "node:fs";
import { parseFederationBackend, parseSecretSync } from "./api/index.ts";
import { doctorReport } from "./cli/doctor.ts";
import type { SupportGatherer, SupportQuery } from "./cli/support-bundle.ts";
import type { CommandIO } from "./cli/command.ts";
import { statusReport } from "./cli/status-report.ts";
import { compose } from "./compose.ts";
import type { Config } from "./config/index.ts";
import { withoutScaiVault } from "./connect.ts";
import { ownResources } from "./controllers/index.ts";
import { diagnose } from "./diagnose.ts";
import { SyncError } from "./errors/index.ts";
import type { KubeClient, KubeObject, Resource } from "./runtime/index.ts";
import { clusterError, userClient } from "./status.ts";
import {
  configurationFacts,
  deploymentFacts,
  eventFacts,
  leaseFacts,
  metricFacts,
  ownObject,
  type Part,
  podFacts,
} from "./support/index.ts";
import { silentLogger } from "./telemetry/index.ts";
import { systemClock } from "./time/clock.ts";
import { VERSION } from "./version.ts";

const TIMEOUT_MS = 30_000;
const OWN_PODS = "app.kubernetes.io/name=scaivault-operator";
const MAX_EVENTS = 2_000;

const kind = (group: string, version: string, plural: string, name: string): Resource => ({
  group,
  version,
  plural,
  namespaced: true,
  kind: name,
});
const resources = {
  events: kind("events.k8s.io", "v1", "events", "Event"),
  leases: kind("coordination.k8s.io", "v1", "leases", "Lease"),
  deployments: kind("apps", "v1", "deployments", "Deployment"),
  pods: kind("", "v1", "pods", "Pod"),
} as const;

export const gatherSupport: SupportGatherer = async (query, { io, stage }) => {
  const { config } = query;
  const login = loginOf(query, io);
  const { signal } = io;
  const parts: Part[] = [versions()];
  try {
    const { client } = login;
    stage("reading the cluster ...");
    const scopes = query.namespace !== undefined ? [query.namespace] : (config?.watchNamespaces ?? [undefined]);
    const all = (resource: Resource, more: object = {}) => listAll(client, resource, scopes, { signal, ...more });
    parts.push(await had("cluster.json", () => client.transport.request(versionRequest)));
    if (config !== undefined) parts.push({ name: "configuration.json", data: configurationFacts(config) });
    parts.push(...(await objectParts(all)));
    const events = async () =>
      (await all(resources.events))
        .filter((event) => (event as { reportingController?: string }).reportingController === CONTROLLER)
        .slice(-MAX_EVENTS)
        .map(eventFacts);
    parts.push(await had("events.json", events), ...(await deploymentParts(client, config, signal)));
    parts.push(await had("metrics.txt", () => metricsOf(query), true));
    if (config === undefined) parts.push({ name: "doctor.json", missing: "needs --config" });
    else
      parts.push(
        await had("doctor.json", async () => doctorReport(await diagnose(config, { what: "all" }, { io, stage }))),
      );
  } finally {
    await login.close();
  }
  return { parts, secrets: config === undefined ? [] : secretsOf(config) };
};

const CONTROLLER = "scaivault.scailabs.ai/operator";
const versionRequest = {
  verb: "get",
  resource: "version",
  method: "GET",
  path: "/version",
  idempotent: true,
  timeoutMs: TIMEOUT_MS,
} as const;

function loginOf(query: SupportQuery, io: CommandIO): { client: KubeClient; close(): Promise<void> } {
  if (query.config === undefined) {
    const { client } = userClient(query);
    return { client, close: () => client.transport.close() };
  }
  const operator = compose({ config: withoutScaiVault(query.config), environment: io.environment, log: silentLogger });
  return { client: operator.client, close: () => operator.close() };
}

function versions(): Part {
  const { arch, platform, version } = process;
  const made = new Date(systemClock.now()).toISOString();
  return { name: "versions.json", data: { operator: VERSION, node: version, platform: `${platform}/${arch}`, made } };
}

/** A part, or why it is missing. */
async function had(name: string, ask: () => Promise<unknown>, metrics = false): Promise<Part> {
  try {
    const data = await ask();
    return metrics ? { name, metrics: data as string } : { name, data };
  } catch (error) {
    return { name, missing: reasonOf(error, name) };
  }
}

function reasonOf(error: unknown, name: string): string {
  if (error instanceof SyncError) return error.message;
  try {
    return clusterError(error, `read ${name}`).message;
  } catch {
    // Foreign words are not passed on.
    return "could not be read";
  }
}

async function listAll(
  client: KubeClient,
  resource: Resource,
  scopes: readonly (string | undefined)[],
  options: { readonly signal: AbortSignal; readonly labelSelector?: string },
): Promise<KubeObject[]> {
  const items: KubeObject[] = [];
  for (const namespace of scopes)
    items.push(...(await client.list<KubeObject>(resource, { ...options, namespace, timeoutMs: TIMEOUT_MS })).items);
  return items;
}

/** Both kinds, parsed, so that only known fields are in it, and the picture that `status` gives of them. */
async function objectParts(all: (resource: Resource) => Promise<KubeObject[]>): Promise<Part[]> {
  const known = async (resource: Resource, parse: (object: KubeObject) => unknown): Promise<unknown[]> =>
    (await all(resource)).map((object) => ownObject({ ...object, kind: resource.kind }, parse(object)));
  const backends = await had("federationbackends.json", () =>
    known(ownResources.backends, (object) => {
      const parsed = parseFederationBackend(object);
      return parsed.ok ? parsed.value.spec : "not valid";
    }),
  );
  const syncs = await had("secretsyncs.json", () =>
    known(ownResources.syncs, (object) => {
      const parsed = parseSecretSync(object);
      return parsed.ok ? parsed.value.spec : "not valid";
    }),
  );
  if (!("data" in backends) || !("data" in syncs)) return [backends, syncs];
  const report = statusReport(
    backends.data as Parameters<typeof statusReport>[0],
    syncs.data as Parameters<typeof statusReport>[1],
    systemClock.now(),
  );
  return [backends, syncs, { name: "status.json", data: report }];
}

/** In the operator's namespace: Lease, Deployment, pods. Without a configuration it is not known which that is. */
async function deploymentParts(client: KubeClient, config: Config | undefined, signal: AbortSignal): Promise<Part[]> {
  const labelled = (resource: Resource, facts: (object: unknown) => unknown) => async (): Promise<unknown> =>
    (await listAll(client, resource, [config?.operatorNamespace], { signal, labelSelector: OWN_PODS })).map(facts);
  const lease = async (): Promise<unknown> => {
    if (config === undefined) throw new SyncError("InvalidSpec", "needs --config");
    const name = { namespace: config.operatorNamespace, name: config.leaderElection.leaseName };
    return leaseFacts(await client.find(resources.leases, name, { signal, timeoutMs: TIMEOUT_MS }));
  };
  return [
    await had("lease.json", lease),
    await had("deployments.json", labelled(resources.deployments, deploymentFacts)),
    await had("pods.json", labelled(resources.pods, podFacts)),
  ];
}

async function metricsOf({ config, metricsURL }: SupportQuery): Promise<string> {
  if (metricsURL === undefined && config === undefined)
    throw new SyncError("InvalidSpec", "needs --config or --metrics-url");
  const url = metricsURL ?? `http://127.0.0.1:${config?.metrics.port ?? 0}/metrics`;
  let answer: Response;
  try {
    answer = await fetch(url, { signal: AbortSignal.timeout(10_000), redirect: "error" });
  } catch {
    throw new SyncError("InvalidSpec", "the metrics listener does not answer");
  }
  if (!answer.ok) throw new SyncError("InvalidSpec", `the metrics listener answers ${answer.status}`);
  return metricFacts(await answer.text());
}

/** What files of the configuration hold: none of it may get into a bundle. */
function secretsOf({ marks, scaivault, proxy }: Config): Buffer[] {
  const { auth } = scaivault ?? {};
  const files = [
    ...marks.keyFiles,
    auth?.method === "TokenFile" ? auth.tokenFile : undefined,
    auth?.method === "ClientCredentials" ? auth.clientSecretFile : undefined,
    auth?.method === "TokenExchange" ? auth.subjectTokenFile : undefined,
    proxy?.urlFile,
  ].filter((file) => file !== undefined);
  return files.flatMap((file) => {
    try {
      const content = readFileSync(file);
      return [content, Buffer.from(content.toString("latin1").trim(), "latin1")];
    } catch {
      return [];
    }
  });
}
