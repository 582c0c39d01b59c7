import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { allOf, failureOf, ServerAndClients } from "./testing/server-client.ts";

let parts: ServerAndClients;
beforeAll(async () => {
  parts = await ServerAndClients.start();
});
afterEach(() => {
  parts.server.admin.clearFaults();
  parts.server.admin.resetCounters();
});
afterAll(() => parts.stop());

const context = { signal: new AbortController().signal };
const admin = () => parts.server.admin;

describe("secrets", () => {
  test("versions, newest first; undefined when there is no secret", async () => {
    for (const value of ["1", "2", "3"]) admin().write("team/history", { data: `{"v":"${value}"}` });
    const client = parts.client();
    const versions = await client.versions("team/history", context);
    expect(versions?.map(({ version, createdBy }) => [version, typeof createdBy])).toEqual([
      [3, "string"],
      [2, "string"],
      [1, "string"],
    ]);
    expect(await client.versions("team/none", context)).toBeUndefined();
    expect((await client.get("team/history", context, 2))?.data.text()).toBe('{"v":"2"}');
  });

  test("deletion for good, also of what was deleted softly", async () => {
    const client = parts.client();
    admin().write("team/for-good", { data: "{}" });
    expect(await client.delete("team/for-good", context)).toBe(true);
    expect(admin().peek("team/for-good")?.deleted).toBe(true);
    expect(await client.deletePermanently("team/for-good", context)).toBe(true);
    expect(admin().peek("team/for-good")).toBeUndefined();
    expect(await client.deletePermanently("team/for-good", context)).toBe(false);
  });

  test("what expires", async () => {
    const token = parts.server.token;
    const put = (path: string, expires: string) =>
      fetch(`${parts.server.url}/v1/secrets/${path}`, {
        method: "PUT",
        headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
        body: JSON.stringify({ data: {}, secret_type: "kv", options: { expires_in: expires } }),
      });
    await put("expiring-soon/a", "5d");
    await put("expiring-soon/b", "90d");
    const found = await allOf(parts.client().expiring(30, "expiring-soon/", context));
    expect(found.map(({ path }) => path)).toEqual(["expiring-soon/a"]);
    expect(Date.parse(found[0]?.expiresAt ?? "")).toBeGreaterThan(Date.now());
  });

  test("a listing whose cursor runs out begins anew another time", async () => {
    for (let n = 0; n < 1001; n += 1) admin().write(`many/s${n}`, { data: "{}" });
    const client = parts.client();
    expect(await allOf(client.list("many/", context))).toHaveLength(1001);
    const pages = client.list("many/", context);
    await pages.next();
    admin().inject({ times: 1, action: { kind: "status", status: 400, code: "invalid_cursor" } });
    expect((await failureOf(pages.next())).reason).toBe("ScaiVaultUnavailable");
  });
});

describe("audit", () => {
  test("logs by filter and in pages, the summary, the trail of a secret", async () => {
    const client = parts.client();
    for (const name of ["a", "b", "c"]) {
      admin().write(`audit/${name}`, { data: "{}" });
      await client.get(`audit/${name}`, context);
    }
    const from = new Date(Date.now() - 3_600_000);
    const filter = { from, actions: ["read"], pathPrefix: "audit/", success: true };
    const rows = await allOf(client.audit.logs(filter, context));
    expect(rows.map(({ path, action }) => [path, action])).toEqual([
      ["audit/c", "read"],
      ["audit/b", "read"],
      ["audit/a", "read"],
    ]);
    expect(rows[0]?.userAgent).toContain("eu-1");
    const first = await client.audit.logPage(filter, { limit: 2 }, context);
    const rest = await client.audit.logPage(filter, { limit: 2, cursor: first.cursor ?? "" }, context);
    expect([...first.items, ...rest.items].map(({ path }) => path)).toEqual(["audit/c", "audit/b", "audit/a"]);
    expect(rest.cursor).toBeUndefined();
    // The question before an old store is emptied: nobody reads there any more.
    expect(await allOf(client.audit.logs({ ...filter, pathPrefix: "external/" }, context))).toEqual([]);
    const summary = await client.audit.summary({ from }, context);
    expect(summary.byAction.get("read")).toBeGreaterThanOrEqual(3);
    expect(summary.total).toBeGreaterThanOrEqual(summary.successful);
    const trail = await client.audit.trail("audit/a", { limit: 10 }, context);
    expect(trail.items.map(({ path }) => path)).toContain("audit/a");
    expect(trail.summary.total).toBeGreaterThanOrEqual(1);
  });

  test("without its scope it says which", async () => {
    const denied = await failureOf(parts.as("sa:no-audit", ["secrets:read"]).audit.logPage({}, { limit: 1 }, context));
    expect([denied.reason, denied.right]).toEqual(["ScaiVaultDenied", "audit:read"]);
  });
});

describe("a tenant", () => {
  test.each(["Header", "Path"] as const)("is named by %s", async (tenantIn) => {
    admin().addTenant("tnt_other");
    admin().bindPolicy("sa:local-admin", [{ path_pattern: "**", permissions: ["admin"] }], { tenantId: "tnt_other" });
    admin().write("tenant/a", { data: '{"in":"home"}' });
    const home = parts.client();
    expect(await home.get("tenant/a", context)).toBeDefined();
    const other = parts.client({ tenant: "tnt_other", tenantIn });
    expect(await other.get("tenant/a", context)).toBeUndefined();
    expect((await other.metadataBatch(["tenant/a"], context)).get("tenant/a")).toEqual({ state: "Absent" });
    expect((await other.whoami(context)).tenantID).toBe("tnt_other");
    expect(await other.healthy(context.signal)).toBe(true);
  });
});
