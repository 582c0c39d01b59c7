// The reference server as people start it: a process of its own, asked by the conformance command, restarted with its data.
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createAuthority } from "../../../local/certificates.ts";
import { testEnvironment } from "../../support/environment.ts";

const root = join(import.meta.dirname, "../../..");
let folder = "";
let running: ChildProcess | undefined;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "scaivault-alone-"));
});
afterEach(async () => {
  await stop("SIGTERM");
  rmSync(folder, { recursive: true, force: true });
});

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a command of the project to its end. */
function run(script: string, args: readonly string[]): Promise<Ended> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [script, ...args], { cwd: root, stdio: ["ignore", "pipe", "pipe"] });
    let stdout = "";
    let stderr = "";
    child.stdout.on("data", (chunk: Buffer) => (stdout += chunk.toString()));
    child.stderr.on("data", (chunk: Buffer) => (stderr += chunk.toString()));
    child.on("close", (code) => resolve({ code, stdout, stderr }));
  });
}

interface Announcement {
  readonly url: string;
  readonly tokenFile: string;
}

/** Starts the server and waits for its line. */
function startAlone(args: readonly string[] = []): Promise<Announcement> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, ["scaivault-server/main.ts", "--port", "0", "--json", ...args], {
      cwd: root,
      stdio: ["ignore", "pipe", "inherit"],
    });
    running = child;
    let text = "";
    child.stdout.on("data", (chunk: Buffer) => {
      text += chunk.toString();
      if (text.includes("\n")) resolve(JSON.parse(text) as Announcement);
    });
    child.on("close", (code) => reject(new Error(`the server ended with ${code}`)));
  });
}

/** Ends the server. @returns its exit code. */
function stop(signal: NodeJS.Signals): Promise<number | null> {
  const child = running;
  running = undefined;
  if (child === undefined || child.exitCode !== null) return Promise.resolve(null);
  return new Promise((resolve) => {
    child.once("close", (code) => resolve(code));
    child.kill(signal);
  });
}

const get = (server: Announcement, path: string): Promise<Response> =>
  fetch(server.url + path, {
    headers: { authorization: `Bearer ${readFileSync(server.tokenFile, "utf8").trim()}` },
  });

describe("npm run scaivault and npm run conformance", () => {
  it("all facts hold, over a data file, and nothing is left behind", async () => {
    const server = await startAlone(["--data", join(folder, "data.sqlite")]);
    const args = ["--url", server.url, "--token-file", server.tokenFile, "--prefix", "scratch/"];
    const ended = await run("scaivault-server/conformance/main.ts", [...args, "--json"]);
    const report = JSON.parse(ended.stdout) as {
      ok: boolean;
      results: { kind: string; outcome: string; id: string }[];
    };
    expect(report.results.filter(({ outcome }) => outcome === "does not hold")).toEqual([]);
    expect(report.results.filter(({ outcome }) => outcome === "holds").length).toBeGreaterThan(60);
    expect([ended.code, report.ok]).toEqual([0, true]);
    expect(await (await get(server, "/v1/secrets?prefix=scratch/")).json()).toMatchObject({ secrets: [] });
    const token = readFileSync(server.tokenFile, "utf8").trim();
    expect(ended.stdout + ended.stderr).not.toContain(token);
  });

  it("conformance ends with 1 for a refused token, an absent server and a bad prefix", async () => {
    const server = await startAlone();
    const bad = join(folder, "bad-token");
    writeFileSync(bad, "skt_not-a-token");
    const conformance = (url: string, file: string, prefix: string): Promise<Ended> =>
      run("scaivault-server/conformance/main.ts", ["--url", url, "--token-file", file, "--prefix", prefix]);
    const refused = await conformance(server.url, bad, "scratch/");
    expect([refused.code, refused.stderr]).toEqual([1, "conformance: the token is not accepted: token_invalid\n"]);
    const absent = await conformance("http://127.0.0.1:1", server.tokenFile, "scratch/");
    expect([absent.code, absent.stderr]).toEqual([1, "conformance: ECONNREFUSED\n"]);
    expect((await conformance(server.url, server.tokenFile, "/")).code).toBe(1);
  });

  it("keeps its data over SIGKILL, makes a new token, and cleans up at the end", async () => {
    const data = join(folder, "data.sqlite");
    const first = await startAlone(["--data", data]);
    const token = readFileSync(first.tokenFile, "utf8").trim();
    expect(statSync(first.tokenFile).mode & 0o077).toBe(0);
    const written = await fetch(`${first.url}/v1/secrets/a/b`, {
      method: "PUT",
      headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
      body: '{"data":{"n":1.0},"secret_type":"json"}',
    });
    expect(written.status).toBe(201);
    await stop("SIGKILL");
    rmSync(dirname(first.tokenFile), { recursive: true });

    const second = await startAlone(["--data", data]);
    expect(readFileSync(second.tokenFile, "utf8").trim()).not.toBe(token);
    expect(await (await get(second, "/v1/secrets/a/b")).text()).toContain('"data":{"n":1.0}');
    expect(await stop("SIGTERM")).toBe(0);
    expect(existsSync(dirname(second.tokenFile))).toBe(false);
  });

  it("backs up and restores a data file by command", async () => {
    const data = join(folder, "data.sqlite");
    const file = join(folder, "backup.json");
    const first = await startAlone(["--data", data]);
    const write = (value: string): Promise<Response> =>
      fetch(`${first.url}/v1/secrets/a/b`, {
        method: "PUT",
        headers: {
          authorization: `Bearer ${readFileSync(first.tokenFile, "utf8").trim()}`,
          "content-type": "application/json",
        },
        body: JSON.stringify({ data: { value } }),
      });
    expect((await write("one")).status).toBe(201);
    // A backup may be taken while the server runs, a restore not.
    expect(await run("scaivault-server/main.ts", ["backup", file, "--data", data])).toMatchObject({ code: 0 });
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect((await write("two")).status).toBe(200);
    const refused = await run("scaivault-server/main.ts", ["restore", file, "--data", data]);
    expect([refused.code, refused.stderr]).toEqual([1, expect.stringContaining("a server uses the data file")]);
    await stop("SIGTERM");
    expect(await run("scaivault-server/main.ts", ["restore", file, "--data", data])).toMatchObject({ code: 0 });
    const second = await startAlone(["--data", data]);
    expect(await (await get(second, "/v1/secrets/a/b")).json()).toMatchObject({ version: 1, data: { value: "one" } });
  });

  it("speaks HTTPS, and conformance checks the certificate", async () => {
    const authority = createAuthority("test");
    const { cert, key } = authority.issue({ commonName: "scaivault", names: ["127.0.0.1"] });
    const files = { cert, key, ca: authority.cert };
    for (const [name, pem] of Object.entries(files)) writeFileSync(join(folder, name), pem, { mode: 0o600 });
    const server = await startAlone(["--tls-cert", join(folder, "cert"), "--tls-key", join(folder, "key")]);
    expect(server.url).toMatch(/^https:/);
    const args = ["--url", server.url, "--token-file", server.tokenFile, "--prefix", "scratch/"];
    const trusted = await run("scaivault-server/conformance/main.ts", [...args, "--ca", join(folder, "ca")]);
    expect(trusted.code).toBe(0);
    expect(trusted.stdout).toMatch(/facts: \d+ hold, 0 do not hold/);
    const distrusted = await run("scaivault-server/conformance/main.ts", args);
    expect(distrusted.code).toBe(1);
    expect(distrusted.stderr).toMatch(/^conformance: [A-Z_]+\n$/);
  });

  it("reaches federated stores by their real names, through an override and an authority of their own", async () => {
    const { vault, facts } = testEnvironment();
    await vault.enableKv("kv-alone", 2);
    await vault.put("kv-alone", "app/db", { password: "canary" });
    const flags = ["--endpoint-override", `vault.internal=${vault.facts.url}`, "--federation-ca", facts.caFile];
    const server = await startAlone(flags);
    const send = (method: string, path: string, body: object): Promise<Response> =>
      fetch(server.url + path, {
        method,
        headers: {
          authorization: `Bearer ${readFileSync(server.tokenFile, "utf8").trim()}`,
          "content-type": "application/json",
        },
        body: JSON.stringify(body),
      });
    await send("PUT", "/v1/secrets/infra/vault", { data: { token: vault.facts.rootToken } });
    const created = await send("POST", "/v1/federation/backends", {
      name: "vault",
      type: "hashicorp-vault",
      config: { endpoint: "https://vault.internal:8200", auth_method: "token", auth_config_path: "infra/vault" },
      path_mapping: { "external/**": "kv-alone/data/**" },
      mode: "proxy",
    });
    expect(await created.json()).toMatchObject({ status: "healthy" });
    expect(await (await get(server, "/v1/secrets/external/app/db")).json()).toMatchObject({
      data: { password: "canary" },
    });
    const bad = await run("scaivault-server/main.ts", ["--port", "0", "--endpoint-override", "vault.internal"]);
    expect([bad.code, bad.stderr]).toEqual([1, expect.stringContaining("a host name, =, and a URL")]);
  });

  it("refuses an address that others can reach", async () => {
    const ended = await run("scaivault-server/main.ts", ["--host", "0.0.0.0", "--port", "0"]);
    expect(ended.code).toBe(1);
    expect(ended.stderr).toContain("--i-know");
  });
});
