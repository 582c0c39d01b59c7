import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { type ScaiVaultServer, startServer } from "../../scaivault-server/server.ts";
import { SyncError } from "../errors/index.ts";
import { SecretValue } from "../model/index.ts";
import { type HttpClient, Network } from "../net/index.ts";
import { systemClock, VirtualClock } from "../time/clock.ts";
import {
  type CallReport,
  clientCredentials,
  RateBudget,
  ScaiVaultClient,
  type SecretMetadata,
  secretFile,
  type SecretSupplier,
  tokenExchange,
  tokenFile,
  type TokenProvider,
} from "./index.ts";

const noMetadata: SecretMetadata = { description: undefined, owner: undefined, tags: [], custom: new Map() };
const context = { signal: new AbortController().signal };
const canary = "canary-7f3a9c";

let server: ScaiVaultServer;
let network: Network;
let http: HttpClient;
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "scaivault-client-"));
  server = await startServer({});
  network = new Network({ userAgent: "scaivault-operator/test", allowLoopback: true });
  http = network.open({ url: network.endpoint(server.url) });
});
afterEach(() => {
  server.admin.clearFaults();
  server.admin.resetCounters();
});
afterAll(async () => {
  await network.close();
  await server.stop();
  await rm(folder, { recursive: true });
});

function fixed(token: string): TokenProvider {
  return { token: async () => SecretValue.fromText(token), renew: async () => undefined };
}

function supplied(text: string): SecretSupplier {
  const value = SecretValue.fromText(text);
  return { read: async () => value, readNow: async () => value };
}

function makeClient(
  tokens: TokenProvider = fixed(server.token),
  onCall?: (call: CallReport) => void,
  more: { readonly readOnly?: boolean } = {},
): ScaiVaultClient {
  return new ScaiVaultClient({
    http,
    tokens,
    clock: systemClock,
    userAgent: "scaivault-operator/test",
    cluster: "eu-1",
    budget: new RateBudget({ clock: systemClock }),
    timeoutMs: 2000,
    ...(onCall === undefined ? {} : { onCall }),
    ...more,
  });
}

async function failure(promise: Promise<unknown>): Promise<SyncError> {
  const error: unknown = await promise.then(
    () => undefined,
    (found: unknown) => found,
  );
  if (!(error instanceof SyncError)) throw new Error(`no SyncError but ${String(error)}`);
  expect(JSON.stringify({ ...error, message: error.message })).not.toContain(canary);
  return error;
}

test("a reader's client reads everything and sends nothing that changes something", async () => {
  const data = SecretValue.fromText('{"key":"value"}');
  await makeClient().put("reader/a", { data, secretType: "json", metadata: noMetadata }, context);
  server.admin.resetCounters();
  const reader = makeClient(undefined, undefined, { readOnly: true });
  for (const forbidden of [
    reader.put("reader/a", { data, secretType: "json", metadata: noMetadata }, context),
    reader.put("reader/b", { data, secretType: "json", metadata: noMetadata }, context),
    reader.patchMetadata("reader/a", { metadata: noMetadata, removed: [] }, context),
    reader.delete("reader/a", context),
  ])
    expect((await failure(forbidden)).reason).toBe("WaitingForWriter");
  expect(server.admin.counters().total).toBe(0);
  expect((await reader.get("reader/a", context))?.version).toBe(1);
  expect((await reader.metadataBatch(["reader/a"], context)).get("reader/a")?.state).toBe("Found");
  expect((await reader.readBatch(["reader/a"], context)).get("reader/a")?.state).toBe("Found");
  expect((await reader.whoami(context)).identityID).not.toBe("");
});

describe("secrets", () => {
  test("a value goes out and comes back byte by byte, foreign metadata too", async () => {
    const client = makeClient();
    const text = '{ "n":12345678901234567890, "f":1.0, "u":"\\u00e9", "o":{"b":1,"a":[ ]} }';
    const custom = new Map([["ticket", '{"id":98765432109876543210,"owner":null,"description":null}']]);
    const metadata = { description: 'the "key"', owner: "team:billing", tags: ["a", "b=c"], custom };
    const data = SecretValue.fromText(text);
    expect(await client.put("team/a", { data, secretType: "json", metadata, maxVersions: 5 }, context)).toEqual({
      version: 1,
      metadata,
    });
    expect(await client.put("team/a", { data, secretType: "json", metadata }, context)).toEqual({
      version: 2,
      metadata,
    });
    const found = await client.get("team/a", context);
    expect(found?.data.text()).toBe(text);
    expect({ ...found, data: undefined }).toEqual({
      path: "team/a",
      version: 2,
      secretType: "json",
      metadata,
      data: undefined,
    });
    expect(server.admin.peek("team/a")?.data).toBe(text);
    expect((await client.get("team/a", context, 1))?.version).toBe(1);
    expect((await failure(client.get("team/a", context, 9))).reason).toBe("VersionNotFound");
  });

  test("metadata changes make no version, and take off what they name", async () => {
    const client = makeClient();
    const custom = new Map([
      ["mine", '"1"'],
      ["theirs", "7"],
    ]);
    const put = { data: SecretValue.fromText("{}"), secretType: "kv", metadata: { ...noMetadata, owner: "x", custom } };
    await client.put("team/m", put, context);
    const metadata = { ...noMetadata, tags: ["t"], custom: new Map([["theirs", "7"]]) };
    expect(await client.patchMetadata("team/m", { metadata, removed: ["mine"] }, context)).toBe(true);
    expect(await client.metadata("team/m", context)).toEqual({
      path: "team/m",
      version: 1,
      secretType: "kv",
      metadata,
    });
    expect(await client.patchMetadata("team/none", { metadata }, context)).toBe(false);
  });

  test("batches ask 100 at a time, and only secret_not_found means absent", async () => {
    const calls: CallReport[] = [];
    const token = server.admin.createToken(
      {
        identity: "sa:limited",
        scopes: ["secrets:read", "secrets:list"],
        rules: [{ path_pattern: "bulk/**", permissions: ["read", "list"] }],
      },
      null,
    );
    const client = makeClient(fixed(token), (call) => calls.push(call));
    const paths = Array.from({ length: 149 }, (_, i) => `bulk/s${i}`);
    for (const path of paths.slice(0, 140)) server.admin.write(path, { data: `{"v":"${path}"}` });
    server.admin.write("other/x", { data: "{}" });
    const found = await client.metadataBatch([...paths, "other/x", "Bad/Path"], context);
    expect(server.admin.counters().byRoute["POST /v1/secrets/batch/metadata"]).toBe(2);
    expect(found.size).toBe(151);
    expect([...found.values()].filter((one) => one.state === "Found")).toHaveLength(140);
    expect(found.get("bulk/s148")).toEqual({ state: "Absent" });
    expect(found.get("other/x")).toMatchObject({
      state: "Failed",
      error: { reason: "ScaiVaultDenied", right: "secrets:list" },
    });
    expect(found.get("Bad/Path")).toMatchObject({ state: "Failed", error: { reason: "InvalidPath" } });
    expect(calls.map((call) => [call.category, call.status, call.paths])).toEqual([
      ["batchMetadata", 200, 100],
      ["batchMetadata", 200, 50],
    ]);
    const values = await client.readBatch(["bulk/s3"], context);
    const one = values.get("bulk/s3");
    expect(one?.state === "Found" && one.secret.data.text()).toBe('{"v":"bulk/s3"}');
  });

  test("soft deletion, and the write that it blocks", async () => {
    const client = makeClient();
    const put = { data: SecretValue.fromText("{}"), secretType: "kv", metadata: noMetadata };
    await client.put("team/gone", put, context);
    expect(await client.delete("team/gone", context)).toBe(true);
    expect(await client.delete("team/gone", context)).toBe(false);
    expect(await client.get("team/gone", context)).toBeUndefined();
    expect((await failure(client.put("team/gone", put, context))).reason).toBe("TargetSoftDeleted");
  });

  test("listing, identity, health and the User-Agent", async () => {
    const client = makeClient();
    server.admin.write("tree/a", { data: "{}" });
    server.admin.write("tree/b/c", { data: "{}" });
    const pages = [];
    for await (const page of client.list("tree/", context)) pages.push(...page);
    expect(pages).toEqual([
      { path: "tree/a", version: 1 },
      { path: "tree/b/c", version: 1 },
    ]);
    const me = await client.whoami({ ...context, object: "billing/stripe" });
    expect(me).toMatchObject({ identityID: "sa:local-admin", tenantID: server.tenantId });
    expect(server.admin.requests().at(-1)?.userAgent).toBe("scaivault-operator/test (eu-1; billing/stripe)");
    expect(await client.healthy(context.signal)).toBe(true);
  });
});

describe("errors", () => {
  test("by code and status, never with the server's text", async () => {
    const client = makeClient();
    const rows: [number, string | undefined, string][] = [
      [403, "federated_path_read_only", "ReadOnlyPath"],
      [418, "teapot", "ScaiVaultDenied"],
      [302, undefined, "ScaiVaultUnavailable"],
    ];
    for (const [status, code, reason] of rows) {
      const text = JSON.stringify({ error: { code, message: canary, details: { path: canary } } });
      server.admin.inject({ times: 1, action: { kind: "body", status, text } });
      expect([status, (await failure(makeClient().get("team/e", context))).reason]).toEqual([status, reason]);
    }
    for (const text of [canary, `{"data":"${canary}"}`, `{"version":"${canary}","data":{}}`, `{"${canary}`]) {
      server.admin.inject({ times: 1, action: { kind: "body", status: 200, text } });
      expect((await failure(client.get("team/e", context))).reason).toBe("ScaiVaultUnavailable");
    }
  });

  test("a missing scope is named, Retry-After is kept and clamped", async () => {
    const token = server.admin.createToken({ identity: "sa:ro", scopes: ["secrets:list"] }, null);
    const denied = await failure(makeClient(fixed(token)).get("team/a", context));
    expect([denied.reason, denied.right]).toEqual(["ScaiVaultDenied", "secrets:read"]);
    for (const [seconds, ms] of [
      [7, 7000],
      [1e9, 15 * 60_000],
    ] as const) {
      server.admin.inject({
        times: 1,
        action: { kind: "status", status: 429, code: "rate_limited", retryAfterSeconds: seconds },
      });
      expect((await failure(makeClient().get("team/a", context))).retryAfterMs).toBe(ms);
    }
  });

  test("a hanging server, a broken connection, an answer that is too large", async () => {
    const client = makeClient();
    server.admin.inject({ times: 1, action: { kind: "hang" } });
    expect((await failure(client.get("team/a", context))).reason).toBe("ScaiVaultUnavailable");
    // A read is tried once more on a broken connection, a write never.
    server.admin.inject({ times: 1, action: { kind: "reset" } });
    expect(await client.get("team/nothing", context)).toBeUndefined();
    server.admin.inject({ times: 1, action: { kind: "reset", when: "after" } });
    const put = { data: SecretValue.fromText("{}"), secretType: "kv", metadata: noMetadata };
    expect((await failure(client.put("team/once", put, context))).reason).toBe("ScaiVaultUnavailable");
    expect(server.admin.peek("team/once")?.version).toBe(1);
    server.admin.inject({ times: 1, action: { kind: "body", status: 200, text: `{"x":"${"y".repeat(9 << 20)}"}` } });
    expect((await failure(client.get("team/a", context))).reason).toBe("ValueTooLarge");
  });

  test("values and paths that cannot go are refused before any call", async () => {
    const client = makeClient();
    const large = SecretValue.fromText(`{"x":"${"y".repeat(1 << 20)}"}`);
    const put = { data: large, secretType: "kv", metadata: noMetadata };
    expect((await failure(client.put("team/large", put, context))).reason).toBe("ValueTooLarge");
    for (const path of [
      "",
      "/a",
      "a/",
      "a//b",
      "A",
      "a/../b",
      "a%2fb",
      "a?version=1",
      "batch",
      "a/metadata",
      "x".repeat(513),
      "1/2/3/4/5/6/7/8/9/10/11",
    ]) {
      expect((await failure(client.get(path, context))).reason).toBe("InvalidPath");
    }
    expect(server.admin.counters().total).toBe(0);
  });

  test("an aborted call ends with the caller's own reason", async () => {
    const stop = new AbortController();
    server.admin.inject({ times: 1, action: { kind: "hang" } });
    const call = makeClient().get("team/a", { signal: stop.signal });
    stop.abort(new Error("lease lost"));
    await expect(call).rejects.toThrow("lease lost");
  });
});

describe("tokens", () => {
  const identity = { identity: "sa:operator", scopes: ["secrets:read", "secrets:list"] };

  test("a token file is read again when ScaiVault refuses the token, once", async () => {
    const path = join(folder, "token");
    const old = server.admin.createToken(identity, null);
    await writeFile(path, `${old}\n`);
    const client = makeClient(tokenFile(path, systemClock));
    await client.whoami(context);
    await server.admin.revokeToken(old);
    server.admin.resetCounters();
    expect((await failure(client.whoami(context))).reason).toBe("ScaiVaultDenied");
    expect(server.admin.counters().total).toBe(1);
    await writeFile(path, server.admin.createToken(identity, null));
    expect((await client.whoami(context)).identityID).toBe("sa:operator");
    await rm(path);
    const missing = await failure(makeClient(tokenFile(join(folder, "none"), systemClock)).whoami(context));
    expect(missing.message).toContain("ENOENT");
  });

  test("client credentials log in once for all callers and again when the token is revoked", async () => {
    const made = server.admin.createClient(identity);
    const file = join(folder, "secret");
    await writeFile(file, made.clientSecret);
    for (const clientAuth of ["Form", "Basic"] as const) {
      server.admin.resetCounters();
      const client = makeClient(
        clientCredentials({
          http,
          clock: systemClock,
          userAgent: "t",
          tokenPath: "/oauth/token",
          clientID: supplied(made.clientId),
          clientSecret: secretFile(file, systemClock),
          clientAuth,
        }),
      );
      await Promise.all(Array.from({ length: 10 }, () => client.whoami(context)));
      expect(server.admin.counters().byRoute["POST /oauth/token"]).toBe(1);
      server.admin.revokeAllTokens();
      await Promise.all(Array.from({ length: 10 }, () => client.whoami(context)));
      expect(server.admin.counters().byRoute["POST /oauth/token"]).toBe(2);
    }
    await writeFile(file, "wrong");
    const wrong = makeClient(
      clientCredentials({
        http,
        clock: systemClock,
        userAgent: "t",
        tokenPath: "/oauth/token",
        clientID: supplied(made.clientId),
        clientSecret: secretFile(file, systemClock),
        clientAuth: "Form",
      }),
    );
    expect((await failure(wrong.whoami(context))).reason).toBe("ScaiVaultDenied");
    server.admin.resetCounters();
    expect((await failure(wrong.whoami(context))).reason).toBe("ScaiVaultDenied");
    // Failed logins back off: the second caller gets the same error without a call.
    expect(server.admin.counters().total).toBe(0);
  });

  test("client id and secret are replaced while calls go on: one login with the new pair, none refused", async () => {
    const [idFile, secretFileName] = [join(folder, "id"), join(folder, "client-secret")];
    const write = async (made: { clientId: string; clientSecret: string }): Promise<void> => {
      await writeFile(idFile, made.clientId);
      await writeFile(secretFileName, made.clientSecret);
    };
    const [first, second] = [server.admin.createClient(identity), server.admin.createClient(identity)];
    await write(first);
    const clock = new VirtualClock();
    const failures: string[] = [];
    const client = makeClient(
      clientCredentials({
        http,
        clock,
        userAgent: "t",
        tokenPath: "/oauth/token",
        clientID: secretFile(idFile, clock),
        clientSecret: secretFile(secretFileName, clock),
        clientAuth: "Form",
        onFailure: ({ reason }) => void failures.push(reason),
      }),
    );
    await client.whoami(context);
    // A new secret that ScaiKey does not know yet: the token that is there serves on.
    await write({ ...second, clientSecret: "not-yet" });
    await clock.advance(2_000);
    for (let calls = 0; calls < 3; calls += 1) await client.whoami(context);
    expect(failures).toEqual(["ScaiVaultDenied"]);
    await write(second);
    await clock.advance(60_000);
    server.admin.resetCounters();
    await Promise.all(Array.from({ length: 5 }, () => client.whoami(context)));
    await client.whoami(context);
    expect(server.admin.counters().byRoute["POST /oauth/token"]).toBe(1);
    // What the old client is good for ends, and nobody notices.
    server.admin.removeClient(first.clientId);
    server.admin.revokeAllTokens();
    await client.whoami(context);
    expect(failures).toEqual(["ScaiVaultDenied"]);
  });

  test("half of a new pair is read again before anything is refused", async () => {
    const [first, second] = [server.admin.createClient(identity), server.admin.createClient(identity)];
    let secret = first.clientSecret;
    const old = supplied(second.clientId);
    const client = makeClient(
      clientCredentials({
        http,
        clock: systemClock,
        userAgent: "t",
        tokenPath: "/oauth/token",
        clientID: old,
        // The file changes right after it was read.
        clientSecret: {
          read: async () => SecretValue.fromText(secret),
          readNow: async () => {
            const value = SecretValue.fromText(secret);
            secret = second.clientSecret;
            return value;
          },
        },
        clientAuth: "Basic",
      }),
    );
    await client.whoami(context);
  });

  test("a token file that is away or empty for a moment is no failure", async () => {
    const file = join(folder, "moment");
    await writeFile(file, server.admin.createToken(identity, null));
    const clock = new VirtualClock();
    const client = makeClient(tokenFile(file, clock));
    await client.whoami(context);
    for (const interrupt of [() => writeFile(file, ""), () => rm(file)]) {
      await interrupt();
      await clock.advance(2_000);
      await client.whoami(context);
    }
  });

  test("a ServiceAccount token is exchanged, with role and audience", async () => {
    const encode = (part: unknown): string => Buffer.from(JSON.stringify(part)).toString("base64url");
    const now = Math.floor(Date.now() / 1000);
    const claims = {
      iss: "https://cluster",
      aud: "scaivault",
      sub: "system:serviceaccount:a:operator",
      iat: now,
      exp: now + 600,
    };
    const subject = join(folder, "subject");
    await writeFile(subject, `${encode({ alg: "none" })}.${encode(claims)}.x`);
    server.admin.setExchangeTrust([
      {
        issuer: "https://cluster",
        acceptUnsigned: true,
        mappings: [{ subject: claims.sub, identity: "sa:exchanged", scopes: ["secrets:read"] }],
      },
    ]);
    const options = { http, clock: systemClock, userAgent: "t", subjectToken: secretFile(subject, systemClock) };
    const client = makeClient(tokenExchange({ ...options, audience: "scaivault" }));
    expect((await client.whoami(context)).identityID).toBe("sa:exchanged");
    const denied = makeClient(tokenExchange({ ...options, role: "sa:root" }));
    expect((await failure(denied.whoami(context))).reason).toBe("ScaiVaultDenied");
  });
});

test("a write that waited is not sent when it may not be any more; reads go on", async () => {
  let held = true;
  const client = new ScaiVaultClient({
    http,
    tokens: {
      // The lease is lost while the token is fetched.
      token: async () => {
        held = false;
        return SecretValue.fromText("any");
      },
      renew: async () => undefined,
    },
    clock: systemClock,
    userAgent: "scaivault-operator/test",
    cluster: "eu-1",
    budget: new RateBudget({ clock: systemClock }),
    guard: () => {
      if (!held) throw new Error("not the leader");
    },
  });
  const body = { data: SecretValue.fromText("{}"), secretType: "json", metadata: noMetadata };
  await expect(client.put("guarded/a", body, context)).rejects.toThrow("not the leader");
  await expect(client.delete("guarded/a", context)).rejects.toThrow("not the leader");
  await expect(client.patchMetadata("guarded/a", { metadata: noMetadata }, context)).rejects.toThrow("not the leader");
  await client.get("guarded/a", context).catch(() => undefined);
  expect(server.admin.requests().map(({ method }) => method)).toEqual(["GET"]);
});
