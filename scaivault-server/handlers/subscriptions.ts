import { z } from "zod";
import { ACK_ANSWER, BUFFER_SIZE, DROPPED_FIELD, POLL_LIMITS } from "../assumptions.ts";
import { isValidGlob } from "../auth/glob.ts";
import { hasScope } from "../auth/principal.ts";
import { ApiError, validationError } from "../errors.ts";
import { eventFilters, eventPatterns } from "../events/filter.ts";
import type { Answer, Call } from "../http/call.ts";
import { RawJson } from "../json/raw-json.ts";
import { checkBody, parseObject } from "../secrets/body.ts";
import { timestamp } from "../secrets/service.ts";
import type { Delivery, Subscription, SubscriptionSettings } from "../subscriptions/service.ts";
import { checkTargetUrl } from "../webhooks/target-url.ts";
import { listPage } from "./pages.ts";
import { wholeNumber } from "./query.ts";

const delivery = z.object({
  type: z.enum(["polling", "webhook"]),
  url: z.string().max(2048).optional(),
  secret: z.string().min(1).max(1024).optional(),
  buffer_size: z.int().min(1).max(BUFFER_SIZE.most).optional(),
});
const fields = {
  name: z.string().min(1).max(200),
  paths: z.array(z.string()).min(1).max(100),
  events: eventPatterns,
  delivery,
};
const createBody = z.object({ ...fields, filters: eventFilters.default({}) });
const patchBody = z.object({ ...fields, filters: eventFilters }).partial();
const ackBody = z.object({ event_ids: z.array(z.string()).min(1).max(ACK_ANSWER.mostIds) });

/** What is answered about a subscription: everything but its secret. */
function shown(item: Subscription): Record<string, unknown> {
  return {
    id: item.id,
    name: item.name,
    status: item.status,
    identity_id: item.principal.identityId,
    paths: item.paths,
    events: item.events,
    filters: item.filters,
    delivery:
      item.delivery.type === "polling"
        ? { type: "polling", buffer_size: item.delivery.bufferSize }
        : { type: "webhook", url: item.delivery.url },
    [DROPPED_FIELD]: item.dropped,
    created_at: timestamp(item.createdAt),
    updated_at: timestamp(item.updatedAt),
  };
}

function deliveryOf(given: z.infer<typeof delivery>): Delivery {
  if (given.type === "polling") return { type: "polling", bufferSize: given.buffer_size ?? BUFFER_SIZE.byDefault };
  const { url, secret } = given;
  if (url === undefined || secret === undefined)
    throw validationError({ [url === undefined ? "delivery.url" : "delivery.secret"]: "required for webhooks" });
  return { type: "webhook", url: checkTargetUrl(url, "delivery.url"), secret };
}

function checkGlobs(paths: readonly string[]): void {
  for (const glob of paths)
    if (!isValidGlob(glob)) throw new ApiError("invalid_glob", "not a path glob", { details: { glob } });
}

/** The subscription of the URL. @throws ApiError `subscription_not_found`, `access_denied` for others than its owner. */
function named(call: Call, ownerOnly = false): Subscription {
  const found = call.app.subscriptions.find(call.principal.tenantId, call.params["id"] ?? "");
  if (found === undefined) throw new ApiError("subscription_not_found", "no such subscription");
  const owns = found.principal.identityId === call.principal.identityId;
  if (!owns && (ownerOnly || !hasScope(call.principal, "admin")))
    throw new ApiError("access_denied", "the subscription belongs to another identity");
  return found;
}

/** GET /v1/subscriptions: one's own, with scope `admin` all of the tenant. */
export function listSubscriptions(call: Call): Answer {
  const all = hasScope(call.principal, "admin");
  const items = call.app.subscriptions
    .list(call.principal.tenantId)
    .filter(({ principal }) => all || principal.identityId === call.principal.identityId);
  return { status: 200, body: listPage(call, "subscriptions", items, shown) };
}

/** POST /v1/subscriptions. [reference/subscriptions] */
export async function createSubscription(call: Call): Promise<Answer> {
  const body = checkBody(createBody, parseObject(await call.text()));
  checkGlobs(body.paths);
  const settings = { ...body, delivery: deliveryOf(body.delivery) };
  return { status: 201, body: shown(call.app.subscriptions.create(call.principal, settings)) };
}

/** GET /v1/subscriptions/{id}. */
export function readSubscription(call: Call): Answer {
  return { status: 200, body: shown(named(call)) };
}

/** PATCH /v1/subscriptions/{id}: the given fields. */
export async function patchSubscription(call: Call): Promise<Answer> {
  named(call);
  const body = checkBody(patchBody, parseObject(await call.text()));
  if (body.paths !== undefined) checkGlobs(body.paths);
  const found = named(call);
  const settings: SubscriptionSettings = {
    name: body.name ?? found.name,
    paths: body.paths ?? found.paths,
    events: body.events ?? found.events,
    filters: body.filters ?? found.filters,
    delivery: body.delivery === undefined ? found.delivery : deliveryOf(body.delivery),
  };
  return { status: 200, body: shown(call.app.subscriptions.change(found, settings)) };
}

/** DELETE /v1/subscriptions/{id}. */
export function deleteSubscription(call: Call): Answer {
  const { id } = named(call);
  call.app.subscriptions.remove(id);
  call.app.dispatcher.forget(id);
  return { status: 204 };
}

function polled(call: Call): Subscription {
  const found = named(call, true);
  if (found.delivery.type !== "polling")
    throw new ApiError("invalid_request", "the subscription is delivered by webhook");
  return found;
}

/** GET /v1/subscriptions/{id}/poll: owner only; waits for the first event. [reference/subscriptions] */
export async function pollSubscription(call: Call): Promise<Answer> {
  const { id } = polled(call);
  const timeout = wholeNumber(call.query, "timeout", { least: 0, most: POLL_LIMITS.longestSeconds });
  const most = wholeNumber(call.query, "max_events", { least: 1, most: POLL_LIMITS.mostEvents });
  const answer = await call.whileWaited((signal) =>
    call.app.subscriptions.poll(id, {
      sinceEventId: call.query.get("since_event_id") ?? undefined,
      mostEvents: most ?? POLL_LIMITS.events,
      timeoutMs: (timeout ?? POLL_LIMITS.timeoutSeconds) * 1000,
      mayHear: (path) => call.may(path, "list") || call.may(path, "read"),
      signal,
    }),
  );
  if (answer === undefined) throw new ApiError("subscription_not_found", "the subscription was deleted");
  if (answer.events.length > 0)
    call.audit("subscription_event", null, { subscription_id: id, events: answer.events.length });
  return {
    status: 200,
    body: {
      events: answer.events.map(({ body }) => new RawJson(body)),
      has_more: answer.hasMore,
      [DROPPED_FIELD]: polled(call).dropped,
    },
  };
}

/** POST /v1/subscriptions/{id}/ack. */
export async function acknowledgeEvents(call: Call): Promise<Answer> {
  const { id } = polled(call);
  const body = checkBody(ackBody, parseObject(await call.text()));
  return { status: ACK_ANSWER.status, body: { acknowledged: call.app.subscriptions.acknowledge(id, body.event_ids) } };
}
