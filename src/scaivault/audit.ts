import * as z from "zod";
import type { Caller } from "./caller.ts";
import { allPages, type Listing, onePage, type Page } from "./pages.ts";
import { checkPath } from "./paths.ts";
import type { CallContext } from "./types.ts";
import { readJSON } from "./wire.ts";

/** Most rows of one page. */
export const AUDIT_PAGE = 1000;

/** Which rows of the audit log; what is left out does not restrict. */
export interface AuditFilter {
  readonly from?: Date;
  readonly to?: Date;
  /** Such as `read`, `write`, `federation_sync`. */
  readonly actions?: readonly string[];
  readonly identityID?: string;
  readonly identityType?: "user" | "service_account" | "group";
  /** A prefix of the text, so end it with `/`. */
  readonly pathPrefix?: string;
  readonly success?: boolean;
  readonly sourceIP?: string;
  readonly requestID?: string;
}

/** One row of the audit log. Texts are ScaiVault's and those of whoever called it: clean them before they are shown. */
export interface AuditRow {
  readonly id: string;
  /** ISO 8601, UTC. */
  readonly timestamp: string;
  readonly action: string;
  readonly identityType: string | undefined;
  readonly identityID: string | undefined;
  /** Absent for what is about no secret. */
  readonly path: string | undefined;
  readonly sourceIP: string | undefined;
  readonly userAgent: string | undefined;
  readonly success: boolean;
  readonly requestID: string | undefined;
}

/** Counts of rows. */
export interface AuditSummary {
  readonly total: number;
  readonly successful: number;
  readonly byAction: ReadonlyMap<string, number>;
}

/** The trail of one secret: a page of rows and the counts of the last 30 days. */
export interface AuditTrail extends Page<AuditRow> {
  readonly summary: AuditSummary;
}

const text = z.string().nullish().catch(undefined);
const row = z.object({
  id: z.string(),
  timestamp: z.string(),
  action: z.string(),
  identity_type: text,
  identity_id: text,
  secret_path: text,
  source_ip: text,
  user_agent: text,
  success: z.boolean(),
  request_id: text,
});
const count = z.number().int().nonnegative();
const summary = z.object({
  total_events: count,
  successful_events: count,
  by_action: z.record(z.string(), count).catch({}),
});

const auditCall = { method: "GET", category: "audit", scope: "audit:read", safe: true } as const;

/** The audit log (API facts 3.4): 50 queries a minute, scope `audit:read`. */
export class AuditAPI {
  readonly #caller: Caller;

  constructor(caller: Caller) {
    this.#caller = caller;
  }

  /** Rows, newest first, page by page. */
  logs(filter: AuditFilter, context: CallContext): AsyncGenerator<readonly AuditRow[]> {
    return allPages(this.#caller, rows("/v1/audit/logs", filter, AUDIT_PAGE, "query the audit log"), context);
  }

  /** One page of so many rows at most (1 to 1000), such as the first: whether there is any. */
  logPage(
    filter: AuditFilter,
    page: { readonly limit: number; readonly cursor?: string },
    context: CallContext,
  ): Promise<Page<AuditRow>> {
    const listing = rows("/v1/audit/logs", filter, page.limit, "query the audit log");
    return onePage(this.#caller, listing, page.cursor, context);
  }

  /** Counts of what happened between two moments. */
  async summary(filter: Pick<AuditFilter, "from" | "to">, context: CallContext): Promise<AuditSummary> {
    const action = "sum the audit log up";
    const query = queryOf(filter).toString();
    const path = query === "" ? "/v1/audit/summary" : `/v1/audit/summary?${query}`;
    const answer = await this.#caller.call({ ...auditCall, path, action }, context);
    return summaryOf(readJSON(summary, answer.body, action));
  }

  /** What happened to one secret, also to one that is gone by now. */
  async trail(
    path: string,
    page: { readonly limit: number; readonly cursor?: string },
    context: CallContext,
  ): Promise<AuditTrail> {
    checkPath(path);
    const action = `read the audit trail of ${path}`;
    let found: AuditSummary | undefined;
    const listing = rows(`/v1/audit/secrets/${path}`, {}, page.limit, action);
    const rest = await onePage(this.#caller, listing, page.cursor, context, (body) => {
      found = summaryOf(readJSON(z.object({ summary }), body, action).summary);
    });
    return { ...rest, summary: found ?? { total: 0, successful: 0, byAction: new Map() } };
  }
}

function rows(
  path: string,
  filter: AuditFilter,
  limit: number,
  action: string,
): Listing<z.infer<typeof row>, AuditRow> {
  const query = queryOf(filter);
  query.set("limit", String(limit));
  return { call: { ...auditCall, action }, path, query, keys: ["logs"], entry: row, read: rowOf };
}

function queryOf(filter: AuditFilter): URLSearchParams {
  const named: readonly (readonly [string, string | undefined])[] = [
    ["from", filter.from?.toISOString()],
    ["to", filter.to?.toISOString()],
    ["action", filter.actions?.join(",")],
    ["identity_id", filter.identityID],
    ["identity_type", filter.identityType],
    ["path_prefix", filter.pathPrefix],
    ["success", filter.success === undefined ? undefined : String(filter.success)],
    ["source_ip", filter.sourceIP],
    ["request_id", filter.requestID],
  ];
  return new URLSearchParams(
    named.flatMap(([name, value]): [string, string][] => (value === undefined ? [] : [[name, value]])),
  );
}

function rowOf(found: z.infer<typeof row>): AuditRow {
  return {
    id: found.id,
    timestamp: found.timestamp,
    action: found.action,
    identityType: found.identity_type ?? undefined,
    identityID: found.identity_id ?? undefined,
    path: found.secret_path ?? undefined,
    sourceIP: found.source_ip ?? undefined,
    userAgent: found.user_agent ?? undefined,
    success: found.success,
    requestID: found.request_id ?? undefined,
  };
}

function summaryOf(found: z.infer<typeof summary>): AuditSummary {
  return {
    total: found.total_events,
    successful: found.successful_events,
    byAction: new Map(Object.entries(found.by_action)),
  };
}
