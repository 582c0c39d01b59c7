/**
 * The composition root: everything is made and wired here, and nowhere else. It knows all folders; none knows it.
 */
import { hostname } from "node:os";
import { type Config, readMarkKeys } from "./config/index.ts";
import { withConnection } from "./connect.ts";
import type { FollowedConnection } from "./connection/index.ts";
import {
  BackendResolver,
  type CacheReflectors,
  type Caches,
  createCredentialReader,
  LingeringCopies,
  OperatorTerm,
  PlanRun,
  VerifyRun,
  type ScaiVaultSide,
  type World,
} from "./controllers/index.ts";
import { BrakeWindows, createKeyRing, createMarkSeal, createRights } from "./decide/index.ts";
import { SyncError } from "./errors/index.ts";
import { sourceMaker } from "./make-source.ts";
import { clusterConfig, makeKubernetes } from "./make-kubernetes.ts";
import { makeNetwork } from "./make-network.ts";
import { makeScaiVault, type ScaiVaultConnection } from "./make-scaivault.ts";
import type { Network } from "./net/index.ts";
import type { KubeClient, KubeTransport } from "./runtime/index.ts";
import type { RateBudgetOptions } from "./scaivault/index.ts";
import { createKubernetesSecretTarget } from "./targets/index.ts";
import { createLogger, createMetrics, type Logger, type Metrics } from "./telemetry/index.ts";
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
  const instance = instanceName(options.environment);
  const kubernetes = makeKubernetes(config, { cluster, userAgent, metrics, log, instance });
  const { transport, client, caches, reflectors, events } = kubernetes;
  const seal = createMarkSeal(ring);
  const { guard, allow } = writeGuard();
  const secrets = createKubernetesSecretTarget({
    guard,
    client,
    store: caches.managed,
    seal,
    clock,
    userAgent: product,
    cluster: config.cluster.name,
  });
  const parts = { network, clock, metrics, log, seal, guard, product };
  const connected = makeScaiVault(config, {
    ...parts,
    looksOnly: options.purpose !== undefined,
    limits: options.scaivaultLimits,
    loaded: options.connection,
  });
  const scaivault = connected?.side;
  const rights = createRights(config);
  const environment = options.environment ?? process.env;
  const resolver = makeResolver({ client, caches, rights, product, network, clock, ring, environment });
  const lasting = { clock, caches, client, resolver, rights, ring, secrets, scaivault, log, metrics, events };
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
    ...runsOf(config, lasting, allow),
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

/** Clients and targets outlive a term; what they may write is up to the one that runs: `allow` says what `guard` asks. */
function writeGuard(): { readonly guard: () => void; readonly allow: (assertHeld: () => void) => void } {
  let mayWrite = (): void => undefined;
  return {
    guard: () => mayWrite(),
    allow: (assertHeld) => {
      mayWrite = assertHeld;
    },
  };
}

/** Resolves backends with what the rights of their namespaces allow. */
function makeResolver({
  client,
  caches,
  rights,
  ...source
}: Pick<World, "client" | "caches" | "rights"> & Parameters<typeof sourceMaker>[0]): BackendResolver {
  return new BackendResolver({
    credentials: createCredentialReader(client, caches.credentials),
    rights: {
      refusal: (namespace) => rights.refusal(namespace),
      ambientIdentity: (namespace) => rights.ambientIdentity(namespace).ok,
      endpoints: (namespace) => rights.endpoints(namespace),
    },
    make: sourceMaker(source),
  });
}

/** What every term and run shares. */
type Lasting = Omit<
  World,
  "cluster" | "budgets" | "registry" | "brakes" | "lingering" | "treeSizes" | "assertHeld" | "dryRun"
>;

/** The ways to work with the parts. `allow` is told what a term's writes are checked with. */
function runsOf(
  config: Config,
  lasting: Lasting,
  allow: (assertHeld: () => void) => void,
): Pick<Operator, "term" | "planRun" | "verifyRun"> {
  const { clock } = lasting;
  // Brakes and sizes begin anew with each.
  const world =
    (mode: Pick<World, "assertHeld" | "dryRun">) =>
    (registry: World["registry"]): World => ({
      ...lasting,
      cluster: config.cluster.name,
      budgets: config.budgets,
      registry,
      brakes: new BrakeWindows({ startedMs: clock.monotonic() }),
      lingering: new LingeringCopies(),
      treeSizes: new Map(),
      ...mode,
    });
  return {
    term: ({ assertHeld }) => {
      allow(assertHeld);
      return new OperatorTerm({ clock, workers: config.workers, world: world({ assertHeld, dryRun: false }) });
    },
    planRun: () => new PlanRun(clock, world({ assertHeld: () => undefined, dryRun: true })),
    verifyRun: () => new VerifyRun(clock, world({ assertHeld: refuseWrites, dryRun: true })),
  };
}

function markKeys(config: Config): readonly Buffer[] {
  const read = readMarkKeys(config.marks.keyFiles);
  if (read.ok) return read.keys;
  const [first] = read.problems;
  throw new SyncError("InvalidSpec", `${first?.file ?? "marks.keyFiles"}: ${first?.message ?? "cannot be read"}`);
}

/** The name of this replica in events and in the Lease. */
export function instanceName(environment: ComposeOptions["environment"] = process.env): string {
  return environment["POD_NAME"] ?? hostname();
}
