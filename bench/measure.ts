/** Runs a scenario and counts what every part was asked, as the parts themselves saw it. */
import { countAudit, type AuditEntry } from "../local/audit.ts";
import { fullName } from "../local/quickstart/chart.ts";
import type { VaultAuditEntry } from "../local/vault-client.ts";
import { systemClock } from "../src/time/clock.ts";
import { phases } from "./phases.ts";
import type { Scenario } from "./scenarios.ts";
import { usageOf } from "./usage.ts";
import type { BackendType, BenchWorld } from "./world.ts";

/** What a scenario cost. Counts are of the measured part alone. */
export interface BenchResult {
  readonly scenario: string;
  readonly size: number;
  readonly backend: BackendType;
  readonly interval: string;
  /** Length of the measured part. */
  readonly seconds: number;
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
  /** Writes of the operator to the API server, without Leases and without `pollTimeWrites`. */
  readonly kubeWritesExceptLeases: number;
  /** The same by verb and resource. */
  readonly kubeWrites: Readonly<Record<string, number>>;
  /** Writes that changed `lastPollTime` of a backend and nothing else. */
  readonly pollTimeWrites: number;
  readonly cpuSeconds: number;
  readonly peakRssMB: number;
}

const writeVerbs = ["create", "update", "patch", "delete", "deletecollection"];

/** `lookup-self`, `login` and renewals are not reads of the store. */
const isLogin = ({ path }: VaultAuditEntry): boolean => path.startsWith("auth/");

function vaultKind({ operation, path }: VaultAuditEntry, mount: string): string {
  const below = path.startsWith(`${mount}/`) ? path.slice(mount.length + 1) : path;
  const area = ["data", "metadata"].find((name) => below.startsWith(`${name}/`) || below === name);
  return `${operation} ${area ?? path}`;
}

interface SourceSeen {
  readonly calls: Readonly<Record<string, number>>;
  readonly logins: number;
  readonly valueReads: number;
}

function vaultSeen(entries: readonly VaultAuditEntry[], mount: string): SourceSeen {
  const calls: Record<string, number> = {};
  const reads = entries.filter((entry) => !isLogin(entry));
  for (const entry of reads) calls[vaultKind(entry, mount)] = (calls[vaultKind(entry, mount)] ?? 0) + 1;
  return { calls, logins: entries.length - reads.length, valueReads: calls["read data"] ?? 0 };
}

function asmSeen({ asm }: BenchWorld["stores"]): SourceSeen {
  const { calls, valueReads } = asm.counts();
  const isSts = (action: string): boolean => action.startsWith("sts:");
  const logins = Object.entries(calls).filter(([action]) => isSts(action));
  return {
    calls: Object.fromEntries(Object.entries(calls).filter(([action]) => !isSts(action))),
    logins: logins.reduce((sum, [, count]) => sum + count, 0),
    valueReads,
  };
}

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

/** Starts the counters. @returns what reads them */
async function startCounting(world: BenchWorld): Promise<() => Promise<Omit<BenchResult, "scenario">>> {
  const { controlPlane, settings, stores, polls } = world;
  const user = `system:serviceaccount:${world.operatorNamespace}:${fullName(world.release)}`;
  const pid = world.operator?.program.pid;
  const before = pid === undefined ? undefined : await usageOf(pid);
  const vaultFrom = stores.vault?.auditMark() ?? 0;
  const kubeFrom = await controlPlane.auditMark();
  const position = polls.position;
  stores.asm.resetCounts();
  stores.scaivault.admin.resetCounters();
  const started = systemClock.monotonic();
  return async () => {
    const seconds = (systemClock.monotonic() - started) / 1000;
    // Vault is asked by nobody else; its log is read before anything of ours is asked of it.
    const source =
      settings.backend === "asm"
        ? asmSeen(stores)
        : vaultSeen(stores.vault?.readAudit({ since: vaultFrom }) ?? [], world.vaultMount);
    const scaivault = scaivaultSeen(stores);
    const now = world.operator?.program.pid;
    const after = now === undefined ? undefined : await usageOf(now);
    const writes = (await controlPlane.readAudit({ since: kubeFrom, user, verbs: writeVerbs })).filter(isCounted);
    const pollTimeWrites = polls.pollTimeWritesSince(position);
    // A process that was started meanwhile counts from zero.
    const cpuBefore = now === pid ? (before?.cpuSeconds ?? 0) : 0;
    return {
      ...settings,
      seconds: round(seconds),
      sourceCalls: source.calls,
      sourceCallsTotal: sum(source.calls),
      logins: source.logins,
      valueReads: source.valueReads,
      ...scaivault,
      kubeWritesExceptLeases: writes.length - pollTimeWrites,
      kubeWrites: countAudit(writes),
      pollTimeWrites,
      cpuSeconds: round((after?.cpuSeconds ?? 0) - cpuBefore),
      peakRssMB: Math.round(after?.peakRssMB ?? 0),
    };
  };
}

const isCounted = ({ resource }: AuditEntry): boolean => resource !== "coordination.k8s.io/leases";
const round = (value: number): number => Math.round(value * 100) / 100;

/** Runs a scenario. The operator runs on afterwards: the caller ends `world.operator` and `world.polls`. */
export async function runScenario(scenario: Scenario, world: BenchWorld): Promise<BenchResult> {
  for (const name of scenario.arrange) await phases[name](world);
  const read = await startCounting(world);
  for (const name of scenario.measure) await phases[name](world);
  return { scenario: scenario.name, ...(await read()) };
}
