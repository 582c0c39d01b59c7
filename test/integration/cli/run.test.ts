// `run` and the command line itself, as processes of their own.
import { readFileSync, writeFileSync } from "node:fs";
import { setTimeout as wait } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Harness, LEASE, pathTo, sync } from "./harness.ts";
import { freePort, Program, type Running } from "./support.ts";

let op: Harness<"team">;
let ns: string;
let program: Program;

beforeAll(async () => {
  [op, program] = await Promise.all([Harness.prepare({ namespaces: ["team"] }), Program.build()]);
  ns = op.ns.team;
}, 300_000);
afterAll(async () => {
  await program?.close();
  await op?.stop();
});

/** A configuration whose ports are free. */
async function ports(more: object = {}): Promise<{ config: string; health: string; metrics: string }> {
  const [health, metrics] = [await freePort(), await freePort()];
  const listeners = {
    health: { address: "127.0.0.1", port: health },
    metrics: { address: "127.0.0.1", port: metrics },
  };
  const config = program.write(`run-${health}.yaml`, { ...op.file, ...listeners, ...more });
  return { config, health: `http://127.0.0.1:${health}`, metrics: `http://127.0.0.1:${metrics}` };
}

async function get(url: string): Promise<{ status: number; text: string }> {
  const answer = await fetch(url);
  return { status: answer.status, text: await answer.text() };
}

async function until(what: string, holds: () => Promise<boolean>, running?: Running): Promise<void> {
  for (let turn = 0; turn < 300; turn += 1) {
    if (await holds().catch(() => false)) return;
    if (running !== undefined && running.child.exitCode !== null) break;
    await wait(100);
  }
  throw new Error(`${what}: ${running?.stdout().slice(-2000) ?? ""}${running?.stderr().slice(-2000) ?? ""}`);
}

describe("environment that would leak or weaken TLS", () => {
  it.each([
    ["NODE_TLS_REJECT_UNAUTHORIZED", "0"],
    ["VAULT_SKIP_VERIFY", "false"],
    ["DEBUG", "node-vault"],
    ["DEBUG", "*"],
    ["NODE_DEBUG", "http"],
    ["NODE_OPTIONS", "--inspect=127.0.0.1:0"],
    ["NODE_OPTIONS", "--require /dev/null"],
  ])("%s=%s: refused with one line that quotes nothing", async (name, value) => {
    const ran = await program.run(["version"], { env: { [name]: value } });
    expect(ran.code).toBe(1);
    expect(ran.stdout).toBe("");
    const own = ran.stderr.split("\n").filter((line) => line.startsWith(name));
    expect(own).toEqual([expect.stringMatching(new RegExp(`^${name} is set: .*`))]);
  });

  it.each([
    ["HTTPS_PROXY"],
    ["https_proxy"],
    ["ALL_PROXY"],
    ["AWS_ENDPOINT_URL"],
    ["AWS_ENDPOINT_URL_SECRETS_MANAGER"],
    ["VAULT_ADDR"],
    ["VAULT_TOKEN"],
  ])("%s is taken out: nothing is sent there", async (name) => {
    const port = await freePort();
    const { createServer } = await import("node:net");
    let connections = 0;
    const sink = createServer((socket) => {
      connections += 1;
      socket.destroy();
    });
    await new Promise<void>((resolve) => sink.listen(port, "127.0.0.1", resolve));
    const { config } = await ports();
    await op.aws.put("env/a", '{"a":"1"}');
    const manifest = sync(ns, "env", {
      source: { backendRef: { name: "aws" }, path: "env/a" },
      targets: { kubernetesSecret: {}, scaivault: { path: "environments/env" } },
    });
    await op.awsBackend(ns);
    const ran = await program.run(["plan", "-f", "-", "-c", config], {
      stdin: JSON.stringify(manifest),
      env: { [name]: `http://127.0.0.1:${port}` },
    });
    await new Promise((resolve) => sink.close(resolve));
    expect(ran.code, ran.stdout + ran.stderr).toBe(2);
    expect(connections).toBe(0);
  });
});

describe("a start that cannot succeed", () => {
  it("says all problems of the configuration with file and line", async () => {
    const config = program.write(
      "bad.yaml",
      "cluster: { nam: x }\noperatorNamespace: scaivault\nmarks: { keyFiles: [] }\nworkers: many\n",
    );
    const ran = await program.run(["run", "-c", config]);
    expect(ran).toMatchObject({ code: 1, stderr: "" });
    const lines = ran.stdout.trim().split("\n");
    expect(lines.length).toBeGreaterThanOrEqual(3);
    for (const line of lines) expect(line).toMatch(/^\S*bad\.yaml:\d+:\d+: \S+: \S/);
    expect(ran.stdout).toContain("bad.yaml:1:12: cluster.nam:");
    expect(ran.stdout).toContain("bad.yaml:4:10: workers:");
  });

  it.each([
    ["a mark key that is missing", { marks: { keyFiles: ["/nope/key"] } }, /\/nope\/key: .*\n/],
    ["a mark key that is none", { marks: { keyFiles: ["/dev/null"] } }, /\/dev\/null: .*\n/],
    ["a CA that cannot be read", { caFile: "/nope/ca.crt" }, /the CA file \/nope\/ca\.crt cannot be read\n/],
    [
      "a kubeconfig that cannot be read",
      { kubernetes: { kubeconfig: "/nope/config" } },
      /kubernetes\.kubeconfig: \/nope\/config cannot be read .*ENOENT.*\n/,
    ],
    ["no kubeconfig outside a pod", { kubernetes: {} }, /kubernetes: the pod has no ServiceAccount token; .*\n/],
    [
      "a proxy file that is missing",
      { proxy: { urlFile: "/nope/proxy" } },
      /proxy\.urlFile: \/nope\/proxy cannot be read \(ENOENT\)\n/,
    ],
  ] as const)("%s: one line, exit 1", async (_, more, said) => {
    const { config } = await ports(more);
    const ran = await program.run(["run", "-c", config]);
    expect(ran).toMatchObject({ code: 1, stderr: "" });
    expect(ran.stdout).toMatch(new RegExp(`^${said.source}$`));
  });

  it("a port that is taken: one line, exit 1", async () => {
    const port = Number(new URL(op.scaivault.facts.url).port);
    const { config } = await ports({ health: { address: "127.0.0.1", port } });
    const ran = await program.run(["run", "-c", config]);
    expect(ran).toMatchObject({ code: 1, stdout: `health: cannot listen on 127.0.0.1 port ${port} (EADDRINUSE)\n` });
  });
});

describe("wrong usage", () => {
  it.each([
    [["nope"], "unknown command 'nope'"],
    [["verson"], "Did you mean version?"],
    [["version", "--bogus"], "unknown option '--bogus'"],
    [["validate"], "required option '-f, --filename <file...>'"],
    [["version", "-o", "xml"], "Allowed choices are text, json."],
    [["run", "extra"], "too many arguments"],
  ])("%j: one line, exit 64", async (args, said) => {
    const ran = await program.run(args);
    expect(ran).toMatchObject({ code: 64, stdout: "" });
    expect(ran.stderr).toMatch(/^error: [^\n]*\(--help says more\)\n$/);
    expect(ran.stderr).toContain(said);
  });

  it("--help lists the commands, version prints it; both need nothing", async () => {
    const help = await program.run(["--help"]);
    expect(help).toMatchObject({ code: 0, stderr: "" });
    for (const name of ["run", "validate", "plan", "doctor", "status", "config", "support-bundle", "version"])
      expect(help.stdout).toMatch(new RegExp(`^ {2}${name} `, "m"));
    const version = await program.run(["version", "-o", "json"]);
    expect(JSON.parse(version.stdout)).toEqual({
      version: expect.stringMatching(/^\d+\.\d+\.\d+/) as string,
      node: process.version,
    });
  });
});

const logFields = new Set(
  "level time cluster event kind namespace name backend store path target action reason message hint code detail right method version address count failed ms retryInMs leader".split(
    " ",
  ),
);

describe("run", () => {
  /** It looks at its file every ten seconds of the machine's time: the tests between go on meanwhile. */
  let watching: { readonly config: string; readonly running: Running };
  it("starts with the flags of the image", async () => {
    // It does not get at a lease, so that the others do.
    const kubeconfig = op.env.kube.kubeconfigFor("x", { server: `https://127.0.0.1:${await freePort()}` });
    const { config, health } = await ports({ log: { level: "info" }, kubernetes: { kubeconfig } });
    watching = { config, running: program.start(["run", "-c", config], { flags: ["--disable-sigusr1"] }) };
    await until("alive", async () => (await get(`${health}/livez`)).status === 200, watching.running);
    writeFileSync(config, readFileSync(config, "utf8").replace('"level":"info"', '"level":"error"'));
  });

  it("works, answers probes and metrics without names of objects, logs closed fields, and gives the lease back on SIGTERM", async () => {
    const { config, health, metrics } = await ports();
    const value = op.canaries.value("run value");
    await op.aws.put("run/object-path", JSON.stringify({ value }));
    await op.awsBackend(ns);
    await op.cluster.apply(
      sync(ns, "object-name", {
        source: { backendRef: { name: "aws" }, path: "run/object-path" },
        targets: { kubernetesSecret: { name: "secret-name" }, scaivault: { path: "environments/run/target-path" } },
      }),
    );
    const running = program.start(["run", "-c", config]);
    op.otherTexts.push(() => [
      ["stdout of run", running.stdout()],
      ["stderr of run", running.stderr()],
    ]);
    await until("ready", async () => (await get(`${health}/readyz`)).status === 200, running);
    expect(await get(`${health}/livez`)).toEqual({ status: 200, text: "ok\n" });
    expect((await get(`${health}/nope`)).status).toBe(404);
    await until("copied", async () => (await op.cluster.secretData(ns, "secret-name"))?.["value"] === value, running);
    const lease = async () => {
      const answer = await op.env.kube.request({ path: LEASE });
      return answer.json<{ spec: { holderIdentity?: string } }>().spec.holderIdentity ?? "";
    };
    expect(await lease()).not.toBe("");
    const { text } = await get(`${metrics}/metrics`);
    expect(text).toContain("scaivault_operator_leader 1");
    expect(text).toMatch(
      /^scaivault_operator_objects\{kind="SecretSync",namespace="team-[^"]+",backend="team-[^"]+\/aws",ready="True",reason="InSync"\} 1$/m,
    );
    for (const name of ["object-name", "object-path", "secret-name", "target-path"]) expect(text).not.toContain(name);
    op.otherTexts.push(() => [["metrics", text]]);
    running.child.kill("SIGTERM");
    expect(await running.ended).toMatchObject({ code: 0, signal: null, stderr: "" });
    expect(await lease()).toBe("");
    const lines = running
      .stdout()
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(lines.map(({ event }) => event)).toEqual(expect.arrayContaining(["starting", "target written", "stopped"]));
    for (const line of lines) expect(Object.keys(line).filter((field) => !logFields.has(field))).toEqual([]);
    await op.cluster.delete("SecretSync", ns, "object-name");
    expect((await op.env.kube.request({ path: pathTo("SecretSync", ns, "object-name") })).status).toBe(404);
  });

  it("an API server that cannot be reached: alive, not ready and says why, tries again, ends with 0", async () => {
    const dead = await freePort();
    const kubeconfig = op.env.kube.kubeconfigFor("x", { server: `https://127.0.0.1:${dead}` });
    const { config, health } = await ports({ kubernetes: { kubeconfig } });
    const running = program.start(["run", "-c", config]);
    await until("alive", async () => (await get(`${health}/livez`)).status === 200, running);
    await until("tried again", () => {
      const tries = running
        .stdout()
        .split("\n")
        .filter((line) => line.includes("watch interrupted"));
      return Promise.resolve(tries.length >= 8);
    });
    const ready = await get(`${health}/readyz`);
    expect(ready.status).toBe(503);
    expect(ready.text).toContain("cache not synced (SecretSync)");
    expect(running.stdout()).toContain('"code":"refused"');
    expect(await get(`${health}/livez`)).toEqual({ status: 200, text: "ok\n" });
    running.child.kill("SIGTERM");
    expect(await running.ended).toMatchObject({ code: 0, stderr: "" });
  });

  it("takes a new log level out of the configuration file while it runs; SIGUSR1 opens nothing", async () => {
    const { running } = watching;
    await until("changed", () => Promise.resolve(running.stdout().includes("info to error")), running);
    running.child.kill("SIGUSR1");
    running.child.kill("SIGTERM");
    const ended = await running.ended;
    expect(ended.stderr).not.toContain("Debugger listening");
    // Nothing below the new level: not even that it stopped.
    expect(ended.stdout).not.toContain('"event":"stopped"');
  });
});
