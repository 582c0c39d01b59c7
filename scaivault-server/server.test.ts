import { createHmac, generateKeyPairSync } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { request as httpRequest } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { VirtualClock } from "../src/time/clock.ts";
import { signJwt } from "./auth/jwt.ts";
import type { SigningKey } from "./auth/jwt.ts";
import { applySeed } from "./seed.ts";
import { startServer } from "./server.ts";
import { callServer } from "./testing.ts";
import type { CallAnswer, CallOptions } from "./testing.ts";
import type { AccessLine, ScaiVaultServer, ServerOptions } from "./server.ts";

let clock: VirtualClock;
let server: ScaiVaultServer;
const lines: AccessLine[] = [];

async function start(options: ServerOptions = {}): Promise<void> {
  clock = new VirtualClock();
  lines.length = 0;
  server = await startServer({ clock, jwtAlgorithm: "ES256", onAccess: (line) => lines.push(line), ...options });
}
beforeEach(() => start());
afterEach(() => server.stop());

type Options = CallOptions;
type Answer = CallAnswer;

const call = (method: string, path: string, options: Options = {}): Promise<Answer> =>
  callServer(server, method, path, options);

const put = (path: string, options: Options = {}): Promise<Answer> =>
  call("PUT", `/v1/secrets/${path}`, { body: { data: { a: "1" }, secret_type: "kv" }, ...options });

/** A request with headers that fetch does not let us set. */
function raw(
  path: string,
  headers: Record<string, string>,
  base = server.url,
): Promise<{ status: number; headers: NodeJS.Dict<string | string[]> }> {
  return new Promise((resolve, reject) => {
    const sent = httpRequest(base + path, { headers, agent: false }, (response) => {
      response.resume();
      resolve({ status: response.statusCode ?? 0, headers: response.headers });
    });
    sent.on("error", reject);
    sent.end();
  });
}

describe("tokens", () => {
  it("expire, are revoked, and are not accepted in other shapes", async () => {
    const token = server.admin.createToken({ identity: "sa:x", scopes: ["secrets:read"] }, 60_000);
    expect((await call("GET", "/v1/auth/whoami", { token })).json).toMatchObject({
      identity_id: "sa:x",
      identity_type: "service_account",
      token_expires_at: "2026-01-01T00:01:00.000Z",
    });
    await clock.advance(60_000);
    expect(await call("GET", "/v1/auth/whoami", { token })).toMatchObject({ status: 401, code: "token_expired" });
    const other = server.admin.createToken({ identity: "sa:x", scopes: [] });
    expect(await server.admin.revokeToken(other)).toBe(true);
    expect(await call("GET", "/v1/auth/whoami", { token: other })).toMatchObject({
      status: 401,
      code: "token_revoked",
    });
    for (const authorization of ["", "Bearer", "Basic abc", `bearer  `])
      expect(await call("GET", "/v1/auth/whoami", { token: null, headers: { authorization } })).toMatchObject({
        status: 401,
        code: "authentication_required",
      });
  });

  it("come from the token endpoint for one hour, with a subset of scopes, by Basic or form", async () => {
    const rules = [{ path_pattern: "team/**", permissions: ["read" as const] }];
    const { clientId, clientSecret } = server.admin.createClient({
      identity: "sa:app",
      scopes: ["secrets:read", "secrets:list"],
      rules,
    });
    const ask = async (
      form: Record<string, string>,
      headers: Record<string, string> = {},
    ): Promise<{ status: number; json: Record<string, unknown> }> => {
      const response = await fetch(`${server.url}/oauth/token`, {
        method: "POST",
        body: new URLSearchParams(form),
        headers,
      });
      return { status: response.status, json: (await response.json()) as Record<string, unknown> };
    };
    const form = { grant_type: "client_credentials", client_id: clientId, client_secret: clientSecret };
    const answer = await ask({ ...form, scope: "secrets:read" });
    expect(answer.json).toMatchObject({ token_type: "Bearer", expires_in: 3600, scope: "secrets:read" });
    const token = String(answer.json["access_token"]);
    expect(token.startsWith("eyJ")).toBe(true);
    server.admin.write("team/a", { data: { x: "1" } });
    expect((await call("GET", "/v1/secrets/team/a", { token })).status).toBe(200);
    expect(await call("GET", "/v1/secrets/team/a/metadata", { token })).toMatchObject({
      status: 403,
      code: "insufficient_scope",
    });
    await clock.advance(3_600_000);
    expect((await call("GET", "/v1/secrets/team/a", { token })).code).toBe("token_expired");

    const basic = { authorization: `Basic ${btoa(`${clientId}:${clientSecret}`)}` };
    expect((await ask({ grant_type: "client_credentials" }, basic)).json["scope"]).toBe("secrets:read secrets:list");
    expect(await ask({ ...form, client_secret: "wrong" })).toMatchObject({
      status: 401,
      json: { error: "invalid_client" },
    });
    expect(await ask({ ...form, scope: "admin" })).toMatchObject({ status: 400, json: { error: "invalid_scope" } });
    expect(await ask({ ...form, grant_type: "password" })).toMatchObject({
      status: 400,
      json: { error: "unsupported_grant_type" },
    });
  });

  it("with a changed or foreign signature are invalid", async () => {
    const { clientId, clientSecret } = server.admin.createClient({ identity: "sa:app", scopes: ["secrets:read"] });
    const body = new URLSearchParams({
      grant_type: "client_credentials",
      client_id: clientId,
      client_secret: clientSecret,
    });
    const { access_token } = (await (await fetch(`${server.url}/oauth/token`, { method: "POST", body })).json()) as {
      access_token: string;
    };
    const [header = "", claims = "", signature = ""] = access_token.split(".");
    const admin = Buffer.from(Buffer.from(claims, "base64url").toString().replace("secrets:read", "admin")).toString(
      "base64url",
    );
    const none = Buffer.from('{"alg":"none"}').toString("base64url");
    const hs256 = Buffer.from('{"alg":"HS256"}').toString("base64url");
    const hmac = createHmac("sha256", "x").update(`${hs256}.${claims}`).digest("base64url");
    for (const token of [
      `${header}.${admin}.${signature}`,
      `${none}.${claims}.`,
      `${none}.${claims}.${signature}`,
      `${hs256}.${claims}.${hmac}`,
    ])
      expect(await call("GET", "/v1/auth/whoami", { token })).toMatchObject({ status: 401, code: "token_invalid" });
  });

  it("are described to admins of the same tenant only", async () => {
    server.admin.addTenant("tnt_2");
    const foreign = server.admin.createToken({ identity: "sa:y", scopes: ["admin"], tenantId: "tnt_2" });
    expect((await call("POST", "/v1/auth/introspect", { body: { token: foreign } })).json).toEqual({ active: false });
    expect((await call("POST", "/v1/auth/introspect", { body: { token: server.token } })).json).toMatchObject({
      active: true,
      identity_id: "sa:local-admin",
    });
    expect(
      (await call("POST", "/v1/auth/introspect", { token: foreign, body: { token: foreign } })).json,
    ).toMatchObject({ active: true });
    const poor = server.admin.createToken({ identity: "sa:z", scopes: ["secrets:read"] });
    expect((await call("POST", "/v1/auth/introspect", { token: poor, body: { token: poor } })).code).toBe(
      "insufficient_scope",
    );
  });
});

describe("token exchange", () => {
  const pair = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const stranger = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const keyOf = (keys: typeof pair): SigningKey => ({ algorithm: "RS256", keyId: "k1", ...keys });
  const subject = "system:serviceaccount:scaivault:operator";
  const trust = {
    issuer: "https://kubernetes.default.svc",
    pem: [String(pair.publicKey.export({ type: "spki", format: "pem" }))],
    mappings: [{ subject, identity: "sa:operator", scopes: ["secrets:read", "secrets:write"] }],
  };
  const claims = (more: object = {}): Record<string, unknown> => ({
    iss: trust.issuer,
    sub: subject,
    aud: ["scaivault"],
    exp: clock.now() / 1000 + 600,
    ...more,
  });
  const exchange = (subject_token: string, more: object = {}): Promise<Answer> =>
    call("POST", "/v1/auth/exchange", {
      token: null,
      body: {
        grant_type: "urn:ietf:params:oauth:grant-type:token-exchange",
        subject_token,
        subject_token_type: "urn:ietf:params:oauth:token-type:jwt",
        ...more,
      },
    });

  it("swaps a ServiceAccount token for one of ours", async () => {
    server.admin.setExchangeTrust([trust]);
    const answer = await exchange(signJwt(keyOf(pair), claims()), { scope: "secrets:read", role: "sa:operator" });
    expect(answer.json).toMatchObject({ token_type: "Bearer", expires_in: 3600, scope: "secrets:read" });
    const whoami = await call("GET", "/v1/auth/whoami", { token: String(answer.json["access_token"]) });
    expect(whoami.json).toMatchObject({ identity_id: "sa:operator", tenant_id: "tnt_local", scopes: ["secrets:read"] });
  });

  it("refuses everything that is not exactly trusted", async () => {
    server.admin.setExchangeTrust([trust]);
    const key = keyOf(pair);
    const unsigned = `${Buffer.from('{"alg":"none"}').toString("base64url")}.${Buffer.from(JSON.stringify(claims())).toString("base64url")}.`;
    const invalid = [
      signJwt(keyOf(stranger), claims()),
      signJwt(key, claims({ iss: "https://other" })),
      signJwt(key, claims({ aud: "sts.amazonaws.com" })),
      signJwt(key, claims({ aud: undefined })),
      signJwt(key, claims({ exp: undefined })),
      signJwt(key, claims({ nbf: clock.now() / 1000 + 600 })),
      unsigned,
      // A right signature under the name of another algorithm.
      signJwt({ ...key, algorithm: "ES256" }, claims()),
      "no.jwt.here",
      "nothing",
    ];
    for (const token of invalid) expect(await exchange(token)).toMatchObject({ status: 401, code: "token_invalid" });
    expect(await exchange(signJwt(key, claims({ exp: clock.now() / 1000 - 60 })))).toMatchObject({
      status: 401,
      code: "token_expired",
    });
    expect(await exchange(signJwt(key, claims({ sub: "system:serviceaccount:x:y" })))).toMatchObject({
      status: 403,
      code: "access_denied",
    });
    expect(await exchange(signJwt(key, claims()), { role: "sa:root" })).toMatchObject({
      status: 400,
      code: "invalid_role",
    });
    expect(await exchange(signJwt(key, claims()), { scope: "admin" })).toMatchObject({
      status: 403,
      code: "insufficient_scope",
    });
    expect(await exchange(signJwt(key, claims()), { grant_type: "password" })).toMatchObject({ status: 422 });
  });

  it("takes unsigned tokens only when told to, and only on loopback", async () => {
    server.admin.setExchangeTrust([{ ...trust, pem: [], acceptUnsigned: true }]);
    expect((await exchange(signJwt(keyOf(stranger), claims()))).status).toBe(200);
    const options = { host: "0.0.0.0", allowNonLoopback: true, exchange: [{ ...trust, acceptUnsigned: true }] };
    await expect(startServer(options)).rejects.toThrow(/loopback/);
  });
});

describe("rights", () => {
  it("need a scope and a rule, and do not tell what exists", async () => {
    server.admin.write("team/a", { data: { x: "1" } });
    server.admin.write("other/a", { data: { x: "1" } });
    const token = server.admin.createToken({
      identity: "sa:x",
      scopes: ["secrets:read", "secrets:list", "secrets:write"],
      rules: [{ path_pattern: "team/**", permissions: ["read", "list"] }],
    });
    expect((await call("GET", "/v1/secrets/team/a", { token })).status).toBe(200);
    for (const path of ["other/a", "other/none"])
      expect(await call("GET", `/v1/secrets/${path}`, { token })).toMatchObject({ status: 403, code: "access_denied" });
    expect((await put("team/a", { token })).code).toBe("access_denied");
    expect((await call("DELETE", "/v1/secrets/team/a", { token })).code).toBe("insufficient_scope");
    expect((await call("GET", "/v1/secrets", { token })).json["secrets"]).toMatchObject([{ path: "team/a" }]);
    const batch = await call("POST", "/v1/secrets/batch", { token, body: { paths: ["team/a", "other/a"] } });
    expect(batch.json).toMatchObject({
      secrets: { "team/a": { version: 1 } },
      errors: { "other/a": { code: "access_denied" } },
    });
    const wild = await call("POST", "/v1/secrets/batch/metadata", {
      token,
      body: { paths: ["**"], expand_wildcards: true },
    });
    expect(Object.keys(wild.json["secrets"] as object)).toEqual(["team/a"]);
    server.admin.unbindAll("sa:x");
    expect((await call("GET", "/v1/secrets/team/a", { token })).code).toBe("access_denied");
    expect(server.admin.peek("team/a")?.version).toBe(1);
  });

  it("follow groups and conditions", async () => {
    server.admin.write("a", { data: { x: "1" } });
    const spec = { identity: "user:a@example.com", scopes: ["secrets:read"], groups: ["group:ops"] };
    const token = server.admin.createToken(spec);
    const bind = (conditions: object): string =>
      server.admin.bindPolicy("group:ops", [{ path_pattern: "**", permissions: ["read"], conditions }]).bindingId;
    const read = async (with_ = token): Promise<string | undefined> =>
      (await call("GET", "/v1/secrets/a", { token: with_ })).code;
    for (const [conditions, code] of [
      [{ ip_ranges: ["10.0.0.0/8"] }, "ip_not_allowed"],
      [{ ip_ranges: ["127.0.0.0/8"] }, undefined],
      [{ require_mfa: true }, "mfa_required"],
      [{ time_windows: [{ start: "08:00", end: "17:00" }] }, "time_window_violation"],
      [{ time_windows: [{ start: "00:00", end: "17:00" }] }, undefined],
    ] as const) {
      const binding = bind(conditions);
      expect(await read()).toBe(code);
      server.admin.unbindPolicy(binding);
      expect(await read()).toBe("access_denied");
    }
    bind({ require_mfa: true });
    expect(await read(server.admin.createToken({ ...spec, mfaVerifiedAt: clock.now() }))).toBeUndefined();
  });
});

describe("tenants", () => {
  it("keep the same path apart", async () => {
    server.admin.addTenant("tnt_2");
    server.admin.addTenant("tnt_foreign", "ptn_other");
    await put("a/b");
    expect((await call("GET", "/v1/t/tnt_2/secrets/a/b")).code).toBe("access_denied");
    const second = { identity: "sa:local-admin", scopes: ["secrets:read"], tenantId: "tnt_2" };
    const token = server.admin.createToken(second);
    expect((await call("GET", "/v1/secrets/a/b", { token })).code).toBe("access_denied");
    expect((await call("GET", "/v1/t/tnt_foreign/secrets/a/b")).code).toBe("tenant_access_denied");
    expect((await call("GET", "/v1/secrets/a/b", { headers: { "X-Tenant-ID": "tnt_none" } })).code).toBe(
      "tenant_not_found",
    );
    for (const tenant of ["tnt_local", "tnt_none"])
      expect(await call("GET", `/v1/t/${tenant}/secrets/a/b`, { token })).toMatchObject({
        status: 403,
        code: "tenant_access_denied",
      });
    // The path prefix is looked at before the header.
    server.admin.bindPolicy("sa:local-admin", [{ path_pattern: "**", permissions: ["admin"] }], { tenantId: "tnt_2" });
    const headers = { "X-Tenant-ID": "tnt_local" };
    expect((await call("GET", "/v1/t/tnt_2/secrets/a/b", { headers })).code).toBe("secret_not_found");
  });

  it("share what the partner wrote", async () => {
    server.admin.addTenant("tnt_2");
    const rules = [{ path_pattern: "**", permissions: ["admin" as const] }];
    const token = server.admin.createToken({
      identity: "sa:t2",
      scopes: ["secrets:read", "secrets:write"],
      tenantId: "tnt_2",
      rules,
    });
    const body = { data: { x: "1" }, secret_type: "kv" };
    expect((await call("PUT", "/v1/partner/secrets/shared/a", { token, body })).code).toBe("access_denied");
    expect((await call("PUT", "/v1/partner/secrets/shared/a", { body })).status).toBe(201);
    expect((await call("GET", "/v1/partner/secrets/shared/a", { token })).json).toMatchObject({ data: { x: "1" } });
    expect((await call("GET", "/v1/secrets/shared/a", { token })).code).toBe("secret_not_found");
  });
});

describe("rate limits", () => {
  it("refuse with the wait, recover, and stay with their identity", async () => {
    server.admin.setLimit("write", 2);
    const answers = [await put("a"), await put("a"), await put("a")];
    expect(answers.map(({ status }) => status)).toEqual([201, 200, 429]);
    expect(answers.map(({ headers }) => headers.get("X-RateLimit-Remaining"))).toEqual(["1", "0", "0"]);
    expect(answers[2]).toMatchObject({ code: "rate_limited" });
    expect(answers[2]?.headers.get("Retry-After")).toBe("30");
    expect(answers[2]?.headers.get("X-RateLimit-Reset")).toBe(String(clock.now() / 1000 + 60));
    expect(server.admin.peek("a")?.version).toBe(2);
    const token = server.admin.createToken({
      identity: "sa:other",
      scopes: ["secrets:write"],
      rules: [{ path_pattern: "**", permissions: ["write"] }],
    });
    expect((await put("a", { token })).status).toBe(200);
    expect((await call("GET", "/v1/secrets/a")).status).toBe(200);
    await clock.advance(30_000);
    expect((await put("a")).status).toBe(200);
  });

  it("charge a batch for every path it returns", async () => {
    for (const path of ["a", "b", "c"]) server.admin.write(path, { data: { x: "1" } });
    server.admin.setLimit("read", 4);
    const body = { paths: ["a", "b", "c"] };
    expect((await call("POST", "/v1/secrets/batch", { body })).status).toBe(200);
    const refused = await call("POST", "/v1/secrets/batch", { body });
    expect(refused).toMatchObject({ status: 429, code: "rate_limited" });
    expect(refused.headers.get("Retry-After")).toBe("30");
    expect(refused.text).not.toContain('"x"');
  });
});

describe("the guard", () => {
  it("refuses other hosts and web pages, and never sends CORS headers", async () => {
    const authorization = `Bearer ${server.token}`;
    const { host } = new URL(server.url);
    expect((await raw("/v1/auth/whoami", { authorization, host })).status).toBe(200);
    expect((await raw("/v1/auth/whoami", { authorization, host: "localhost" })).status).toBe(200);
    for (const headers of [
      { host: "evil.example" },
      { host: `127.0.0.1.evil.example` },
      { host, origin: "http://evil.example" },
      { host, origin: server.url },
    ]) {
      const answer = await raw("/v1/auth/whoami", { authorization, ...headers });
      expect(answer.status).toBe(403);
      expect(Object.keys(answer.headers).filter((name) => name.startsWith("access-control"))).toEqual([]);
    }
    expect((await call("OPTIONS", "/v1/secrets/a")).status).toBe(405);
    for (const path of ["/v1/subscriptions", "/v1/subscriptions/x/poll", "/v1/webhooks", "/v1/rotation/due"]) {
      expect((await raw(path, { authorization, host: "evil.example" })).status).toBe(403);
      expect((await raw(path, { host })).status).toBe(401);
    }
    await server.stop();
    await start({ allowedHosts: ["ScaiVault.scailabs.ai"] });
    expect((await raw("/v1/health", { host: "scaivault.scailabs.ai:443" })).status).toBe(200);
  });

  it("listens on loopback only unless told otherwise", async () => {
    await expect(startServer({ host: "0.0.0.0" })).rejects.toThrow(/other machines/);
    expect(server.host).toBe("127.0.0.1");
  });

  it("gives a new token to each start", async () => {
    const first = server.token;
    await server.stop();
    await start();
    expect(server.token).not.toBe(first);
    expect((await call("GET", "/v1/auth/whoami", { token: first })).code).toBe("token_invalid");
  });

  it("caps bodies and takes UTF-8 only", async () => {
    const big = JSON.stringify({ data: { a: "x".repeat(3_000_000) }, secret_type: "kv" });
    expect(await put("a", { body: big })).toMatchObject({ status: 422, code: "validation_error" });
    const response = await fetch(`${server.url}/v1/secrets/a`, {
      method: "PUT",
      headers: { authorization: `Bearer ${server.token}`, "content-type": "application/json" },
      body: new Uint8Array([...Buffer.from('{"data":{"a":"'), 0xff, 0xfe, ...Buffer.from('"}}')]),
    });
    expect(response.status).toBe(400);
    expect(server.admin.paths()).toEqual([]);
  });
});

describe("values", () => {
  it("are in no error, audit row, metric, counter or access line", async () => {
    const canary = "canary-7f3a9c";
    const body = { data: { password: canary }, secret_type: "kv" };
    await put("a/b", { body });
    await call("GET", "/v1/secrets/a/b");
    const answers = [
      await put("a/b", { body: `{"data":{"p":"${canary}"},"secret_type":"${canary}"}` }),
      await put("a/b", { body: `{"data":{"p":"${canary}"` }),
      await put("a/b", { body: { ...body, data: canary } }),
      await put("a/b", { body: { ...body, metadata: { tags: canary, owner: 5 } } }),
      await put("a/b", { body: { ...body, options: { expires_in: canary } } }),
      await call("GET", "/v1/audit/logs"),
      await call("GET", "/v1/metrics"),
    ];
    expect(answers.map(({ status }) => status)).toEqual([400, 400, 422, 422, 400, 200, 200]);
    const seen = JSON.stringify([
      answers.map(({ text }) => text),
      lines,
      server.admin.counters(),
      server.admin.requests(),
    ]);
    expect(seen).not.toContain(canary);
    expect(seen).not.toContain(server.token);
    expect(lines.length).toBe(9);
  });
});

describe("the counters", () => {
  it("tell every path that was named, refused or not, until they are reset", async () => {
    server.admin.setLimit("write", 0);
    await put("limited");
    await call("GET", "/v1/secrets/private", { token: "skt_wrong" });
    await call("POST", "/v1/secrets/batch/metadata", { body: { paths: ["none", "a/**"], expand_wildcards: true } });
    server.admin.write("mine", { data: {} });
    expect(server.admin.counters().paths).toEqual([
      { path: "a/**", actions: ["list"] },
      { path: "limited", actions: ["write"] },
      { path: "none", actions: ["list"] },
      { path: "private", actions: ["read"] },
    ]);
    expect(server.admin.counters()).toMatchObject({ total: 3, byCategory: { write: 1, read: 1, batch_metadata: 1 } });
    expect(server.admin.requests().map(({ route, status }) => [route, status])).toEqual([
      ["PUT /v1/secrets/{path}", 429],
      ["GET /v1/secrets/{path}", 401],
      ["POST /v1/secrets/batch/metadata", 200],
    ]);
    server.admin.resetCounters();
    expect(server.admin.counters()).toMatchObject({ total: 0, paths: [], byRoute: {} });
    expect(server.admin.requests()).toEqual([]);
  });
});

describe("soft delete", () => {
  it("frees the path when the retention has run out", async () => {
    await put("a");
    await call("DELETE", "/v1/secrets/a");
    expect((await put("a")).code).toBe("secret_exists");
    await clock.advance(30 * 86_400_000);
    expect((await put("a")).json).toMatchObject({ version: 1 });
  });
});

describe("options.cas", () => {
  it("is honoured when the server is set so", async () => {
    await server.stop();
    await start({ cas: true });
    const body = (cas: number): Options => ({ body: { data: {}, secret_type: "kv", options: { cas } } });
    expect((await put("a", body(0))).status).toBe(201);
    expect(await put("a", body(0))).toMatchObject({ status: 409, code: "version_conflict" });
    expect((await put("a", body(1))).status).toBe(200);
  });
});

describe("audit", () => {
  it("pages through rows of the asking tenant only, denials included", async () => {
    for (let time = 0; time < 5; time++) await put("a");
    const token = server.admin.createToken({ identity: "sa:x", scopes: ["secrets:read"] });
    await call("GET", "/v1/secrets/a", { token });
    const ids: unknown[] = [];
    let cursor = "";
    do {
      const { json } = await call("GET", `/v1/audit/logs?limit=2${cursor}`);
      ids.push(...(json["logs"] as { id: string }[]).map(({ id }) => id));
      cursor = json["has_more"] === true ? `&cursor=${String(json["cursor"])}` : "";
    } while (cursor !== "");
    expect(new Set(ids).size).toBe(6);
    const denied = await call("GET", "/v1/audit/identities/sa%3Ax?success=false");
    expect(denied.json).toMatchObject({
      logs: [
        {
          action: "read",
          secret_path: "a",
          identity_id: "sa:x",
          success: false,
          extra_data: { code: "access_denied" },
        },
      ],
      summary: { total_events: 1, failed_events: 1 },
    });
    expect((await call("GET", "/v1/audit/summary")).json).toEqual({
      total_events: 6,
      successful_events: 5,
      failed_events: 1,
      by_action: { write: 5, read: 1 },
    });
    const from = new Date(clock.now() + 1).toISOString();
    expect((await call("GET", `/v1/audit/logs?from=${from}`)).json["logs"]).toEqual([]);
    for (const query of ["from=yesterday", "action=steal", "limit=0", "success=yes"])
      expect((await call("GET", `/v1/audit/logs?${query}`)).code).toBe("invalid_request");
    server.admin.addTenant("tnt_2");
    expect((await call("GET", "/v1/t/tnt_2/audit/logs")).json["logs"]).toEqual([]);
  });

  it("refuses cursors that are old or of another query", async () => {
    for (let time = 0; time < 3; time++) await put("a");
    const { json } = await call("GET", "/v1/audit/logs?limit=1");
    const cursor = String(json["cursor"]);
    expect((await call("GET", `/v1/audit/logs?limit=1&action=write&cursor=${cursor}`)).code).toBe("invalid_cursor");
    await clock.advance(3_600_001);
    expect((await call("GET", `/v1/audit/logs?limit=1&cursor=${cursor}`)).code).toBe("invalid_cursor");
  });
});

describe("faults", () => {
  it("answer errors a number of times, then nothing is wrong", async () => {
    const fault = server.admin.inject({
      match: { category: "write" },
      times: 2,
      action: { kind: "status", status: 503 },
    });
    server.admin.inject({ match: { path: "b/**" }, action: { kind: "status", status: 429, retryAfterSeconds: 7 } });
    expect([(await put("a")).code, (await put("a")).code, (await put("a")).status]).toEqual([
      "service_unavailable",
      "service_unavailable",
      201,
    ]);
    expect(fault.hits()).toBe(2);
    const limited = await put("b/c");
    expect([limited.code, limited.headers.get("Retry-After")]).toEqual(["rate_limited", "7"]);
    server.admin.clearFaults();
    expect((await put("b/c")).status).toBe(201);
    expect(server.admin.counters()).toMatchObject({
      byRoute: { "PUT /v1/secrets/{path}": 5 },
      byStatus: { 503: 2, 429: 1, 201: 2 },
      versionsWritten: 2,
    });
  });

  it("cut connections before or after the work is done", async () => {
    server.admin.inject({ times: 1, action: { kind: "reset" } });
    await expect(put("a")).rejects.toThrow();
    expect(server.admin.peek("a")).toBeUndefined();
    server.admin.inject({ times: 1, action: { kind: "reset", when: "after" } });
    await expect(put("a")).rejects.toThrow();
    expect(server.admin.peek("a")?.version).toBe(1);
    expect(server.admin.requests().map(({ status }) => status)).toEqual([0, 0]);
  });

  it("hang until removed, and delay on the server's clock", async () => {
    const hang = server.admin.inject({ action: { kind: "hang" } });
    const hanging = put("a");
    await expect.poll(() => hang.hits()).toBe(1);
    hang.remove();
    await expect(hanging).rejects.toThrow();
    const latency = server.admin.inject({ action: { kind: "latency", ms: 5000 } });
    const delayed = put("a");
    await expect.poll(() => latency.hits()).toBe(1);
    expect(server.admin.peek("a")).toBeUndefined();
    await clock.advance(5000);
    expect((await delayed).status).toBe(201);
  });

  it("do not keep the server from stopping", async () => {
    const hang = server.admin.inject({ action: { kind: "hang" } });
    const hanging = put("a").catch(() => "cut");
    await expect.poll(() => hang.hits()).toBe(1);
    await server.stop();
    expect(await hanging).toBe("cut");
  });

  it("drop custom metadata keys and answer foreign text", async () => {
    server.admin.inject({ action: { kind: "dropMetadata" } });
    await put("a", { body: { data: {}, metadata: { owner: "team:x", mark: "m" } } });
    expect(server.admin.peek("a")?.metadata).toEqual({ owner: "team:x" });
    server.admin.clearFaults();
    server.admin.inject({ action: { kind: "body", status: 200, text: "<html>" } });
    expect(await call("GET", "/v1/secrets/a")).toMatchObject({ status: 200, text: "<html>" });
  });

  it("include an outage: refused connections, nothing lost, the same port", async () => {
    await put("a");
    await server.stopListening();
    await expect(call("GET", "/v1/secrets/a")).rejects.toMatchObject({ cause: { code: "ECONNREFUSED" } });
    await server.listenAgain();
    expect((await call("GET", "/v1/secrets/a")).json).toMatchObject({ version: 1 });
    server.admin.setReady(false);
    expect(await call("GET", "/v1/health/ready", { token: null })).toMatchObject({
      status: 503,
      json: { status: "not_ready" },
    });
  });
});

describe("with a folder", () => {
  let folder = "";
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "scaivault-server-"));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  it("a data file keeps secrets and audit rows over a restart, but no tokens", async () => {
    await server.stop();
    const dataFile = join(folder, "data.sqlite");
    await start({ dataFile });
    const old = server.token;
    await put("a", { body: '{"data":{"n":1.0,"big":12345678901234567890},"metadata":{"x":1.0}}' });
    await server.stop();
    await start({ dataFile });
    expect((await call("GET", "/v1/secrets/a")).text).toContain('"data":{"n":1.0,"big":12345678901234567890}');
    expect((await call("GET", "/v1/audit/logs?action=write")).json["logs"]).toHaveLength(1);
    expect((await call("GET", "/v1/secrets/a", { token: old })).code).toBe("token_invalid");
  });

  it("a seed makes identities, rights and secrets, and does not write twice", async () => {
    const seed = (file: string): string =>
      JSON.stringify({
        tokens: [
          {
            identity: "sa:reader",
            scopes: ["secrets:read"],
            rules: [{ path_pattern: "team/**", permissions: ["read"] }],
            token_file: file,
          },
        ],
        secrets: {},
      }).replace('"secrets":{}', '"secrets":{"team/a":{"data":{"n":1.0},"secret_type":"json"}}');
    const file = join(folder, "token");
    writeFileSync(file, "old", { mode: 0o644 });
    expect(applySeed(server.admin, seed(file))).toEqual({ secrets: 1 });
    expect(applySeed(server.admin, seed(file))).toEqual({ secrets: 0 });
    expect(statSync(file).mode & 0o777).toBe(0o600);
    const answer = await call("GET", "/v1/secrets/team/a", { token: readFileSync(file, "utf8") });
    expect(answer.text).toContain('"data":{"n":1.0}');
    expect(() => applySeed(server.admin, '{"secret":{}}')).toThrow();
  });
});

describe("the admin port", () => {
  it("is on loopback, refuses other hosts and web pages even with its token, which is new at each start", async () => {
    const tokens = new Set<string>();
    for (let time = 0; time < 2; time++) {
      await server.stop();
      await start({ adminPort: 0 });
      tokens.add(server.adminPort?.token ?? "");
    }
    expect(tokens.size).toBe(2);
    const url = server.adminPort?.url ?? "";
    expect(new URL(url).hostname).toBe("127.0.0.1");
    const authorization = `Bearer ${server.adminPort?.token ?? ""}`;
    const { host } = new URL(url);
    for (const path of ["/admin/counters", "/admin/backup", "/admin/events"]) {
      expect((await raw(path, { authorization, host }, url)).status).toBe(200);
      expect((await raw(path, { host }, url)).status).toBe(401);
      expect((await raw(path, { authorization, host: "evil.example" }, url)).status).toBe(403);
      expect((await raw(path, { authorization, host, origin: "http://evil.example" }, url)).status).toBe(403);
    }
  });

  it("needs its own token and does what the handle does", async () => {
    await server.stop();
    await start({ adminPort: 0 });
    const port = server.adminPort;
    if (port === undefined) throw new Error("no admin port");
    const ask = async (
      method: string,
      path: string,
      body?: object,
      token = port.token,
    ): Promise<{ status: number; json: Record<string, unknown> }> => {
      const response = await fetch(port.url + path, {
        method,
        headers: { authorization: `Bearer ${token}` },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      return { status: response.status, json: (await response.json()) as Record<string, unknown> };
    };
    expect((await ask("GET", "/admin/counters", undefined, server.token)).status).toBe(401);
    const rules = [{ path_pattern: "**", permissions: ["read"] }];
    const made = await ask("POST", "/admin/tokens", { identity: "sa:x", scopes: ["secrets:read"], rules });
    expect((await call("GET", "/v1/secrets/none", { token: String(made.json["token"]) })).code).toBe(
      "secret_not_found",
    );
    const fault = await ask("POST", "/admin/faults", { action: { kind: "status", status: 500 } });
    expect((await call("GET", "/v1/secrets/none")).code).toBe("internal_error");
    expect((await ask("DELETE", `/admin/faults/${String(fault.json["id"])}`)).json).toEqual({ removed: true });
    await ask("PUT", "/admin/limits", { read: 0 });
    expect((await call("GET", "/v1/secrets/none")).status).toBe(429);
    expect((await ask("GET", "/admin/counters")).json).toMatchObject({ byCategory: { read: 3 } });
    await ask("POST", "/admin/counters/reset", {});
    expect((await ask("GET", "/admin/counters")).json).toMatchObject({ total: 0 });
    expect(await ask("POST", "/admin/faults", { action: { kind: "nonsense" } })).toMatchObject({ status: 422 });
    expect((await ask("GET", "/admin/nothing")).status).toBe(404);
  });
});
