import { request as httpRequest } from "node:http";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { VirtualClock } from "../../src/time/clock.ts";
import { startServer } from "../server.ts";
import type { EventEnvelope, ScaiVaultServer, ServerOptions } from "../server.ts";
import { callServer } from "../testing.ts";
import type { CallAnswer, CallOptions } from "../testing.ts";

let clock: VirtualClock;
let server: ScaiVaultServer;

async function start(options: ServerOptions = {}): Promise<void> {
  clock = new VirtualClock();
  server = await startServer({ clock, limits: { subscription: Infinity, subscription_poll: Infinity }, ...options });
}
beforeEach(() => start());
afterEach(() => server.stop());

const call = (method: string, path: string, options: CallOptions = {}): Promise<CallAnswer> =>
  callServer(server, method, path, options);

async function subscribe(more: object = {}, token?: string): Promise<string> {
  const body = { name: "n", paths: ["**"], events: ["*"], delivery: { type: "polling" }, ...more };
  const answer = await call("POST", "/v1/subscriptions", { body, ...(token === undefined ? {} : { token }) });
  expect(answer.status).toBe(201);
  return String(answer.json["id"]);
}

interface Polled {
  readonly events: readonly EventEnvelope[];
  readonly has_more: boolean;
  readonly dropped_events: number;
}

async function poll(id: string, query = "timeout=0", token?: string): Promise<Polled> {
  const answer = await call("GET", `/v1/subscriptions/${id}/poll?${query}`, token === undefined ? {} : { token });
  expect(answer.status).toBe(200);
  return answer.json as unknown as Polled;
}

const ack = async (id: string, event_ids: readonly string[]): Promise<unknown> =>
  (await call("POST", `/v1/subscriptions/${id}/ack`, { body: { event_ids } })).json["acknowledged"];

const brief = ({ events }: Polled): unknown[] =>
  events.map(({ event_type, path, data }) => [event_type, path, data["version"] ?? data["new_version"]]);

describe("events", () => {
  it("tell of every change, with who and by which request, and never a value", async () => {
    const canary = "canary-51d2";
    const id = await subscribe();
    const body = { data: { p: canary }, secret_type: "json", metadata: { tags: ["t"], note: "n" } };
    const headers = { "X-Request-ID": "req_mine" };
    await call("PUT", "/v1/secrets/a/b", { body: { ...body, options: { expires_in: "1d" } }, headers });
    await call("PUT", "/v1/secrets/a/b", { body });
    await call("PATCH", "/v1/secrets/a/b", { body: { metadata: { owner: "team:x" } } });
    await call("DELETE", "/v1/secrets/a/b");
    await call("DELETE", "/v1/secrets/a/b?permanent=true");
    server.admin.write("c", { data: { p: canary } }, { identity: "sa:other" });
    const { events } = await poll(id);
    expect(events[0]).toEqual({
      event_id: events[0]?.event_id,
      event_type: "secret.created",
      timestamp: "2026-01-01T00:00:00.000Z",
      tenant_id: "tnt_local",
      partner_id: "ptn_local",
      identity_id: "sa:local-admin",
      path: "a/b",
      data: {
        version: 1,
        secret_type: "json",
        created_by: "sa:local-admin",
        tags: ["t"],
        expires_at: "2026-01-02T00:00:00.000Z",
      },
      request_id: "req_mine",
    });
    const by = "sa:local-admin";
    expect(events.slice(1).map(({ event_type, data }) => [event_type, data])).toEqual([
      ["secret.updated", { old_version: 1, new_version: 2, updated_by: by, is_rotation: false }],
      ["secret.updated", { old_version: 2, new_version: 2, updated_by: by, is_rotation: false, metadata_only: true }],
      [
        "secret.deleted",
        { version_count: 2, deleted_by: by, permanent: false, recoverable_until: "2026-01-31T00:00:00.000Z" },
      ],
      ["secret.deleted", { version_count: 2, deleted_by: by, permanent: true }],
      ["secret.created", { version: 1, secret_type: "kv", created_by: "sa:other", tags: [], expires_at: null }],
    ]);
    expect(JSON.stringify([events, server.admin.events()])).not.toContain(canary);
    expect(server.admin.events()).toEqual(events);
  });

  it("of reads are made only when somebody asked for them", async () => {
    const id = await subscribe({ events: ["secret.deleted"] });
    server.admin.write("a", { data: {} });
    await call("GET", "/v1/secrets/a");
    expect(server.admin.events().map(({ event_type }) => event_type)).toEqual(["secret.created"]);
    await call("PATCH", `/v1/subscriptions/${id}`, { body: { events: ["secret.accessed"] } });
    await call("GET", "/v1/secrets/a");
    await call("POST", "/v1/secrets/batch", { body: { paths: ["a"] } });
    await call("GET", "/v1/secrets/none");
    expect(brief(await poll(id))).toEqual([
      ["secret.accessed", "a", 1],
      ["secret.accessed", "a", 1],
    ]);
  });

  it("of partner-wide secrets and of other tenants are not heard", async () => {
    server.admin.addTenant("tnt_2");
    const id = await subscribe();
    await call("PUT", "/v1/partner/secrets/shared/a", { body: { data: {} } });
    server.admin.write("a", { data: {} }, { tenantId: "tnt_2" });
    expect((await poll(id)).events).toEqual([]);
    expect(server.admin.events("tnt_2")).toHaveLength(1);
  });
});

describe("a subscription", () => {
  it("is made, read, changed, listed and deleted; its owner is the caller", async () => {
    const id = await subscribe({ paths: ["a/**"], filters: { tags: ["x"] }, delivery: { type: "polling" } });
    const read = (await call("GET", `/v1/subscriptions/${id}`)).json;
    expect(read).toEqual({
      id,
      name: "n",
      status: "active",
      identity_id: "sa:local-admin",
      paths: ["a/**"],
      events: ["*"],
      filters: { tags: ["x"] },
      delivery: { type: "polling", buffer_size: 1000 },
      dropped_events: 0,
      created_at: "2026-01-01T00:00:00.000Z",
      updated_at: "2026-01-01T00:00:00.000Z",
    });
    await clock.advance(1000);
    const changed = await call("PATCH", `/v1/subscriptions/${id}`, { body: { name: "m", paths: ["b"] } });
    expect(changed.json).toEqual({ ...read, name: "m", paths: ["b"], updated_at: "2026-01-01T00:00:01.000Z" });
    const more = [await subscribe(), await subscribe()];
    const first = (await call("GET", "/v1/subscriptions?limit=2")).json;
    expect(first).toMatchObject({ subscriptions: [{ id }, { id: more[0] }], has_more: true });
    const second = (await call("GET", `/v1/subscriptions?limit=2&cursor=${String(first["cursor"])}`)).json;
    expect(second).toMatchObject({ subscriptions: [{ id: more[1] }], cursor: null, has_more: false });
    expect((await call("DELETE", `/v1/subscriptions/${id}`)).status).toBe(204);
    for (const [method, path] of [
      ["GET", ""],
      ["DELETE", ""],
      ["GET", "/poll"],
    ] as const)
      expect((await call(method, `/v1/subscriptions/${id}${path}`)).code).toBe("subscription_not_found");
  });

  it.each([
    [{ paths: ["A//b"] }, "invalid_glob"],
    [{ paths: [] }, "validation_error"],
    [{ events: ["Secret Created"] }, "validation_error"],
    [{ delivery: { type: "carrier-pigeon" } }, "validation_error"],
    [{ delivery: { type: "polling", buffer_size: 0 } }, "validation_error"],
    [{ name: 5 }, "validation_error"],
  ])("is refused with %j: %s", async (more, code) => {
    const body = { name: "n", paths: ["**"], events: ["*"], delivery: { type: "polling" }, ...more };
    expect((await call("POST", "/v1/subscriptions", { body })).code).toBe(code);
  });

  it("is polled and acknowledged by its owner only, and needs its scopes", async () => {
    const rules = [{ path_pattern: "**", permissions: ["read" as const] }];
    const scopes = ["subscriptions:read", "subscriptions:write"];
    const token = server.admin.createToken({ identity: "sa:x", scopes, rules });
    const id = await subscribe({}, token);
    expect((await call("GET", `/v1/subscriptions/${id}`)).json).toMatchObject({ identity_id: "sa:x" });
    expect((await call("GET", `/v1/subscriptions/${id}/poll?timeout=0`)).code).toBe("access_denied");
    expect((await call("POST", `/v1/subscriptions/${id}/ack`, { body: { event_ids: ["evt_1"] } })).code).toBe(
      "access_denied",
    );
    const other = server.admin.createToken({ identity: "sa:y", scopes, rules });
    for (const method of ["GET", "DELETE"])
      expect((await call(method, `/v1/subscriptions/${id}`, { token: other })).code).toBe("access_denied");
    expect((await call("GET", "/v1/subscriptions", { token: other })).json["subscriptions"]).toEqual([]);
    const poor = server.admin.createToken({ identity: "sa:x", scopes: ["secrets:read"], rules });
    expect((await call("GET", `/v1/subscriptions/${id}/poll`, { token: poor })).code).toBe("insufficient_scope");
    const reader = server.admin.createToken({ identity: "sa:x", scopes: ["subscriptions:read"] });
    expect((await call("DELETE", `/v1/subscriptions/${id}`, { token: reader })).code).toBe("insufficient_scope");
    expect(
      (await call("POST", `/v1/subscriptions/${id}/ack`, { token: reader, body: { event_ids: ["x"] } })).code,
    ).toBe("insufficient_scope");
    expect((await poll(id, "timeout=0", reader)).events).toEqual([]);
  });

  it("hears what its paths, types and filters take", async () => {
    const ids = [
      await subscribe({ paths: ["a/*"] }),
      await subscribe({ events: ["secret.deleted"] }),
      await subscribe({ filters: { path_prefix: "b", secret_type: "json" } }),
      await subscribe({ filters: { tags: ["x", "y"] } }),
    ];
    server.admin.write("a/one", { data: {}, metadata: { tags: ["y", "z"] } });
    server.admin.write("a/one/two", { data: {} });
    server.admin.write("b", { data: {}, secret_type: "json" });
    server.admin.write("b", { data: {}, secret_type: "kv" });
    server.admin.remove("a/one");
    const heard = [];
    for (const id of ids) heard.push((await poll(id)).events.map(({ event_type, path }) => `${event_type} ${path}`));
    expect(heard).toEqual([
      ["secret.created a/one", "secret.deleted a/one"],
      ["secret.deleted a/one"],
      ["secret.created b"],
      ["secret.created a/one", "secret.deleted a/one"],
    ]);
  });

  it("hears only of paths that its owner may list or read, when it happens and when it is polled", async () => {
    const token = server.admin.createToken({
      identity: "sa:x",
      scopes: ["subscriptions:read", "subscriptions:write"],
      rules: [
        { path_pattern: "read/**", permissions: ["read"] },
        { path_pattern: "write/**", permissions: ["write"] },
        { path_pattern: "away/**", permissions: ["list"], conditions: { ip_ranges: ["10.0.0.0/8"] } },
      ],
    });
    const { bindingId } = server.admin.bindPolicy("sa:x", [{ path_pattern: "list/**", permissions: ["list"] }]);
    const id = await subscribe({}, token);
    for (const path of ["read/a", "list/a", "write/a", "away/a", "other"]) server.admin.write(path, { data: {} });
    expect((await poll(id, "timeout=0", token)).events.map(({ path }) => path)).toEqual(["read/a", "list/a"]);
    server.admin.unbindPolicy(bindingId);
    expect((await poll(id, "timeout=0", token)).events.map(({ path }) => path)).toEqual(["read/a"]);
  });
});

describe("a poll", () => {
  it("answers at once when something waits, else with the first event", async () => {
    const id = await subscribe();
    server.admin.write("a", { data: {} });
    const first = await poll(id, "timeout=60");
    expect(brief(first)).toEqual([["secret.created", "a", 1]]);
    let answered = false;
    const waiting = poll(id, `timeout=60&since_event_id=${first.events[0]?.event_id}`).finally(() => (answered = true));
    await expect.poll(() => clock.pending).toBe(1);
    await clock.advance(59_000);
    expect(answered).toBe(false);
    server.admin.write("a", { data: {} });
    expect(brief(await waiting)).toEqual([["secret.updated", "a", 2]]);
    expect(clock.pending).toBe(0);
  });

  it("answers empty when its time is up, 30 seconds by default", async () => {
    const id = await subscribe();
    const waiting = [poll(id, ""), poll(id, "timeout=5")];
    await expect.poll(() => clock.pending).toBe(2);
    await clock.advance(5000);
    const empty = { events: [], has_more: false, dropped_events: 0 };
    expect(await waiting[1]).toEqual(empty);
    expect(clock.pending).toBe(1);
    await clock.advance(25_000);
    expect(await waiting[0]).toEqual(empty);
  });

  it("is let go when the client hangs up, the subscription goes, or the server stops", async () => {
    const id = await subscribe();
    const headers = { authorization: `Bearer ${server.token}` };
    const hanging = httpRequest(`${server.url}/v1/subscriptions/${id}/poll?timeout=60`, { headers, agent: false });
    hanging.on("error", () => undefined);
    hanging.end();
    await expect.poll(() => clock.pending).toBe(1);
    hanging.destroy();
    await expect.poll(() => clock.pending).toBe(0);

    const gone = call("GET", `/v1/subscriptions/${id}/poll?timeout=60`);
    await expect.poll(() => clock.pending).toBe(1);
    await call("DELETE", `/v1/subscriptions/${id}`);
    expect((await gone).code).toBe("subscription_not_found");

    const other = await subscribe();
    const stopped = call("GET", `/v1/subscriptions/${other}/poll?timeout=60`).catch(() => undefined);
    await expect.poll(() => clock.pending).toBe(1);
    await server.stop();
    await stopped;
    expect(clock.pending).toBe(0);
  });

  it("is not woken by events that the caller may no longer hear", async () => {
    const token = server.admin.createToken({
      identity: "sa:x",
      scopes: ["subscriptions:read", "subscriptions:write"],
      rules: [{ path_pattern: "**", permissions: ["read"], conditions: { ip_ranges: ["10.0.0.0/8"] } }],
    });
    const id = await subscribe({}, token);
    const waiting = poll(id, "timeout=10", token);
    await expect.poll(() => clock.pending).toBe(1);
    server.admin.write("a", { data: {} });
    await expect.poll(() => clock.pending).toBe(1);
    await clock.advance(10_000);
    expect((await waiting).events).toEqual([]);
  });

  it("gives pages, and the same events again until they are acknowledged", async () => {
    const id = await subscribe();
    for (const path of ["a", "b", "c"]) server.admin.write(path, { data: {} });
    const page = await poll(id, "timeout=0&max_events=2");
    expect([page.events.map(({ path }) => path), page.has_more]).toEqual([["a", "b"], true]);
    expect(await poll(id, "timeout=0&max_events=2")).toEqual(page);
    const [first, second] = page.events.map(({ event_id }) => event_id) as [string, string];
    const rest = await poll(id, `timeout=0&since_event_id=${second}`);
    expect(rest.events.map(({ path }) => path)).toEqual(["c"]);
    expect(await ack(id, [second, "evt_unknown"])).toBe(1);
    expect(await ack(id, [second])).toBe(0);
    expect((await poll(id)).events.map(({ path }) => path)).toEqual(["a", "c"]);
    // An acknowledged event still marks a place; one that the server does not know marks none.
    expect((await poll(id, `timeout=0&since_event_id=${second}`)).events.map(({ path }) => path)).toEqual(["c"]);
    expect((await poll(id, "timeout=0&since_event_id=evt_unknown")).events).toHaveLength(2);
    expect(await ack(id, [first])).toBe(1);
  });

  it("counts what a full buffer dropped, oldest first", async () => {
    const id = await subscribe({ delivery: { type: "polling", buffer_size: 2 } });
    for (const path of ["a", "b", "c", "d", "e"]) server.admin.write(path, { data: {} });
    const answer = await poll(id);
    expect([answer.events.map(({ path }) => path), answer.dropped_events]).toEqual([["d", "e"], 3]);
    await ack(
      id,
      answer.events.map(({ event_id }) => event_id),
    );
    server.admin.write("a", { data: {} });
    expect(await poll(id)).toMatchObject({ events: [{ path: "a" }], dropped_events: 3 });
    expect((await call("GET", `/v1/subscriptions/${id}`)).json).toMatchObject({ dropped_events: 3 });
  });

  it.each(["timeout=61", "timeout=-1", "timeout=x", "max_events=0", "max_events=1001"])("refuses %s", async (query) => {
    const id = await subscribe();
    expect((await call("GET", `/v1/subscriptions/${id}/poll?${query}`)).code).toBe("invalid_request");
  });

  it("is audited when it gave something, and costs one of its own category", async () => {
    await server.stop();
    await start({ limits: {} });
    const id = await subscribe();
    await poll(id);
    server.admin.write("a", { data: {} });
    await poll(id);
    expect((await call("GET", "/v1/audit/logs?action=subscription_event")).json["logs"]).toMatchObject([
      { identity_id: "sa:local-admin", extra_data: { subscription_id: id, events: 1 } },
    ]);
    const { headers } = await call("GET", `/v1/subscriptions/${id}/poll?timeout=0`);
    expect([headers.get("X-RateLimit-Limit"), headers.get("X-RateLimit-Remaining")]).toEqual(["240", "237"]);
    const acked = await call("POST", `/v1/subscriptions/${id}/ack`, { body: { event_ids: ["x"] } });
    expect([acked.headers.get("X-RateLimit-Limit"), acked.headers.get("X-RateLimit-Remaining")]).toEqual(["20", "18"]);
  });
});

describe("any order of writes, polls and acknowledgements", () => {
  it("delivers what a list of unacknowledged events would, at most the buffer's size, and counts the rest", async () => {
    const steps = fc.array(
      fc.oneof(
        fc.record({ kind: fc.constant("write" as const), path: fc.constantFrom("a", "b", "out/c") }),
        fc.record({ kind: fc.constant("ack" as const), which: fc.array(fc.nat(5), { maxLength: 3 }) }),
        fc.record({ kind: fc.constant("poll" as const), most: fc.integer({ min: 1, max: 4 }), since: fc.nat(12) }),
      ),
      { maxLength: 25 },
    );
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 4 }), steps, async (size, list) => {
        const id = await subscribe({ paths: ["*"], delivery: { type: "polling", buffer_size: size } });
        const all: string[] = [];
        let pending: string[] = [];
        let dropped = 0;
        for (const step of list) {
          if (step.kind === "write") {
            server.admin.write(step.path, { data: {} });
            if (step.path === "out/c") continue;
            const made = server.admin.events().at(-1)?.event_id as string;
            all.push(made);
            pending.push(made);
            dropped += Math.max(0, pending.length - size);
            pending = pending.slice(-size);
          } else if (step.kind === "ack") {
            const chosen = new Set(step.which.map((index) => pending[index] ?? `evt_${index}`));
            if (chosen.size === 0) continue;
            const known = pending.filter((event) => chosen.has(event)).length;
            expect(await ack(id, [...chosen])).toBe(known);
            pending = pending.filter((event) => !chosen.has(event));
          } else {
            const since = all[step.since];
            const behind = since === undefined ? pending : pending.filter((event) => all.indexOf(event) > step.since);
            const answer = await poll(id, `timeout=0&max_events=${step.most}&since_event_id=${since ?? "evt_none"}`);
            expect(answer.events.map(({ event_id }) => event_id)).toEqual(behind.slice(0, step.most));
            expect([answer.has_more, answer.dropped_events]).toEqual([behind.length > step.most, dropped]);
          }
        }
        await call("DELETE", `/v1/subscriptions/${id}`);
      }),
      { numRuns: 40 },
    );
  });
});
