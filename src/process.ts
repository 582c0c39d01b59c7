import { randomBytes } from "node:crypto";
import type { CommandIO } from "./cli/command.ts";
import { compose, instanceName, type Operator } from "./compose.ts";
import type { Config } from "./config/index.ts";
import { openConnection } from "./connect.ts";
import { type OperatorTerm, termMetrics } from "./controllers/index.ts";
import { errorCode, SyncError } from "./errors/index.ts";
import { LeaderElector, type Leadership, Liveness } from "./runtime/index.ts";
import { followConfigFile } from "./reload.ts";
import { createLogger, type Listening, startHealthServer, startMetricsServer } from "./telemetry/index.ts";
import { systemClock } from "./time/clock.ts";
import { VERSION } from "./version.ts";

/** `run`: caches on every replica, work on the leader, until the signal. @returns the exit code */
export async function runOperator(config: Config, io: CommandIO, file: string): Promise<number> {
  const log = createLogger({ level: config.log.level, cluster: config.cluster.name });
  const connection = await openConnection(config, { environment: io.environment, log, signal: io.signal });
  const operator = compose({ config, environment: io.environment, log, connection });
  const { reflectors } = operator;
  const liveness = new Liveness(systemClock);
  for (const { name, lastAttemptMs } of reflectors.lastAttempts()) liveness.watch(name, lastAttemptMs);
  const listening = await startServers(config, operator, liveness);
  log.info("starting", { version: VERSION, address: `${config.health.address}:${listening[0]?.port ?? 0}` });
  if (connection !== undefined) log.info("connection read", { name: connection.source, version: connection.version });
  connection?.start();
  if (config.tenancyMode === "Open") log.warn("tenancyMode is Open: every namespace has every right", {});
  const unfollow = followConfigFile(config, { file, environment: io.environment, log, clock: systemClock });
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
    requestTimeoutMs: graceMs(config.leaderElection),
    onTransition: (transition) => log.info("leadership", { action: transition }),
  });
  operator.metrics.setSources(
    termMetrics({
      caches: operator.caches,
      scaivault: operator.scaivault,
      clock: systemClock,
      leader: () => elector.isLeader,
      term: () => term,
    }),
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
    unfollow();
    await operator.close();
    await Promise.all(listening.map((one) => one.close()));
  }
  log.info("stopped");
  return 0;
}

/** How long a term that lost its lease lets what is under way come to its end before it cuts it off; see OperatorTerm. */
const WIND_DOWN_MS = 5_000;
/** What was sent by then is carried out by the servers within so long. */
const SERVERS_MS = 5_000;

/** How long calls of a former leader may go on after its lease has ended: a new one waits for that. */
function graceMs({ leaseDurationMs, renewDeadlineMs }: Config["leaderElection"]): number {
  return SERVERS_MS + Math.max(0, renewDeadlineMs + WIND_DOWN_MS - leaseDurationMs);
}

/** The servers of health and of metrics, in this order. @throws SyncError InvalidSpec, with all of the operator closed */
async function startServers(config: Config, operator: Operator, liveness: Liveness): Promise<readonly Listening[]> {
  const listening: Listening[] = [];
  const checks = { live: () => liveness.check().stale, ready: () => operator.reflectors.unsynced() };
  try {
    listening.push(await listen("health", config.health, (at, port) => startHealthServer(checks, at, port)));
    const { registry } = operator.metrics;
    listening.push(await listen("metrics", config.metrics, (at, port) => startMetricsServer(registry, at, port)));
  } catch (error) {
    await Promise.all([operator.close(), ...listening.map((one) => one.close())]);
    throw error;
  }
  return listening;
}

/** @throws SyncError InvalidSpec when the address cannot be had */
async function listen(
  name: "health" | "metrics",
  { address, port }: Config["health"],
  start: (address: string, port: number) => Promise<Listening>,
): Promise<Listening> {
  try {
    return await start(address, port);
  } catch (error) {
    const code = errorCode(error) ?? "unknown error";
    throw new SyncError("InvalidSpec", `${name}: cannot listen on ${address} port ${port} (${code})`);
  }
}
