import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { SecretValue } from "../../model/index.ts";
import { Network } from "../../net/index.ts";
import { VirtualClock } from "../../time/clock.ts";
import { StorePause } from "../pause.ts";
import type { VaultAPI } from "./api.ts";
import { createNodeVaultAPI } from "./node-vault-api.ts";
import { VaultStore } from "./store.ts";
import { TokenKeeper } from "./token.ts";

/** A server that plays what Vault's community edition does not do: redirects, standbys, limits. */
let handler: (request: IncomingMessage, response: ServerResponse) => void;
let seen: { method: string; url: string; headers: IncomingMessage["headers"] }[];
let server: ReturnType<typeof createServer>;
let sink: ReturnType<typeof createServer>;
let sinkCalls: number;
let network: Network;
let api: VaultAPI;
let store: VaultStore;
let clock: VirtualClock;
const signal = new AbortController().signal;
const token = SecretValue.fromText("hvs.canary");
const url = (of: ReturnType<typeof createServer>): string => `http://127.0.0.1:${(of.address() as AddressInfo).port}`;

beforeEach(async () => {
  seen = [];
  sinkCalls = 0;
  server = createServer((request, response) => {
    seen.push({ method: request.method ?? "", url: request.url ?? "", headers: request.headers });
    if (request.url?.startsWith("/v1/auth/token/lookup-self") === true)
      response.end('{"data":{"ttl":0,"renewable":false}}');
    else handler(request, response);
  });
  sink = createServer((_request, response) => void (sinkCalls++, response.end("{}")));
  for (const one of [server, sink]) await new Promise<void>((resolve) => one.listen(0, "127.0.0.1", resolve));
  network = new Network({ userAgent: "test/1", allowLoopback: true });
  clock = new VirtualClock();
  api = createNodeVaultAPI({ destination: { url: new URL(url(server)) }, namespace: "team/a", network });
  const pause = new StorePause(clock);
  const tokens = new TokenKeeper({
    auth: { kind: "Token", token },
    mount: [],
    api,
    clock,
    throttled: (advice) => pause.throttled(advice),
  });
  store = new VaultStore({ api, tokens, pause, clock, connections: 4 });
});
afterEach(async () => {
  await network.close();
  for (const one of [server, sink]) {
    one.closeAllConnections();
    one.close();
  }
});
const read = (path = "app"): Promise<unknown> => store.read(["kv", "data"], path.split("/"), `read ${path}`, signal);
const failure = async (): Promise<{ reason: string; message: string; detail?: string; retryAfterMs?: number }> =>
  (await read().catch((error: unknown) => error)) as { reason: string; message: string };

describe("what is sent", () => {
  it("carries token, namespace and exactly the path, and no variable of the surroundings", async () => {
    process.env["VAULT_TOKEN"] = "surroundings";
    process.env["VAULT_NAMESPACE"] = "surroundings";
    process.env["VAULT_PREFIX"] = "/surroundings";
    try {
      const made = createNodeVaultAPI({ destination: { url: new URL(url(server)) }, namespace: "team/a", network });
      handler = (_request, response) => response.end("{}");
      await made.read(["kv", "data"], ["a b", "{{x}}", "#?ü"], { token, signal, version: "3" });
      await made.list(["kv", "metadata"], ["a"], { token, signal });
      await made.write(["auth", "approle"], ["login"], { role_id: "{{r}}" }, { signal });
    } finally {
      for (const name of ["VAULT_TOKEN", "VAULT_NAMESPACE", "VAULT_PREFIX"]) delete process.env[name];
    }
    expect(seen.map(({ method, url: path }) => `${method} ${path}`)).toEqual([
      "GET /v1/kv/data/a%20b/%7B%7Bx%7D%7D/%23%3F%C3%BC?version=3",
      "GET /v1/kv/metadata/a?list=1",
      "POST /v1/auth/approle/login",
    ]);
    expect(seen.map(({ headers }) => headers["x-vault-token"])).toEqual(["hvs.canary", "hvs.canary", undefined]);
    expect(seen.every(({ headers }) => headers["x-vault-namespace"] === "team/a")).toBe(true);
  });

  it("never leaves the mount", async () => {
    handler = (_request, response) => response.end("{}");
    for (const rest of [["..", "..", "sys", "seal"], ["%2e%2e"], [""], ["a/b"], ["."]])
      await expect(api.read(["kv", "data"], rest, { token, signal })).rejects.toMatchObject({ reason: "InvalidPath" });
    expect(seen).toEqual([]);
  });

  it("refuses a namespace that would break the header", () => {
    for (const namespace of ["a\r\nb", "", "a b", "a//b"])
      expect(() => createNodeVaultAPI({ destination: { url: new URL(url(server)) }, namespace, network })).toThrow();
  });
});

describe("redirects", () => {
  it("follows one to the configured address itself", async () => {
    let calls = 0;
    handler = (request, response) => {
      if (calls++ === 0) response.writeHead(307, { location: `${url(server)}${request.url}` }).end();
      else response.end("{}");
    };
    await read();
    expect(calls).toBe(2);
    handler = (request, response) =>
      void (calls++, response.writeHead(308, { location: `${url(server)}${request.url}` }).end());
    calls = 0;
    expect(await failure()).toMatchObject({ reason: "SourceUnavailable", detail: "HTTP 308" });
    expect(calls).toBe(2);
  });

  it.each([301, 302, 303, 307, 308])("sends nothing to another address on %i", async (status) => {
    for (const target of [
      url(sink),
      url(server).replace("127.0.0.1", "localhost"),
      "https://evil.example",
      "//evil.example",
      "/v1/sys/seal",
      "http://u@127.0.0.1",
    ]) {
      handler = (request, response) =>
        response.writeHead(status, { location: target.startsWith("/v1") ? target : target + request.url }).end();
      const before = seen.length;
      expect((await failure()).reason).toBe("SourceUnavailable");
      expect(seen.length - before).toBeLessThanOrEqual(2);
    }
    expect(sinkCalls).toBe(0);
    expect(seen.some(({ url: path }) => path.includes("seal"))).toBe(false);
  });
});

describe("answers", () => {
  it.each([472, 473, 502, 503, 504])("takes %i for an outage", async (status) => {
    handler = (_request, response) => response.writeHead(status).end('{"errors":["canary-text"]}');
    const error = await failure();
    expect(error).toMatchObject({ reason: "SourceUnavailable", message: "the store cannot be reached" });
  });

  it("knows a sealed Vault", async () => {
    handler = (_request, response) => response.writeHead(503).end('{"errors":["Vault is sealed"]}');
    expect((await failure()).reason).toBe("SourceSealed");
  });

  it("pauses for the whole store on 429, as long as Vault says, and asks nothing meanwhile", async () => {
    handler = (_request, response) => response.writeHead(429, { "retry-after": "7" }).end('{"errors":["rate limit"]}');
    expect(await failure()).toMatchObject({ reason: "RateLimited", retryAfterMs: 7_000 });
    const before = seen.length;
    expect(await failure()).toMatchObject({ reason: "RateLimited" });
    expect(seen).toHaveLength(before);
    await clock.advance(7_000);
    handler = (_request, response) => response.end("{}");
    await read();
  });

  it("clamps absurd advice to 15 minutes", async () => {
    handler = (_request, response) => response.writeHead(429, { "retry-after": "999999999" }).end();
    expect((await failure()).retryAfterMs).toBe(900_000);
  });

  it("tries 412 once more", async () => {
    let calls = 0;
    handler = (_request, response) => void (calls++ === 0 ? response.writeHead(412).end() : response.end("{}"));
    await read();
    expect(calls).toBe(2);
    handler = (_request, response) => void (calls++, response.writeHead(412).end());
    expect((await failure()).reason).toBe("SourceUnavailable");
    expect(calls).toBe(4);
  });

  it("keeps the text as it came and shows none of it when it is no JSON", async () => {
    handler = (_request, response) => response.end('{"data": {"n": 12345678901234567890}}');
    expect(await read()).toMatchObject({ text: '{"data": {"n": 12345678901234567890}}' });
    handler = (_request, response) => response.writeHead(418).end("hunter2-canary");
    const error = await failure();
    expect(JSON.stringify(error) + error.message).not.toContain("canary");
  });
});

describe("mounts", () => {
  const mount =
    (path: string, type: string, version?: string) => (_request: IncomingMessage, response: ServerResponse) =>
      void response.end(JSON.stringify({ data: { path, type, options: version === undefined ? null : { version } } }));

  it("asks once for each mount", async () => {
    handler = mount("team/kv/", "kv", "2");
    const found = await Promise.all(
      ["team/kv/a", "team/kv/b", "team/kv/c/d"].map((path) => store.mountOf(path.split("/"), signal)),
    );
    expect(found.map(({ version, segments }) => `${segments.join("/")} ${version}`)).toEqual([
      "team/kv 2",
      "team/kv 2",
      "team/kv 2",
    ]);
    expect(seen.map(({ url: path }) => path)).toEqual([
      "/v1/auth/token/lookup-self",
      "/v1/sys/internal/ui/mounts/team/kv/a",
    ]);
    await clock.advance(3_600_000);
    await store.mountOf(["team", "kv", "a"], signal);
    expect(seen).toHaveLength(3);
  });

  it.each([
    ["database/", "database"],
    ["pki/", "pki"],
    ["secret/", "generic"],
  ])("reads nothing on %s of type %s", async (path, type) => {
    handler = mount(path, type);
    await expect(store.mountOf([path.slice(0, -1), "creds"], signal)).rejects.toMatchObject({
      reason: "UnsupportedMount",
    });
  });

  it("does not believe an answer for another mount", async () => {
    handler = mount("other/", "kv", "2");
    await expect(store.mountOf(["kv", "a"], signal)).rejects.toMatchObject({ reason: "SourceUnavailable" });
  });
});
