import { randomBytes } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { App } from "../app.ts";
import { AUDITED_DENIALS, RATE_HEADERS, REQUEST_ID } from "../assumptions.ts";
import { requirePartnerAdmin } from "../auth/tenancy.ts";
import { hasScope, identityType } from "../auth/principal.ts";
import { ApiError } from "../errors.ts";
import type { FaultHit } from "../admin/faults.ts";
import { toJson } from "../json/raw-json.ts";
import type { RateState } from "../limits/rate-limiter.ts";
import type { AccessLine } from "../settings.ts";
import { Call } from "./call.ts";
import type { Answer } from "./call.ts";
import { checkHost } from "./guard.ts";
import type { Match, Router } from "./router.ts";

/** What the pipeline is built from. */
export interface PipelineParts {
  readonly app: App;
  readonly router: Router;
  readonly allowedHosts: ReadonlySet<string>;
  readonly onAccess: ((line: AccessLine) => void) | undefined;
  /** Aborts when the server stops: what hangs is let go. */
  readonly stopped: AbortSignal;
}

/** State of one request on its way. */
interface Passage {
  readonly requestId: string;
  readonly path: string;
  readonly startedAt: number;
  call: Call | undefined;
  rate: RateState | undefined;
  cutAfter: boolean;
}

/** Thrown to cut the connection instead of answering. */
class Cut extends Error {}

/** Handles one request: guard, route, authenticate, faults, rate, tenant, scope, handler, audit, answer. Never throws. */
export async function handle(parts: PipelineParts, message: IncomingMessage, response: ServerResponse): Promise<void> {
  const { app } = parts;
  const url = message.url ?? "/";
  const question = url.indexOf("?");
  const passage: Passage = {
    requestId: requestId(message.headers["x-request-id"]),
    path: question < 0 ? url : url.slice(0, question),
    startedAt: app.clock.monotonic(),
    call: undefined,
    rate: undefined,
    cutAfter: false,
  };
  let answer: Answer | undefined;
  try {
    answer = await pass(parts, message, passage, new URLSearchParams(question < 0 ? "" : url.slice(question + 1)));
  } catch (error) {
    if (!(error instanceof Cut)) answer = errorAnswer(error, passage);
  }
  writeAudit(app, message, passage);
  if (answer === undefined || passage.cutAfter) message.socket.destroy();
  else send(app, response, passage, answer);
  finish(parts, message, passage, answer === undefined || passage.cutAfter ? 0 : answer.status);
}

async function pass(
  parts: PipelineParts,
  message: IncomingMessage,
  passage: Passage,
  query: URLSearchParams,
): Promise<Answer> {
  const { app } = parts;
  let match: Match;
  try {
    checkHost(message, parts.allowedHosts);
    match = parts.router.find(message.method ?? "", passage.path);
  } catch (error) {
    app.counters.arrived("unknown", "system");
    throw error;
  }
  const { route, params, tenant, partnerWide } = match;
  app.counters.arrived(routeName(match), route.category);
  const call = new Call({
    app,
    route,
    params,
    query,
    requestId: passage.requestId,
    partnerWide,
    message,
    stopped: parts.stopped,
  });
  passage.call = call;
  // Noted at arrival: a test that asks which paths a client named must also see requests that were refused.
  if (route.action !== undefined && call.path !== "") app.counters.touched(call.path, route.action);

  if (route.token !== false) {
    call.token = await app.tokens.authenticate(bearer(call.authorization));
    call.caller = call.token.principal;
    call.rateIdentity = `${call.caller.tenantId}\n${call.caller.identityId}`;
  }
  await applyFaults(parts, passage, match, call);

  passage.rate = app.limiter.take(call.rateIdentity, route.category);
  if (!passage.rate.allowed) throw rateLimited(app, route.category, passage.rate);
  if (call.caller !== undefined) {
    const header = message.headers["x-tenant-id"];
    call.caller = app.tenants.select(call.caller, tenant ?? (typeof header === "string" ? header : undefined));
    if (route.scope !== undefined && !hasScope(call.caller, route.scope))
      throw new ApiError("insufficient_scope", "the token lacks a scope", { details: { required_scope: route.scope } });
    if (partnerWide && route.method !== "GET") requirePartnerAdmin(call.caller);
  }
  return route.handler(call);
}

/** The route's name for counters and faults. */
function routeName(match: Match): string {
  const pattern = match.route.pattern.replace("{path+}", "{path}");
  return `${match.route.method} ${match.partnerWide ? pattern.replace("/v1/", "/v1/partner/") : pattern}`;
}

function bearer(header: string | undefined): string {
  const match = /^bearer +([\w.~+/=-]+)$/i.exec(header ?? "");
  if (match?.[1] === undefined) throw new ApiError("authentication_required", "a bearer token is needed");
  return match[1];
}

/** Token buckets answer `429` with the wait in whole seconds. */
export function rateLimited(app: App, category: string, rate: RateState): ApiError {
  app.metrics.rateLimited(category);
  return new ApiError("rate_limited", "too many requests", {
    headers: { "Retry-After": String(rate.retryAfterSeconds) },
    details: { retry_after: rate.retryAfterSeconds, category },
  });
}

async function applyFaults(parts: PipelineParts, passage: Passage, match: Match, call: Call): Promise<void> {
  const hits = parts.app.faults.hit({
    method: match.route.method,
    route: routeName(match),
    category: match.route.category,
    path: call.params["path"],
    identity: call.caller?.identityId,
  });
  for (const hit of hits) await applyFault(parts, passage, hit);
}

async function applyFault(parts: PipelineParts, passage: Passage, hit: FaultHit): Promise<void> {
  const { action } = hit;
  const letGo = AbortSignal.any([hit.gone, parts.stopped]);
  switch (action.kind) {
    case "latency":
      await parts.app.clock.sleep(action.ms, letGo, { unref: true }).catch(() => undefined);
      return;
    case "hang":
      if (!letGo.aborted)
        await new Promise<void>((resolve) => letGo.addEventListener("abort", () => resolve(), { once: true }));
      throw new Cut();
    case "reset":
      if (action.when !== "after") throw new Cut();
      passage.cutAfter = true;
      return;
    case "status":
      throw new InjectedAnswer({
        status: action.status,
        headers: action.retryAfterSeconds === undefined ? {} : { "Retry-After": String(action.retryAfterSeconds) },
        body: envelope(action.code ?? codeOfStatus(action.status), "injected fault", undefined, passage.requestId),
      });
    case "body":
      throw new InjectedAnswer({
        status: action.status,
        text: { content: action.text, type: action.contentType ?? "text/html" },
      });
    case "dropMetadata":
      return;
  }
}

/** An answer of a fault. */
class InjectedAnswer extends Error {
  readonly answer: Answer;

  constructor(answer: Answer) {
    super("injected fault");
    this.answer = answer;
  }
}

function codeOfStatus(status: number): string {
  if (status === 429) return "rate_limited";
  return status === 503 ? "service_unavailable" : "internal_error";
}

function envelope(code: string, message: string, details: unknown, requestId: string): unknown {
  return { error: { code, message, details, request_id: requestId } };
}

function errorAnswer(error: unknown, passage: Passage): Answer {
  if (error instanceof InjectedAnswer) return error.answer;
  // Anything else is a bug of this server; its text may hold values, so it is not passed on.
  const known = error instanceof ApiError ? error : new ApiError("internal_error", "the server failed");
  const { call } = passage;
  if (AUDITED_DENIALS && call?.caller !== undefined && call.route.action !== undefined && known.status !== 429) {
    call.rows.push({
      action: call.route.action,
      path: call.params["path"] ?? null,
      success: false,
      extra: { code: known.code },
    });
  }
  return {
    status: known.status,
    headers: known.headers,
    body: envelope(known.code, known.message, known.details, passage.requestId),
  };
}

function writeAudit(app: App, message: IncomingMessage, passage: Passage): void {
  const caller = passage.call?.caller;
  if (caller === undefined) return;
  for (const row of passage.call?.rows ?? []) {
    app.store.appendAudit({
      id: `log_${randomBytes(12).toString("hex")}`,
      tenantId: caller.tenantId,
      timestamp: app.clock.now(),
      action: row.action,
      identityType: identityType(caller.identityId),
      identityId: caller.identityId,
      secretPath: row.path,
      sourceIp: passage.call?.sourceIp ?? "",
      userAgent: message.headers["user-agent"] ?? "",
      success: row.success,
      durationMs: Math.round(app.clock.monotonic() - passage.startedAt),
      requestId: passage.requestId,
      extraData: JSON.stringify(row.extra),
    });
  }
}

function send(app: App, response: ServerResponse, passage: Passage, answer: Answer): void {
  const rate = passage.rate ?? app.limiter.take(undefined, passage.call?.route.category ?? "system");
  const json = answer.text === undefined && answer.body !== undefined;
  const content = answer.text?.content ?? (json ? toJson(answer.body) : "");
  response.sendDate = false;
  response.writeHead(answer.status, {
    Date: new Date(app.clock.now()).toUTCString(),
    "X-Request-ID": passage.requestId,
    [RATE_HEADERS.limit]: String(rate.limit),
    [RATE_HEADERS.remaining]: String(rate.remaining),
    [RATE_HEADERS.reset]: String(rate.reset),
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    ...(answer.status === 204 ? {} : { "Content-Length": String(Buffer.byteLength(content)) }),
    ...(json ? { "Content-Type": "application/json" } : {}),
    ...(answer.text === undefined ? {} : { "Content-Type": answer.text.type }),
    ...answer.headers,
  });
  response.end(answer.status === 204 ? undefined : content);
}

function finish(parts: PipelineParts, message: IncomingMessage, passage: Passage, status: number): void {
  const { app } = parts;
  const { call } = passage;
  const durationMs = app.clock.monotonic() - passage.startedAt;
  const category = call?.route.category ?? "system";
  const method = message.method ?? "";
  app.metrics.answered(call?.route.method ?? "other", category, status, durationMs / 1000);
  app.counters.done({
    at: app.clock.now(),
    method,
    route: call === undefined ? "unknown" : `${call.route.method} ${call.route.pattern.replace("{path+}", "{path}")}`,
    category,
    path: passage.path,
    identity: call?.caller?.identityId,
    userAgent: message.headers["user-agent"] ?? "",
    requestId: passage.requestId,
    status,
  });
  parts.onAccess?.({
    method,
    path: passage.path,
    status,
    identity: call?.caller?.identityId,
    requestId: passage.requestId,
    durationMs,
  });
}

const requestIdGrammar = /^[\w.:-]+$/;

function requestId(sent: string | string[] | undefined): string {
  if (typeof sent === "string" && sent.length <= REQUEST_ID.mostCharacters && requestIdGrammar.test(sent)) return sent;
  return `${REQUEST_ID.prefix}${randomBytes(12).toString("hex")}`;
}
