import { spawn } from "node:child_process";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { buildBinary } from "../../../local/build.ts";
import { startEnvironment, type EnvironmentFacts } from "../../../local/environment.ts";
import { call } from "../../../local/http.ts";
import { isAlive } from "../../../local/lock.ts";
import { ensureMoto } from "../../../local/moto.ts";
import { waitFor } from "../../../local/process.ts";
import { silentProgress } from "../../../local/progress.ts";
import { recipes } from "../../../local/recipes.ts";
import { VirtualClock } from "../../../src/time/clock.ts";
import { testEnvironment } from "../../support/environment.ts";

describe("the environment as a whole", () => {
  let folder: string;
  beforeEach(() => void (folder = mkdtempSync(join(tmpdir(), "local-lifecycle-"))));
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  it("leaves parts out, starts in seconds, and leaves nothing behind", async () => {
    const environment = await startEnvironment({ without: ["control-plane"] });
    const { facts, programs } = environment;
    expect(facts.controlPlane).toBeUndefined();
    expect(() => programs.pid("etcd")).toThrow("etcd is not part of this environment.");
    const pids = [programs.pid("vault"), programs.pid("moto")].map(Number);
    expect(pids.every(isAlive)).toBe(true);
    expect(existsSync(facts.folder)).toBe(true);
    await environment.stop();
    await environment.stop();
    expect(pids.some(isAlive)).toBe(false);
    expect(existsSync(facts.folder)).toBe(false);
    await expect(call({ url: facts.asm?.url ?? "" })).rejects.toMatchObject({ code: "ECONNREFUSED" });
  });

  it("has nothing running after its process was killed", async () => {
    const script = join(folder, "start.ts");
    const module = join(import.meta.dirname, "../../../local/environment.ts");
    const factsFile = join(folder, "facts.json");
    writeFileSync(
      script,
      `import { startEnvironment } from ${JSON.stringify(module)};
       import { renameSync, writeFileSync } from "node:fs";
       const environment = await startEnvironment({ dataDir: ${JSON.stringify(join(folder, "data"))} });
       const { programs, facts } = environment;
       const pids = ["etcd", "kube-apiserver", "kube-controller-manager", "vault", "moto"].map((name) => programs.pid(name));
       writeFileSync(${JSON.stringify(`${factsFile}.new`)}, JSON.stringify({ facts, pids }));
       renameSync(${JSON.stringify(`${factsFile}.new`)}, ${JSON.stringify(factsFile)});`,
    );
    const child = spawn(process.execPath, [script], { stdio: "ignore" });
    expect(await waitFor(() => Promise.resolve(existsSync(factsFile)), 90_000)).toBe(true);
    const { facts, pids } = JSON.parse(readFileSync(factsFile, "utf8")) as { facts: EnvironmentFacts; pids: number[] };
    expect(pids.every(isAlive)).toBe(true);
    expect(facts.controlPlane?.url).toMatch(/^https:\/\/127\.0\.0\.1:/);
    child.kill("SIGKILL");
    expect(await waitFor(() => Promise.resolve(!pids.some(isAlive)), 15_000)).toBe(true);
  });

  it("serves the ScaiVault reference server under the same authority, steered from test processes", async () => {
    const { facts, scaivaultUrl, scaivaultToken, remote } = testEnvironment();
    const ca = readFileSync(facts.caFile, "utf8");
    const health = (): ReturnType<typeof call> => call({ url: `${scaivaultUrl}/v1/health/ready`, ca });
    expect((await health()).status).toBe(200);
    const listed = await call({
      url: `${scaivaultUrl}/v1/secrets`,
      ca,
      headers: { authorization: `Bearer ${scaivaultToken}` },
    });
    expect(listed.status).toBe(200);
    await remote.scaivault.setReady(false);
    expect((await health()).status).toBe(503);
    await remote.scaivault.setReady(true);
    await remote.scaivaultServer.stopListening();
    await expect(health()).rejects.toMatchObject({ code: "ECONNREFUSED" });
    await remote.scaivaultServer.listenAgain();
    expect((await health()).status).toBe(200);
  });

  it("gives a test servers of its own under the same authority and on its own clock", async () => {
    const env = testEnvironment();
    const clock = new VirtualClock();
    const [asm, scaivault] = [await env.ownAsm({ clock }), await env.ownScaiVault({ clock })];
    const ca = readFileSync(env.facts.caFile, "utf8");
    expect((await call({ url: asm.tlsUrl ?? "", ca })).status).toBe(200);
    expect((await call({ url: `${scaivault.facts.url}/v1/health/ready`, ca })).status).toBe(200);
    await Promise.all([asm.stop(), scaivault.stop()]);
  });

  it("installs no Python package whose hash changed", async () => {
    const requirementsFile = join(folder, "requirements.txt");
    writeFileSync(requirementsFile, `six==1.17.0 --hash=sha256:${"0".repeat(64)}\n`);
    await expect(ensureMoto({ requirementsFile, cache: folder })).rejects.toThrow(/hash/i);
    const made = readdirSync(join(folder, "python")).filter((name) =>
      existsSync(join(folder, "python", name, "complete")),
    );
    expect(made).toEqual([]);
  });

  it("builds nothing from sources whose sum changed", async () => {
    const module = join(folder, "module");
    mkdirSync(module);
    copyFileSync(join(recipes.etcd.module, "go.mod"), join(module, "go.mod"));
    const sums = readFileSync(join(recipes.etcd.module, "go.sum"), "utf8");
    const changed = sums.replace(/^(go\.etcd\.io\/etcd\/server\/v3 \S+ h1:)\S{10}/m, "$1AAAAAAAAAA");
    expect(changed).not.toBe(sums);
    writeFileSync(join(module, "go.sum"), changed);
    const target = join(folder, "bin", "etcd");
    const step = silentProgress.step("etcd");
    await expect(buildBinary({ ...recipes.etcd, module }, target, step)).rejects.toThrow(
      /checksum mismatch|SECURITY ERROR/,
    );
    expect(existsSync(target)).toBe(false);
  });
});
