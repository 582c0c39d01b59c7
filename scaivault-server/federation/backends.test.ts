// The endpoints of backends, as far as they need no store that answers.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { VirtualClock } from "../../src/time/clock.ts";
import { startServer } from "../server.ts";
import type { ScaiVaultServer, ServerOptions } from "../server.ts";

let clock: VirtualClock;
let server: ScaiVaultServer;
const base = "/v1/federation/backends";

async function start(options: ServerOptions = {}): Promise<void> {
  server = await startServer({ clock, jwtAlgorithm: "ES256", limits: { federation: Infinity }, ...options });
  if (server.admin.peek("infra/approle") !== undefined) return;
  server.admin.write("infra/approle", { data: { role_id: "canary-role", secret_id: "canary-secret-id" } });
  server.admin.write("infra/keys", { data: { access_key_id: "AKIA", secret_access_key: "canary-key" } });
}
beforeEach(() => {
  clock = new VirtualClock();
  return start();
});
afterEach(() => server.stop());

interface Reply {
  readonly status: number;
  readonly code: string | undefined;
  readonly fields: Record<string, string>;
  readonly json: Record<string, unknown>;
  readonly headers: Headers;
}

async function call(method: string, path: string, body?: unknown, token = server.token): Promise<Reply> {
  const response = await fetch(server.url + path, {
    method,
    headers: {
      authorization: `Bearer ${token}`,
      ...(body === undefined ? {} : { "content-type": "application/json" }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  expect(text).not.toContain("canary");
  const json = (text === "" ? {} : JSON.parse(text)) as Record<string, unknown>;
  const error = json["error"] as { code?: string; details?: { fields?: Record<string, string> } } | undefined;
  return {
    status: response.status,
    code: error?.code,
    fields: error?.details?.fields ?? {},
    json,
    headers: response.headers,
  };
}

/** Nobody listens at port 1. */
const vault = { endpoint: "https://127.0.0.1:1", auth_method: "approle", auth_config_path: "infra/approle" };
const proxy = (more: object = {}): object => ({
  name: "vault",
  type: "hashicorp-vault",
  config: vault,
  path_mapping: { "external/vault/**": "kv/data/**" },
  mode: "proxy",
  ...more,
});
const sync = (more: object = {}): object => ({
  name: "aws",
  type: "aws-secrets-manager",
  config: { region: "us-east-1", credentials_path: "infra/keys", endpoint: "http://127.0.0.1:1" },
  path_mapping: { "external/aws/**": "prod/**" },
  mode: "sync",
  sync_interval: "15m",
  ...more,
});

describe("a backend", () => {
  it("is created though it cannot be reached, and says so", async () => {
    const { status, json } = await call("POST", base, proxy());
    expect(status).toBe(201);
    expect(json).toEqual({
      ...proxy(),
      id: expect.stringMatching(/^fed_[0-9a-f]{18}$/),
      sync_interval: null,
      conflict_resolution: "remote_wins",
      status: "unhealthy",
      created_at: "2026-01-01T00:00:00.000Z",
      updated_at: "2026-01-01T00:00:00.000Z",
    });
    const id = String(json["id"]);
    expect((await call("GET", `${base}/${id}`)).json).toEqual(json);
    expect((await call("GET", `${base}/${id}/status`)).json).toEqual({
      id,
      name: "vault",
      status: "unhealthy",
      last_sync: null,
      last_sync_duration_ms: null,
      secrets_synced: 0,
      secrets_skipped: 0,
      secrets_failed: 0,
      conflicts: 0,
      connection: { status: "disconnected", latency_ms: null },
      last_error: "unreachable",
    });
    expect(await call("GET", "/v1/secrets/external/vault/a")).toMatchObject({
      status: 503,
      code: "service_unavailable",
      json: { error: { details: { backend: id, reason: "unreachable" } } },
    });
    expect(await call("GET", "/v1/secrets?prefix=external/")).toMatchObject({ status: 503 });
    expect(await call("GET", "/v1/secrets?prefix=infra/")).toMatchObject({ status: 200 });
    expect(await call("POST", `${base}/${id}/sync`)).toMatchObject({ status: 400, code: "invalid_request" });
  });

  it("in sync mode tries, says why it did not work, and tries again an interval later", async () => {
    const { json } = await call("POST", base, sync());
    await server.admin.syncsIdle();
    const id = String(json["id"]);
    expect((await call("GET", `${base}/${id}/status`)).json).toMatchObject({
      status: "unhealthy",
      last_sync: null,
      last_error: "unreachable",
    });
    const tried = (): number => server.admin.federationCalls()["aws"]!.list;
    expect(tried()).toBe(1);
    await clock.advance(899_999);
    await server.admin.syncsIdle();
    expect(tried()).toBe(1);
    await clock.advance(1);
    await server.admin.syncsIdle();
    expect(tried()).toBe(2);
    expect((await call("POST", `${base}/${id}/sync`)).json).toMatchObject({ status: "running" });
    await server.admin.syncsIdle();
    expect(tried()).toBe(3);
    const logs = await call("GET", "/v1/audit/logs?action=federation_sync&identity_id=system:federation-sync");
    expect(logs.json["logs"]).toMatchObject(
      Array.from({ length: 3 }, () => ({ success: false, extra_data: { operation: "sync", code: "unreachable" } })),
    );
  });

  it("takes writes to its paths when they are its own only: proxy and remote_wins refuse them", async () => {
    await call("POST", base, proxy());
    const { json } = await call("POST", base, sync({ conflict_resolution: "manual" }));
    const body = { data: { a: "1" } };
    for (const [method, path] of [
      ["PUT", "external/vault/a"],
      ["PATCH", "external/vault/a"],
      ["DELETE", "external/vault/a"],
    ] as const)
      expect(await call(method, `/v1/secrets/${path}`, method === "DELETE" ? undefined : body)).toMatchObject({
        status: 403,
        code: "federated_path_read_only",
      });
    expect((await call("PUT", "/v1/secrets/external/aws/a", body)).status).toBe(201);
    await call("PATCH", `${base}/${String(json["id"])}`, { conflict_resolution: "backend_wins" });
    expect(await call("PUT", "/v1/secrets/external/aws/a", body)).toMatchObject({ code: "federated_path_read_only" });
    expect((await call("PUT", "/v1/secrets/external/other", body)).status).toBe(201);
  });
});

describe("bodies that are refused", () => {
  it.each<[string, object, number, string, string]>([
    ["no name", proxy({ name: undefined }), 422, "validation_error", "name"],
    ["a name with a space", proxy({ name: "a b" }), 422, "validation_error", "name"],
    ["an unknown type", proxy({ type: "vault" }), 422, "validation_error", "type"],
    ["a type that is not read here", proxy({ type: "azure-key-vault" }), 400, "invalid_config", "type"],
    ["an unknown mode", proxy({ mode: "push" }), 422, "validation_error", "mode"],
    ["an interval in proxy mode", proxy({ sync_interval: "1h" }), 422, "validation_error", "sync_interval"],
    ["no interval in sync mode", sync({ sync_interval: undefined }), 422, "validation_error", "sync_interval"],
    ["an interval below a minute", sync({ sync_interval: "59s" }), 422, "validation_error", "sync_interval"],
    ["an interval above a day", sync({ sync_interval: "25h" }), 422, "validation_error", "sync_interval"],
    ["an unknown resolution", sync({ conflict_resolution: "newest" }), 422, "validation_error", "conflict_resolution"],
    ["write-through", sync({ write_mode: "write_through" }), 422, "validation_error", "write_mode"],
    ["no mapping", proxy({ path_mapping: {} }), 422, "validation_error", "path_mapping"],
    ["a bad pattern", proxy({ path_mapping: { "a/*": "b/*" } }), 422, "validation_error", "path_mapping.a/*"],
    ["a template without mount", proxy({ path_mapping: { "a/**": "**" } }), 422, "validation_error", "path_mapping"],
    [
      "its own credentials",
      proxy({ path_mapping: { "infra/**": "kv/data/**" } }),
      422,
      "validation_error",
      "path_mapping",
    ],
    ["an inline credential", proxy({ config: { ...vault, token: "hvs.canary" } }), 400, "invalid_config", "token"],
    [
      "another auth method",
      proxy({ config: { ...vault, auth_method: "kubernetes" } }),
      400,
      "invalid_config",
      "auth_method",
    ],
    [
      "plain http",
      proxy({ config: { ...vault, endpoint: "http://vault.internal" } }),
      400,
      "invalid_config",
      "endpoint",
    ],
    [
      "a metadata service",
      proxy({ config: { ...vault, endpoint: "https://169.254.169.254" } }),
      400,
      "invalid_config",
      "endpoint",
    ],
    ["user info", proxy({ config: { ...vault, endpoint: "https://u:p@vault" } }), 400, "invalid_config", "endpoint"],
    [
      "a path in the endpoint",
      proxy({ config: { ...vault, endpoint: "https://vault/v1" } }),
      400,
      "invalid_config",
      "endpoint",
    ],
    ["a CA that is none", proxy({ config: { ...vault, ca_cert_pem: "x" } }), 400, "invalid_config", "ca_cert_pem"],
    ["a text for a yes", proxy({ config: { ...vault, tls_verify: "no" } }), 400, "invalid_config", "tls_verify"],
    [
      "a bad region",
      sync({ config: { region: "moon", credentials_path: "infra/keys" } }),
      400,
      "invalid_config",
      "region",
    ],
    ["the role of the host", sync({ config: { region: "us-east-1" } }), 400, "invalid_config", "credentials_path"],
    [
      "credentials that are not there",
      proxy({ config: { ...vault, auth_config_path: "infra/none" } }),
      400,
      "invalid_config",
      "config.auth_config_path",
    ],
    [
      "credentials without a field",
      proxy({ config: { ...vault, auth_config_path: "infra/keys" } }),
      400,
      "invalid_config",
      "config.auth_config_path",
    ],
  ])("%s", async (_what, body, status, code, field) => {
    const reply = await call("POST", base, body);
    expect({ status: reply.status, code: reply.code, fields: Object.keys(reply.fields) }).toEqual({
      status,
      code,
      fields: [field],
    });
    expect((await call("GET", base)).json["backends"]).toEqual([]);
  });

  it("an interval that is no duration", async () => {
    expect(await call("POST", base, sync({ sync_interval: "15 minutes" }))).toMatchObject({
      status: 400,
      code: "invalid_duration",
    });
  });

  it("a name that is taken, and paths that another backend has", async () => {
    await call("POST", base, proxy());
    const other = { "other/**": "kv/data/**" };
    expect(await call("POST", base, proxy({ path_mapping: other }))).toMatchObject({
      status: 409,
      code: "backend_exists",
    });
    for (const pattern of ["external/**", "external/vault/deep/**"])
      expect(await call("POST", base, proxy({ name: "b", path_mapping: { [pattern]: "kv/data/**" } }))).toMatchObject({
        status: 422,
        fields: { path_mapping: "overlaps with the paths of backend vault" },
      });
    expect((await call("POST", base, proxy({ name: "b", path_mapping: other }))).status).toBe(201);
  });
});

describe("PATCH", () => {
  let id = "";
  beforeEach(async () => {
    id = String((await call("POST", base, proxy()))["json"]["id"]);
  });

  it("changes what it names; config is merged, null takes a key off", async () => {
    await clock.advance(1000);
    const first = await call("PATCH", `${base}/${id}`, {
      name: "renamed",
      config: { namespace: "acme/finance", tls_verify: false },
    });
    expect(first).toMatchObject({
      status: 200,
      json: {
        id,
        name: "renamed",
        config: { ...vault, namespace: "acme/finance", tls_verify: false },
        updated_at: "2026-01-01T00:00:01.000Z",
      },
    });
    const second = await call("PATCH", `${base}/${id}`, { config: { namespace: null } });
    expect(second.json["config"]).toEqual({ ...vault, tls_verify: false });
  });

  it("to sync needs an interval, to proxy takes it off", async () => {
    expect(await call("PATCH", `${base}/${id}`, { mode: "sync" })).toMatchObject({
      status: 422,
      fields: { sync_interval: "is needed in sync mode" },
    });
    const changed = await call("PATCH", `${base}/${id}`, {
      mode: "sync",
      sync_interval: "1h",
      conflict_resolution: "local_wins",
    });
    expect(changed.json).toMatchObject({ mode: "sync", sync_interval: "1h", conflict_resolution: "local_wins" });
    const back = await call("PATCH", `${base}/${id}`, { mode: "proxy", conflict_resolution: null });
    expect(back.json).toMatchObject({ mode: "proxy", sync_interval: null, conflict_resolution: "remote_wins" });
  });

  it("leaves everything as it is when a part is refused", async () => {
    const before = (await call("GET", `${base}/${id}`)).json;
    for (const body of [
      { type: "aws-secrets-manager" },
      { name: "x", mode: "push" },
      { config: { region: "us-east-1" } },
      { path_mapping: {} },
    ])
      expect((await call("PATCH", `${base}/${id}`, body)).status).toBeGreaterThanOrEqual(400);
    expect((await call("GET", `${base}/${id}`)).json).toEqual(before);
    expect((await call("PATCH", `${base}/${id}`, { type: "hashicorp-vault" })).status).toBe(200);
  });
});

describe("rights", () => {
  it("reading and writing have scopes; another tenant sees nothing", async () => {
    const id = String((await call("POST", base, proxy())).json["id"]);
    const token = (scopes: string[], tenantId?: string): string =>
      server.admin.createToken({
        identity: `sa:${scopes.join("-")}`,
        scopes,
        rules: [{ path_pattern: "**", permissions: ["admin"] }],
        ...(tenantId === undefined ? {} : { tenantId }),
      });
    const reader = token(["federation:read"]);
    for (const path of [base, `${base}/${id}`, `${base}/${id}/status`, `${base}/${id}/conflicts`])
      expect((await call("GET", path, undefined, reader)).status).toBe(200);
    for (const [method, path, body] of [
      ["POST", base, proxy()],
      ["PATCH", `${base}/${id}`, {}],
      ["DELETE", `${base}/${id}`, undefined],
      ["POST", `${base}/${id}/sync`, undefined],
    ] as const)
      expect(await call(method, path, body, reader)).toMatchObject({ status: 403, code: "insufficient_scope" });
    const denied = await call("GET", "/v1/audit/logs?action=federation_sync&success=false");
    expect(denied.json["logs"]).toHaveLength(4);

    server.admin.addTenant("tnt_2");
    const foreign = token(["federation:read", "federation:write", "secrets:read"], "tnt_2");
    expect((await call("GET", base, undefined, foreign)).json["backends"]).toEqual([]);
    for (const method of ["GET", "DELETE"])
      expect(await call(method, `${base}/${id}`, undefined, foreign)).toMatchObject({
        status: 404,
        code: "backend_not_found",
      });
    expect((await call("GET", "/v1/secrets/external/vault/a", undefined, foreign)).code).toBe("secret_not_found");
    expect((await call("GET", `/v1/partner/secrets/external/vault/a`)).code).toBe("secret_not_found");
  });

  it("nobody sends credentials that they may not read to an address of their choice", async () => {
    const attacker = server.admin.createToken({
      identity: "sa:attacker",
      scopes: ["federation:read", "federation:write"],
      rules: [{ path_pattern: "external/**", permissions: ["admin"] }],
    });
    expect(await call("POST", base, proxy(), attacker)).toMatchObject({ status: 403, code: "access_denied" });
    const id = String((await call("POST", base, proxy())).json["id"]);
    const change = { config: { endpoint: "https://evil.example" } };
    expect(await call("PATCH", `${base}/${id}`, change, attacker)).toMatchObject({
      status: 403,
      code: "access_denied",
    });
    expect((await call("PATCH", `${base}/${id}`, { name: "other" }, attacker)).status).toBe(200);
  });

  it("calls count in the category federation, 20 a minute", async () => {
    await server.stop();
    await start({ limits: {} });
    const first = await call("GET", base);
    expect(first.headers.get("x-ratelimit-limit")).toBe("20");
    for (let more = 1; more < 20; more++) expect((await call("GET", base)).status).toBe(200);
    expect(await call("GET", base)).toMatchObject({ status: 429, code: "rate_limited" });
  });
});

describe("the list", () => {
  it("comes by name and in pages", async () => {
    for (const name of ["c", "a", "b"])
      await call("POST", base, proxy({ name, path_mapping: { [`external/${name}/**`]: "kv/data/**" } }));
    const names = (reply: Reply): string[] => (reply.json["backends"] as { name: string }[]).map(({ name }) => name);
    const first = await call("GET", `${base}?limit=2`);
    expect([names(first), first.json["has_more"]]).toEqual([["a", "b"], true]);
    const second = await call("GET", `${base}?limit=2&cursor=${encodeURIComponent(String(first.json["cursor"]))}`);
    expect([names(second), second.json["cursor"], second.json["has_more"]]).toEqual([["c"], null, false]);
    expect((await call("GET", `${base}?cursor=x`)).code).toBe("invalid_cursor");
    expect((await call("GET", `${base}?limit=0`)).code).toBe("invalid_request");
  });
});

describe("deletion and restart", () => {
  it("DELETE answers 204 once, and the paths are free", async () => {
    const id = String((await call("POST", base, proxy())).json["id"]);
    expect((await call("DELETE", `${base}/${id}`)).status).toBe(204);
    expect(await call("DELETE", `${base}/${id}`)).toMatchObject({ status: 404, code: "backend_not_found" });
    expect((await call("GET", "/v1/secrets/external/vault/a")).code).toBe("secret_not_found");
    const operations = await call(
      "GET",
      "/v1/audit/logs?action=federation_sync&identity_id=sa:local-admin&success=true",
    );
    expect((operations.json["logs"] as { extra_data: object }[]).map(({ extra_data }) => extra_data)).toMatchObject([
      { operation: "delete", backend: id },
      { operation: "create", backend: id, mode: "proxy" },
    ]);
  });

  it("backends live in the data file; a sync that became due begins at the start", async () => {
    const folder = mkdtempSync(join(tmpdir(), "scaivault-federation-"));
    const dataFile = join(folder, "data.sqlite");
    try {
      await server.stop();
      await start({ dataFile });
      const created = (await call("POST", base, sync())).json;
      await server.admin.syncsIdle();
      await server.stop();
      await start({ dataFile });
      await server.admin.syncsIdle();
      expect((await call("GET", base)).json["backends"]).toMatchObject([{ ...created, status: "unhealthy" }]);
      expect(server.admin.federationCalls()["aws"]!.list).toBe(1);
    } finally {
      await server.stop();
      rmSync(folder, { recursive: true });
    }
  });
});
