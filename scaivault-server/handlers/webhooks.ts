import { z } from "zod";
import { validationError, ApiError } from "../errors.ts";
import { eventFilters, eventPatterns } from "../events/filter.ts";
import type { Answer, Call } from "../http/call.ts";
import { checkBody, parseObject } from "../secrets/body.ts";
import { durationMs } from "../secrets/duration.ts";
import { timestamp } from "../secrets/service.ts";
import type { DeliveryRecord } from "../webhooks/dispatcher.ts";
import type { Webhook, WebhookSettings } from "../webhooks/service.ts";
import { checkTargetUrl } from "../webhooks/target-url.ts";
import { listPage } from "./pages.ts";
import { someOf } from "./query.ts";

const fields = {
  name: z.string().min(1).max(200),
  url: z.string().max(2048),
  secret: z.string().min(1).max(1024),
  events: eventPatterns,
};
const createBody = z.object({ ...fields, filters: eventFilters.default({}), enabled: z.boolean().default(true) });
const patchBody = z
  .object({ ...fields, filters: eventFilters, enabled: z.boolean(), previous_secret_ttl: z.string() })
  .partial();

const orNull = (ms: number | null): string | null => (ms === null ? null : timestamp(ms));

/** What is answered about a webhook: everything but its secret. */
function shown(item: Webhook): Record<string, unknown> {
  return {
    id: item.id,
    name: item.name,
    url: item.url,
    events: item.events,
    filters: item.filters,
    enabled: item.enabled,
    status: item.status,
    previous_secret_expires_at: orNull(item.previousSecretUntil),
    created_at: timestamp(item.createdAt),
    updated_at: timestamp(item.updatedAt),
  };
}

function shownDelivery(item: DeliveryRecord): Record<string, unknown> {
  return {
    id: item.id,
    event_id: item.eventId,
    event_type: item.eventType,
    timestamp: timestamp(item.createdAt),
    status: item.status,
    attempts: item.attempts,
    response_code: item.responseCode,
    duration_ms: item.durationMs,
    error: item.error,
    next_attempt_at: orNull(item.nextAttemptAt),
  };
}

function named(call: Call): Webhook {
  const found = call.app.webhooks.find(call.principal.tenantId, call.params["id"] ?? "");
  if (found === undefined) throw new ApiError("webhook_not_found", "no such webhook");
  return found;
}

/** GET /v1/webhooks. */
export function listWebhooks(call: Call): Answer {
  return { status: 200, body: listPage(call, "webhooks", call.app.webhooks.list(call.principal.tenantId), shown) };
}

/** POST /v1/webhooks. [reference/webhooks] */
export async function createWebhook(call: Call): Promise<Answer> {
  const body = checkBody(createBody, parseObject(await call.text()));
  const settings = { ...body, url: checkTargetUrl(body.url, "url") };
  return { status: 201, body: shown(call.app.webhooks.create(call.principal.tenantId, settings)) };
}

/** GET /v1/webhooks/{id}: with what became of its deliveries. */
export function readWebhook(call: Call): Answer {
  const webhook = named(call);
  const deliveries = call.app.dispatcher.list(webhook.id);
  const since = call.app.clock.now() - 86_400_000;
  const recent = deliveries.filter(({ createdAt, status }) => createdAt > since && status !== "pending");
  const good = recent.filter(({ status }) => status === "success");
  const times = recent.flatMap(({ durationMs: ms }) => (ms === null ? [] : [ms]));
  const last = deliveries[0];
  return {
    status: 200,
    body: {
      ...shown(webhook),
      statistics: {
        deliveries_24h: deliveries.filter(({ createdAt }) => createdAt > since).length,
        success_rate_24h: recent.length === 0 ? null : good.length / recent.length,
        avg_latency_ms: times.length === 0 ? null : Math.round(times.reduce((a, b) => a + b, 0) / times.length),
      },
      last_delivery:
        last === undefined
          ? null
          : {
              id: last.id,
              timestamp: timestamp(last.createdAt),
              status: last.status,
              response_code: last.responseCode,
            },
    },
  };
}

/** PATCH /v1/webhooks/{id}: the given fields. */
export async function patchWebhook(call: Call): Promise<Answer> {
  named(call);
  const { previous_secret_ttl: ttl, ...given } = checkBody(patchBody, parseObject(await call.text()));
  if (ttl !== undefined && given.secret === undefined) throw validationError({ previous_secret_ttl: "needs a secret" });
  const previousMs = ttl === undefined ? undefined : durationMs(ttl);
  if (given.url !== undefined) given.url = checkTargetUrl(given.url, "url");
  const settings = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
  const changed = call.app.webhooks.change(named(call), settings as Partial<WebhookSettings>, previousMs);
  return { status: 200, body: shown(changed) };
}

/** DELETE /v1/webhooks/{id}. */
export function deleteWebhook(call: Call): Answer {
  const { id } = named(call);
  call.app.webhooks.remove(id);
  call.app.dispatcher.forget(id);
  return { status: 204 };
}

/** GET /v1/webhooks/{id}/deliveries. */
export function listDeliveries(call: Call): Answer {
  const wanted = someOf(call.query, "status", ["success", "failed", "pending"]);
  const items = call.app.dispatcher.list(named(call).id).filter(({ status }) => wanted?.includes(status) ?? true);
  return { status: 200, body: listPage(call, "deliveries", items, shownDelivery) };
}

/** POST /v1/webhooks/{id}/test: one event at once. */
export async function testWebhook(call: Call): Promise<Answer> {
  const webhook = named(call);
  const event = call.app.events.draft(call.owner, {
    type: "webhook.test",
    data: { webhook_id: webhook.id },
    origin: call.origin,
  });
  const sent = await call.app.dispatcher.sendOnce(webhook, event);
  return {
    status: 200,
    body: {
      delivery_id: sent.id,
      status: sent.status,
      response_code: sent.responseCode,
      duration_ms: sent.durationMs,
    },
  };
}
