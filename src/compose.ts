/**
 * The composition root: everything is made and wired here, and nowhere else. It knows all folders; none knows it.
 */
import { randomBytes } from "node:crypto";
import { hostname } from "node:os";
import type { CommandIO } from "./cli/command.ts";
import { Observations } from "./catalogue/index.ts";
import { fieldManagers } from "./api/index.ts";
import { type Config, readMarkKeys } from "./config/index.ts";
import {
  BackendResolver,
  CacheReflectors,
  type Caches,
  createCaches,
  createCredentialReader,
  credentialText,
  type ObjectPlan,
  OperatorTerm,
  ownResources,
  PlanRun,
  type ResolvedBackend,
  type SourceInput,
  type SourceMaker,
  type ScaiVaultSide,
  termMetrics,
  type World,
} from "./controllers/index.ts";
import {
  BrakeWindows,
  createKeyRing,
  createMarkSeal,
  createRights,
  identityKey,
  type KeyRing,
} from "./decide/index.ts";
import { SyncError } from "./errors/index.ts";
import { Network, readCAFile } from "./net/index.ts";
import {
  EventRecorder,
  KubeClient,
  type KubeObject,
  KubeTransport,
  LeaderElector,
  type Leadership,
  Liveness,
  loadClusterConfig,
} from "./runtime/index.ts";
import {
  clientCredentials,
  RateBudget,
  ScaiVaultClient,
  secretFile,
  tokenExchange,
  tokenFile,
  type TokenProvider,
} from "./scaivault/index.ts";
import {
  awsEndpoint,
  createAwsSource,
  createVaultSource,
  operatorCredentials,
  sourceIdentityKey,
  type AwsCredential,
  type VaultAuth,
} from "./sources/index.ts";
import { createKubernetesSecretTarget, createScaiVaultTarget } from "./targets/index.ts";
import {
  createLogger,
  createMetrics,
  type Listening,
  type Logger,
  type Metrics,
  silentLogger,
  startHealthServer,
  startMetricsServer,
} from "./telemetry/index.ts";
import { type Clock, systemClock } from "./time/clock.ts";
import { readFileSync } from "node:fs";

/** Version of this build. */
export const VERSION = process.env["SCAIVAULT_OPERATOR_VERSION"] ?? "0.0.0-dev";

/** What tests put in place of the real thing. */
export interface ComposeOptions {
  readonly config: Config;
  /** Clock of queues, polls, brakes and status; sockets, leases and watches always run on the system's. */
  readonly clock?: Clock;
  readonly log?: Logger;
  readonly environment?: Readonly<Record<string, string | undefined>>;
}

/** The parts that outlive a term of leadership. */
export interface Operator {
  readonly config: Config;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly caches: Caches;
  readonly client: KubeClient;
  readonly transport: KubeTransport;
  readonly reflectors: CacheReflectors;
  readonly scaivault: ScaiVaultSide | undefined;
  /** A term of leadership; `assertHeld` throws when writes must stop. */
  term(options: { assertHeld: () => void }): OperatorTerm;
  /** The same without writes, for `plan`. */
  planRun(): PlanRun;
  close(): Promise<void>;
}

const product = `scaivault-operator/${VERSION}`;

/** Makes all parts, connects to nothing yet. @throws SyncError InvalidSpec what the configuration's files lack */
export function compose(options: ComposeOptions): Operator {
  const { config } = options;
  const clock = options.clock ?? systemClock;
  const log = options.log ?? createLogger({ level: config.log.level, cluster: config.cluster.name });
  const metrics = createMetrics({ defaults: true, version: VERSION });
  const ring = createKeyRing(markKeys(config));
  const extraCA = config.caFile === undefined ? undefined : readCAFile(config.caFile);
  const network = new Network({
    userAgent: `${product} (${config.cluster.name})`,
    allowLoopback: config.allowLoopback,
    endpointOverrides: config.endpointOverrides,
    ...(extraCA === undefined ? {} : { extraCA }),
    ...(config.proxy === undefined ? {} : { proxy: { url: proxyURL(config.proxy), exceptions: config.proxy.noProxy } }),
  });
  const transport = new KubeTransport({
    config: clusterConfig(config),
    clock: systemClock,
    userAgent: `${product} (${config.cluster.name})`,
    onRequest: ({ verb, resource, code, ms }) => metrics.kubeCall(verb, resource, String(code), ms),
  });
  const client = new KubeClient(transport, { fieldManager: fieldManagers.secrets });
  const caches = createCaches(log);
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
    instance: instanceName(options.environment),
  });
  const seal = createMarkSeal(ring);
  const secrets = createKubernetesSecretTarget({
    client,
    store: caches.managed,
    seal,
    clock,
    userAgent: product,
    cluster: config.cluster.name,
  });
  const scaivault = scaivaultSide(config, { network, clock, metrics, log, seal });
  const rights = createRights(config);
  const resolver = new BackendResolver({
    credentials: createCredentialReader(client, caches.credentials),
    rights: {
      refusal: (namespace) => rights.refusal(namespace),
      ambientIdentity: (namespace) => rights.ambientIdentity(namespace).ok,
      endpoints: (namespace) => rights.endpoints(namespace),
    },
    make: sourceMaker({ network, clock, ring, metrics, environment: options.environment ?? process.env }),
  });
  const world =
    (mode: Pick<World, "assertHeld" | "dryRun">) =>
    (registry: World["registry"]): World => ({
      clock,
      cluster: config.cluster.name,
      budgets: config.budgets,
      caches,
      client,
      registry,
      resolver,
      rights,
      ring,
      brakes: new BrakeWindows({ startedMs: clock.now() }),
      secrets,
      scaivault,
      log,
      metrics,
      events,
      ...mode,
    });
  return {
    config,
    log,
    metrics,
    caches,
    client,
    transport,
    reflectors,
    scaivault,
    term: ({ assertHeld }) =>
      new OperatorTerm({ clock, workers: config.workers, world: world({ assertHeld, dryRun: false }) }),
    planRun: () => new PlanRun(clock, world({ assertHeld: () => undefined, dryRun: true })),
    async close() {
      await reflectors.stop();
      await events.stop();
      await network.close();
      await transport.close();
    },
  };
}

function markKeys(config: Config): readonly Buffer[] {
  const read = readMarkKeys(config.marks.keyFiles);
  if (read.ok) return read.keys;
  const [first] = read.problems;
  throw new SyncError("InvalidSpec", `${first?.file ?? "marks.keyFiles"}: ${first?.message ?? "cannot be read"}`);
}

function proxyURL(proxy: NonNullable<Config["proxy"]>): string {
  return proxy.url ?? readFileSync(proxy.urlFile ?? "", "utf8").trim();
}

function clusterConfig(config: Config) {
  const { kubeconfig, context } = config.kubernetes;
  const given = kubeconfig !== undefined || context !== undefined;
  return loadClusterConfig({
    ...(kubeconfig === undefined ? {} : { kubeconfig }),
    ...(context === undefined ? {} : { context }),
    ...(given ? {} : { inCluster: true }),
  });
}

function instanceName(environment: ComposeOptions["environment"] = process.env): string {
  return environment["POD_NAME"] ?? hostname();
}

function scaivaultSide(
  config: Config,
  parts: { network: Network; clock: Clock; metrics: Metrics; log: Logger; seal: ReturnType<typeof createMarkSeal> },
): ScaiVaultSide | undefined {
  const { scaivault } = config;
  if (scaivault === undefined) return undefined;
  const { network, clock, metrics, log, seal } = parts;
  const url = network.endpoint(scaivault.url);
  const http = network.open({ url });
  const basePath = url.pathname.replace(/\/$/, "");
  const client = new ScaiVaultClient({
    http,
    basePath,
    clock: systemClock,
    userAgent: product,
    cluster: config.cluster.name,
    budget: new RateBudget({ clock: systemClock }),
    tokens: tokensOf(scaivault.auth, { network, http, basePath }),
    ...(scaivault.tenantID === undefined ? {} : { tenant: scaivault.tenantID }),
    onCall: ({ category, status }) => metrics.scaivaultCall(category, String(status)),
  });
  const target = createScaiVaultTarget({ client, seal, clock });
  const observations = new Observations({
    target,
    clock,
    onReachability: (now) => {
      if (now.state === "Failing")
        log.warn("ScaiVault failing", { reason: now.error.reason, message: now.error.message });
      else log.info("ScaiVault reachable");
    },
  });
  return { target, observations, id: `${url.host}${basePath}/${scaivault.tenantID ?? ""}` };
}

function tokensOf(
  auth: NonNullable<Config["scaivault"]>["auth"],
  parts: { network: Network; http: ReturnType<Network["open"]>; basePath: string },
): TokenProvider {
  const { network, http, basePath } = parts;
  const common = { clock: systemClock, userAgent: product };
  switch (auth.method) {
    case "TokenFile":
      return tokenFile(auth.tokenFile, systemClock);
    case "ClientCredentials": {
      const url = network.endpoint(auth.tokenURL);
      return clientCredentials({
        ...common,
        http: network.open({ url }, 2),
        tokenPath: url.pathname,
        clientID: readFileSync(auth.clientIDFile, "utf8").trim(),
        clientSecret: secretFile(auth.clientSecretFile, systemClock),
        clientAuth: "Form",
        ...(auth.scope === undefined ? {} : { scope: auth.scope }),
      });
    }
    case "TokenExchange": {
      const url = auth.url === undefined ? undefined : network.endpoint(auth.url);
      return tokenExchange({
        ...common,
        http: url === undefined ? http : network.open({ url }, 2),
        basePath: url === undefined ? basePath : url.pathname.replace(/\/v1\/auth\/exchange\/?$/, ""),
        subjectToken: secretFile(auth.subjectTokenFile, systemClock),
        ...(auth.audience === undefined ? {} : { audience: auth.audience }),
        ...(auth.scope === undefined ? {} : { scope: auth.scope }),
        ...(auth.role === undefined ? {} : { role: auth.role }),
      });
    }
    default:
      return auth satisfies never;
  }
}

/** Makes a source for a backend; the one place where a credential meets the host that it is sent to. */
function sourceMaker(parts: {
  network: Network;
  clock: Clock;
  ring: KeyRing;
  metrics: Metrics;
  environment: NodeJS.ProcessEnv;
}): SourceMaker {
  const { network, clock, ring, environment } = parts;
  const print = (bytes: Uint8Array) => identityKey(ring, [bytes]);
  const operator = new Map<string, ReturnType<typeof operatorCredentials>>();
  const ownKeys = (region: string) => {
    const known =
      operator.get(region) ?? operatorCredentials({ network, region, environment, nowMs: () => clock.now() });
    operator.set(region, known);
    return known;
  };
  return (input: SourceInput): ResolvedBackend => {
    const { namespace, name } = input.backend.metadata;
    const { awsSecretsManager, hashicorpVault } = input.backend.spec;
    const owner =
      input.credential === "operator" ? ({ kind: "Operator" } as const) : ({ kind: "Namespace", namespace } as const);
    const common = { network, clock: clock, userAgent: `${product} (${namespace}/${name})` };
    if (awsSecretsManager !== undefined) {
      const { region } = awsSecretsManager;
      const access = network.bind<AwsCredential>({
        service: "AWS",
        owner,
        credential: awsCredential(input, ownKeys(region)),
        endpoint: awsEndpoint(region),
        allowed: [...input.endpoints],
      });
      const key = sourceIdentityKey({ type: "aws-secrets-manager", access, region }, print);
      const id = access.credential.kind === "Static" ? access.credential.accessKeyID : "operator";
      return {
        identityKey: key,
        identity: `${region}/${id === "operator" ? id : `${id.slice(0, 4)}...${id.slice(-4)}`}`,
        create: () => createAwsSource({ ...common, access, region }),
      };
    }
    if (hashicorpVault === undefined) throw new SyncError("InvalidSpec", "the backend names no store");
    const access = network.bind<VaultAuth>({
      service: "Vault",
      owner,
      credential: vaultCredential(input),
      endpoint: hashicorpVault.address,
      allowed: [...input.endpoints],
      ...(input.ca === undefined ? {} : { ca: input.ca }),
    });
    const inside = hashicorpVault.namespace === undefined ? {} : { namespace: hashicorpVault.namespace };
    const key = sourceIdentityKey({ type: "hashicorp-vault", access, ...inside }, print);
    const identity = `${access.destination.url.host}${inside.namespace === undefined ? "" : `/${inside.namespace}`}`;
    const contentVersion = (bytes: Uint8Array) =>
      `content-${identityKey(ring, [access.destination.url.host, bytes]).slice(0, 22)}`;
    return {
      identityKey: key,
      identity,
      create: () => createVaultSource({ ...common, ...inside, access, contentVersion }),
    };
  };
}

function awsCredential(input: SourceInput, provider: ReturnType<typeof operatorCredentials>): AwsCredential {
  if (input.credential === "operator") return { kind: "Operator", provider };
  const session = input.credential.data.get("session_token");
  return {
    kind: "Static",
    accessKeyID: credentialText(input.credential, "access_key_id").bytes().toString("utf8"),
    secretAccessKey: credentialText(input.credential, "secret_access_key"),
    ...(session === undefined ? {} : { sessionToken: credentialText(input.credential, "session_token") }),
  };
}

function vaultCredential(input: SourceInput): VaultAuth {
  const auth = input.backend.spec.hashicorpVault?.auth;
  if (input.credential === "operator" || auth === undefined)
    throw new SyncError("InvalidSpec", "Vault needs a credential Secret");
  if (auth.appRole !== undefined) {
    return {
      kind: "AppRole",
      mount: auth.appRole.mount ?? "approle",
      roleID: credentialText(input.credential, "role_id"),
      secretID: credentialText(input.credential, "secret_id"),
    };
  }
  return { kind: "Token", token: credentialText(input.credential, "token") };
}

/** `run`: caches on every replica, work on the leader, until the signal. @returns the exit code */
export async function runOperator(config: Config, io: CommandIO): Promise<number> {
  const operator = compose({ config, environment: io.environment });
  const { log, reflectors } = operator;
  const liveness = new Liveness(systemClock);
  for (const { name, lastAttemptMs } of reflectors.lastAttempts()) liveness.watch(name, lastAttemptMs);
  const listening: Listening[] = [];
  const checks = { live: () => liveness.check().stale, ready: () => reflectors.unsynced() };
  listening.push(await startHealthServer(checks, config.health.address, config.health.port));
  listening.push(await startMetricsServer(operator.metrics.registry, config.metrics.address, config.metrics.port));
  log.info("starting", { version: VERSION, address: `${config.health.address}:${config.health.port}` });
  if (config.tenancyMode === "Open") log.warn("tenancyMode is Open: every namespace has every right", {});
  reflectors.start();
  let term: OperatorTerm | undefined;
  const elector = new LeaderElector({
    client: operator.client,
    clock: systemClock,
    namespace: config.operatorNamespace,
    name: config.leaderElection.leaseName,
    identity: `${instanceName(io.environment)}_${randomBytes(4).toString("hex")}`,
    leaseDurationMs: config.leaderElection.leaseDurationMs,
    renewDeadlineMs: config.leaderElection.renewDeadlineMs,
    retryPeriodMs: config.leaderElection.retryPeriodMs,
    onTransition: (transition) => log.info("leadership", { action: transition }),
  });
  operator.metrics.setSources(
    termMetrics({ caches: operator.caches, clock: systemClock, leader: () => elector.isLeader, term: () => term }),
  );
  liveness.watch("lease", () => elector.lastAttemptMs);
  const work = async (leadership: Leadership): Promise<void> => {
    await reflectors.synced(leadership.signal);
    term = operator.term({ assertHeld: () => leadership.assertHeld() });
    await term.run(leadership.signal);
    term = undefined;
  };
  try {
    await elector.run(work, io.signal);
  } finally {
    await operator.close();
    await Promise.all(listening.map((one) => one.close()));
  }
  log.info("stopped");
  return 0;
}

/** `plan`: the caches hold what the cluster has, the manifests are laid over it, and nothing is written. */
export async function planObjects(
  config: Config,
  objects: readonly object[],
  io: CommandIO,
): Promise<readonly ObjectPlan[]> {
  const operator = compose({ config, environment: io.environment, log: silentLogger });
  const { caches, reflectors } = operator;
  try {
    io.progress(`reading the cluster as ${config.cluster.name} ...`);
    reflectors.start();
    await reflectors.synced(AbortSignal.any([io.signal, AbortSignal.timeout(60_000)]));
    // From here on the cluster's changes would overwrite the manifests.
    await reflectors.stop();
    const syncs = overlay(caches, objects as readonly KubeObject[]);
    io.progress(`planning ${syncs.length} SecretSyncs ...`);
    return await operator.planRun().plan(syncs, io.signal);
  } finally {
    await operator.close();
  }
}

/** Lays manifests over the caches as if they had been applied. @returns the SecretSyncs among them */
function overlay(caches: Caches, objects: readonly KubeObject[]): KubeObject[] {
  const syncs: KubeObject[] = [];
  for (const manifest of objects) {
    const store = manifest.kind === "FederationBackend" ? caches.backends : caches.syncs;
    const namespace = manifest.metadata.namespace ?? "default";
    const old = store.get(`${namespace}/${manifest.metadata.name}`);
    const made = { uid: "planned", generation: 1, creationTimestamp: new Date(systemClock.now()).toISOString() };
    const metadata = { ...made, ...old?.metadata, ...manifest.metadata, namespace };
    const status = (old as { status?: object } | undefined)?.status;
    const merged: KubeObject = { ...manifest, ...(status === undefined ? {} : { status }), metadata };
    store.upsert(merged);
    if (manifest.kind === "SecretSync") syncs.push(merged);
  }
  return syncs;
}
