import { assumed, at, CannotCheck, equal, fact, holds, refused, status } from "../check.ts";
import type { Check } from "../check.ts";

const isoUtc = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?Z$/;

/** System endpoints, errors, rate limits. */
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
      if (at(reply.json, "error", "code") !== "validation_error")
        throw new CannotCheck(`tags that are no list answer ${reply.status}`);
      status(reply, 422, "a validation error");
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
];
