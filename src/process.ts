import { randomBytes } from "node:crypto";
import type { CommandIO } from "./cli/command.ts";
import { compose, instanceName } from "./compose.ts";
import type { Config } from "./config/index.ts";
import { type Caches, type ObjectPlan, type OperatorTerm, termMetrics } from "./controllers/index.ts";
import { type KubeObject, LeaderElector, type Leadership, Liveness } from "./runtime/index.ts";
import { type Listening, silentLogger, startHealthServer, startMetricsServer } from "./telemetry/index.ts";
import { systemClock } from "./time/clock.ts";
import { VERSION } from "./version.ts";

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
