import { assumed, at, CannotCheck, equal, fact, holds, listAt, prepared, refused, status } from "../check.ts";
import type { Check } from "../check.ts";

const isoUtc = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?Z$/;

/** The audit trail and its pages. */
export const auditChecks: readonly Check[] = [
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
