// The benchmark itself, small: every scenario runs, counts, and costs what it must at most. Two stages side by side, one of AWS
// Secrets Manager and one of Vault; the scenarios of a stage follow one another on it.
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type BenchRun, runScenario } from "../../bench/measure.ts";
import { Outside } from "../../bench/outside.ts";
import { type PhaseName, type Scenario, scenarios } from "../../bench/scenarios.ts";
import { asmSource } from "../../bench/source-asm.ts";
import { vaultSource } from "../../bench/source-vault.ts";
import type { SourceStage } from "../../bench/source.ts";
import type { BackendType, BenchWorld, Targets } from "../../bench/world.ts";
import { openCluster } from "../../local/cluster.ts";
import { repositoryRoot } from "../../local/paths.ts";
import { silentProgress } from "../../local/progress.ts";
import { startVaultProxy } from "../../local/vault-proxy.ts";
import { bundle } from "../../scripts/build.ts";
import { type TestEnvironment, testEnvironment } from "../support/environment.ts";

const size = 20;
const ends: (() => Promise<unknown>)[] = [];
afterAll(async () => {
  for (const end of ends.reverse()) await end();
});

async function stage(
  env: TestEnvironment,
  folder: string,
  kind: { backend: BackendType; targets: Targets; source: SourceStage; asm: BenchWorld["stores"]["asm"] },
): Promise<BenchWorld> {
  const scaivault = await env.ownScaiVault();
  ends.push(() => scaivault.stop());
  const { controlPlane, binaries, caFile } = env.facts;
  const kubeconfig = controlPlane?.adminKubeconfig ?? "";
  const name = `bench-${kind.backend}`;
  const world: BenchWorld = {
    settings: {
      size,
      backend: kind.backend,
      interval: "30s",
      targets: kind.targets,
      spreadMs: 500,
      outageMs: 12_000,
      foreign: 200,
      samples: 2,
    },
    cluster: openCluster({ kubectl: binaries.kubectl ?? "kubectl", helm: binaries.helm ?? "helm", kubeconfig }),
    controlPlane: env.kube,
    stores: { asm: kind.asm, vault: env.vault, scaivault: scaivault.server, ca: readFileSync(caFile, "utf8") },
    source: kind.source,
    outside: new Outside(kubeconfig, `${name}-objects`),
    release: name,
    operatorNamespace: name,
    namespace: `${name}-objects`,
    shared: true,
    bundle: join(folder, "app"),
    folder: join(folder, name),
    progress: silentProgress,
    figures: {},
    freshness: [],
  };
  ends.push(async () => {
    await world.operator?.stop();
    await world.outside.stop();
    await world.source.stop();
    await world.cluster.helm(["uninstall", world.release, "-n", world.operatorNamespace, "--ignore-not-found"]);
    const namespaces = [world.operatorNamespace, world.namespace];
    await world.cluster.kubectl(["delete", "namespace", ...namespaces, "--ignore-not-found", "--wait=false"]);
  });
  return world;
}

/** What of a scenario's preparation is left to do when the stage stands already. */
type Chain = readonly (readonly [scenario: string, arrange: readonly PhaseName[]])[];

/** Runs scenarios one after another; each result is there as soon as it is. */
function runChain(world: BenchWorld, chain: Chain): Map<string, Promise<BenchRun>> {
  const runs = new Map<string, Promise<BenchRun>>();
  let before: Promise<unknown> = Promise.resolve();
  for (const [name, arrange] of chain) {
    const scenario = scenarios.find((one) => one.name === name) as Scenario;
    const run = before.then(async () => {
      const result = await runScenario({ ...scenario, arrange }, world);
      return { ...result, changed: world.outside.polls.lastDifference };
    });
    run.catch(() => undefined);
    runs.set(name, run);
    before = run;
  }
  return runs;
}

const whole: Chain = [
  ["cold", ["declare"]],
  // The floor ended the operator. Its first poll comes at once, the second at the store's place in the interval, where it may find
  // that little is due; from the third on each poll is like the one before, with a whole interval between.
  ["steady", ["start", "poll", "poll", "poll"]],
  ["restart", []],
  ["throttle", ["restore"]],
  ["foreign", ["memoryWithout", "createForeign"]],
  ["propagation", []],
  ["outage", []],
  ["hang", ["declareOther", "changesAlone"]],
  ["drift", ["declareLater"]],
];

let runs: Readonly<Record<BackendType, ReadonlyMap<string, Promise<BenchRun>>>>;
const worlds: Partial<Record<BackendType, BenchWorld>> = {};
const resultOf = (backend: BackendType, name: string): Promise<BenchRun> =>
  runs[backend].get(name) as Promise<BenchRun>;

beforeAll(async () => {
  const env = testEnvironment();
  const folder = mkdtempSync(join(tmpdir(), "scaivault-bench-"));
  ends.push(() => Promise.resolve(rmSync(folder, { recursive: true, force: true })));
  await bundle({ entry: join(repositoryRoot, "src/main.ts"), outfile: join(folder, "app", "operator.mjs") });
  const asm = await env.ownAsm();
  ends.push(() => asm.stop());
  const proxy = () => startVaultProxy({ target: env.vault.facts.plainUrl, authority: env.authority });
  const vault = vaultSource(env.vault, "bench-test", { store: await proxy(), other: await proxy() });
  worlds.asm = await stage(env, folder, { backend: "asm", targets: "both", source: asmSource(asm), asm });
  worlds.vault = await stage(env, folder, { backend: "vault", targets: "kubernetes", source: vault, asm });
  // One after another: both would install the CRDs.
  for (const world of Object.values(worlds)) await prepare(world);
  runs = { asm: runChain(worlds.asm, whole), vault: runChain(worlds.vault, whole) };
});

async function prepare(world: BenchWorld): Promise<void> {
  const { phases } = await import("../../bench/phases.ts");
  await phases.seed(world);
  await phases.install(world);
}

/** What neither a poll nor a restart may cost while nothing changes. */
const nothing = {
  size,
  logins: 0,
  valueReads: 0,
  scaivaultValueReads: 0,
  scaivaultWrites: 0,
  kubeWritesExceptLeases: 0,
};

describe.each([
  { backend: "asm" as const, poll: { ListSecrets: 1 }, scaivault: 1, copies: size },
  { backend: "vault" as const, poll: { "GET metadata": size }, scaivault: 0, copies: 0 },
])(
  "$backend, 20 SecretSyncs",
  ({ backend, poll, scaivault, copies }) => {
    const patched = ({ kubeRequests }: BenchRun, resource: string): number => kubeRequests[`patch ${resource}`] ?? 0;
    const status = "scaivault.scailabs.ai/secretsyncs/status";

    it("cold: each value is read once and each Secret written once; the floor makes the same writes", async () => {
      const run = await resultOf(backend, "cold");
      expect(run).toMatchObject({
        scenario: "cold",
        size,
        valueReads: size,
        scaivaultWrites: copies,
        floorWrites: 2 * size,
      });
      expect(patched(run, "secrets")).toBe(size);
      expect(patched(run, status)).toBeLessThanOrEqual(2 * size);
      expect(run["floorRatio"]).toBeGreaterThan(0);
      expect(run.cpuSeconds).toBeGreaterThan(0);
      expect(run.peakRssMB).toBeGreaterThan(20);
      expect(run.etcdRevisions).toBeGreaterThanOrEqual(2 * size);
      expect(run.eventLoopDelayMs["p99"]).toBeGreaterThan(0);
      expect(run.freshnessP99Ms).toBeNull();
      expect(JSON.parse(JSON.stringify(run))).toEqual(run);
    });

    it("restart: one poll, no value, no write", async () => {
      const run = await resultOf(backend, "restart");
      // The old process gives its token back, the new one logs in.
      const logins = backend === "vault" ? 2 : 0;
      expect(run).toMatchObject({ ...nothing, logins, pollTimeWrites: 1 });
      expect(run["scaivaultReads"]).toBeLessThanOrEqual(2 * scaivault);
      // Objects that are looked at before the first poll has ended ask for theirs once more.
      for (const [kind, count] of Object.entries(poll)) {
        expect(run.sourceCalls[kind]).toBeGreaterThanOrEqual(count);
        expect(run.sourceCalls[kind]).toBeLessThanOrEqual(2 * count);
      }
    });

    it("steady: one poll, no value, no write", async () => {
      const run = await resultOf(backend, "steady");
      const seen = { ...nothing, sourceCalls: poll, scaivaultReads: scaivault, pollTimeWrites: 1 };
      expect(run, String(run["changed"])).toMatchObject(seen);
    });

    it("throttle: all Secrets come back although 30 % of calls are refused, each value read once", async () => {
      const run = await resultOf(backend, "throttle");
      expect(run).toMatchObject({ valueReads: size, scaivaultWrites: 0 });
      expect(patched(run, "secrets")).toBe(size);
      expect(run["throttleRatio"]).toBeGreaterThan(0);
    });

    it("outage: a call each ten seconds, one status write for the backend, none for its SecretSyncs", async () => {
      const run = await resultOf(backend, "outage");
      expect(run).toMatchObject({ outageBackendStatusWrites: 1, outageSyncStatusWrites: 0, valueReads: 0 });
      // Once it is noticed: a probe each ten seconds.
      expect(run["outageProbes"]).toBeLessThanOrEqual(2);
      expect(run["recoverySeconds"]).toBeLessThan(15);
      expect(patched(run, status)).toBe(0);
    });

    it("foreign: Secrets of others are neither listed nor watched", async () => {
      const run = await resultOf(backend, "foreign");
      expect(run).toMatchObject({ valueReads: 0, kubeWritesExceptLeases: 0, foreign: 200 });
      // Ours and the credentials, a page each.
      expect(run.kubeRequests["list secrets"]).toBe(2);
      expect(run["rssWithForeignMB"]).toBeGreaterThan(20);
    });

    it("propagation: a change costs one value read, one write at each target and one status", async () => {
      const run = await resultOf(backend, "propagation");
      const changes = size / 4;
      expect(run).toMatchObject({ changes, valueReads: changes, scaivaultWrites: copies === 0 ? 0 : changes });
      expect(patched(run, "secrets")).toBe(changes);
      expect(patched(run, status)).toBe(changes);
      expect(run.freshnessP99Ms).toBeGreaterThan(0);
      expect(run.freshnessP99Ms).toBeLessThan(60_000);
    });

    it("hang: changes of one store arrive while another hangs with all its workers in it", async () => {
      const run = await resultOf(backend, "hang");
      expect(run["hangingCalls"]).toBeGreaterThan(0);
      // None of them was answered before the changes had arrived.
      expect(run["stillHanging"]).toBeGreaterThan(0);
      expect(run["besideHangP99Ms"]).toBeLessThan(10_000);
      expect(run.valueReads).toBe(size / 4);
    });

    it("drift: hand edits are repaired while other SecretSyncs wait", async () => {
      const run = await resultOf(backend, "drift");
      expect(run).toMatchObject({ edits: size, scaivaultWrites: copies });
      expect(run["repairMaxMs"]).toBeLessThan(10_000);
      expect(run.valueReads).toBeLessThanOrEqual(2 * size);
    });
  },
  240_000,
);
