import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inspect } from "node:util";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createAuthority } from "../../local/certificates.ts";
import { VirtualClock } from "../time/clock.ts";
import { KubeClient, pathOf } from "./client.ts";
import { ApiConnectionError, ApiStatusError, parseRetryAfter } from "./errors.ts";
import type { ClusterConfig } from "./kubeconfig.ts";
import { FakeApiServer, answer, refuse, until } from "./testing/fake-api-server.ts";
import { KubeTransport, type KubeRequest, type RequestObservation, type TransportOptions } from "./transport.ts";
import { resources } from "./types.ts";

let server: FakeApiServer;
let clock: VirtualClock;
let folder: string;
const open: KubeTransport[] = [];
let seen: RequestObservation[];

beforeEach(async () => {
  server = await FakeApiServer.start();
  clock = new VirtualClock();
  folder = await mkdtemp(join(tmpdir(), "transport-"));
  seen = [];
});

afterEach(async () => {
  await Promise.all(open.splice(0).map((transport) => transport.close()));
  await server.close();
  await rm(folder, { recursive: true });
});

function build(options: Partial<TransportOptions> & { config?: ClusterConfig } = {}): KubeTransport {
  const transport = new KubeTransport({
    config: { server: server.url },
    clock,
    userAgent: "scaivault-operator/test",
    random: () => 0,
    onRequest: (observation) => seen.push(observation),
    ...options,
  });
  open.push(transport);
  return transport;
}

const get: KubeRequest = { verb: "get", resource: "things", method: "GET", path: "/x", idempotent: true };
const post: KubeRequest = { verb: "create", resource: "things", method: "POST", path: "/x", body: { a: 1 } };

async function failure(call: Promise<unknown>): Promise<unknown> {
  try {
    await call;
  } catch (error) {
    return error;
  }
  throw new Error("the call was expected to fail");
}

describe("KubeTransport", () => {
  it("shares few connections among many calls and counts what is in flight", async () => {
    let most = 0;
    let now = 0;
    server.respond = async (_request, response) => {
      most = Math.max(most, ++now);
      await new Promise((resolve) => setTimeout(resolve, 2));
      now -= 1;
      answer(response, 200, { ok: true });
    };
    const transport = build({ maxConcurrent: 8 });
    const calls = Array.from({ length: 200 }, () => transport.request(get));
    expect(transport.inFlight).toBe(200);
    await Promise.all([...calls, transport.idle()]);
    expect(transport.inFlight).toBe(0);
    expect(most).toBeLessThanOrEqual(8);
    expect(server.connections).toBeLessThanOrEqual(16);
    expect(seen).toHaveLength(200);
    expect(seen[0]).toMatchObject({ verb: "get", resource: "things", code: "200" });
    expect(clock.pending).toBe(0);
  });

  it("sends JSON with its headers, and the User-Agent of the call in plain ASCII", async () => {
    server.respond = (_request, response) => answer(response, 200, undefined);
    const transport = build({ config: { server: `${server.url}/prefix`, token: { text: " secret-token\n" } } });
    await transport.request({ ...post, userAgent: "op (a\r\nb/ü)", query: { a: "b c", none: undefined } });
    const request = server.requests[0];
    expect(request?.path).toBe("/prefix/x");
    expect([...(request?.query ?? [])]).toEqual([["a", "b c"]]);
    expect(request?.headers).toMatchObject({
      authorization: "Bearer secret-token",
      "user-agent": "op (a??b/?)",
      "content-type": "application/json",
    });
    expect(request?.body).toEqual({ a: 1 });
  });

  it("keeps nothing of the server's text in an error", async () => {
    server.respond = (_request, response) =>
      refuse(response, 422, "Invalid", {
        causes: [
          { field: "data[key]", reason: "FieldValueInvalid", message: "canary-7f3a" },
          { field: "\u001b[31mcanary-7f3a", reason: 7 },
        ],
      });
    const error = await failure(build().request(post));
    expect(error).toBeInstanceOf(ApiStatusError);
    expect(error).toMatchObject({
      code: 422,
      reason: "Invalid",
      fields: [
        { field: "data[key]", reason: "FieldValueInvalid" },
        { field: "?", reason: "Unknown" },
      ],
    });
    expect(inspect(error, { depth: 10, showHidden: true })).not.toContain("canary");
  });

  it.each([
    ["no JSON", "canary-7f3a not json", 200, "badResponse"],
    ["too much", "x".repeat(2000), 200, "tooLarge"],
  ])("says nothing of an answer that is %s", async (_name, text, status, kind) => {
    server.respond = (_request, response) => void response.writeHead(status).end(text);
    const error = await failure(build({ maxBodyBytes: 1000 }).request(get));
    expect(error).toMatchObject({ kind });
    expect(inspect(error, { depth: 10, showHidden: true })).not.toContain("canary");
  });

  it("repeats idempotent calls after a reset, others not", async () => {
    let calls = 0;
    server.respond = (_request, response) => {
      calls += 1;
      if (calls % 2 === 1) response.socket?.resetAndDestroy();
      else answer(response, 200, { calls });
    };
    const transport = build();
    const first = transport.request(get);
    await until("the first try", () => calls === 1);
    await until("its end", () => clock.pending >= 2);
    await clock.advance(100);
    expect(await first).toEqual({ calls: 2 });
    expect(await failure(transport.request(post))).toMatchObject({ kind: "reset", sent: true });
    expect(calls).toBe(3);
  });

  it("gives up after three resets", async () => {
    server.respond = (_request, response) => void response.socket?.resetAndDestroy();
    const call = failure(build().request(get));
    await until("the first try", () => seen.length === 1);
    for (let i = 0; i < 10; i++) await clock.advance(200);
    await until("three tries", () => seen.length === 3);
    expect(await call).toMatchObject({ kind: "reset" });
  });

  it.each([429, 503])("waits a short Retry-After of %i itself and leaves a long one to the caller", async (status) => {
    let wish = "1";
    server.respond = (_request, response) => {
      if (wish === "") answer(response, 200, { ok: true });
      else refuse(response, status, "TooManyRequests", { headers: { "retry-after": wish } });
    };
    const transport = build();
    const call = transport.request(get);
    await until("the first try", () => seen.length === 1);
    await until("waiting", () => clock.pending >= 2);
    wish = "";
    await clock.advance(999);
    expect(server.requests).toHaveLength(1);
    await clock.advance(1);
    expect(await call).toEqual({ ok: true });

    wish = "60";
    expect(await failure(transport.request(get))).toMatchObject({ code: status, retryAfterMs: 60_000 });
    wish = "1";
    expect(await failure(transport.request(post))).toMatchObject({ code: status, retryAfterMs: 1000 });
    expect(server.requests).toHaveLength(4);
  });

  it("ends a call at its time-out, whatever it waits for, and says that it may have been sent", async () => {
    server.respond = () => undefined;
    const transport = build({ maxConcurrent: 1, timeoutMs: 5000 });
    const first = failure(transport.request(post));
    await until("the call", () => server.requests.length === 1);
    const second = failure(transport.request({ ...post, timeoutMs: 3000 }));
    await until("the queue", () => transport.waiting === 1);
    await clock.advance(3000);
    expect(transport.waiting).toBe(0);
    await clock.advance(2000);
    expect(await first).toMatchObject({ kind: "timeout", sent: true });
    expect(await second).toMatchObject({ kind: "timeout", sent: false });
    expect(transport.inFlight).toBe(0);
    expect(clock.pending).toBe(0);
  });

  it("ends a call when its signal aborts", async () => {
    server.respond = () => undefined;
    const abort = new AbortController();
    const call = failure(build().request({ ...get, signal: abort.signal }));
    await until("the call", () => server.requests.length === 1);
    abort.abort();
    expect(await call).toMatchObject({ kind: "aborted" });
    expect(await failure(build().request({ ...get, signal: abort.signal }))).toMatchObject({
      kind: "aborted",
      sent: false,
    });
  });

  it("lets an urgent call pass calls that hang", async () => {
    server.respond = (request, response) => {
      if (request.path === "/urgent") answer(response, 200, { ok: true });
    };
    const transport = build({ maxConcurrent: 2 });
    const hanging = Array.from({ length: 30 }, () => failure(transport.request(get)));
    await until("the hanging calls", () => server.requests.length === 2);
    expect(await transport.request({ ...get, path: "/urgent", urgent: true })).toEqual({ ok: true });
    await transport.close();
    await clock.advance(30_000);
    await Promise.all(hanging);
  });

  it("asks the guard before each attempt and sends nothing once it throws", async () => {
    server.respond = (_request, response) =>
      refuse(response, 429, "TooManyRequests", { headers: { "retry-after": "1" } });
    let held = true;
    const guard = (): void => {
      if (!held) throw new RangeError("not the leader");
    };
    const call = failure(build().request({ ...get, guard }));
    await until("the first try", () => seen.length === 1);
    await until("waiting", () => clock.pending >= 2);
    held = false;
    await clock.advance(1000);
    expect(await call).toBeInstanceOf(RangeError);
    expect(await failure(build().request({ ...get, guard }))).toBeInstanceOf(RangeError);
    expect(server.requests).toHaveLength(1);
  });

  it("is not disturbed by an observer that throws", async () => {
    server.respond = (_request, response) => answer(response, 200, { ok: true });
    const transport = build({
      onRequest: () => {
        throw new Error("broken");
      },
    });
    expect(await transport.request(get)).toEqual({ ok: true });
  });

  it("sorts a server that is not there", async () => {
    const { port } = server;
    await server.close();
    const call = failure(build({ config: { server: `http://127.0.0.1:${port}` } }).request(post));
    for (let i = 0; i < 20 && seen.length < 3; i++) {
      await clock.advance(500);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    expect(await call).toMatchObject({ kind: "refused", sent: false });
    server = await FakeApiServer.start();
  });
});

describe("credentials", () => {
  it("reads a token file again after a minute, and at once after a 401", async () => {
    const file = join(folder, "token");
    await writeFile(file, "one\n");
    server.respond = (request, response) => {
      if (request.headers.authorization === "Bearer dead") refuse(response, 401, "Unauthorized");
      else answer(response, 200, {});
    };
    const transport = build({ config: { server: server.url, token: { file } } });
    const tokens = (): (string | undefined)[] => server.requests.map((request) => request.headers.authorization);
    await transport.request(get);
    await writeFile(file, "two");
    await transport.request(get);
    expect(tokens()).toEqual(["Bearer one", "Bearer one"]);
    await clock.advance(60_000);
    await transport.request(get);
    for (let i = 0; i < 50 && tokens().at(-1) !== "Bearer two"; i++) await transport.request(get);
    expect(tokens().at(-1)).toBe("Bearer two");

    await writeFile(file, "dead");
    await clock.advance(60_000);
    for (let i = 0; i < 50 && tokens().at(-1) !== "Bearer dead"; i++)
      await transport.request(get).catch(() => undefined);
    await writeFile(file, "three");
    await transport.request(post);
    expect(tokens().slice(-2)).toEqual(["Bearer dead", "Bearer three"]);
  });

  it("asks once only when the token is refused and did not change", async () => {
    server.respond = (_request, response) => refuse(response, 401, "Unauthorized");
    const error = await failure(build({ config: { server: server.url, token: { text: "x" } } }).request(get));
    expect(error).toMatchObject({ code: 401 });
    expect(server.requests).toHaveLength(1);
  });

  it("fails without a call when there is no token file, and keeps the last good one when it is empty or vanishes", async () => {
    const file = join(folder, "token");
    const transport = build({ config: { server: server.url, token: { file } } });
    expect(await failure(transport.request(get))).toMatchObject({ kind: "credentials", sent: false });
    expect(server.requests).toHaveLength(0);
    await writeFile(file, "one");
    server.respond = (_request, response) => answer(response, 200, {});
    await transport.request(get);
    await writeFile(file, "");
    await clock.advance(120_000);
    await transport.request(get);
    await rm(file);
    await clock.advance(120_000);
    await transport.request(get);
    await transport.request(get);
    expect(server.requests.map((r) => r.headers.authorization)).toEqual(Array(4).fill("Bearer one"));
  });

  it("takes a rotated CA from its file when the server shows a certificate of the new one", async () => {
    const [first, second] = [createAuthority("first"), createAuthority("second")];
    const issue = (authority: ReturnType<typeof createAuthority>) =>
      authority.issue({ commonName: "api", names: ["127.0.0.1"] });
    const caFile = join(folder, "ca.crt");
    await writeFile(caFile, first.cert);
    let tls = await FakeApiServer.start({ tls: issue(first) });
    const ok = (fake: FakeApiServer): void => void (fake.respond = (_request, response) => answer(response, 200, {}));
    ok(tls);
    const { port } = tls;
    const transport = build({ config: { server: tls.url, ca: { file: caFile } } });
    await transport.request(get);
    await tls.close();
    tls = await FakeApiServer.start({ tls: issue(second), port });
    try {
      ok(tls);
      expect(await failure(transport.request(get))).toMatchObject({ kind: "tls", sent: false });
      expect(tls.requests).toHaveLength(0);
      await writeFile(caFile, second.cert);
      await transport.request(post);
      expect(tls.requests).toHaveLength(1);
    } finally {
      await tls.close();
    }
  });
});

describe("stream", () => {
  it("gives chunks as they come and closes the connection when the reader leaves", async () => {
    let closed = false;
    server.respond = (_request, response) => {
      response.writeHead(200);
      response.write("one\n");
      response.on("close", () => (closed = true));
    };
    const { body } = await build().stream({ ...get, verb: "watch" });
    for await (const chunk of body) {
      expect(Buffer.from(chunk).toString()).toBe("one\n");
      break;
    }
    await until("the end of the connection", () => closed);
    expect(clock.pending).toBe(0);
  });

  it("times out while no head comes, but not afterwards", async () => {
    server.respond = () => undefined;
    const transport = build({ timeoutMs: 3000 });
    const call = failure(transport.stream({ ...get, verb: "watch" }));
    await until("the call", () => server.requests.length === 1);
    await clock.advance(3000);
    expect(await call).toMatchObject({ kind: "timeout" });

    server.respond = (_request, response) => {
      response.writeHead(200);
      response.flushHeaders();
      setTimeout(() => response.end("late"), 20);
    };
    const { body } = await transport.stream({ ...get, verb: "watch" });
    await clock.advance(100_000);
    const parts: string[] = [];
    for await (const chunk of body) parts.push(Buffer.from(chunk).toString());
    expect(parts).toEqual(["late"]);
  });

  it("reports a reset while reading", async () => {
    server.respond = (_request, response) => {
      response.writeHead(200);
      response.write("one\n");
      setTimeout(() => response.socket?.resetAndDestroy(), 10);
    };
    const { body } = await build().stream({ ...get, verb: "watch" });
    const read = async (): Promise<void> => {
      for await (const _chunk of body) continue;
    };
    expect(await failure(read())).toBeInstanceOf(ApiConnectionError);
  });
});

describe("parseRetryAfter", () => {
  it.each([
    ["5", 5000],
    ["-3", 0],
    ["1e9", 900_000],
    ["NaN", undefined],
    ["", undefined],
    [undefined, undefined],
    [["7", "8"], 7000],
    ["Thu, 01 Jan 1970 00:00:30 GMT", 20_000],
    ["Thu, 01 Jan 1970 00:00:01 GMT", 0],
  ])("%j is %s ms", (header, expected) => {
    expect(parseRetryAfter(header, 10_000)).toBe(expected);
  });
});

describe("KubeClient", () => {
  const secret = { metadata: { namespace: "ns", name: "s" } };

  it("encodes every segment of a path", () => {
    expect(pathOf(resources.secrets, { namespace: "a/b", name: "../x?y#z" })).toBe(
      "/api/v1/namespaces/a%2Fb/secrets/..%2Fx%3Fy%23z",
    );
    expect(pathOf(resources.leases, { namespace: "n", name: "l", subresource: "status" })).toBe(
      "/apis/coordination.k8s.io/v1/namespaces/n/leases/l/status",
    );
    expect(pathOf(resources.namespaces, { namespace: "ignored", name: "n" })).toBe("/api/v1/namespaces/n");
  });

  it("refuses a name that would address the whole collection", () => {
    const client = new KubeClient(build(), { fieldManager: "m" });
    expect(() => client.get(resources.secrets, { namespace: "n", name: "" })).toThrow(TypeError);
    expect(() => client.getMetadata(resources.secrets, { name: "x" })).toThrow(TypeError);
  });

  it("applies as the API wants it and asks for metadata only", async () => {
    server.respond = (_request, response) => answer(response, 200, {});
    const client = new KubeClient(build(), { fieldManager: "mgr" });
    await client.apply(resources.secrets, secret, { force: true, dryRun: true });
    const request = server.requests[0];
    expect(request).toMatchObject({
      method: "PATCH",
      path: "/api/v1/namespaces/ns/secrets/s",
      body: { apiVersion: "v1", kind: "Secret", metadata: { namespace: "ns", name: "s" } },
    });
    expect(Object.fromEntries(request?.query ?? [])).toEqual({ fieldManager: "mgr", force: "true", dryRun: "All" });
    expect(request?.headers["content-type"]).toBe("application/apply-patch+yaml");
    expect(request?.headers.accept).toContain("as=PartialObjectMetadata;");
  });

  it("deletes with preconditions and tells absence from refusal", async () => {
    server.respond = (_request, response) => answer(response, 200, {});
    const client = new KubeClient(build(), { fieldManager: "m" });
    const name = { namespace: "ns", name: "s" };
    expect(await client.delete(resources.secrets, name, { uid: "u", resourceVersion: "7" })).toBe("deleted");
    expect(server.requests[0]?.body).toMatchObject({ preconditions: { uid: "u", resourceVersion: "7" } });
    server.respond = (_request, response) => refuse(response, 404, "NotFound");
    expect(await client.delete(resources.secrets, name)).toBe("absent");
    server.respond = (_request, response) => refuse(response, 409, "Conflict");
    expect(await failure(client.delete(resources.secrets, name, { uid: "other" }))).toMatchObject({ code: 409 });
  });

  it("finds nothing for 404 and passes other errors on", async () => {
    const client = new KubeClient(build(), { fieldManager: "m" });
    expect(await client.find(resources.secrets, secret.metadata)).toBeUndefined();
    expect(await client.findMetadata(resources.secrets, secret.metadata)).toBeUndefined();
    expect(await client.groupDiscovery("example.com", "v1")).toBeUndefined();
    server.respond = (_request, response) => refuse(response, 403, "Forbidden");
    expect(await failure(client.find(resources.secrets, secret.metadata))).toMatchObject({ code: 403 });
  });
});
