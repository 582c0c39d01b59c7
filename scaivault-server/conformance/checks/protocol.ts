import { assumed, at, CannotCheck, equal, fact, holds, listAt, prepared, refused, status } from "../check.ts";
import type { Check } from "../check.ts";

const isoUtc = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?Z$/;

/** Authentication, tenants, errors, rate limits, system. */
export const protocolChecks: readonly Check[] = [
  fact(
    "health-open",
    "3.13",
    "reference/system",
    "GET /v1/health needs no token and is always 200 with `status` and `timestamp`.",
    [],
    async ({ client }) => {
      const reply = await client.get("/v1/health", { token: null });
      status(reply, 200, "health");
      equal(at(reply.json, "status"), "healthy", "status");
      holds(isoUtc.test(String(at(reply.json, "timestamp"))), "timestamp is not ISO 8601 UTC with Z");
    },
  ),
  fact(
    "ready-open",
    "3.13",
    "reference/system",
    "GET /v1/health/ready needs no token and answers 200 `ready` or 503 `not_ready` with `checks`.",
    [],
    async ({ client }) => {
      const reply = await client.get("/v1/health/ready", { token: null });
      equal(at(reply.json, "status"), reply.status === 200 ? "ready" : "not_ready", "status");
      holds(reply.status === 200 || reply.status === 503, `ready answers ${reply.status}`);
      holds(typeof at(reply.json, "checks") === "object", "checks is absent");
    },
  ),
  fact(
    "version-open",
    "3.13",
    "reference/system",
    "GET /v1/version needs no token and has `version`.",
    [],
    async ({ client }) => {
      const reply = await client.get("/v1/version", { token: null });
      status(reply, 200, "version");
      equal(typeof at(reply.json, "version"), "string", "the type of version");
    },
  ),
  fact(
    "no-token",
    "2.11",
    "core-concepts/errors",
    "No or a malformed Authorization header answers 401 authentication_required.",
    [],
    async ({ client }) => {
      refused(await client.get("/v1/auth/whoami", { token: null }), 401, "authentication_required", "no header");
      const malformed = { token: null, headers: { authorization: "Token abc" } };
      refused(await client.get("/v1/auth/whoami", malformed), 401, "authentication_required", "a malformed header");
    },
  ),
  fact(
    "bad-token",
    "2.11",
    "reference/error-codes",
    "A token that is not valid answers 401 token_invalid.",
    [],
    async ({ client }) => {
      refused(
        await client.get("/v1/auth/whoami", { token: "skt_conformance-no-such-token" }),
        401,
        "token_invalid",
        "an unknown token",
      );
    },
  ),
  fact(
    "whoami",
    "3.13",
    "reference/authentication",
    "GET /v1/auth/whoami answers identity_id, identity_type, tenant_id and scopes for any valid token.",
    [],
    async ({ client }) => {
      const reply = await client.get("/v1/auth/whoami");
      status(reply, 200, "whoami");
      for (const field of ["identity_id", "identity_type", "tenant_id"])
        equal(typeof at(reply.json, field), "string", `the type of ${field}`);
      listAt(reply.json, "scopes");
      holds(
        ["user", "service_account", "group"].includes(String(at(reply.json, "identity_type"))),
        "identity_type is another kind",
      );
    },
  ),
  fact(
    "introspect-bad",
    "3.13",
    "reference/authentication",
    'POST /v1/auth/introspect answers a bad token with {"active": false} and 200.',
    ["admin"],
    async ({ client }) => {
      const reply = await client.post("/v1/auth/introspect", { token: "skt_conformance-no-such-token" });
      status(reply, 200, "introspect");
      equal(at(reply.json, "active"), false, "active");
    },
  ),
  fact(
    "client-credentials",
    "2.3",
    "getting-started/authentication",
    "The token endpoint takes grant_type, client_id, client_secret and scope as a form and answers access_token.",
    [],
    async ({ client, extras }) => {
      if (extras.oauth === undefined) throw new CannotCheck("no client was given");
      const { tokenUrl, clientId, clientSecret } = extras.oauth;
      const form = new URLSearchParams({
        grant_type: "client_credentials",
        client_id: clientId,
        client_secret: clientSecret,
      });
      const reply = await client.send("POST", "", {
        url: tokenUrl,
        token: null,
        body: form.toString(),
        headers: { "content-type": "application/x-www-form-urlencoded" },
      });
      status(reply, 200, "the token endpoint");
      const token = at(reply.json, "access_token");
      if (typeof token !== "string") throw new CannotCheck("access_token is no text");
      equal(at(reply.json, "token_type"), "Bearer", "token_type");
      equal(typeof at(reply.json, "expires_in"), "number", "the type of expires_in");
      status(await client.get("/v1/auth/whoami", { token }), 200, "whoami with the new token");
    },
  ),
  fact(
    "missing-scope",
    "2.11",
    "reference/error-codes",
    "A missing scope answers 403 (insufficient_scope; one page says access_denied).",
    [],
    async ({ client, path, extras }) => {
      if (extras.limitedToken === undefined) throw new CannotCheck("no second token was given");
      const reply = await client.put(
        `/v1/secrets/${path("scope")}`,
        { data: {}, secret_type: "kv" },
        { token: extras.limitedToken },
      );
      status(reply, 403, "a write without the scope");
      holds(
        ["insufficient_scope", "access_denied"].includes(String(at(reply.json, "error", "code"))),
        "the code is another one",
      );
    },
  ),
  fact(
    "own-tenant-works",
    "2.6",
    "core-concepts/multi-tenancy",
    "The tenant of the request comes from the path prefix, the header X-Tenant-ID, or the token.",
    ["secrets:read"],
    async ({ client, whoami, path }) => {
      const tenant = String(whoami["tenant_id"]);
      const missing = `/secrets/${path("tenant")}`;
      const plain = await client.get(`/v1${missing}`);
      const prefixed = await client.get(`/v1/t/${tenant}${missing}`);
      if (prefixed.status === 403) throw new CannotCheck("the token may not name its tenant");
      equal(prefixed.status, plain.status, "the status with the path prefix");
      equal(
        (await client.get(`/v1${missing}`, { headers: { "X-Tenant-ID": tenant } })).status,
        plain.status,
        "the status with the header",
      );
    },
  ),
  fact(
    "unknown-tenant",
    "2.6",
    "core-concepts/multi-tenancy",
    "An unknown tenant answers 404 tenant_not_found.",
    ["secrets:read"],
    async ({ client, path }) => {
      const reply = await client.get(`/v1/t/tnt_conformance_none/secrets/${path("tenant")}`);
      if (reply.status === 403) throw new CannotCheck("the token may not name other tenants");
      refused(reply, 404, "tenant_not_found", "an unknown tenant");
    },
  ),
  fact(
    "rate-reset-header",
    "2.8",
    "advanced/rate-limiting",
    "Every answer has three rate headers; X-RateLimit-Reset is a Unix timestamp.",
    [],
    async ({ client }) => {
      const reply = await client.get("/v1/auth/whoami");
      const reset = Number(reply.header("X-RateLimit-Reset"));
      const server = Date.parse(reply.header("date") ?? "") / 1000;
      const now = Number.isNaN(server) ? client.clock.now() / 1000 : server;
      holds(Math.abs(reset - now) < 86_400, "X-RateLimit-Reset is no Unix timestamp of about now");
    },
  ),
  assumed("rate-headers", [], async ({ client }) => {
    for (const reply of [await client.get("/v1/auth/whoami"), await client.get("/v1/health", { token: null })]) {
      const limit = Number(reply.header("X-RateLimit-Limit"));
      const remaining = Number(reply.header("X-RateLimit-Remaining"));
      holds(limit > 0 && remaining >= 0 && remaining <= limit, "the headers are absent or no numbers");
    }
  }),
  fact(
    "rate-refusal",
    "2.8",
    "advanced/rate-limiting",
    "An empty bucket answers 429 rate_limited with Retry-After.",
    ["audit:read"],
    async ({ client, extras }) => {
      if (extras.exhaust !== true) throw new CannotCheck("using up a rate limit was not allowed (--exhaust)");
      const limit = Number((await client.get("/v1/audit/summary")).header("X-RateLimit-Limit"));
      if (!(limit <= 500)) throw new CannotCheck("the limit of audit queries is too high to use up");
      for (let request = 0; request <= limit * 2; request++) {
        const reply = await client.get("/v1/audit/summary", { takeRefusal: true });
        if (reply.status !== 429) continue;
        refused(reply, 429, "rate_limited", "an empty bucket");
        holds(/^\d+$/.test(reply.header("retry-after") ?? ""), "Retry-After is no number of seconds");
        return;
      }
      throw new CannotCheck("the bucket refills faster than requests go");
    },
  ),
  fact(
    "error-envelope",
    "2.10",
    "core-concepts/errors",
    "An error has `code`, `message` and a `request_id` that equals the header X-Request-ID.",
    [],
    async ({ client }) => {
      const reply = await client.get("/v1/auth/whoami", { token: null });
      for (const field of ["code", "message", "request_id"])
        equal(typeof at(reply.json, "error", field), "string", `the type of error.${field}`);
      holds(
        at(reply.json, "error", "request_id") === reply.header("X-Request-ID"),
        "request_id differs from the header",
      );
    },
  ),
  assumed("request-id", [], async ({ client }) => {
    const sent = "req_conformance-1";
    equal(
      (await client.get("/v1/auth/whoami", { headers: { "X-Request-ID": sent } })).header("X-Request-ID"),
      sent,
      "X-Request-ID",
    );
    const made = (await client.get("/v1/auth/whoami")).header("X-Request-ID") ?? "";
    holds(made.startsWith("req_"), "an id of the server does not start with req_");
  }),
  fact(
    "bad-json",
    "2.11",
    "reference/error-codes",
    "A body that is no JSON answers 400 invalid_request.",
    ["secrets:write"],
    async ({ client, path }) => {
      refused(await client.put(`/v1/secrets/${path("bad-json")}`, '{"data": '), 400, "invalid_request", "half a body");
      refused(await client.put(`/v1/secrets/${path("bad-json")}`, "[]"), 400, "invalid_request", "a list");
    },
  ),
  fact(
    "validation-fields",
    "2.10",
    "reference/error-codes",
    "422 validation_error lists the bad fields in details.fields.",
    ["secrets:write"],
    async ({ client, path }) => {
      const reply = await client.put(`/v1/secrets/${path("fields")}`, {
        data: {},
        secret_type: "kv",
        metadata: { tags: "no list" },
      });
      refused(reply, 422, "validation_error", "tags that are no list");
      holds(
        JSON.stringify(at(reply.json, "error", "details", "fields") ?? null).includes("tags"),
        "details.fields does not name the tags",
      );
    },
  ),
  assumed("unknown-route", [], async ({ client }) => {
    refused(await client.get("/v1/conformance-no-such-endpoint"), 404, "not_found", "an unknown endpoint");
    refused(await client.post("/v1/auth/whoami", {}), 405, "method_not_allowed", "an unknown method");
  }),
  assumed("unknown-fields", ["secrets:write"], async ({ client, path }) => {
    const body = {
      data: { a: "1" },
      secret_type: "kv",
      conformance_unknown: true,
      options: { conformance_unknown: 1 },
    };
    const reply = await client.put(`/v1/secrets/${path("unknown-fields")}`, body);
    holds(reply.status < 300, `unknown fields answer ${reply.status}`);
  }),
  assumed("content-type", ["secrets:write"], async ({ client, path }) => {
    const headers = { "content-type": "text/plain" };
    const reply = await client.put(`/v1/secrets/${path("content-type")}`, { data: {}, secret_type: "kv" }, { headers });
    refused(reply, 400, "invalid_request", "a body of another type");
  }),
  fact(
    "metrics-names",
    "3.13",
    "operations/health-and-monitoring",
    "The metrics have scaivault_requests_total and scaivault_request_duration_seconds.",
    [],
    async ({ client }) => {
      const reply = await client.get("/v1/metrics", { token: null });
      if (reply.status !== 200) throw new CannotCheck(`metrics answer ${reply.status} on this port`);
      for (const name of ["scaivault_requests_total", "scaivault_request_duration_seconds"])
        holds(reply.text.includes(name), `${name} is absent`);
    },
  ),
  fact(
    "audit-rows",
    "3.4",
    "reference/audit",
    "A read leaves an audit row with the documented fields, found by action, path_prefix and request_id.",
    ["secrets:read", "secrets:write", "audit:read"],
    async ({ client, path }) => {
      const secret = path("audited");
      prepared(await client.put(`/v1/secrets/${secret}`, { data: { a: "1" }, secret_type: "kv" }), "the write");
      const read = prepared(await client.get(`/v1/secrets/${secret}`), "the read");
      const requestId = read.header("X-Request-ID") ?? "";
      const reply = await client.get(`/v1/audit/logs?action=read&path_prefix=${secret}&success=true`);
      status(reply, 200, "the audit log");
      const rows = listAt(reply.json, "logs");
      const row = rows.find((item) => at(item, "request_id") === requestId);
      if (row === undefined) throw new CannotCheck("the row is not there (yet)");
      equal(at(row, "action"), "read", "action");
      equal(at(row, "secret_path"), secret, "secret_path");
      equal(at(row, "success"), true, "success");
      for (const field of [
        "id",
        "timestamp",
        "identity_type",
        "identity_id",
        "source_ip",
        "user_agent",
        "duration_ms",
        "extra_data",
      ])
        holds(at(row, field) !== undefined, `${field} is absent`);
      holds(isoUtc.test(String(at(row, "timestamp"))), "timestamp is not ISO 8601 UTC with Z");
      equal(
        listAt((await client.get(`/v1/audit/logs?request_id=${requestId}`)).json, "logs").length,
        1,
        "rows of the request",
      );
      equal(
        listAt((await client.get(`/v1/audit/logs?action=delete&path_prefix=${secret}`)).json, "logs").length,
        0,
        "rows of an action that was not",
      );
    },
  ),
  fact(
    "audit-limit",
    "3.4",
    "reference/audit",
    "`limit` of the audit log is at most 1000; pages go on with `cursor` and `has_more`.",
    ["audit:read"],
    async ({ client }) => {
      const first = await client.get("/v1/audit/logs?limit=1");
      status(first, 200, "limit=1");
      holds(listAt(first.json, "logs").length <= 1, "limit=1 answers more rows");
      const cursor = at(first.json, "cursor");
      if (at(first.json, "has_more") === true) {
        const second = await client.get(`/v1/audit/logs?limit=1&cursor=${encodeURIComponent(String(cursor))}`);
        status(second, 200, "the second page");
        holds(
          at(first.json, "logs", 0, "id") !== at(second.json, "logs", 0, "id"),
          "the second page repeats the first",
        );
      } else equal(cursor, null, "cursor at the end");
      const over = await client.get("/v1/audit/logs?limit=1001");
      holds(
        over.status === 400 || over.status === 422 || listAt(over.json, "logs").length <= 1000,
        "limit=1001 is taken",
      );
    },
  ),
  fact(
    "bad-cursor",
    "2.7",
    "reference/error-codes",
    "A bad cursor answers 400 invalid_cursor.",
    ["audit:read"],
    async ({ client }) => {
      refused(await client.get("/v1/audit/logs?cursor=conformance"), 400, "invalid_cursor", "a bad cursor");
    },
  ),
  fact(
    "audit-summary",
    "3.4",
    "reference/audit",
    "GET /v1/audit/summary answers total_events and successful_events.",
    ["audit:read"],
    async ({ client }) => {
      const reply = await client.get("/v1/audit/summary");
      status(reply, 200, "the summary");
      const total = Number(at(reply.json, "total_events"));
      holds(total >= Number(at(reply.json, "successful_events")), "the counts are absent or do not fit");
    },
  ),
  assumed("audit-order", ["secrets:write", "audit:read"], async ({ client, path }) => {
    const secret = path("audit-order");
    for (const value of ["1", "2"])
      prepared(await client.put(`/v1/secrets/${secret}`, { data: { value }, secret_type: "kv" }), "the write");
    const rows = listAt((await client.get(`/v1/audit/secrets/${secret}`)).json, "logs");
    if (rows.length < 2) throw new CannotCheck("the rows are not there (yet)");
    const times = rows.map((row) => Date.parse(String(at(row, "timestamp"))));
    holds(
      times.every((time, index) => index === 0 || time <= (times[index - 1] as number)),
      "older rows come first",
    );
  }),
  assumed("audit-relative-time", ["audit:read"], async ({ client }) => {
    status(await client.get("/v1/audit/logs?from=1+hour+ago&limit=1"), 200, "from=1+hour+ago");
  }),
];
