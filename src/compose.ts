/**
 * The composition root: everything is made and wired here, and nowhere else. It knows all folders; none knows it.
 */
import { hostname } from "node:os";
import { fieldManagers } from "./api/index.ts";
import { Observations } from "./catalogue/index.ts";
import { type Config, readMarkKeys } from "./config/index.ts";
import { withConnection } from "./connect.ts";
import type { FollowedConnection } from "./connection/index.ts";
import {
  BackendResolver,
  CacheReflectors,
  type Caches,
  createCaches,
  createCredentialReader,
  type FederationSide,
  LingeringCopies,
  OperatorTerm,
  PlanRun,
  VerifyRun,
  type ScaiVaultSide,
  type World,
} from "./controllers/index.ts";
import { BrakeWindows, createKeyRing, createMarkSeal, createRights } from "./decide/index.ts";
import { errorCode, SyncError } from "./errors/index.ts";
import { sourceMaker } from "./make-source.ts";
import { followedLogin, place } from "./make-login.ts";
import { makeNetwork } from "./make-network.ts";
import type { Destination, HttpClient, Network } from "./net/index.ts";
import { News, newsFeed } from "./news/index.ts";
import { EventRecorder, KubeClient, KubeTransport, loadClusterConfig } from "./runtime/index.ts";
import {
  clientCredentials,
  FederationClient,
  RateBudget,
  type RateBudgetOptions,
  ScaiVaultClient,
  type ScaiVaultOptions,
  secretFile,
  tokenExchange,
  tokenFile,
  type TokenProvider,
} from "./scaivault/index.ts";
import { allowedHosts, createKubernetesSecretTarget, createScaiVaultTarget } from "./targets/index.ts";
import { createLogger, createMetrics, errorFields, type Logger, type Metrics } from "./telemetry/index.ts";
import { type Clock, systemClock } from "./time/clock.ts";
import { VERSION } from "./version.ts";

/** What tests put in place of the real thing. */
export interface ComposeOptions {
  readonly config: Config;
  /** Clock of queues, polls, brakes and status; sockets, leases and watches always run on the system's. */
  readonly clock?: Clock;
  readonly log?: Logger;
  readonly environment?: Readonly<Record<string, string | undefined>>;
  /** ScaiVault's limits, calls a minute by category, where they are not the documented ones. */
  readonly scaivaultLimits?: RateBudgetOptions["limits"];
  /** A command that only looks, and is named in the User-Agent of all its calls: nothing can be written. */
  readonly purpose?: "verify";
  /** With `auth.method: AwsSecret`: the connection as it was loaded (`openConnection`). It is closed with the operator. */
  readonly connection?: FollowedConnection | undefined;
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
  readonly network: Network;
  readonly resolver: BackendResolver;
  /** The parts that ScaiVault is reached with. */
  readonly connection: ScaiVaultConnection | undefined;
  /** Namespace of the kubeconfig's context, for manifests that name none; undefined in a pod. */
  readonly namespace: string | undefined;
  /** A term of leadership; `assertHeld` throws when writes must stop. */
  term(options: { assertHeld: () => void }): OperatorTerm;
  /** The same without writes, for `plan`. */
  planRun(): PlanRun;
  /** Compares instead, for `verify`. */
  verifyRun(): VerifyRun;
  close(): Promise<void>;
}

/** The connection to ScaiVault, below the side that the controllers see. */
export interface ScaiVaultConnection {
  readonly client: ScaiVaultClient;
  readonly tokens: TokenProvider;
  readonly http: HttpClient;
  readonly destination: Destination;
  /** What stands before `/v1`. */
  readonly basePath: string;
}

const PRODUCT = `scaivault-operator/${VERSION}`;

/** What a command that writes nothing says when something would be written all the same: a defect. */
function refuseWrites(): never {
  throw new SyncError("Unexpected", "this command writes nothing");
}

/** Makes all parts, connects to nothing yet. @throws SyncError InvalidSpec what the configuration's files lack */
export function compose(options: ComposeOptions): Operator {
  const config = withConnection(options.config, options.connection);
  const clock = options.clock ?? systemClock;
  const log = options.log ?? createLogger({ level: config.log.level, cluster: config.cluster.name });
  const metrics = createMetrics({ defaults: true, version: VERSION, objects: config.metrics.objects });
  const ring = createKeyRing(markKeys(config));
  const cluster = clusterConfig(config);
  const product = options.purpose === undefined ? PRODUCT : `${PRODUCT} ${options.purpose}`;
  const userAgent = `${product} (${config.cluster.name})`;
  const { network, unfollow } = makeNetwork(config, { apiServer: cluster.server, userAgent, metrics, log, clock });
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
    instance: instanceName(options.environment),
  });
  const seal = createMarkSeal(ring);
  // Clients and targets outlive a term; what they may write is up to the one that runs.
  let mayWrite = (): void => undefined;
  const guard = (): void => mayWrite();
  const secrets = createKubernetesSecretTarget({
    guard,
    client,
    store: caches.managed,
    seal,
    clock,
    userAgent: product,
    cluster: config.cluster.name,
  });
  const connected = scaivaultSide(config, {
    network,
    clock,
    metrics,
    log,
    seal,
    guard,
    product,
    looksOnly: options.purpose !== undefined,
    limits: options.scaivaultLimits,
    loaded: options.connection,
  });
  const scaivault = connected?.side;
  const rights = createRights(config);
  const resolver = new BackendResolver({
    credentials: createCredentialReader(client, caches.credentials),
    rights: {
      refusal: (namespace) => rights.refusal(namespace),
      ambientIdentity: (namespace) => rights.ambientIdentity(namespace).ok,
      endpoints: (namespace) => rights.endpoints(namespace),
    },
    make: sourceMaker({ product, network, clock, ring, environment: options.environment ?? process.env }),
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
      brakes: new BrakeWindows({ startedMs: clock.monotonic() }),
      lingering: new LingeringCopies(),
      treeSizes: new Map(),
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
    network,
    resolver,
    connection: connected?.connection,
    namespace: config.kubernetes.kubeconfig === undefined ? undefined : cluster.namespace,
    term: ({ assertHeld }) => {
      mayWrite = assertHeld;
      return new OperatorTerm({ clock, workers: config.workers, world: world({ assertHeld, dryRun: false }) });
    },
    planRun: () => new PlanRun(clock, world({ assertHeld: () => undefined, dryRun: true })),
    verifyRun: () => new VerifyRun(clock, world({ assertHeld: refuseWrites, dryRun: true })),
    async close() {
      unfollow();
      await options.connection?.close();
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

function clusterConfig(config: Config) {
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

/** The name of this replica in events and in the Lease. */
export function instanceName(environment: ComposeOptions["environment"] = process.env): string {
  return environment["POD_NAME"] ?? hostname();
}

function scaivaultSide(
  config: Config,
  parts: {
    network: Network;
    clock: Clock;
    metrics: Metrics;
    log: Logger;
    seal: ReturnType<typeof createMarkSeal>;
    guard: () => void;
    product: string;
    looksOnly: boolean;
    limits: ComposeOptions["scaivaultLimits"];
    loaded: FollowedConnection | undefined;
  },
): { readonly side: ScaiVaultSide; readonly connection: ScaiVaultConnection } | undefined {
  const { scaivault } = config;
  if (scaivault === undefined) return undefined;
  const { network, clock, metrics, log, seal, guard, product, looksOnly, limits, loaded } = parts;
  const { url, path: basePath } = place(network, scaivault.url ?? "");
  const ca = loaded?.settings.ca;
  const destination: Destination = { url, ...(ca === undefined ? {} : { ca }) };
  const http = network.open(destination);
  const onFailure = (error: SyncError): void => log.warn("ScaiVault login failed", errorFields(error));
  const budget = new RateBudget({ clock, share: scaivault.rateShare, limits: { ...scaivault.limits, ...limits } });
  const optionsWith = (tokens: TokenProvider): ScaiVaultOptions => ({
    http,
    basePath,
    clock: systemClock,
    userAgent: product,
    cluster: config.cluster.name,
    guard,
    readOnly: looksOnly || scaivault.role === "Reader",
    budget,
    tokens,
    ...(scaivault.tenantID === undefined ? {} : { tenant: scaivault.tenantID }),
    ...(scaivault.tenantIn === undefined ? {} : { tenantIn: scaivault.tenantIn }),
    onCall: ({ category, status, ms }) => metrics.scaivaultCall(category, String(status), ms),
  });
  const clientWith = (tokens: TokenProvider): ScaiVaultClient => new ScaiVaultClient(optionsWith(tokens));
  const tokens = tokensOf(scaivault.auth, { network, http, basePath, clock, product, onFailure, loaded, clientWith });
  const client = clientWith(tokens);
  const federation: FederationSide = {
    backends: new FederationClient(optionsWith(tokens)),
    perMinute: () => budget.perMinute("federation"),
    allowedHosts: async (path, signal) => {
      const found = await client.metadata(path, { signal, lane: "user" });
      return found === undefined ? undefined : allowedHosts(found.metadata.custom);
    },
    checkAddress: (address) => void network.endpoint(address),
  };
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
  const list = async (prefix: string, signal: AbortSignal): Promise<readonly string[]> => {
    const paths: string[] = [];
    for await (const page of client.list(prefix, { signal, lane: "verification" }))
      for (const { path } of page) paths.push(path);
    return paths;
  };
  const { role } = scaivault;
  const takeOverFrom = new Set(scaivault.takeOverFrom);
  const id = `${url.host}${basePath}/${scaivault.tenantID ?? ""}`;
  return {
    side: { role, takeOverFrom, target, observations, list, federation, id, ...newsOf(config, { client, clock, log }) },
    connection: { client, tokens, http, destination, basePath },
  };
}

/** ScaiVault's news, unless they are off. What is said of them is said once for each way that they stand. */
function newsOf(
  { scaivault, cluster }: Config,
  { client, clock, log }: { client: ScaiVaultClient; clock: Clock; log: Logger },
): Pick<ScaiVaultSide, "news"> {
  if (scaivault?.news !== "Subscription") return {};
  const news = new News({
    feed: newsFeed(client, cluster.name),
    clock,
    onMode(mode, error) {
      const fields = error === undefined ? {} : errorFields(error);
      if (mode === "Refused" || mode === "Unsupported")
        log.warn("ScaiVault tells no news: changes there are seen by polling only", fields);
      else log.info(`ScaiVault news ${mode.toLowerCase()}`, fields);
    },
  });
  return { news };
}

function tokensOf(
  auth: NonNullable<Config["scaivault"]>["auth"],
  parts: {
    network: Network;
    http: ReturnType<Network["open"]>;
    basePath: string;
    clock: Clock;
    product: string;
    onFailure: (error: SyncError) => void;
    loaded: FollowedConnection | undefined;
    clientWith: (tokens: TokenProvider) => ScaiVaultClient;
  },
): TokenProvider {
  const { network, http, basePath, clock, product, onFailure, loaded } = parts;
  const common = { clock, userAgent: product, onFailure };
  switch (auth.method) {
    case "TokenFile":
      return tokenFile(auth.tokenFile, clock);
    case "ClientCredentials": {
      const { url, path } = place(network, auth.tokenURL);
      return clientCredentials({
        ...common,
        http: network.open({ url }, 2),
        tokenPath: path,
        clientID: secretFile(auth.clientIDFile, clock),
        clientSecret: secretFile(auth.clientSecretFile, clock),
        clientAuth: "Form",
        ...(auth.scope === undefined ? {} : { scope: auth.scope }),
      });
    }
    case "TokenExchange": {
      const own = auth.url === undefined ? undefined : place(network, auth.url);
      return tokenExchange({
        ...common,
        http: own === undefined ? http : network.open({ url: own.url }, 2),
        basePath: own === undefined ? basePath : own.path.replace(/\/v1\/auth\/exchange$/, ""),
        subjectToken: secretFile(auth.subjectTokenFile, clock),
        ...(auth.audience === undefined ? {} : { audience: auth.audience }),
        ...(auth.scope === undefined ? {} : { scope: auth.scope }),
        ...(auth.role === undefined ? {} : { role: auth.role }),
      });
    }
    case "AwsSecret":
      return followedLogin(loaded, { network, clock, onFailure, clientWith: parts.clientWith });
    default:
      return auth satisfies never;
  }
}
