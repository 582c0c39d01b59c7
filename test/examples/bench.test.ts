// The benchmark itself, small: it must count, and a steady operator must cost next to nothing.
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { type BenchResult, runScenario } from "../../bench/measure.ts";
import { scenarios } from "../../bench/scenarios.ts";
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

it("counts a steady interval of 20 SecretSyncs: one list, one look at metadata, no value, no write", async () => {
  const steady = scenarios.find(({ name }) => name === "steady");
  expect(steady).toBeDefined();
  if (steady === undefined) return;
  const world = await steadyWorld(20);
  const result: BenchResult = await runScenario(steady, world);
  // The counters counted at all: before the measured part everything was copied.
  expect(world.stores.scaivault.admin.paths()).toHaveLength(20);
  expect(result).toMatchObject({
    scenario: "steady",
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
  });
  expect(result.cpuSeconds).toBeGreaterThan(0);
  expect(result.peakRssMB).toBeGreaterThan(20);
  expect(JSON.parse(JSON.stringify(result))).toEqual(result);
}, 240_000);
