import { createHmac } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import type { IncomingHttpHeaders, Server, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { VirtualClock } from "../../src/time/clock.ts";
import { startServer } from "../server.ts";
import type { ScaiVaultServer, ServerOptions } from "../server.ts";
import { callServer } from "../testing.ts";
import type { CallAnswer, CallOptions } from "../testing.ts";

let clock: VirtualClock;
let server: ScaiVaultServer;
let receiver: Server;
let url = "";
/** What the receiver got. */
let got: { readonly headers: IncomingHttpHeaders; readonly body: string; readonly path: string }[] = [];
/** How it answers. */
let respond: (response: ServerResponse) => void;

const call = (method: string, path: string, options: CallOptions = {}): Promise<CallAnswer> =>
  callServer(server, method, path, options);

async function start(options: ServerOptions = {}): Promise<void> {
  clock = new VirtualClock();
  server = await startServer({ clock, limits: { webhook: Infinity, subscription: Infinity }, ...options });
}

beforeEach(async () => {
  got = [];
  respond = (response) => response.writeHead(204).end();
  receiver = createServer((message, response) => {
    let body = "";
    message.on("data", (chunk: Buffer) => (body += chunk.toString()));
    message.on("end", () => {
      got.push({ headers: message.headers, body, path: message.url ?? "" });
      respond(response);
    });
  });
  await new Promise<void>((resolve) => receiver.listen(0, "127.0.0.1", resolve));
  url = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/hook`;
  await start();
});
afterEach(async () => {
  await server.stop();
  receiver.closeAllConnections();
  await new Promise((resolve) => receiver.close(resolve));
});

const secret = "s".repeat(32);
async function create(more: object = {}): Promise<string> {
  const body = { name: "hook", url, secret, events: ["secret.created", "secret.updated"], ...more };
  const answer = await call("POST", "/v1/webhooks", { body });
  expect([answer.status, answer.code]).toEqual([201, undefined]);
  return String(answer.json["id"]);
}

interface Shown {
  readonly status: string;
  readonly attempts: number;
  readonly error: string | null;
  readonly next_attempt_at: string | null;
}
const deliveries = async (id: string, query = ""): Promise<readonly Shown[]> =>
  (await call("GET", `/v1/webhooks/${id}/deliveries${query}`)).json["deliveries"] as Shown[];

/** Writes a secret and waits until so many deliveries arrived. */
async function write(path: string, arrived: number): Promise<void> {
  server.admin.write(path, { data: {} });
  await clock.advance(0);
  await expect.poll(() => got.length).toBe(arrived);
}

describe("a webhook", () => {
  it("gets the same event as subscribers, signed with timestamp and secret", async () => {
    const id = await create();
    await write("a/b", 1);
    const { headers, body } = got[0] as (typeof got)[0];
    const event = server.admin.events()[0];
    expect(JSON.parse(body)).toEqual(event);
    expect(headers).toMatchObject({
      "content-type": "application/json",
      "user-agent": "ScaiVault-Webhook/1.0",
      "x-scaivault-event-id": event?.event_id,
      "x-scaivault-event-type": "secret.created",
      "x-scaivault-timestamp": String(clock.now() / 1000),
    });
    const mac = createHmac("sha256", secret)
      .update(`${clock.now() / 1000}.${body}`)
      .digest("hex");
    expect(headers["x-scaivault-signature"]).toBe(`sha256=${mac}`);
    await expect
      .poll(async () => (await deliveries(id))[0])
      .toMatchObject({
        event_id: event?.event_id,
        event_type: "secret.created",
        status: "success",
        attempts: 1,
        response_code: 204,
        error: null,
        next_attempt_at: null,
      });
    expect((await call("GET", `/v1/webhooks/${id}`)).json).toMatchObject({
      status: "healthy",
      statistics: { deliveries_24h: 1, success_rate_24h: 1 },
      last_delivery: { status: "success", response_code: 204 },
    });
    expect((await call("GET", "/v1/audit/logs?action=webhook_delivery")).json["logs"]).toMatchObject([
      { identity_id: "system:webhook-dispatcher", success: true, extra_data: { target: id, attempt: 1 } },
    ]);
  });

  it("is listed, changed and deleted, and never shows its secret", async () => {
    const id = await create({ filters: { path_prefix: "a/" } });
    const read = await call("GET", `/v1/webhooks/${id}`);
    expect(read.json).toMatchObject({ id, name: "hook", url, enabled: true, filters: { path_prefix: "a/" } });
    const other = "t".repeat(32);
    const changed = await call("PATCH", `/v1/webhooks/${id}`, {
      body: { secret: other, previous_secret_ttl: "24h", filters: {} },
    });
    expect(changed.json).toMatchObject({ previous_secret_expires_at: "2026-01-02T00:00:00.000Z", filters: {} });
    await write("b", 1);
    const { headers, body } = got[0] as (typeof got)[0];
    const mac = createHmac("sha256", other)
      .update(`${clock.now() / 1000}.${body}`)
      .digest("hex");
    expect(headers["x-scaivault-signature"]).toBe(`sha256=${mac}`);
    const list = await call("GET", "/v1/webhooks");
    expect(list.json["webhooks"]).toMatchObject([{ id }]);
    for (const { text } of [read, changed, list]) expect(text).not.toMatch(/s{32}|t{32}/);
    expect((await call("DELETE", `/v1/webhooks/${id}`)).status).toBe(204);
    for (const path of ["", "/deliveries"])
      expect((await call("GET", `/v1/webhooks/${id}${path}`)).code).toBe("webhook_not_found");
    server.admin.write("c", { data: {} });
    await clock.advance(60_000);
    expect(got).toHaveLength(1);
  });

  it("gets what its filters take, of its own tenant, while it is enabled", async () => {
    server.admin.addTenant("tnt_2");
    const id = await create({ filters: { path_prefix: "a/", secret_type: "json", tags: ["x"] } });
    const body = { data: {}, secret_type: "json", metadata: { tags: ["x"] } };
    server.admin.write("b/1", body);
    server.admin.write("a/1", { ...body, secret_type: "kv" });
    server.admin.write("a/2", { ...body, metadata: { tags: ["y"] } });
    server.admin.write("a/3", body, { tenantId: "tnt_2" });
    server.admin.write("a/4", body);
    server.admin.remove("a/4");
    await clock.advance(0);
    await expect.poll(() => got.length).toBe(1);
    expect(JSON.parse(got[0]?.body ?? "")).toMatchObject({ path: "a/4", event_type: "secret.created" });
    await call("PATCH", `/v1/webhooks/${id}`, { body: { enabled: false } });
    server.admin.write("a/5", body);
    await clock.advance(1000);
    expect(got).toHaveLength(1);
  });

  it.each([
    ["http://192.0.2.1/"],
    ["http://localhost.evil.example/"],
    ["ftp://127.0.0.1/"],
    ["https://user:pw@example.com/"],
    ["https://example.com/#x"],
    ["nothing"],
  ])("is refused with the URL %s", async (bad) => {
    const body = { name: "n", url: bad, secret, events: ["*"] };
    const answer = await call("POST", "/v1/webhooks", { body });
    expect([answer.status, answer.code]).toEqual([422, "validation_error"]);
    expect(answer.text).not.toContain(bad);
  });

  it("needs the scope admin, and a secret to keep an old one", async () => {
    const token = server.admin.createToken({ identity: "sa:x", scopes: ["secrets:read"] });
    expect((await call("GET", "/v1/webhooks", { token })).code).toBe("insufficient_scope");
    const id = await create();
    expect((await call("PATCH", `/v1/webhooks/${id}`, { body: { previous_secret_ttl: "1h" } })).code).toBe(
      "validation_error",
    );
  });

  it("is tested by an event that goes to it alone, once", async () => {
    const id = await create({ enabled: false });
    await create({ events: ["*"] });
    expect((await call("POST", `/v1/webhooks/${id}/test`, { body: {} })).json).toMatchObject({
      status: "success",
      response_code: 204,
    });
    expect(got.map(({ headers }) => headers["x-scaivault-event-type"])).toEqual(["webhook.test"]);
    respond = (response) => response.writeHead(500).end();
    expect((await call("POST", `/v1/webhooks/${id}/test`, { body: {} })).json).toMatchObject({
      status: "failed",
      response_code: 500,
    });
    await clock.advance(86_400_000);
    expect(got).toHaveLength(2);
  });
});

describe("a failed delivery", () => {
  it("is tried again after growing waits, then given up", async () => {
    respond = (response) => response.writeHead(503).end("secret text of the receiver");
    const id = await create();
    await write("a", 1);
    await expect.poll(async () => (await deliveries(id))[0]?.attempts).toBe(1);
    expect((await deliveries(id, "?status=pending"))[0]).toMatchObject({
      status: "pending",
      error: "status",
      next_attempt_at: "2026-01-01T00:00:10.000Z",
    });
    expect((await call("GET", `/v1/webhooks/${id}`)).json).toMatchObject({ status: "failing" });
    for (const [index, seconds] of [10, 60, 300, 1800, 7200, 21_600].entries()) {
      await clock.advance(seconds * 1000 - 1);
      expect(got).toHaveLength(index + 1);
      await clock.advance(1);
      await expect.poll(async () => (await deliveries(id))[0]?.attempts).toBe(index + 2);
    }
    expect(await deliveries(id)).toMatchObject([{ status: "failed", attempts: 7, next_attempt_at: null }]);
    expect(JSON.stringify(await deliveries(id))).not.toContain("receiver");
    await clock.advance(86_400_000);
    expect(got).toHaveLength(7);
    // The same event each time, signed anew.
    expect(new Set(got.map(({ body }) => body)).size).toBe(1);
    expect(new Set(got.map(({ headers }) => headers["x-scaivault-signature"])).size).toBe(7);
  });

  it("is one that is redirected, times out, or meets nobody", async () => {
    const id = await create();
    respond = (response) => response.writeHead(302, { location: "/elsewhere" }).end();
    await write("a", 1);
    await expect.poll(async () => (await deliveries(id))[0]?.error).toBe("redirect");
    expect(got.map(({ path }) => path)).toEqual(["/hook"]);
    respond = () => undefined;
    await clock.advance(10_000);
    await expect.poll(() => got.length).toBe(2);
    await clock.advance(10_000);
    await expect.poll(async () => (await deliveries(id))[0]?.error).toBe("timeout");
    await call("PATCH", `/v1/webhooks/${id}`, { body: { url: "http://127.0.0.1:1/" } });
    await clock.advance(60_000);
    await expect.poll(async () => (await deliveries(id))[0]?.error).toBe("no_answer");
    await call("PATCH", `/v1/webhooks/${id}`, { body: { url, enabled: false } });
    await clock.advance(300_000);
    await expect.poll(async () => (await deliveries(id))[0]).toMatchObject({ status: "failed", error: "disabled" });
  });

  it("does not hold up others, and goes on after a restart", async () => {
    const folder = mkdtempSync(join(tmpdir(), "scaivault-webhooks-"));
    try {
      await server.stop();
      const dataFile = join(folder, "data.sqlite");
      await start({ dataFile });
      respond = (response) => response.writeHead(500).end();
      const id = await create();
      await write("a", 1);
      await expect.poll(async () => (await deliveries(id))[0]?.attempts).toBe(1);
      respond = (response) => response.writeHead(200).end();
      await write("b", 2);
      await expect.poll(async () => (await deliveries(id)).map(({ status }) => status)).toEqual(["success", "pending"]);
      await server.stop();
      await start({ dataFile });
      expect((await deliveries(id)).map(({ status }) => status)).toEqual(["success", "pending"]);
      await clock.advance(10_000);
      await expect.poll(async () => (await deliveries(id)).map(({ status }) => status)).toEqual(["success", "success"]);
      expect(got[2]?.body).toBe(got[0]?.body);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it("is only kept among the last thousand", async () => {
    const id = await create();
    for (let number = 0; number < 1005; number++) server.admin.write("a", { data: {} });
    expect(await deliveries(id, "?limit=1000")).toHaveLength(1000);
  });
});

describe("a subscription with delivery webhook", () => {
  const subscribe = (delivery: object): Promise<CallAnswer> =>
    call("POST", "/v1/subscriptions", { body: { name: "n", paths: ["a/**"], events: ["*"], delivery } });

  it("is delivered and retried like a webhook, and not polled", async () => {
    const made = await subscribe({ type: "webhook", url, secret });
    const id = String(made.json["id"]);
    expect(made.json["delivery"]).toEqual({ type: "webhook", url });
    respond = (response) => response.writeHead(500).end();
    server.admin.write("b", { data: {} });
    await write("a/1", 1);
    expect(JSON.parse(got[0]?.body ?? "")).toMatchObject({ path: "a/1" });
    const state = async (): Promise<unknown> => (await call("GET", `/v1/subscriptions/${id}`)).json["status"];
    await expect.poll(state).toBe("failing");
    respond = (response) => response.writeHead(200).end();
    await clock.advance(10_000);
    await expect.poll(state).toBe("active");
    expect((await call("GET", `/v1/subscriptions/${id}/poll?timeout=0`)).code).toBe("invalid_request");
  });

  it.each([
    [{ type: "webhook", url: "http://127.0.0.1:1/" }, "delivery.secret"],
    [{ type: "webhook", secret }, "delivery.url"],
    [{ type: "webhook", secret, url: "http://192.0.2.1/" }, "delivery.url"],
  ])("is refused with %j", async (delivery, field) => {
    const answer = await subscribe(delivery);
    expect(answer.json).toMatchObject({ error: { code: "validation_error", details: { fields: {} } } });
    expect(answer.text).toContain(field);
  });
});
