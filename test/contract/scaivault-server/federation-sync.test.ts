// Syncs of the reference server from a real Vault and the AWS emulator.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { startServer } from "../../../scaivault-server/server.ts";
import type { SyncReport } from "../../../scaivault-server/server.ts";
import { startTcpProxy } from "../sources/tcp-proxy.ts";
import { openStage, storeAppRole, type Reply, type Stage } from "./federation-support.ts";

let stage: Stage;
const base = "/v1/federation/backends";
beforeAll(async () => {
  stage = await openStage();
  stage.server.admin.write("infra/aws", { data: { access_key_id: "AKIASYNC", secret_access_key: "canary-key" } });
});
afterAll(() => stage.stop());

const get = (path: string): Promise<Reply> => stage.call("GET", path);
const secret = (path: string): string => `/v1/secrets/${path}`;

async function create(body: Record<string, unknown>): Promise<string> {
  const created = await stage.call("POST", base, { mode: "sync", sync_interval: "5m", ...body });
  expect(created.status, created.text).toBe(201);
  await stage.server.admin.syncsIdle();
  return String(created.json["id"]);
}

const aws = (name: string, more: Record<string, unknown> = {}): Promise<string> =>
  create({
    name,
    type: "aws-secrets-manager",
    config: { region: "us-east-1", credentials_path: "infra/aws" },
    path_mapping: { [`ext/${name}/**`]: `${name}/**` },
    ...more,
  });

/** Syncs, and expects that it comes to its end. */
async function sync(name: string): Promise<SyncReport> {
  const report = await stage.server.admin.syncNow(name);
  if (!report.completed) throw new Error(`the sync ended with ${report.lastError ?? "nothing"}`);
  return report;
}

describe("values of AWS", () => {
  beforeAll(async () => {
    await stage.aws("CreateSecret", {
      Name: "values/json",
      SecretString: '{"big":12345678901234567890,"one":1.0, "e":1e2}',
    });
    await stage.aws("CreateSecret", { Name: "values/plain", SecretString: "canary text\n" });
    await stage.aws("CreateSecret", { Name: "values/list", SecretString: "[1.0, 2]" });
    await stage.aws("CreateSecret", {
      Name: "values/binary",
      SecretBinary: Buffer.from([0, 255, 1]).toString("base64"),
    });
    await stage.aws("CreateSecret", {
      Name: "values/tagged",
      SecretString: "{}",
      Tags: [
        { Key: "team", Value: "billing" },
        { Key: "env", Value: "prod" },
      ],
    });
    for (const name of ["values/Upper", "values/a.b", "values/with@at", "values/x/metadata"])
      await stage.aws("CreateSecret", { Name: name, SecretString: "{}" });
    await stage.aws("CreateSecret", { Name: "valuesother", SecretString: "{}" });
    await aws("values");
  });

  it.each([
    ["json", '{"big":12345678901234567890,"one":1.0, "e":1e2}', "json"],
    ["plain", '{"value":"canary text\\n"}', "kv"],
    ["list", '{"value":[1.0, 2]}', "json"],
    ["binary", '{"value_base64":"AP8B"}', "kv"],
  ])("%s", async (name, data, type) => {
    const reply = await get(secret(`ext/values/${name}`));
    expect(reply.text).toContain(`"data":${data}`);
    expect(reply.json).toMatchObject({ secret_type: type, version: 1 });
  });

  it("tags are key=value; names that are no paths are left out and counted", async () => {
    expect((await get(secret("ext/values/tagged"))).json).toMatchObject({
      metadata: { tags: ["env=prod", "team=billing"] },
    });
    const id = ((await get(base)).json["backends"] as { id: string }[])[0]!.id;
    expect((await get(`${base}/${id}/status`)).json).toMatchObject({
      status: "healthy",
      secrets_synced: 5,
      secrets_skipped: 4,
      secrets_failed: 0,
      conflicts: 0,
      last_error: null,
      last_sync: new Date(stage.clock.now()).toISOString(),
      last_sync_duration_ms: expect.any(Number),
      connection: { status: "connected", latency_ms: expect.any(Number) },
    });
    expect(stage.server.admin.paths().filter((path) => path.startsWith("ext/values"))).toHaveLength(5);
  });

  it("what did not change makes no version and is not even read; tags alone make no version", async () => {
    stage.asm.resetCounts();
    expect(await sync("values")).toMatchObject({ created: 0, updated: 0, synced: 5 });
    expect(stage.asm.calls().map(({ action }) => action)).toEqual(["ListSecrets"]);
    await stage.aws("PutSecretValue", {
      SecretId: "values/json",
      SecretString: '{"one": 1.0, "e": 1e2, "big": 12345678901234567890}',
    });
    await stage.aws("TagResource", { SecretId: "values/tagged", Tags: [{ Key: "new", Value: "1" }] });
    expect(await sync("values")).toMatchObject({ created: 0, updated: 0, synced: 5 });
    expect((await get(secret("ext/values/json"))).json).toMatchObject({ version: 1 });
    expect((await get(secret("ext/values/tagged"))).json).toMatchObject({
      version: 1,
      metadata: { tags: ["env=prod", "new=1", "team=billing"] },
    });
    await stage.aws("PutSecretValue", { SecretId: "values/json", SecretString: '{"one":1}' });
    expect(await sync("values")).toMatchObject({ updated: 1, synced: 5 });
    expect((await get(secret("ext/values/json"))).text).toContain('"data":{"one":1}');
  });

  it("changes are those of system:federation-sync: as author, in the audit trail, in events", async () => {
    const made = await stage.call("POST", "/v1/subscriptions", {
      name: "federated",
      paths: ["ext/values/**"],
      events: ["secret.created", "secret.updated", "secret.deleted"],
      delivery: { type: "polling" },
    });
    expect(made.status, made.text).toBe(201);
    await stage.aws("PutSecretValue", { SecretId: "values/list", SecretString: "[3]" });
    await stage.aws("CreateSecret", { Name: "values/new", SecretString: "{}" });
    await stage.aws("DeleteSecret", { SecretId: "values/plain", RecoveryWindowInDays: 7 });
    expect(await sync("values")).toMatchObject({ created: 1, updated: 1, removed: 1 });
    const polled = await get(`/v1/subscriptions/${String(made.json["id"])}/poll?timeout=0`);
    expect(
      (polled.json["events"] as { event_type: string; path: string; identity_id: string }[])
        .map(({ event_type, path, identity_id }) => [event_type, path, identity_id])
        .sort(),
    ).toEqual([
      ["secret.created", "ext/values/new", "system:federation-sync"],
      ["secret.deleted", "ext/values/plain", "system:federation-sync"],
      ["secret.updated", "ext/values/list", "system:federation-sync"],
    ]);
    const versions = await get(`${secret("ext/values/list")}/versions`);
    expect(versions.json["versions"]).toMatchObject([
      { version: 2, created_by: "system:federation-sync" },
      { version: 1 },
    ]);
    const rows = await get("/v1/audit/logs?action=federation_sync&path_prefix=ext/values/list");
    expect(rows.json["logs"]).toMatchObject([
      {
        identity_id: "system:federation-sync",
        identity_type: "service_account",
        extra_data: { operation: "update", version: 2 },
      },
      { extra_data: { operation: "create", version: 1 } },
    ]);
    expect(rows.text).not.toContain("canary");
  });
});

describe("deletion at the source", () => {
  beforeAll(async () => {
    for (const name of ["gone/a", "gone/b", "gone/c"])
      await stage.aws("CreateSecret", { Name: name, SecretString: '{"v":"1"}' });
    await aws("gone");
  });

  it("deletes softly; a secret that comes back has its versions again", async () => {
    await stage.aws("DeleteSecret", { SecretId: "gone/a", RecoveryWindowInDays: 7 });
    expect(await sync("gone")).toMatchObject({ removed: 1 });
    expect((await get(secret("ext/gone/a"))).code).toBe("secret_not_found");
    expect(stage.server.admin.peek("ext/gone/a")).toMatchObject({ deleted: true, version: 1 });
    expect(await sync("gone")).toMatchObject({ removed: 0 });
    await stage.aws("RestoreSecret", { SecretId: "gone/a" });
    expect(await sync("gone")).toMatchObject({ restored: 1 });
    expect((await get(secret("ext/gone/a"))).json).toMatchObject({ version: 1, data: { v: "1" } });
    await stage.aws("DeleteSecret", { SecretId: "gone/a", ForceDeleteWithoutRecovery: true });
    await sync("gone");
    await stage.aws("CreateSecret", { Name: "gone/a", SecretString: '{"v":"2"}' });
    expect(await sync("gone")).toMatchObject({ restored: 1 });
    expect((await get(secret("ext/gone/a"))).json).toMatchObject({ version: 2, data: { v: "2" } });
  });

  it("never after a listing that failed, stopped half-way, or was refused", async () => {
    const { admin } = stage.server;
    const id = ((await get(base)).json["backends"] as { id: string; name: string }[]).find(
      ({ name }) => name === "gone",
    )!.id;
    await stage.aws("DeleteSecret", { SecretId: "gone/b", ForceDeleteWithoutRecovery: true });
    for (const fault of [
      { kind: "error", status: 500 },
      { kind: "deny" },
      { kind: "reset" },
      { kind: "error", status: 400, code: "UnrecognizedClientException" },
    ] as const) {
      stage.asm.addFault({ ...fault, actions: ["ListSecrets"] });
      expect(await admin.syncNow("gone")).toMatchObject({ completed: false });
      stage.asm.clearFaults();
      expect(admin.peek("ext/gone/b")).toMatchObject({ deleted: false });
    }
    // 101 secrets are two pages; the second one fails.
    for (let number = 0; number < 99; number++)
      await stage.aws("CreateSecret", { Name: `gone/many-${number}`, SecretString: "{}" });
    stage.asm.addFault({ kind: "error", status: 500, actions: ["ListSecrets"], every: 2 });
    expect(await admin.syncNow("gone")).toMatchObject({ completed: false, lastError: "unavailable" });
    expect((await get(`${base}/${id}/status`)).json).toMatchObject({ status: "unhealthy", last_error: "unavailable" });
    stage.asm.clearFaults();
    expect(admin.peek("ext/gone/b")).toMatchObject({ deleted: false });
    expect(await sync("gone")).toMatchObject({ removed: 1, created: 99 });
    expect(admin.peek("ext/gone/b")).toMatchObject({ deleted: true });
  });

  it("a secret that cannot be read stays, and the backend is degraded", async () => {
    await stage.aws("PutSecretValue", { SecretId: "gone/c", SecretString: '{"v":"new"}' });
    stage.asm.addFault({ kind: "deny", actions: ["GetSecretValue"], names: ["gone/c"] });
    expect(await sync("gone")).toMatchObject({ failed: 1, failure: "access_denied", removed: 0 });
    const id = ((await get(base)).json["backends"] as { id: string; name: string }[]).find(
      ({ name }) => name === "gone",
    )!.id;
    expect((await get(`${base}/${id}/status`)).json).toMatchObject({
      status: "degraded",
      secrets_failed: 1,
      last_error: "access_denied",
    });
    stage.asm.clearFaults();
    expect((await get(secret("ext/gone/c"))).json).toMatchObject({ version: 1, data: { v: "1" } });
    expect(await sync("gone")).toMatchObject({ failed: 0, updated: 1 });
    expect((await get(`${base}/${id}/status`)).json).toMatchObject({ status: "healthy", last_error: null });
  });

  it("throttling is waited for", async () => {
    await stage.aws("PutSecretValue", { SecretId: "gone/c", SecretString: '{"v":"third"}' });
    stage.asm.addFault({ kind: "throttle", times: 2 });
    expect(await sync("gone")).toMatchObject({ failed: 0, updated: 1 });
    stage.asm.clearFaults();
  });
});

describe("KV v2 and v1", () => {
  beforeAll(async () => {
    const { vault } = stage.environment;
    await vault.enableKv("kv-sync", 2);
    await vault.enableKv("kv1-sync", 1);
    await vault.put("kv-sync", "apps/db", { password: "canary", port: 1 });
    await vault.put("kv-sync", "apps", { both: "a secret and a folder" });
    await vault.put("kv-sync", "apps/Upper", {});
    await vault.put("kv1-sync", "deep/er/x", { a: "1" });
    await storeAppRole(stage, "kv-sync", "infra/sync");
    stage.server.admin.write("infra/root", { data: { token: vault.facts.rootToken } });
    const config = { endpoint: "https://vault.internal:8200", auth_method: "approle", auth_config_path: "infra/sync" };
    await create({ name: "kv2", type: "hashicorp-vault", config, path_mapping: { "ext/kv2/**": "kv-sync/data/**" } });
    const one = { endpoint: "https://vault.internal:8200", auth_method: "token", auth_config_path: "infra/root" };
    await create({
      name: "kv1",
      type: "hashicorp-vault",
      config: one,
      path_mapping: { "ext/kv1/**": "kv1-sync/**", "ext/one": "kv1-sync/deep/er/x" },
    });
  });

  it("are copied whole, with secrets beside folders of the same name and exact mappings", async () => {
    expect(stage.server.admin.paths().filter((path) => /^ext\/(?:kv|one)/.test(path))).toEqual([
      "ext/kv1/deep/er/x",
      "ext/kv2/apps",
      "ext/kv2/apps/db",
      "ext/one",
    ]);
    expect((await get(secret("ext/kv2/apps/db"))).json).toMatchObject({
      data: { password: "canary", port: 1 },
      metadata: {},
    });
  });

  it("a new version with the same content makes none here; deleted and restored ones are followed", async () => {
    const { vault } = stage.environment;
    await vault.put("kv-sync", "apps/db", { port: 1, password: "canary" });
    expect(await sync("kv2")).toMatchObject({ created: 0, updated: 0, synced: 2, skipped: 1 });
    await vault.delete("kv-sync", "apps/db");
    expect(await sync("kv2")).toMatchObject({ removed: 1 });
    await vault.undelete("kv-sync", "apps/db", [2]);
    expect(await sync("kv2")).toMatchObject({ restored: 1 });
    expect((await get(secret("ext/kv2/apps/db"))).json).toMatchObject({ version: 1 });
    await vault.destroy("kv-sync", "apps");
    await vault.delete("kv1-sync", "deep/er/x");
    expect([await sync("kv2"), await sync("kv1")]).toMatchObject([{ removed: 1 }, { removed: 2 }]);
  });

  it("a mount that goes away, a sealed Vault and lost rights delete nothing", async () => {
    const { vault } = stage.environment;
    const kept = (): unknown => stage.server.admin.peek("ext/kv2/apps/db")?.deleted;
    await vault.writePolicy("federation-kv-sync", 'path "kv-sync/data/*" { capabilities = ["read"] }');
    expect(await stage.server.admin.syncNow("kv2")).toEqual({ completed: false, lastError: "access_denied" });
    await storeAppRole(stage, "kv-sync", "infra/sync");
    await vault.seal();
    expect(await stage.server.admin.syncNow("kv2")).toEqual({ completed: false, lastError: "unavailable" });
    await vault.unseal();
    expect(await sync("kv2")).toMatchObject({ removed: 0 });
    await vault.disableMount("kv-sync");
    expect(await stage.server.admin.syncNow("kv2")).toMatchObject({ completed: false });
    expect(kept()).toBe(false);
  });
});

describe("both sides changed", () => {
  let number = 0;
  let name = "";
  let id = "";
  const path = (): string => `ext/${name}/x`;
  const value = async (): Promise<unknown> => (await get(secret(path()))).json["data"];
  const remote = (text: string): Promise<unknown> =>
    stage.aws("PutSecretValue", { SecretId: `${name}/x`, SecretString: `{"v":"${text}"}` });
  const local = (text: string): number => stage.server.admin.write(path(), { data: { v: text } });
  const conflicts = async (): Promise<unknown> => (await get(`${base}/${id}/conflicts`)).json["conflicts"];
  const begin = async (resolution: string): Promise<void> => {
    name = `conflict-${++number}`;
    await stage.aws("CreateSecret", { Name: `${name}/x`, SecretString: '{"v":"source"}' });
    id = await aws(name, { conflict_resolution: resolution });
  };

  it("remote_wins: the store's value is written over it, and the local one stays a version", async () => {
    await begin("remote_wins");
    local("local");
    await remote("new");
    expect(await sync(name)).toMatchObject({ updated: 1, conflicts: 0 });
    expect(await value()).toEqual({ v: "new" });
    expect((await get(`${secret(path())}?version=2`)).json["data"]).toEqual({ v: "local" });
    local("again");
    expect(await sync(name)).toMatchObject({ updated: 1 });
    expect([await value(), await conflicts()]).toEqual([{ v: "new" }, []]);
  });

  it("local_wins: the local value stays and the path is listed until both are equal", async () => {
    await begin("local_wins");
    expect(await value()).toEqual({ v: "source" });
    await remote("new");
    expect(await sync(name)).toMatchObject({ updated: 0, conflicts: 1 });
    expect(await value()).toEqual({ v: "source" });
    await stage.call("PUT", secret(path()), { data: { v: "local" }, secret_type: "json" });
    await sync(name);
    const reply = await get(`${base}/${id}/conflicts`);
    expect(reply.json).toEqual({
      conflicts: [
        {
          path: path(),
          backend_path: `${name}/x`,
          local_version: 2,
          detected_at: new Date(stage.clock.now()).toISOString(),
          resolution: "local_wins",
        },
      ],
      cursor: null,
      has_more: false,
    });
    expect((await get(`${base}/${id}/status`)).json).toMatchObject({ status: "healthy", conflicts: 1 });
    await stage.aws("DeleteSecret", { SecretId: `${name}/x`, ForceDeleteWithoutRecovery: true });
    expect(await sync(name)).toMatchObject({ removed: 0 });
    expect([await value(), await conflicts()]).toEqual([{ v: "local" }, []]);
  });

  it("manual: an untouched copy follows; a changed one is kept and listed until somebody decides", async () => {
    await begin("manual");
    await remote("second");
    expect(await sync(name)).toMatchObject({ updated: 1, conflicts: 0 });
    local("local");
    await remote("third");
    expect(await sync(name)).toMatchObject({ updated: 0, conflicts: 1 });
    expect(await conflicts()).toMatchObject([{ path: path(), local_version: 3, resolution: null }]);
    await stage.call("PUT", secret(path()), { data: { v: "third" }, secret_type: "json" });
    expect(await sync(name)).toMatchObject({ updated: 0, conflicts: 0, synced: 1 });
    expect(await conflicts()).toEqual([]);
    local("fourth");
    await sync(name);
    expect(await conflicts()).toHaveLength(1);
    expect((await stage.call("PATCH", `${base}/${id}`, { conflict_resolution: "remote_wins" })).status).toBe(200);
    await stage.server.admin.syncsIdle();
    expect([await value(), await conflicts()]).toEqual([{ v: "third" }, []]);
  });

  it("manual: a copy deleted for good and made again under its number is no untouched copy", async () => {
    await begin("manual");
    stage.server.admin.remove(path(), { permanent: true });
    await stage.clock.advance(1000);
    local("made again");
    expect(stage.server.admin.peek(path())).toMatchObject({ version: 1 });
    expect(await sync(name)).toMatchObject({ updated: 0, conflicts: 1 });
    expect(await value()).toEqual({ v: "made again" });
  });

  it("a secret that was there before is no copy: remote_wins takes it over, manual lists it", async () => {
    for (const resolution of ["remote_wins", "manual"]) {
      name = `before-${resolution.replace("_", "-")}`;
      stage.server.admin.write(path(), { data: { v: "mine" }, metadata: { owner: "team:x", tags: ["mine"] } });
      await stage.aws("CreateSecret", { Name: `${name}/x`, SecretString: '{"v":"theirs"}' });
      id = await aws(name, { conflict_resolution: resolution });
      expect(await value()).toEqual({ v: resolution === "manual" ? "mine" : "theirs" });
      expect(((await conflicts()) as unknown[]).length).toBe(resolution === "manual" ? 1 : 0);
      expect((await get(secret(path()))).json).toMatchObject({ metadata: { owner: "team:x" } });
    }
  });

  it("a copy deleted here comes back with remote_wins, and stays away with local_wins", async () => {
    for (const [resolution, deleted] of [
      ["remote_wins", false],
      ["local_wins", true],
    ] as const) {
      await begin(resolution);
      stage.server.admin.remove(path());
      await sync(name);
      expect(stage.server.admin.peek(path())).toMatchObject({ deleted });
    }
  });

  it("conflicts are shown to those who may list the path, in pages", async () => {
    name = "pages";
    for (const letter of ["a", "b", "c"]) {
      stage.server.admin.write(`ext/pages/${letter}`, { data: { v: "mine" } });
      await stage.aws("CreateSecret", { Name: `pages/${letter}`, SecretString: '{"v":"theirs"}' });
    }
    id = await aws(name, { conflict_resolution: "manual" });
    const first = await get(`${base}/${id}/conflicts?limit=2`);
    expect(first.json).toMatchObject({ conflicts: [{ path: "ext/pages/a" }, { path: "ext/pages/b" }], has_more: true });
    const second = await get(
      `${base}/${id}/conflicts?limit=2&cursor=${encodeURIComponent(String(first.json["cursor"]))}`,
    );
    expect(second.json).toMatchObject({ conflicts: [{ path: "ext/pages/c" }], has_more: false });
    const token = stage.server.admin.createToken({
      identity: "sa:few",
      scopes: ["federation:read"],
      rules: [{ path_pattern: "ext/pages/b", permissions: ["list"] }],
    });
    const few = await stage.call("GET", `${base}/${id}/conflicts`, undefined, token);
    expect(few.json["conflicts"]).toMatchObject([{ path: "ext/pages/b" }]);
  });
});

describe("the life of a backend", () => {
  let number = 0;
  let name = "";
  let id = "";
  beforeEach(async () => {
    name = `life-${++number}`;
    await stage.aws("CreateSecret", { Name: `${name}/x`, SecretString: '{"v":"1"}' });
    await stage.aws("CreateSecret", { Name: `${name}/sub/y`, SecretString: '{"v":"1"}' });
    id = await aws(name);
  });

  it("sync to proxy and back loses nothing and moves no data", async () => {
    await stage.call("PATCH", `${base}/${id}`, { mode: "proxy" });
    await stage.aws("PutSecretValue", { SecretId: `${name}/x`, SecretString: '{"v":"2"}' });
    expect((await get(secret(`ext/${name}/x`))).json).toMatchObject({ data: { v: "2" }, version: 1 });
    expect(stage.server.admin.peek(`ext/${name}/x`)).toMatchObject({ version: 1, data: '{"v":"1"}' });
    expect((await get(`${base}/${id}/status`)).json).toMatchObject({
      last_sync: null,
      secrets_synced: 0,
      status: "healthy",
    });
    await stage.call("PATCH", `${base}/${id}`, { mode: "sync", sync_interval: "1h" });
    await stage.server.admin.syncsIdle();
    expect((await get(secret(`ext/${name}/x`))).json).toMatchObject({ data: { v: "2" }, version: 2 });
    expect((await get(secret(`ext/${name}/sub/y`))).json).toMatchObject({ version: 1 });
  });

  it("copies of a deleted backend stay as orphans; another backend takes them over without a version", async () => {
    expect((await stage.call("DELETE", `${base}/${id}`)).status).toBe(204);
    expect((await get(secret(`ext/${name}/x`))).json).toMatchObject({
      data: { v: "1" },
      version: 1,
      metadata: { tags: ["federation=orphaned"] },
    });
    await stage.aws("PutSecretValue", { SecretId: `${name}/x`, SecretString: '{"v":"2"}' });
    await stage.clock.advance(3_600_000);
    await stage.server.admin.syncsIdle();
    expect((await get(secret(`ext/${name}/x`))).json).toMatchObject({ version: 1 });
    await aws(`${name}-b`, { path_mapping: { [`ext/${name}/**`]: `${name}/**` } });
    expect((await get(secret(`ext/${name}/sub/y`))).json).toMatchObject({ version: 1, metadata: { tags: [] } });
    expect((await get(secret(`ext/${name}/x`))).json).toMatchObject({ version: 2, metadata: { tags: [] } });
  });

  it("paths that a PATCH takes out of the mapping become orphans; the others go on", async () => {
    await stage.call("PATCH", `${base}/${id}`, { path_mapping: { [`ext/${name}/sub/**`]: `${name}/sub/**` } });
    await stage.server.admin.syncsIdle();
    expect((await get(secret(`ext/${name}/x`))).json).toMatchObject({ metadata: { tags: ["federation=orphaned"] } });
    expect((await get(secret(`ext/${name}/sub/y`))).json).toMatchObject({ version: 1, metadata: {} });
    expect(await stage.call("PUT", secret(`ext/${name}/x`), { data: {} })).toMatchObject({ status: 200 });
    expect(await stage.call("PUT", secret(`ext/${name}/sub/y`), { data: {} })).toMatchObject({
      code: "federated_path_read_only",
    });
  });

  it("is synced each interval on the server's clock, and when asked", async () => {
    const version = async (): Promise<unknown> => (await get(secret(`ext/${name}/x`))).json["version"];
    await stage.aws("PutSecretValue", { SecretId: `${name}/x`, SecretString: '{"v":"2"}' });
    await stage.clock.advance(299_999);
    await stage.server.admin.syncsIdle();
    expect(await version()).toBe(1);
    await stage.clock.advance(1);
    await stage.server.admin.syncsIdle();
    expect(await version()).toBe(2);
    await stage.aws("PutSecretValue", { SecretId: `${name}/x`, SecretString: '{"v":"3"}' });
    const started = await stage.call("POST", `${base}/${id}/sync`);
    expect(started).toMatchObject({
      status: 202,
      json: {
        sync_id: expect.stringMatching(/^sync_/),
        status: "running",
        started_at: new Date(stage.clock.now()).toISOString(),
      },
    });
    await stage.server.admin.syncsIdle();
    expect(await version()).toBe(3);
  });

  it("one sync at a time; a PATCH or DELETE ends it", async () => {
    await stage.aws("PutSecretValue", { SecretId: `${name}/x`, SecretString: '{"v":"2"}' });
    stage.asm.addFault({ kind: "hang", actions: ["GetSecretValue"] });
    expect((await stage.call("POST", `${base}/${id}/sync`)).status).toBe(202);
    await expect.poll(() => stage.asm.hanging()).toBe(1);
    expect(await stage.call("POST", `${base}/${id}/sync`)).toMatchObject({ status: 409, code: "sync_in_progress" });
    expect((await get(`${base}/${id}/status`)).json).toMatchObject({ status: "syncing" });
    expect((await stage.call("DELETE", `${base}/${id}`)).status).toBe(204);
    stage.asm.clearFaults();
    expect((await get(secret(`ext/${name}/x`))).json).toMatchObject({ version: 1, data: { v: "1" } });
  });
});

describe("a change and a deletion at the same time", () => {
  it("end with the backend gone, and no sync of it", async () => {
    await stage.aws("CreateSecret", { Name: "race/x", SecretString: '{"v":"1"}' });
    const id = await aws("race");
    stage.asm.addFault({ kind: "hang", actions: ["ListSecrets"] });
    const change = stage.call("PATCH", `${base}/${id}`, { config: { region: "us-east-1" }, sync_interval: "10m" });
    await expect.poll(() => stage.asm.hanging()).toBe(1);
    expect((await stage.call("DELETE", `${base}/${id}`)).status).toBe(204);
    stage.asm.clearFaults();
    await change;
    stage.asm.resetCounts();
    await stage.clock.advance(3_600_000);
    await stage.server.admin.syncsIdle();
    expect((await stage.call("GET", `${base}/${id}`)).code).toBe("backend_not_found");
    expect(stage.asm.calls().filter(({ secretIds }) => secretIds.includes("race/x"))).toEqual([]);
    expect((await get(secret("ext/race/x"))).json).toMatchObject({ metadata: { tags: ["federation=orphaned"] } });
  });
});

describe("a data file", () => {
  it("keeps backends, copies and what is known of them; nothing is read twice", async () => {
    const folder = mkdtempSync(join(tmpdir(), "scaivault-sync-"));
    const own = await openStage({ dataFile: join(folder, "data.sqlite") });
    try {
      await own.aws("CreateSecret", { Name: "kept/x", SecretString: '{"v":"1"}' });
      own.server.admin.write("infra/aws", { data: { access_key_id: "AKIASYNC", secret_access_key: "canary-key" } });
      const body = {
        name: "kept",
        type: "aws-secrets-manager",
        config: { region: "us-east-1", credentials_path: "infra/aws" },
        path_mapping: { "ext/kept/**": "kept/**" },
        mode: "sync",
        sync_interval: "15m",
      };
      const created = await own.call("POST", base, body);
      await own.server.admin.syncsIdle();
      await own.server.stop();
      own.asm.resetCounts();
      await own.clock.advance(600_000);
      own.server = await startServer(own.options);
      await own.server.admin.syncsIdle();
      expect(own.asm.calls()).toEqual([]);
      expect((await own.call("GET", base)).json["backends"]).toMatchObject([
        { id: created.json["id"], status: "healthy" },
      ]);
      await own.clock.advance(300_000);
      await own.server.admin.syncsIdle();
      expect(own.asm.calls().map(({ action }) => action)).toEqual(["ListSecrets"]);
      expect((await own.call("GET", secret("ext/kept/x"))).json).toMatchObject({ version: 1, data: { v: "1" } });
    } finally {
      await own.stop();
      rmSync(folder, { recursive: true });
    }
  });
});

describe("a store that hangs", () => {
  it("ends a sync in time, and nothing waits for it", async () => {
    const { vault } = stage.environment;
    const way = await startTcpProxy(Number(new URL(vault.facts.url).port));
    await stage.server.admin.setFederationNetwork({ ...stage.options.federation, timeoutMs: 300 });
    await vault.enableKv("kv-hang", 2);
    await vault.put("kv-hang", "x", { a: "1" });
    const config = { endpoint: `https://127.0.0.1:${way.port}`, auth_method: "token", auth_config_path: "infra/root" };
    stage.server.admin.write("infra/root", { data: { token: vault.facts.rootToken } });
    await create({ name: "hang", type: "hashicorp-vault", config, path_mapping: { "ext/hang/**": "kv-hang/data/**" } });
    way.hang(true);
    expect(await stage.server.admin.syncNow("hang")).toEqual({ completed: false, lastError: "timeout" });
    expect((await get(secret("ext/hang/x"))).json).toMatchObject({ data: { a: "1" } });
    way.hang(false);
    expect(await sync("hang")).toMatchObject({ synced: 1 });
    await way.close();
  });
});
