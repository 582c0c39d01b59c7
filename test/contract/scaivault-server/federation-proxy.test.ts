// Proxied paths of the reference server on a real Vault and the AWS emulator.
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startTcpProxy } from "../sources/tcp-proxy.ts";
import { openStage, storeAppRole, type Reply, type Stage } from "./federation-support.ts";

let stage: Stage;
const base = "/v1/federation/backends";
beforeAll(async () => {
  stage = await openStage();
});
afterAll(() => stage.stop());

const get = (path: string, token?: string): Promise<Reply> => stage.call("GET", path, undefined, token);
const secret = (path: string): string => `/v1/secrets/${path}`;

/** Creates a proxied backend on the real Vault. @returns its id */
async function vaultBackend(
  name: string,
  mapping: Record<string, string>,
  config: Record<string, string | boolean> = {},
): Promise<string> {
  const created = await stage.call("POST", base, {
    name,
    type: "hashicorp-vault",
    config: { endpoint: "https://vault.internal:8200", auth_method: "approle", ...config },
    path_mapping: mapping,
    mode: "proxy",
  });
  expect(created.status, created.text).toBe(201);
  return String(created.json["id"]);
}

describe("KV v2", () => {
  const mount = "kv-proxy";
  let id = "";
  beforeAll(async () => {
    const { vault } = stage.environment;
    await vault.enableKv(mount, 2);
    await vault.put(mount, "apps/db", { n: 1 });
    await storeAppRole(stage, mount, "infra/proxy");
    id = await vaultBackend("kv2", { "ext/kv2/**": `${mount}/data/**` }, { auth_config_path: "infra/proxy" });
  });

  it("is read live, as Vault spells it, and nothing is stored", async () => {
    const { vault } = stage.environment;
    const raw = '{"data":{"big":12345678901234567890,"text":"x \\u00fc","nested":{"a":[1,2.50]}}}';
    expect((await vault.request("POST", `${mount}/data/apps/db`, raw)).status).toBe(200);
    const reply = await get(secret("ext/kv2/apps/db"));
    expect(reply.status).toBe(200);
    // KV v2 itself keeps numbers as floats, so Vault's own answer is the measure.
    const told = /"data":(\{"big".*?\}\}?),"metadata"/.exec(
      (await vault.request("GET", `${mount}/data/apps/db`)).text,
    )?.[1];
    expect(told).toContain("1234567890123456");
    expect(reply.text).toContain(`"data":${told}`);
    expect(reply.json).toMatchObject({ path: "ext/kv2/apps/db", version: 2, secret_type: "json", metadata: {} });
    await vault.put(mount, "apps/db", { n: 3 });
    expect((await get(secret("ext/kv2/apps/db"))).json).toMatchObject({ version: 3, data: { n: 3 } });
    expect((await get(`${secret("ext/kv2/apps/db")}?version=1`)).json).toMatchObject({ version: 1, data: { n: 1 } });
    expect(await get(`${secret("ext/kv2/apps/db")}?version=9`)).toMatchObject({
      status: 404,
      code: "version_not_found",
    });
    expect(stage.server.admin.peek("ext/kv2/apps/db")).toBeUndefined();
  });

  it("has metadata and versions", async () => {
    expect((await get(`${secret("ext/kv2/apps/db")}/metadata`)).json).toMatchObject({
      path: "ext/kv2/apps/db",
      version: 3,
      version_count: 3,
      metadata: {},
      created_at: expect.stringMatching(/Z$/),
    });
    const versions = (await get(`${secret("ext/kv2/apps/db")}/versions`)).json["versions"];
    expect(versions).toMatchObject([{ version: 3 }, { version: 2 }, { version: 1 }]);
  });

  it("a secret that is deleted, destroyed or was never there is not found", async () => {
    const { vault } = stage.environment;
    await vault.put(mount, "gone/soft", { a: "1" });
    await vault.delete(mount, "gone/soft");
    for (const path of ["ext/kv2/gone/soft", "ext/kv2/gone/never", "ext/kv2/gone"]) {
      expect(await get(secret(path))).toMatchObject({ status: 404, code: "secret_not_found" });
      expect(await get(`${secret(path)}/metadata`)).toMatchObject({ status: 404, code: "secret_not_found" });
    }
  });

  it("is listed live beside stored secrets, in order, in pages, without what is no ScaiVault path", async () => {
    const { vault } = stage.environment;
    for (const path of ["list/b", "list/folder/c", "list/UPPER", "list/a.b"]) await vault.put(mount, path, { a: "1" });
    stage.server.admin.write("ext/kv1-like", { data: { a: "1" } });
    const paths = (reply: Reply): string[] => (reply.json["secrets"] as { path: string }[]).map(({ path }) => path);
    const all = await get("/v1/secrets?prefix=ext/kv2/list/");
    expect(paths(all)).toEqual(["ext/kv2/list/b", "ext/kv2/list/folder/c"]);
    expect(all.json["secrets"]).toMatchObject([{ version: 1 }, { version: 1 }]);
    const first = await get("/v1/secrets?prefix=ext/&limit=2");
    expect([paths(first), first.json["has_more"]]).toEqual([["ext/kv1-like", "ext/kv2/apps/db"], true]);
    const second = await get(
      `/v1/secrets?prefix=ext/&limit=50&cursor=${encodeURIComponent(String(first.json["cursor"]))}`,
    );
    expect(paths(second).slice(-2)).toEqual(["ext/kv2/list/b", "ext/kv2/list/folder/c"]);
    expect(second.json["has_more"]).toBe(false);
  });

  it("is in batches, checked by policy path by path; each value leaves a row", async () => {
    const token = stage.server.admin.createToken({
      identity: "sa:batch",
      scopes: ["secrets:read", "secrets:list"],
      rules: [{ path_pattern: "ext/kv2/list/**", permissions: ["read", "list"] }],
    });
    const body = {
      paths: ["ext/kv2/list/b", "ext/kv2/apps/db", "ext/kv2/list/none"],
      options: { include_metadata: true },
    };
    const read = await stage.call("POST", "/v1/secrets/batch", body, token);
    expect(read.json).toMatchObject({
      secrets: { "ext/kv2/list/b": { data: { a: "1" }, version: 1, metadata: {} } },
      errors: { "ext/kv2/apps/db": { code: "access_denied" }, "ext/kv2/list/none": { code: "secret_not_found" } },
    });
    const wild = { paths: ["ext/kv2/**"], options: { expand_wildcards: true } };
    const metadata = await stage.call("POST", "/v1/secrets/batch/metadata", wild, token);
    expect(Object.keys(metadata.json["secrets"] as object)).toEqual(["ext/kv2/list/b", "ext/kv2/list/folder/c"]);
    const named = await stage.call("POST", "/v1/secrets/batch/metadata", { paths: ["ext/kv2/list/b"] }, token);
    expect(named.json["secrets"]).toMatchObject({ "ext/kv2/list/b": { version: 1 } });
    expect(await get(secret("ext/kv2/apps/db"), token)).toMatchObject({ status: 403, code: "access_denied" });
    expect((await get("/v1/secrets?prefix=ext/kv2/", token)).json["secrets"]).toHaveLength(2);
    const rows = await get("/v1/audit/logs?identity_id=sa:batch&action=read");
    expect(
      (rows.json["logs"] as { secret_path: string; success: boolean }[])
        .map((row) => [row.secret_path, row.success])
        .sort(),
    ).toEqual([
      ["ext/kv2/apps/db", false],
      ["ext/kv2/apps/db", false],
      ["ext/kv2/list/b", true],
      ["ext/kv2/list/none", false],
    ]);
  });

  it("takes no writes, and hides what is stored at its paths", async () => {
    stage.server.admin.write("ext/kv2/apps/hidden", { data: { local: "1" } });
    expect((await get(secret("ext/kv2/apps/hidden"))).code).toBe("secret_not_found");
    expect((await get("/v1/secrets?prefix=ext/kv2/apps/")).json["secrets"]).toMatchObject([
      { path: "ext/kv2/apps/db" },
    ]);
    const mark = stage.environment.vault.auditMark();
    for (const [method, body] of [
      ["PUT", { data: {} }],
      ["PATCH", { metadata: {} }],
      ["DELETE", undefined],
    ] as const)
      expect(await stage.call(method, secret("ext/kv2/apps/db"), body)).toMatchObject({
        status: 403,
        code: "federated_path_read_only",
        json: { error: { details: { backend: id } } },
      });
    expect(stage.environment.vault.readAudit({ since: mark })).toEqual([]);
    stage.server.admin.remove("ext/kv2/apps/hidden", { permanent: true });
  });

  it("costs one call a read, after one login", async () => {
    const before = stage.server.admin.federationCalls()["kv2"]!;
    const mark = stage.environment.vault.auditMark();
    for (let time = 0; time < 3; time++) await get(secret("ext/kv2/apps/db"));
    expect(stage.environment.vault.readAudit({ since: mark })).toHaveLength(3);
    const after = stage.server.admin.federationCalls()["kv2"]!;
    expect([after.read - before.read, after.login, before.login]).toEqual([3, 1, 1]);
  });

  it("takes new credentials without anybody's help, and says when they are refused", async () => {
    const { vault } = stage.environment;
    const good = JSON.parse(stage.server.admin.peek("infra/proxy")!.data) as object;
    stage.server.admin.write("infra/proxy", { data: { role_id: "canary-none", secret_id: "canary-none" } });
    const refused = await get(secret("ext/kv2/apps/db"));
    expect(refused).toMatchObject({
      status: 502,
      code: "backend_error",
      json: { error: { details: { backend: id, reason: "credentials_refused" } } },
    });
    expect((await get(`${base}/${id}/status`)).json).toMatchObject({
      status: "unhealthy",
      connection: { status: "error", latency_ms: null },
      last_error: "credentials_refused",
    });
    stage.server.admin.remove("infra/proxy");
    expect((await get(secret("ext/kv2/apps/db"))).json).toMatchObject({
      error: { details: { reason: "credentials_missing" } },
    });
    stage.server.admin.remove("infra/proxy", { permanent: true });
    stage.server.admin.write("infra/proxy", { data: good });
    expect((await get(secret("ext/kv2/apps/db"))).status).toBe(200);
    // A revoked token is replaced in the middle of a read.
    await vault.request("POST", "auth/approle/tidy/secret-id");
    const accessors = (await vault.request("LIST", "auth/token/accessors")).json() as { data: { keys: string[] } };
    for (const accessor of accessors.data.keys) {
      const found = (await vault.request("POST", "auth/token/lookup-accessor", { accessor })).json() as {
        data?: { policies?: string[] };
      };
      if (found.data?.policies?.includes(`federation-${mount}`) === true)
        await vault.request("POST", "auth/token/revoke-accessor", { accessor });
    }
    expect((await get(secret("ext/kv2/apps/db"))).status).toBe(200);
    expect((await get(`${base}/${id}/status`)).json).toMatchObject({
      status: "healthy",
      connection: { status: "connected", latency_ms: expect.any(Number) },
      last_error: null,
    });
  });
});

describe("other ways into Vault", () => {
  it("KV v1 by token; a path without rights is a refusal, not an absence", async () => {
    const { vault } = stage.environment;
    await vault.enableKv("kv1-proxy", 1);
    await vault.put("kv1-proxy", "a/b", { data: "x", n: "1" });
    await vault.request("POST", "kv1-proxy/a/numbers", '{"big":12345678901234567890,"point":2.50,"ten":1e1}');
    await vault.writePolicy("kv1-proxy", 'path "kv1-proxy/a/*" { capabilities = ["read", "list"] }');
    const token = await vault.createToken({ policies: ["kv1-proxy"] });
    stage.server.admin.write("infra/token", { data: { token } });
    await vaultBackend(
      "kv1",
      { "ext/kv1/**": "kv1-proxy/**" },
      { auth_method: "token", auth_config_path: "infra/token" },
    );
    expect((await get(secret("ext/kv1/a/b"))).json).toMatchObject({ data: { data: "x", n: "1" }, version: 1 });
    expect((await get(secret("ext/kv1/a/numbers"))).text).toContain(
      '"data":{"big":12345678901234567890,"point":2.50,"ten":1e1}',
    );
    expect((await get(`${secret("ext/kv1/a/b")}/metadata`)).json).toMatchObject({ version: 1, version_count: 1 });
    expect((await get(`${secret("ext/kv1/a/b")}?version=2`)).code).toBe("version_not_found");
    expect((await get(secret("ext/kv1/a/none"))).code).toBe("secret_not_found");
    expect(await get(secret("ext/kv1/other"))).toMatchObject({
      status: 502,
      json: { error: { code: "backend_error", details: { reason: "access_denied" } } },
    });
    // The mount's root may not be listed: what the backend does not show is left out.
    expect((await get("/v1/secrets?prefix=ext/kv1/")).json["secrets"]).toEqual([]);
    expect((await get(`${base}`)).json["backends"]).toMatchObject([
      { name: "kv1", status: "healthy" },
      { name: "kv2" },
    ]);
  });

  it("a mount that is not there is a failure, not an absence", async () => {
    stage.server.admin.write("infra/root", { data: { token: stage.environment.vault.facts.rootToken } });
    await vaultBackend(
      "nomount",
      { "ext/nomount/**": "nowhere/data/**" },
      { auth_method: "token", auth_config_path: "infra/root" },
    );
    expect(await get(secret("ext/nomount/a"))).toMatchObject({
      status: 502,
      json: { error: { details: { reason: "not_found" } } },
    });
    expect(await get("/v1/secrets?prefix=ext/nomount/")).toMatchObject({ status: 502 });
  });

  it("checks the certificate: by the given CA, by the server's own trust, or not at all when told so", async () => {
    const { vault, authority } = stage.environment;
    const url = vault.facts.url;
    await stage.server.admin.setFederationNetwork({});
    try {
      const config = { endpoint: url, auth_method: "token", auth_config_path: "infra/root" };
      const status = async (name: string, more: Record<string, string | boolean>): Promise<unknown> => {
        const id = await vaultBackend(name, { [`ext/${name}/**`]: "kv-proxy/data/**" }, { ...config, ...more });
        const { json } = await get(`${base}/${id}/status`);
        return [json["status"], json["last_error"]];
      };
      expect(await status("distrusted", {})).toEqual(["unhealthy", "tls_failed"]);
      expect(await status("own-ca", { ca_cert_pem: readFileSync(vault.facts.caFile, "utf8") })).toEqual([
        "healthy",
        null,
      ]);
      expect(await status("unverified", { tls_verify: false })).toEqual(["healthy", null]);
    } finally {
      await stage.server.admin.setFederationNetwork({ ...stage.options.federation, ca: authority.cert });
    }
  });

  it("sends the namespace, and never follows a redirect with its credentials", async () => {
    const seen: { url: string; namespace: unknown; token: unknown }[] = [];
    let location = "";
    const front = createServer((request, response) => {
      seen.push({
        url: request.url ?? "",
        namespace: request.headers["x-vault-namespace"],
        token: request.headers["x-vault-token"],
      });
      if (location === "")
        response
          .writeHead(200, { "content-type": "application/json" })
          .end('{"data":{"data":{"a":"1"},"metadata":{"version":7}}}');
      else response.writeHead(307, { location }).end();
    });
    await new Promise<void>((resolve) => front.listen(0, "127.0.0.1", resolve));
    const url = `http://127.0.0.1:${(front.address() as AddressInfo).port}`;
    stage.server.admin.write("infra/canary", { data: { token: "hvs.canary-token" } });
    await vaultBackend(
      "namespaced",
      { "ext/namespaced/**": "kv/data/**" },
      { endpoint: url, auth_method: "token", auth_config_path: "infra/canary", namespace: "acme/finance" },
    );
    expect((await get(secret("ext/namespaced/x"))).json).toMatchObject({ version: 7, data: { a: "1" } });
    expect(seen.every(({ namespace }) => namespace === "acme/finance")).toBe(true);
    seen.length = 0;
    location = `${url}/stolen`;
    const reply = await get(secret("ext/namespaced/x"));
    expect(reply).toMatchObject({ status: 502, json: { error: { details: { reason: "bad_answer" } } } });
    expect(reply.text).not.toContain("canary");
    expect(seen.map(({ url: path }) => path)).toEqual(["/v1/kv/data/x"]);
    front.closeAllConnections();
    front.close();
  });

  it("a Vault that hangs or resets is away: 503 in time, and well again when it is back", async () => {
    const { vault } = stage.environment;
    const way = await startTcpProxy(Number(new URL(vault.facts.url).port));
    await stage.server.admin.setFederationNetwork({ ...stage.options.federation, timeoutMs: 400 });
    const id = await vaultBackend(
      "shaky",
      { "ext/shaky/**": "kv-proxy/data/**" },
      { endpoint: `https://127.0.0.1:${way.port}`, auth_method: "token", auth_config_path: "infra/root" },
    );
    expect((await get(secret("ext/shaky/apps/db"))).status).toBe(200);
    way.hang(true);
    expect(await get(secret("ext/shaky/apps/db"))).toMatchObject({
      status: 503,
      json: { error: { details: { backend: id, reason: "timeout" } } },
    });
    const batch = await stage.call("POST", "/v1/secrets/batch", { paths: ["ext/shaky/apps/db", "ext/kv2/apps/db"] });
    expect(batch.json).toMatchObject({
      secrets: { "ext/kv2/apps/db": { version: 3 } },
      errors: { "ext/shaky/apps/db": { code: "service_unavailable" } },
    });
    expect((await get(`${base}/${id}/status`)).json).toMatchObject({
      status: "unhealthy",
      connection: { status: "disconnected" },
      last_error: "timeout",
    });
    way.hang(false);
    way.reset(true);
    expect(await get(secret("ext/shaky/apps/db"))).toMatchObject({
      status: 503,
      json: { error: { details: { reason: "unreachable" } } },
    });
    way.reset(false);
    expect((await get(secret("ext/shaky/apps/db"))).status).toBe(200);
    expect((await get(`${base}/${id}/status`)).json).toMatchObject({ status: "healthy" });
    await way.close();
    await stage.call("DELETE", `${base}/${id}`);
  });
});

describe("AWS Secrets Manager", () => {
  it("is read live with AWS's own host name, by keys of ScaiVault's; one call a read", async () => {
    await stage.aws("CreateSecret", {
      Name: "live/app/json",
      SecretString: '{"n":1.0}',
      Tags: [{ Key: "team", Value: "billing" }],
    });
    await stage.aws("CreateSecret", { Name: "live/app/text", SecretString: "canary plain" });
    stage.server.admin.write("infra/aws", { data: { access_key_id: "AKIALIVE", secret_access_key: "canary-key" } });
    stage.asm.setKeys([
      { accessKeyId: "AKIALIVE", secretAccessKey: "canary-key", principalArn: "arn:aws:iam::1:user/a" },
    ]);
    const created = await stage.call("POST", base, {
      name: "aws",
      type: "aws-secrets-manager",
      config: { region: "us-east-1", credentials_path: "infra/aws" },
      path_mapping: { "ext/aws/**": "live/**" },
      mode: "proxy",
    });
    expect(created.json).toMatchObject({ status: "healthy" });
    stage.asm.resetCounts();
    const read = await get(secret("ext/aws/app/json"));
    expect(read.text).toContain('"data":{"n":1.0}');
    expect(read.json).toMatchObject({ version: 1, secret_type: "json" });
    expect(stage.asm.calls().map(({ action }) => action)).toEqual(["GetSecretValue"]);
    expect((await get(secret("ext/aws/app/text"))).json).toMatchObject({
      data: { value: "canary plain" },
      secret_type: "kv",
    });
    expect((await get(`${secret("ext/aws/app/json")}/metadata`)).json).toMatchObject({
      metadata: { tags: ["team=billing"] },
    });
    expect((await get("/v1/secrets?prefix=ext/aws/")).json["secrets"]).toMatchObject([
      { path: "ext/aws/app/json", metadata: { tags: ["team=billing"] } },
      { path: "ext/aws/app/text" },
    ]);
    expect((await get(secret("ext/aws/none"))).code).toBe("secret_not_found");
  });

  it.each<[string, Parameters<Stage["asm"]["addFault"]>[0], number, string]>([
    ["throttling", { kind: "throttle" }, 503, "throttled"],
    ["its own failure", { kind: "error", status: 500 }, 503, "unavailable"],
    ["a reset", { kind: "reset" }, 503, "unreachable"],
    ["missing rights", { kind: "deny" }, 502, "access_denied"],
    ["refused keys", { kind: "error", status: 400, code: "UnrecognizedClientException" }, 502, "credentials_refused"],
  ])("%s", async (_name, fault, status, reason) => {
    stage.asm.addFault(fault);
    const reply = await get(secret("ext/aws/app/json"));
    stage.asm.clearFaults();
    expect(reply).toMatchObject({ status, json: { error: { details: { reason } } } });
    expect(reply.text).not.toContain("canary");
  });
});
