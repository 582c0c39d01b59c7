import { AUDIT_TRAIL_SHAPE } from "../assumptions.ts";
import { auditActions } from "../audit/audit.ts";
import type { AuditFilter, AuditRow, AuditSummary } from "../audit/audit.ts";
import type { Answer, Call } from "../http/call.ts";
import { RawJson } from "../json/raw-json.ts";
import { checkPath } from "../secrets/path.ts";
import { timestamp } from "../secrets/service.ts";
import { moment, someOf, trueOrFalse, wholeNumber } from "./query.ts";

const identityTypes = ["user", "service_account", "group"];

function shown(row: AuditRow): Record<string, unknown> {
  return {
    id: row.id,
    timestamp: timestamp(row.timestamp),
    action: row.action,
    identity_type: row.identityType,
    identity_id: row.identityId,
    secret_path: row.secretPath,
    source_ip: row.sourceIp,
    user_agent: row.userAgent,
    success: row.success,
    duration_ms: row.durationMs,
    request_id: row.requestId,
    extra_data: new RawJson(row.extraData),
  };
}

/** The filter of a query; each field is optional. [reference/audit] */
function filterOf(call: Call): AuditFilter {
  const { query } = call;
  const now = call.app.clock.now();
  return {
    tenantId: call.principal.tenantId,
    from: moment(query, "from", now),
    to: moment(query, "to", now),
    actions: someOf(query, "action", auditActions),
    identityId: query.get("identity_id") ?? undefined,
    identityType: someOf(query, "identity_type", identityTypes)?.[0],
    pathPrefix: query.get("path_prefix") ?? undefined,
    success: trueOrFalse(query, "success"),
    sourceIp: query.get("source_ip") ?? undefined,
    requestId: query.get("request_id") ?? undefined,
  };
}

function page(call: Call, filter: AuditFilter): Record<string, unknown> {
  // Default 100, at most 1000. [reference/audit]
  const limit = wholeNumber(call.query, "limit", { least: 1, most: 1000 }) ?? 100;
  // Not the moments themselves: "1 hour ago" moves from page to page, and the position is a row anyway.
  const scope = JSON.stringify([
    call.route.pattern,
    { ...filter, from: call.query.get("from"), to: call.query.get("to") },
  ]);
  const position = call.app.cursors.read(scope, call.query.get("cursor"));
  const rows = call.app.store.queryAudit(filter, {
    before: position === undefined ? undefined : Number(position),
    limit: limit + 1,
  });
  const logs = rows.slice(0, limit);
  const last = logs.at(-1);
  const hasMore = rows.length > limit && last !== undefined;
  return {
    logs: logs.map(shown),
    cursor: hasMore ? call.app.cursors.issue(scope, String(last.sequence)) : null,
    has_more: hasMore,
  };
}

function summaryBody(summary: AuditSummary): Record<string, unknown> {
  return {
    total_events: summary.total,
    successful_events: summary.successful,
    failed_events: summary.total - summary.successful,
    by_action: summary.byAction,
  };
}

/** GET /v1/audit/logs. */
export function auditLogs(call: Call): Answer {
  return { status: 200, body: page(call, filterOf(call)) };
}

/** The trail of one thing with a summary of the last 30 days. */
function trail(call: Call, about: Partial<AuditFilter>): Record<string, unknown> {
  const filter: AuditFilter = { ...filterOf(call), ...about };
  const from = call.app.clock.now() - AUDIT_TRAIL_SHAPE.days * 86_400_000;
  const summary = call.app.store.summarizeAudit({ tenantId: filter.tenantId, ...about, from });
  return { ...page(call, filter), summary: summaryBody(summary) };
}

/** GET /v1/audit/secrets/{path}. */
export function auditOfSecret(call: Call): Answer {
  const path = checkPath(call.path);
  return { status: 200, body: { path, ...trail(call, { secretPath: path }) } };
}

/** GET /v1/audit/identities/{identity_id}. */
export function auditOfIdentity(call: Call): Answer {
  const identityId = call.params["identity"] ?? "";
  return { status: 200, body: { identity_id: identityId, ...trail(call, { identityId }) } };
}

/** GET /v1/audit/summary?from=&to=. */
export function auditSummary(call: Call): Answer {
  return { status: 200, body: summaryBody(call.app.store.summarizeAudit(filterOf(call))) };
}
