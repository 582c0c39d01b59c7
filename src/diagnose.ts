/** `doctor`: the operator's own parts, asked one after the other. */
import { parseFederationBackend, parseSecretSync, type SecretSync } from "./api/index.ts";
import type { Doctor, DoctorScope } from "./cli/doctor.ts";
import { compose, type Operator } from "./compose.ts";
import { createCredentialReader, ownResources } from "./controllers/index.ts";
import {
  awsStatement,
  type BackendCase,
  type BackendParts,
  type Check,
  checkBackend,
  checkCluster,
  checkScaiVault,
  connectionFailed,
} from "./doctor/index.ts";
import type { Config } from "./config/index.ts";
import { openConnection, withoutScaiVault } from "./connect.ts";
import { SyncError, toSyncError } from "./errors/index.ts";
import type { KubeObject } from "./runtime/index.ts";
import { awsEndpoint } from "./sources/index.ts";
import { silentLogger } from "./telemetry/index.ts";
import { systemClock } from "./time/clock.ts";

/** `doctor` with the operator's configuration and login. */
export const diagnose: Doctor = async (given, scope, { io, stage }) => {
  const { environment, signal } = io;
  const connection = await openConnection(given, { environment, signal }).catch((error: unknown) => toSyncError(error));
  const failed = connection instanceof SyncError ? connection : undefined;
  const config = failed === undefined ? given : withoutScaiVault(given);
  const loaded = connection instanceof SyncError ? undefined : connection;
  const operator = compose({ config, environment, log: silentLogger, connection: loaded });
  const alive = systemClock.setTimeout(() => undefined, 2 ** 31 - 1);
  try {
    const tell = (about: string, step: string): void => stage(`${about}: ${step} ...`);
    const failure = failed === undefined ? undefined : () => failedConnection(given, failed);
    return await examine(operator, scope, { signal, tell, source: loaded?.source, failure });
  } finally {
    alive();
    await operator.close();
  }
};

interface Run {
  readonly signal: AbortSignal;
  /** Where the ScaiVault connection came from, other than from the configuration. */
  readonly source: string | undefined;
  /** The check of a connection that could not be read. */
  readonly failure: (() => Promise<readonly Check[]>) | undefined;
  tell(about: string, step: string): void;
}

async function examine(operator: Operator, scope: DoctorScope, run: Run): Promise<readonly Check[]> {
  const { config } = operator;
  const { what } = scope;
  const seen = await objectsOf(operator, run.signal);
  const syncs = seen.syncs.map(({ object }) => object);
  const cluster = () =>
    checkCluster(config, { client: operator.client, clock: systemClock, syncs, tell: run.tell }, run.signal);
  const scaivault =
    run.failure ?? (() => checkScaiVault(config, scaivaultParts(operator, run), pathsOf(syncs), run.signal));
  if (what === "cluster") return cluster();
  if (what === "scaivault") return scaivault();
  const backends = what === "backend" ? [namedCase(operator, scope, seen)] : casesOf(seen);
  const checks = what === "backend" ? [] : [...(await cluster()), ...(await scaivault())];
  const path = what === "backend" ? scope.path : undefined;
  for (const one of backends) checks.push(...(await checkBackend(one, backendParts(operator, run), path, run.signal)));
  return checks;
}

interface Objects {
  readonly backends: readonly KubeObject[];
  readonly syncs: readonly { readonly backend: string; readonly object: SecretSync }[];
}

/** Both kinds as far as they may be listed; the cluster's own checks say when they may not. */
async function objectsOf({ client, config }: Operator, signal: AbortSignal): Promise<Objects> {
  const list = async (resource: (typeof ownResources)["backends"]): Promise<KubeObject[]> => {
    const scopes = config.watchNamespaces ?? [undefined];
    const pages = await Promise.all(
      scopes.map((namespace) =>
        client
          .list<KubeObject>(resource, { namespace, signal, timeoutMs: 30_000, resourceVersion: "0", limit: 0 })
          .catch(() => ({ items: [] })),
      ),
    );
    return pages.flatMap(({ items }) => items);
  };
  const [backends, all] = [await list(ownResources.backends), await list(ownResources.syncs)];
  const syncs = all.flatMap((object) => {
    const parsed = parseSecretSync(object);
    if (!parsed.ok) return [];
    const { name, namespace = parsed.value.metadata.namespace } = parsed.value.spec.source.backendRef;
    return [{ backend: `${namespace}/${name}`, object: parsed.value }];
  });
  return { backends, syncs };
}

function casesOf(seen: Objects): BackendCase[] {
  return seen.backends
    .map(({ metadata }) => caseOf(metadata.namespace ?? "", metadata.name, seen))
    .sort((a, b) => (`${a.namespace}/${a.name}` < `${b.namespace}/${b.name}` ? -1 : 1));
}

function namedCase(
  { namespace }: Operator,
  scope: Extract<DoctorScope, { what: "backend" }>,
  seen: Objects,
): BackendCase {
  return caseOf(scope.namespace ?? namespace ?? "default", scope.name, seen);
}

function caseOf(namespace: string, name: string, { backends, syncs }: Objects): BackendCase {
  const object = backends.find(({ metadata }) => metadata.namespace === namespace && metadata.name === name);
  const parsed = object === undefined ? undefined : parseFederationBackend(object);
  const backend =
    parsed === undefined ? undefined : parsed.ok ? parsed.value : new SyncError("InvalidSpec", parsed.message);
  const its = syncs.filter((one) => one.backend === `${namespace}/${name}`).map(({ object: sync }) => sync);
  return { namespace, name, backend, syncs: its };
}

function backendParts({ client, caches, network, resolver }: Operator, { tell }: Run): BackendParts {
  const credentials = createCredentialReader(client, caches.credentials);
  return {
    network,
    clock: systemClock,
    tell,
    resolve: (backend, signal) => resolver.resolve(backend, signal),
    async destination({ spec, metadata: { namespace } }, signal) {
      const { awsSecretsManager, hashicorpVault } = spec;
      const address = hashicorpVault?.address ?? awsEndpoint(awsSecretsManager?.region ?? "");
      const caRef = hashicorpVault?.caRef;
      const ca = caRef === undefined ? undefined : await credentials.certificate(caRef, namespace, signal);
      return { url: network.endpoint(address), ...(ca === undefined ? {} : { ca }) };
    },
  };
}

function scaivaultParts(operator: Operator, { tell, source }: Run) {
  const { connection, network } = operator;
  if (connection === undefined) return undefined;
  return { ...connection, network, clock: systemClock, tell, ...(source === undefined ? {} : { source }) };
}

/** With the statement to add to the IAM policy, when a right is missing. */
function failedConnection({ scaivault }: Config, error: SyncError): Promise<Check[]> {
  const secret = scaivault?.auth.method === "AwsSecret" ? scaivault.auth.secret : undefined;
  const name = secret?.name.replace(/^arn:.*:secret:/, "");
  return connectionFailed(error, (right) => awsStatement(right, secret?.region ?? "REGION", name));
}

/** ScaiVault paths that objects name; those of single secrets. */
function pathsOf(syncs: readonly SecretSync[]): string[] {
  return syncs.flatMap(({ spec }) => {
    const path = spec.targets.scaivault?.path;
    return path === undefined || path.endsWith("/**") ? [] : [path];
  });
}
