// The benchmark itself, small: it must count, and a steady operator must cost next to nothing.
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { runScenario } from "../../bench/measure.ts";
import { type Scenario, scenarios } from "../../bench/scenarios.ts";
import { type BenchWorld, PollWatch } from "../../bench/world.ts";
import { openCluster } from "../../local/cluster.ts";
import { repositoryRoot } from "../../local/paths.ts";
import { silentProgress } from "../../local/progress.ts";
import { bundle } from "../../scripts/build.ts";
import { testEnvironment } from "../support/environment.ts";

const ends: (() => Promise<unknown>)[] = [];
afterAll(async () => {
  for (const end of ends.reverse()) await end();
});

async function steadyWorld(size: number): Promise<BenchWorld> {
  const env = testEnvironment();
  const folder = mkdtempSync(join(tmpdir(), "scaivault-bench-"));
  ends.push(() => Promise.resolve(rmSync(folder, { recursive: true, force: true })));
  const asm = await env.ownAsm();
  ends.push(() => asm.stop());
  const scaivault = await env.ownScaiVault();
  ends.push(() => scaivault.stop());
  await bundle({ entry: join(repositoryRoot, "src/main.ts"), outfile: join(folder, "app", "operator.mjs") });
  const { controlPlane, binaries, caFile } = env.facts;
  const world: BenchWorld = {
    settings: { size, backend: "asm", interval: "30s" },
    cluster: openCluster({
      kubectl: binaries.kubectl ?? "kubectl",
      helm: binaries.helm ?? "helm",
      kubeconfig: controlPlane?.adminKubeconfig ?? "",
    }),
    controlPlane: env.kube,
    stores: { asm, vault: env.vault, scaivault: scaivault.server, ca: readFileSync(caFile, "utf8") },
    release: "bench-smoke",
    operatorNamespace: "bench-smoke",
    namespace: "bench-smoke-objects",
    vaultMount: "bench-smoke",
    bundle: join(folder, "app"),
    folder,
    progress: silentProgress,
    polls: new PollWatch(),
  };
  ends.push(async () => {
    world.polls.stop();
    await world.operator?.stop();
    await world.cluster.helm(["uninstall", world.release, "-n", world.operatorNamespace, "--ignore-not-found"]);
    const namespaces = [world.operatorNamespace, world.namespace];
    await world.cluster.kubectl(["delete", "namespace", ...namespaces, "--ignore-not-found", "--wait=false"]);
  });
  return world;
}

/** What neither a poll nor a restart may cost while nothing changes. */
const nothing = {
  size: 20,
  sourceCalls: { ListSecrets: 1 },
  logins: 0,
  valueReads: 0,
  scaivaultReads: 1,
  scaivaultMetadataCalls: 1,
  scaivaultValueReads: 0,
  scaivaultWrites: 0,
  kubeWritesExceptLeases: 0,
  pollTimeWrites: 1,
};
const named = (name: string): Scenario => scenarios.find((scenario) => scenario.name === name) as Scenario;

it("20 SecretSyncs cost one list, one look at metadata, no value and no write: in a steady interval, and in a restart", async () => {
  const world = await steadyWorld(20);
  const steady = await runScenario(named("steady"), world);
  // The counters counted at all: before the measured part everything was copied.
  expect(world.stores.scaivault.admin.paths()).toHaveLength(20);
  expect(steady).toMatchObject({ scenario: "steady", ...nothing });
  expect(steady.cpuSeconds).toBeGreaterThan(0);
  expect(steady.peakRssMB).toBeGreaterThan(20);
  expect(JSON.parse(JSON.stringify(steady))).toEqual(steady);
  // The stage stands already.
  const restart = await runScenario({ ...named("restart"), arrange: [] }, world);
  expect(restart).toMatchObject({ scenario: "restart", ...nothing });
}, 240_000);
