// The image without an image: the Dockerfile's build stage as a step, its result started as the rendered Deployment says.
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { spawn } from "node:child_process";
import { constants, tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { bundle } from "../../scripts/build.ts";
import { allowed, findUses, scanBundle } from "../../scripts/bundle-scan.ts";
import { helmBinary } from "./cluster.ts";
import { type Ran, at, one, render, root, run } from "./support.ts";

let folder: string;
let deploymentArgs: string[];
let environment: Record<string, string>;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "scaivault-image-"));
  for (const part of ["app", "etc", "secrets", "cache"]) mkdirSync(join(folder, part));
  const deployment = one(await render(await helmBinary(), { cluster: { name: "one" } }), "Deployment");
  deploymentArgs = at(deployment, "spec.template.spec.containers.0.args") as string[];
  const env = at(deployment, "spec.template.spec.containers.0.env") as { name: string; value?: string }[];
  environment = Object.fromEntries(env.map(({ name, value }) => [name, onHost(value ?? "pod-1")]));
});

afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

/** The pod's paths as folders of this test. */
function onHost(text: string): string {
  return text
    .replace("/var/cache/scaivault-operator", join(folder, "cache"))
    .replace("/etc/scaivault-operator", join(folder, "etc"))
    .replace("/var/run/secrets", join(folder, "secrets"))
    .replace("/app/", `${join(folder, "app")}/`);
}

/** Node's flags as the Deployment gives them. */
function flags(): string[] {
  return deploymentArgs.slice(0, deploymentArgs.indexOf("/app/operator.mjs")).map(onHost);
}

async function start(file: string, ...args: string[]): Promise<Ran> {
  return await run("env", [
    "-i",
    ...Object.entries(environment).map(([name, value]) => `${name}=${value}`),
    process.execPath,
    ...flags(),
    file,
    ...args,
  ]);
}

describe("scan of the bundle", () => {
  const text = `
// node_modules/@scope/evil/index.js
eval("1");
// node_modules/other/x.cjs
var f = new Function("return 1");
var g = Function("return 1");
import { spawn } from "node:child_process";
var c = require("child_process");
var m = await import(name);
var r = __require2(name);
// eval("in a comment") and "new Function" in text are nothing
var fine = "eval(1)"; obj.eval; import("node:fs");
`;

  test("finds what runs text, starts processes and loads by computed names, and says whose it is", () => {
    expect(findUses(text).map(({ kind, from, what }) => [kind, from, what])).toEqual([
      ["eval", "@scope/evil", 'eval("1")'],
      ["new-function", "other", 'new Function("return 1")'],
      ["new-function", "other", 'Function("return 1")'],
      ["module", "other", "child_process"],
      ["module", "other", "child_process"],
      ["computed-import", "other", "name"],
      ["computed-require", "other", "name"],
    ]);
    expect(scanBundle(text).unexpected).toHaveLength(7);
  });

  test("the list allows by package, never by name alone", () => {
    expect(allowed.every(({ from, why }) => from !== "" && why.length > 20)).toBe(true);
    expect(allowed.filter(({ from }) => from.startsWith("src/"))).toEqual([]);
  });
});

describe("process started as the Deployment says", () => {
  beforeAll(async () => {
    const entry = join(root, ".local", "chart-bundle-entry.ts");
    mkdirSync(join(root, ".local"), { recursive: true });
    writeFileSync(
      entry,
      `import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { Worker } from "node:worker_threads";
import { createServer } from "node:net";
import { KubeConfig } from "@kubernetes/client-node";
import { register, collectDefaultMetrics } from "prom-client";
import vault from "node-vault";
import { SecretsManagerClient } from "@aws-sdk/client-secrets-manager";
const attempt = (f) => { try { f(); return "done"; } catch (error) { return error.code; } };
collectDefaultMetrics();
const metrics = await register.metrics();
const facts = {
  child: attempt(() => execFileSync("true")),
  worker: attempt(() => new Worker("1", { eval: true })),
  passwd: attempt(() => readFileSync("/etc/passwd")),
  environ: attempt(() => readFileSync("/proc/self/environ")),
  own: attempt(() => readFileSync(process.argv[2] + "/secrets/x")),
  config: attempt(() => readFileSync(process.argv[2] + "/etc/config.yaml")),
  write: attempt(() => writeFileSync(process.argv[2] + "/app/x", "")),
  secretsWrite: attempt(() => writeFileSync(process.argv[2] + "/secrets/x", "")),
  proto: Object.hasOwn(Object.prototype, "__proto__"),
  memory: /^process_resident_memory_bytes \\d/m.test(metrics),
  descriptors: /^process_open_fds \\d/m.test(metrics),
  libraries: [typeof KubeConfig, typeof vault, typeof SecretsManagerClient].join(),
};
process.stdout.write(JSON.stringify(facts) + "\\n");
if (process.argv[3] === "stay") createServer().listen(0, "127.0.0.1");
`,
    );
    await bundle({ entry, outfile: join(folder, "app", "probe.mjs") });
    rmSync(entry);
    writeFileSync(join(folder, "secrets", "x"), "");
    writeFileSync(join(folder, "etc", "config.yaml"), "");
  });

  test("reads its mounts, writes the cache alone, starts nothing", async () => {
    const ran = await start(join(folder, "app", "probe.mjs"), folder);
    expect(ran.stderr).toBe("");
    expect(JSON.parse(ran.stdout)).toEqual({
      child: "ERR_ACCESS_DENIED",
      worker: "ERR_ACCESS_DENIED",
      passwd: "ERR_ACCESS_DENIED",
      environ: "ERR_ACCESS_DENIED",
      own: "done",
      config: "done",
      write: "ERR_ACCESS_DENIED",
      secretsWrite: "ERR_ACCESS_DENIED",
      proto: false,
      memory: true,
      descriptors: true,
      libraries: "function,function,function",
    });
  });

  test.runIf(process.platform === "linux")("SIGUSR1 has no handler: it cannot open the inspector", async () => {
    const handled = async (nodeFlags: readonly string[]): Promise<boolean> => {
      const args = [...nodeFlags, join(folder, "app", "probe.mjs"), folder, "stay"];
      const child = spawn(process.execPath, args, { env: environment, stdio: ["ignore", "pipe", "ignore"] });
      const ended = new Promise<void>((resolve) => child.on("close", () => resolve()));
      let output = "";
      child.stdout.on("data", (part: Buffer) => (output += part.toString()));
      try {
        await vi.waitFor(() => expect(output).toContain("libraries"), { timeout: 20_000 });
        const caught = /^SigCgt:\s*([0-9a-f]+)$/m.exec(readFileSync(`/proc/${child.pid}/status`, "utf8"))?.[1];
        return (BigInt(`0x${caught ?? ""}`) & (1n << BigInt(constants.signals.SIGUSR1 - 1))) !== 0n;
      } finally {
        child.kill("SIGKILL");
        await ended;
      }
    };
    expect(await handled(flags())).toBe(false);
    expect(await handled(["--disable-sigusr1"])).toBe(false);
    // Without flags Node listens to the signal: the test looks at the right thing.
    expect(await handled([])).toBe(true);
  });
});

const entry = join(root, "src", "main.ts");
describe.runIf(existsSync(entry))("the operator's own bundle", () => {
  const outfile = (): string => join(folder, "app", "operator.mjs");

  beforeAll(async () => {
    await bundle({ entry, outfile: outfile() });
  });

  test("holds nothing that is not listed", () => {
    expect(scanBundle(readFileSync(outfile(), "utf8")).unexpected).toEqual([]);
  });

  test("starts with the Deployment's flags", async () => {
    const ran = await start(outfile(), "version");
    expect(ran).toMatchObject({ code: 0, stderr: "" });
    const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { version: string };
    expect(ran.stdout).toContain(version);
  });

  test("is ASCII, which the process keeps as one byte a character", () => {
    expect(readFileSync(outfile(), "latin1")).toMatch(/^\p{ASCII}*$/u);
  });

  test("holds no models of the Kubernetes client, which nothing uses", () => {
    const text = readFileSync(outfile(), "utf8");
    expect(text).toContain("client-node/dist/config.js");
    expect(text).not.toContain("client-node/dist/gen/models");
  });

  test("names no path of the machine that built it", () => {
    expect(readFileSync(outfile(), "utf8")).not.toContain(root);
  });
});

describe("Dockerfile", () => {
  const text = readFileSync(join(root, "Dockerfile"), "utf8");
  const last = text.slice(text.lastIndexOf("\nFROM "));

  test("its last stage runs nothing, holds three files and is not root", () => {
    expect(last).not.toMatch(/^RUN |^ADD /m);
    expect([...last.matchAll(/^COPY .* (\S+)$/gm)].map(([, to]) => to)).toEqual([
      "/usr/local/bin/node",
      "/app/licenses/",
      "/app/operator.mjs",
    ]);
    expect(last).toMatch(/^USER 65532:65532$/m);
  });

  test("installs without scripts and builds with the same build as `npm run build`", () => {
    expect(text).toContain("npm ci --ignore-scripts");
    expect(text).toContain("node scripts/build.ts");
    expect(text).not.toMatch(/--inspect|--allow-child-process|--allow-worker|--allow-addons/);
  });
});
