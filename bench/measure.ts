/** Runs a scenario and counts what every part was asked, as the parts themselves saw it. */
import { countAudit, type AuditEntry } from "../local/audit.ts";
import { fullName } from "../local/quickstart/chart.ts";
import { systemClock } from "../src/time/clock.ts";
import { percentile, round } from "./percentiles.ts";
import { phases } from "./phases.ts";
import type { Scenario } from "./scenarios.ts";
import { eventLoopDelay, forgetPeak, usageOf } from "./usage.ts";
import type { BenchSettings, BenchWorld } from "./world.ts";

/** What a scenario cost. Counts are of the measured part alone, and of the operator alone. */
export interface BenchResult extends BenchSettings {
  readonly scenario: string;
  /** Length of the measured part; with a start of the operator in it from the moment that it holds the Lease. */
  readonly seconds: number;
  /** From the start of the operator's process until it holds the Lease; null when none was started. */
  readonly startSeconds: number | null;
  /** Calls to the source by kind, logins apart. */
  readonly sourceCalls: Readonly<Record<string, number>>;
  readonly sourceCallsTotal: number;
  readonly logins: number;
  /** Secret values that left the source. */
  readonly valueReads: number;
  /** Calls to ScaiVault that read values, metadata or lists. */
  readonly scaivaultReads: number;
  /** Those of them that read metadata alone. */
  readonly scaivaultMetadataCalls: number;
  /** Secret values that left ScaiVault. */
  readonly scaivaultValueReads: number;
  /** Calls to ScaiVault that write. */
  readonly scaivaultWrites: number;
  /** Requests to the API server that read, without Leases. */
  readonly kubeReads: number;
  /** Writes to the API server, without Leases and without `pollTimeWrites`. */
  readonly kubeWritesExceptLeases: number;
  /** All requests but those for Leases by verb and resource. */
  readonly kubeRequests: Readonly<Record<string, number>>;
  /** Writes that changed `lastPollTime` of a backend and nothing else. */
  readonly pollTimeWrites: number;
  /** Revisions of the whole cluster's etcd, whoever made them. */
  readonly etcdRevisions: number;
  readonly cpuSeconds: number;
  /** The most memory in the measured part, and memory at its end. */
  readonly peakRssMB: number;
  readonly rssMB: number;
  /** Delay of the operator's event loop, milliseconds. */
  readonly eventLoopDelayMs: Readonly<Record<string, number>>;
  /** From a change at the source to the last write at a target, milliseconds; null where nothing was changed. */
  readonly freshnessP50Ms: number | null;
  readonly freshnessP90Ms: number | null;
  readonly freshnessP99Ms: number | null;
  readonly freshnessMaxMs: number | null;
}

/** With the further figures of the scenario, by name. */
export type BenchRun = BenchResult & Readonly<Record<string, unknown>>;

const writeVerbs = new Set(["create", "update", "patch", "delete", "deletecollection"]);
const isLease = ({ resource }: AuditEntry): boolean => resource === "coordination.k8s.io/leases";
const sum = (counts: Readonly<Record<string, number>>): number => Object.values(counts).reduce((a, b) => a + b, 0);

function scaivaultSeen({ scaivault }: BenchWorld["stores"]) {
  const { byRoute, valuesRead } = scaivault.admin.counters();
  const calls = Object.entries(byRoute).filter(([route]) => route.includes("/v1/secrets"));
  const count = (test: (route: string) => boolean): number =>
    calls.filter(([route]) => test(route)).reduce((total, [, calls]) => total + calls, 0);
  const isWrite = (route: string): boolean => /^(?:PUT|PATCH|DELETE) /.test(route);
  return {
    scaivaultReads: count((route) => !isWrite(route)),
    scaivaultMetadataCalls: count((route) => !isWrite(route) && route.endsWith("/metadata")),
    scaivaultValueReads: valuesRead,
    scaivaultWrites: count(isWrite),
  };
}

/** Where all counters stood when counting began. */
interface Begin {
  readonly pid: number | undefined;
  readonly cpuSeconds: number;
  readonly revision: number;
  readonly audit: number;
  readonly position: number;
  readonly startedAt: number;
  readonly started: number;
}

async function begin(world: BenchWorld): Promise<Begin> {
  const { controlPlane, stores, source, outside } = world;
  const pid = world.operator?.program.pid;
  if (world.operator !== undefined && pid !== undefined) {
    // What is read once is gone: the next reading is of the measured part.
    await eventLoopDelay(world.operator.metricsUrl);
    forgetPeak(pid);
  }
  const cpuSeconds = pid === undefined ? 0 : (await usageOf(pid)).cpuSeconds;
  const revision = await controlPlane.revision();
  const audit = await controlPlane.auditMark();
  const { position } = outside.polls;
  stores.scaivault.admin.resetCounters();
  source.resetCounts();
  outside.polls.mark();
  world.freshness.length = 0;
  const [startedAt, started] = [systemClock.now(), systemClock.monotonic()];
  return { pid, cpuSeconds, revision, audit, position, startedAt, started };
}

/** Reads all counters. What the parts saw is taken before anything is waited for: the next poll may come any time. */
async function read(world: BenchWorld, from: Begin): Promise<Omit<BenchResult, "scenario">> {
  const { controlPlane, stores, source, outside, settings } = world;
  const [endedAt, ended] = [systemClock.now(), systemClock.monotonic()];
  const end = outside.polls.position;
  const { calls, logins, valueReads } = source.seen();
  const scaivault = scaivaultSeen(stores);
  const pid = world.operator?.program.pid;
  const usage = pid === undefined ? { cpuSeconds: 0, peakRssMB: 0, rssMB: 0 } : await usageOf(pid);
  const revision = await controlPlane.revision();
  const user = `system:serviceaccount:${world.operatorNamespace}:${fullName(world.release)}`;
  const audit = (await controlPlane.readAudit({ since: from.audit, user })).filter(({ at }) => at <= endedAt);
  const eventLoopDelayMs = world.operator === undefined ? {} : await eventLoopDelay(world.operator.metricsUrl);
  const requests = audit.filter((entry) => !isLease(entry));
  const writes = requests.filter(({ verb }) => writeVerbs.has(verb)).length;
  const pollTimeWrites = outside.polls.pollTimeWritesBetween(from.position, end);
  const { processStartedAt = from.startedAt } = world;
  const begun = pid === from.pid ? undefined : leaseTakenAt(audit, processStartedAt);
  const fresh = (share: number): number | null => {
    const value = percentile(world.freshness, share);
    return value === undefined ? null : Math.round(value);
  };
  return {
    ...settings,
    seconds: round((begun === undefined ? ended - from.started : endedAt - begun) / 1000),
    startSeconds: begun === undefined ? null : round((begun - processStartedAt) / 1000),
    sourceCalls: calls,
    sourceCallsTotal: sum(calls),
    logins,
    valueReads,
    ...scaivault,
    kubeReads: requests.length - writes,
    kubeWritesExceptLeases: writes - pollTimeWrites,
    kubeRequests: countAudit(requests),
    pollTimeWrites,
    etcdRevisions: revision - from.revision,
    // A process that was started meanwhile counts from zero.
    cpuSeconds: round(usage.cpuSeconds - (pid === from.pid ? from.cpuSeconds : 0)),
    peakRssMB: Math.round(usage.peakRssMB),
    rssMB: Math.round(usage.rssMB),
    eventLoopDelayMs,
    freshnessP50Ms: fresh(0.5),
    freshnessP90Ms: fresh(0.9),
    freshnessP99Ms: fresh(0.99),
    freshnessMaxMs: fresh(1),
  };
}

/** When the process that was started in the measured part took the Lease, wall clock; the one before it is gone by then. */
function leaseTakenAt(audit: readonly AuditEntry[], startedAt: number): number {
  const taken = audit.filter((entry) => isLease(entry) && writeVerbs.has(entry.verb) && entry.code < 300);
  const times = taken.map(({ at }) => at).filter((at) => at >= startedAt);
  return times.length === 0 ? startedAt : Math.min(...times);
}

/** Figures that compare two halves of one run. */
function ratiosOf(scenario: Scenario, figures: Readonly<Record<string, unknown>>): Record<string, number> {
  const quotients = Object.entries(scenario.ratios ?? {}).map(([name, [above, below]]) => {
    return [name, round(Number(figures[above]) / Number(figures[below]))];
  });
  return Object.fromEntries(quotients) as Record<string, number>;
}

/** Runs a scenario. The operator runs on afterwards: the caller ends `world.operator` and `world.outside`. */
export async function runScenario(scenario: Scenario, world: BenchWorld): Promise<BenchRun> {
  for (const name of Object.keys(world.figures)) delete world.figures[name];
  for (const name of scenario.arrange) await phases[name](world);
  const from = await begin(world);
  for (const name of scenario.measure) await phases[name](world);
  const result = await read(world, from);
  for (const name of scenario.compare ?? []) await phases[name](world);
  const run = { scenario: scenario.name, ...result, ...world.figures };
  return { ...run, ...ratiosOf(scenario, run) };
}
