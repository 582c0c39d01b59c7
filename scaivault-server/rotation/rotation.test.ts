import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { VirtualClock } from "../../src/time/clock.ts";
import { startServer } from "../server.ts";
import type { ScaiVaultServer, ServerOptions } from "../server.ts";
import { callServer } from "../testing.ts";
import type { CallAnswer, CallOptions } from "../testing.ts";

const dayMs = 86_400_000;
let clock: VirtualClock;
let server: ScaiVaultServer;

async function start(options: ServerOptions = {}, at?: number): Promise<void> {
  clock = new VirtualClock(at);
  server = await startServer({ clock, limits: { policy: Infinity, write: Infinity }, ...options });
}
beforeEach(() => start());
afterEach(() => server.stop());

const call = (method: string, path: string, options: CallOptions = {}): Promise<CallAnswer> =>
  callServer(server, method, path, options);
const post = (path: string, body: object): Promise<CallAnswer> => call("POST", path, { body });

async function policy(more: object = {}): Promise<string> {
  const answer = await post("/v1/rotation/policies", { name: "monthly", interval: "30d", ...more });
  expect([answer.status, answer.code]).toEqual([201, undefined]);
  return String(answer.json["id"]);
}

const assign = (id: string, secret_path: string): Promise<CallAnswer> =>
  post(`/v1/rotation/policies/${id}/secrets`, { secret_path });

const history = async (id: string, query = ""): Promise<Record<string, unknown>[]> =>
  (await call("GET", `/v1/rotation/policies/${id}/history${query}`)).json["data"] as Record<string, unknown>[];

/** Types of the events so far with what tells them apart. */
const told = (): string[] =>
  server.admin.events().map(({ event_type, data }) => {
    const more = data["warn_before"] ?? (data["due_now"] === true ? "now" : undefined);
    return more === undefined ? event_type : `${event_type} ${String(more)}`;
  });

describe("a rotation policy", () => {
  it("is made, read, changed, listed and deleted; its name is taken then", async () => {
    const id = await policy({ warn_before: "7d,1d", grace_period: "24h" });
    const read = (await call("GET", `/v1/rotation/policies/${id}`)).json;
    expect(read).toEqual({
      id,
      name: "monthly",
      description: "",
      interval: "30d",
      interval_seconds: 2_592_000,
      grace_period: "24h",
      warn_before: "7d,1d",
      auto_generate: false,
      secret_policy_id: null,
      webhook_ids: [],
      is_active: true,
      secrets_count: 0,
      created_at: "2026-01-01T00:00:00.000Z",
      updated_at: "2026-01-01T00:00:00.000Z",
    });
    expect(await post("/v1/rotation/policies", { name: "monthly", interval: "1d" })).toMatchObject({
      status: 409,
      code: "policy_exists",
    });
    expect((await call("PATCH", `/v1/rotation/policies/${id}`, { body: { interval: "60d" } })).json).toEqual({
      ...read,
      interval: "60d",
      interval_seconds: 5_184_000,
    });
    await post(`/v1/rotation/policies/${id}/disable`, {});
    const active = await call("GET", "/v1/rotation/policies?active_only=true");
    expect(active.json).toEqual({ data: [], cursor: null, has_more: false });
    expect((await call("GET", "/v1/rotation/policies")).json["data"]).toMatchObject([{ id, is_active: false }]);
    expect((await post(`/v1/rotation/policies/${id}/enable`, {})).json).toMatchObject({ is_active: true });
    expect((await call("DELETE", `/v1/rotation/policies/${id}`)).status).toBe(204);
    expect((await call("GET", `/v1/rotation/policies/${id}`)).code).toBe("rotation_policy_not_found");
    await policy();
  });

  it.each([
    [{ interval: "1 month" }, "invalid_duration"],
    [{ grace_period: "0d" }, "invalid_duration"],
    [{ warn_before: "7d,soon" }, "invalid_duration"],
    [{ name: "" }, "validation_error"],
    [{ secret_policy_id: "sp_none" }, "secret_policy_not_found"],
    [{ webhook_ids: ["wh_none"] }, "webhook_not_found"],
  ])("is refused with %j: %s", async (more, code) => {
    expect((await post("/v1/rotation/policies", { name: "n", interval: "1d", ...more })).code).toBe(code);
  });

  it("needs the scope admin; rotating and history have their own", async () => {
    const id = await policy();
    server.admin.write("a", { data: { password: "1" } });
    await assign(id, "a");
    const token = server.admin.createToken({
      identity: "sa:rotator",
      scopes: ["secrets:rotate"],
      rules: [{ path_pattern: "a", permissions: ["rotate"] }],
    });
    expect((await call("GET", `/v1/rotation/policies/${id}`, { token })).code).toBe("insufficient_scope");
    expect((await call("GET", `/v1/rotation/policies/${id}/history`, { token })).code).toBe("insufficient_scope");
    expect((await call("GET", "/v1/rotation/due?within_hours=1000", { token })).json["data"]).toMatchObject([
      { secret_path: "a" },
    ]);
    expect((await call("POST", "/v1/secrets/a/rotate", { token })).status).toBe(200);
    server.admin.write("b", { data: { password: "1" } });
    await assign(id, "b");
    const denied = await call("POST", `/v1/rotation/policies/${id}/rotate`, { token });
    expect(denied).toMatchObject({ status: 403, code: "access_denied" });
  });
});

describe("assigning", () => {
  it("shows on secret and policy, moves, and ends with either", async () => {
    server.admin.write("a/b", { data: {} });
    const [first, second] = [await policy(), await policy({ name: "other" })];
    expect((await assign(first, "a/none")).code).toBe("secret_not_found");
    expect((await assign(first, "a/b")).status).toBe(201);
    const shown = async (): Promise<unknown> =>
      (await call("GET", "/v1/secrets/a/b/metadata")).json["rotation_policy_id"];
    const count = async (id: string): Promise<unknown> =>
      (await call("GET", `/v1/rotation/policies/${id}`)).json["secrets_count"];
    expect([await shown(), await count(first)]).toEqual([first, 1]);
    await assign(second, "a/b");
    expect([await shown(), await count(first), await count(second)]).toEqual([second, 0, 1]);
    const where = `/v1/rotation/policies/${second}/secrets/a%2Fb`;
    expect((await call("DELETE", where)).status).toBe(204);
    expect((await call("DELETE", where)).code).toBe("secret_not_found");
    expect(await shown()).toBeNull();
    const put = (rotation_policy_id: string | null): Promise<CallAnswer> =>
      call("PUT", "/v1/secrets/a/b", { body: { data: {}, options: { rotation_policy_id } } });
    expect((await put("rot_none")).code).toBe("rotation_policy_not_found");
    expect((await put(first)).json).toMatchObject({ rotation_policy_id: first });
    expect((await put(null)).json).toMatchObject({ rotation_policy_id: null });
    await put(first);
    await call("DELETE", "/v1/secrets/a/b");
    expect(await count(first)).toBe(0);
    server.admin.write("c", { data: {} });
    await assign(first, "c");
    await call("DELETE", `/v1/rotation/policies/${first}`);
    expect((await call("GET", "/v1/secrets/c/metadata")).json["rotation_policy_id"]).toBeNull();
  });
});

describe("a rotation that people make", () => {
  it("is told at thresholds and when due, done by the next write, and its old version ends after the grace period", async () => {
    server.admin.write("a", { data: { v: 1 } });
    server.admin.write("a", { data: { v: 2 } });
    const id = await policy({ warn_before: "7d,1d" });
    await assign(id, "a");
    server.admin.write("a", { data: { v: 3 } });
    expect(told().at(-1)).toBe("secret.updated");
    await clock.advance(30 * dayMs - 1);
    expect(told().slice(3)).toEqual(["rotation.due 7d", "rotation.due 1d"]);
    await clock.advance(1);
    expect(told().at(-1)).toBe("rotation.due now");
    expect(server.admin.events().at(-1)).toMatchObject({
      identity_id: "system:rotation-scheduler",
      path: "a",
      data: {
        rotation_policy_id: id,
        rotation_policy_name: "monthly",
        due_at: "2026-01-31T00:00:00.000Z",
        due_now: true,
      },
    });
    expect((await call("GET", "/v1/rotation/due")).json["data"]).toEqual([
      {
        secret_path: "a",
        rotation_policy_id: id,
        rotation_policy_name: "monthly",
        due_at: "2026-01-31T00:00:00.000Z",
        overdue: true,
        last_rotated_at: "2026-01-01T00:00:00.000Z",
      },
    ]);
    expect(await history(id)).toMatchObject([{ secret_path: "a", status: "pending", new_version: null }]);

    await call("PUT", "/v1/secrets/a", { body: { data: { v: 4 } } });
    const events = server.admin.events().slice(-3);
    expect(events.map(({ event_type }) => event_type)).toEqual([
      "secret.updated",
      "secret.rotated",
      "rotation.completed",
    ]);
    expect(events[0]?.data).toMatchObject({ is_rotation: true, new_version: 4 });
    expect(events[1]?.data).toEqual({
      old_version: 3,
      new_version: 4,
      rotation_policy_id: id,
      rotation_policy_name: "monthly",
      grace_period_ends: "2026-02-02T00:00:00.000Z",
      auto_generated: false,
    });
    expect(await history(id)).toMatchObject([{ status: "success", old_version: 3, new_version: 4 }]);
    expect((await call("GET", "/v1/rotation/due")).json["data"]).toEqual([]);

    await clock.advance(2 * dayMs - 1);
    expect(server.admin.peek("a")?.versions).toEqual([4, 3, 2, 1]);
    await clock.advance(1);
    expect(server.admin.peek("a")?.versions).toEqual([4]);
    expect((await call("GET", "/v1/secrets/a?version=3")).code).toBe("version_not_found");
    await clock.advance(28 * dayMs);
    expect(told().slice(-3)).toEqual(["rotation.due 7d", "rotation.due 1d", "rotation.due now"]);
  });

  it("is overdue when nobody wrote within the grace period, once", async () => {
    server.admin.write("a", { data: {} });
    const id = await policy({ grace_period: "12h" });
    await assign(id, "a");
    await clock.advance(100 * dayMs);
    expect(told()).toEqual(["secret.created", "rotation.due now", "rotation.overdue"]);
    expect((await call("GET", "/v1/rotation/due?include_overdue=false")).json["data"]).toEqual([]);
    server.admin.write("a", { data: {} });
    expect(told().slice(-2)).toEqual(["secret.rotated", "rotation.completed"]);
  });

  it("is not told while its policy is disabled, and at once when it was due meanwhile", async () => {
    server.admin.write("a", { data: {} });
    const id = await policy();
    await assign(id, "a");
    await post(`/v1/rotation/policies/${id}/disable`, {});
    await clock.advance(31 * dayMs);
    expect(told()).toEqual(["secret.created"]);
    expect((await call("GET", "/v1/rotation/due")).json["data"]).toEqual([]);
    await post(`/v1/rotation/policies/${id}/enable`, {});
    await clock.advance(0);
    expect(told()).toEqual(["secret.created", "rotation.due now"]);
  });

  it("can be asked for now", async () => {
    server.admin.write("a", { data: {} });
    server.admin.write("b", { data: {} });
    const id = await policy();
    await assign(id, "a");
    expect((await post("/v1/secrets/a/rotate", {})).json).toMatchObject({ status: "pending", secret_path: "a" });
    expect(told().at(-1)).toBe("rotation.due now");
    server.admin.write("a", { data: {} });
    expect(told().at(-1)).toBe("rotation.completed");
    expect((await call("POST", "/v1/secrets/b/rotate")).code).toBe("invalid_request");
    expect((await call("POST", "/v1/secrets/none/rotate")).code).toBe("secret_not_found");
    const other = await post(`/v1/rotation/policies/${id}/rotate`, { secret_paths: ["b"] });
    expect(other.code).toBe("secret_not_found");
  });
});

describe("a rotation that the server makes", () => {
  it("writes new values of the policy's fields, keeps the others, and tells no value", async () => {
    const fields = [
      { name: "password", generator: "random", config: { length: 20, require_digit: true } },
      { name: "url", generator: "template", config: { template: "db://{{user}}:{{password}}@host" } },
    ];
    const sp = await post("/v1/secret-policies", { name: "db", fields, policy_type: "password" });
    const id = await policy({ auto_generate: true, secret_policy_id: sp.json["id"], grace_period: "1h" });
    server.admin.write("a", { data: '{"user":"u","n":1.0,"password":"old-canary"}', metadata: { owner: "team:x" } });
    await assign(id, "a");
    await clock.advance(30 * dayMs);
    const { data, version, metadata } = server.admin.peek("a") as { data: string; version: number; metadata: object };
    const made = JSON.parse(data) as { password: string; url: string };
    expect([version, metadata]).toEqual([2, { owner: "team:x" }]);
    expect(data).toMatch(
      /^\{"user":"u","n":1\.0,"password":"[A-Za-z0-9]{20}","url":"db:\/\/u:[A-Za-z0-9]{20}@host"\}$/,
    );
    expect(made.url).toContain(made.password);
    expect(told()).toEqual([
      "secret.created",
      "rotation.due now",
      "secret.updated",
      "secret.rotated",
      "rotation.completed",
    ]);
    expect(server.admin.events()[3]?.data).toMatchObject({ auto_generated: true });
    expect(JSON.stringify([server.admin.events(), await history(id)])).not.toMatch(
      new RegExp(`old-canary|${made.password}`),
    );
    expect(await history(id)).toMatchObject([{ status: "success", auto_generated: true, new_version: 2 }]);
    expect((await call("GET", "/v1/audit/logs?action=rotate")).json["logs"]).toMatchObject([
      { identity_id: "system:rotation-scheduler", secret_path: "a", success: true },
    ]);
    expect((await call("GET", "/v1/secrets/a?version=1")).status).toBe(200);
    await clock.advance(3_600_000);
    expect((await call("GET", "/v1/secrets/a?version=1")).code).toBe("version_not_found");
    await clock.advance(30 * dayMs);
    expect(server.admin.peek("a")?.version).toBe(3);
  });

  it("can be asked for now, for a secret or a whole policy, and is audited", async () => {
    const id = await policy({ auto_generate: true });
    for (const path of ["a", "b"]) {
      server.admin.write(path, { data: { value: "x" } });
      await assign(id, path);
    }
    expect((await call("POST", "/v1/secrets/a/rotate")).json).toMatchObject({ status: "success", new_version: 2 });
    const all = JSON.parse((await call("POST", `/v1/rotation/policies/${id}/rotate`)).text) as object[];
    expect(all).toMatchObject([
      { secret_path: "a", new_version: 3, status: "success" },
      { secret_path: "b", new_version: 2, status: "success" },
    ]);
    expect((await call("GET", "/v1/audit/logs?action=rotate")).json["logs"]).toHaveLength(3);
    expect(server.admin.events().at(-2)).toMatchObject({
      event_type: "secret.rotated",
      identity_id: "sa:local-admin",
    });
    // The schedule begins anew.
    await clock.advance(30 * dayMs);
    expect([server.admin.peek("a")?.version, server.admin.peek("b")?.version]).toEqual([4, 3]);
    // Two rotations within one grace period: each ends the versions before it.
    expect((await history(id, "?status=success")).length).toBe(5);
  });

  it("fails when nothing says what to make, tries again, and goes through when that is mended", async () => {
    const id = await policy({ auto_generate: true, grace_period: "90m" });
    server.admin.write("a", { data: { one: "x", two: "y" } });
    await assign(id, "a");
    await clock.advance(30 * dayMs);
    expect(told()).toEqual(["secret.created", "rotation.due now", "rotation.failed"]);
    expect(await history(id, "?status=failed")).toMatchObject([{ error: "validation_error", new_version: null }]);
    await clock.advance(2 * 3_600_000);
    expect(told().slice(3)).toEqual(["rotation.failed", "rotation.overdue", "rotation.failed"]);
    const fields = [{ name: "one", generator: "hex", config: { length: 8 } }];
    const sp = await post("/v1/secret-policies", { name: "one", fields });
    await call("PATCH", `/v1/rotation/policies/${id}`, { body: { secret_policy_id: sp.json["id"] } });
    await clock.advance(0);
    expect(server.admin.peek("a")?.data).toMatch(/^\{"one":"[0-9a-f]{8}","two":"y"\}$/);
    expect(told().at(-1)).toBe("rotation.completed");
    await clock.advance(10 * 3_600_000);
    expect(server.admin.peek("a")?.version).toBe(2);
  });

  it("goes on after a restart and a restore: what came due meanwhile is done once", async () => {
    const folder = mkdtempSync(join(tmpdir(), "scaivault-rotation-"));
    try {
      await server.stop();
      const dataFile = join(folder, "data.sqlite");
      await start({ dataFile });
      const id = await policy({ auto_generate: true, warn_before: "7d" });
      server.admin.write("a", { data: { value: "x" } });
      await assign(id, "a");
      const backup = server.admin.backup();
      await clock.advance(24 * dayMs);
      expect(told().at(-1)).toBe("rotation.due 7d");
      const now = clock.now();
      await server.stop();
      await start({ dataFile }, now + 10 * dayMs);
      await clock.advance(0);
      expect(told().slice(1)).toEqual([
        "rotation.due 7d",
        "rotation.due now",
        "secret.updated",
        "secret.rotated",
        "rotation.completed",
      ]);
      await server.admin.restore(backup);
      await clock.advance(0);
      expect(server.admin.peek("a")?.version).toBe(2);
      expect(told().filter((type) => type === "secret.rotated")).toHaveLength(1);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

describe("deleting a secret for good", () => {
  it("ends its grace periods: versions that begin anew are left alone", async () => {
    const id = await policy({ auto_generate: true });
    server.admin.write("a", { data: { value: "x" } });
    await assign(id, "a");
    for (let time = 0; time < 2; time++) await call("POST", "/v1/secrets/a/rotate");
    server.admin.remove("a", { permanent: true });
    for (let time = 0; time < 3; time++) server.admin.write("a", { data: { value: "y" } });
    await clock.advance(3 * dayMs);
    expect(server.admin.peek("a")?.versions).toEqual([3, 2, 1]);
  });
});
