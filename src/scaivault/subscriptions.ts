import * as z from "zod";
import type { Caller, ScaiVaultCall } from "./caller.ts";
import { allPages } from "./pages.ts";
import type { CallContext } from "./types.ts";
import { readJSON } from "./wire.ts";

/** Longest time that ScaiVault holds a poll open, in seconds (reference/subscriptions). */
export const MAX_POLL_SECONDS = 60;
/** What an exchange may take beyond the time that ScaiVault was asked to wait. */
const POLL_MARGIN_MS = 15_000;

/** What a subscription is told of. */
export interface SubscriptionSettings {
  readonly name: string;
  /** Globs: `*` is one segment, `**` any number. */
  readonly paths: readonly string[];
  /** Event types, such as `secret.updated`. */
  readonly events: readonly string[];
  /** Events that are kept for a subscriber who does not come. ScaiVault's default: 1000. */
  readonly bufferSize?: number;
}

/** A subscription as ScaiVault has it. */
export interface Subscription {
  readonly id: string;
  readonly name: string;
  readonly paths: readonly string[];
  readonly events: readonly string[];
  readonly status: string | undefined;
  /** Identity that made it; only it may poll. */
  readonly owner: string | undefined;
  readonly delivery: string | undefined;
}

/** One event. Nothing in it is proved: it says where to look, not what is there. */
export interface ScaiVaultEvent {
  readonly id: string;
  readonly type: string;
  /** ISO 8601; undefined when it is none. */
  readonly timestamp: string | undefined;
  /** Absent for what is about no secret. */
  readonly path: string | undefined;
  /** Version that the event says is the newest. */
  readonly version: number | undefined;
}

/** What a poll brought. */
export interface PolledEvents {
  readonly events: readonly ScaiVaultEvent[];
  readonly hasMore: boolean;
  /** Events that left the full buffer so far without having been acknowledged; undefined when ScaiVault does not say. */
  readonly dropped: number | undefined;
}

const text = z.string().nullish().catch(undefined);
const subscription = z.object({
  id: z.string().regex(/^[\w.-]{1,128}$/),
  name: z.string(),
  paths: z.array(z.string()).catch([]),
  events: z.array(z.string()).catch([]),
  status: text,
  identity_id: text,
  delivery: z.object({ type: text }).optional().catch(undefined),
});
const version = z.number().int().min(1).optional().catch(undefined);
const event = z.object({
  event_id: z.string().min(1).max(256),
  event_type: z.string().max(128).catch(""),
  timestamp: text,
  path: text,
  data: z.object({ version, new_version: version }).catch({}),
});
const polled = z.object({
  events: z.array(event).max(10_000),
  has_more: z.boolean().catch(false),
  dropped_events: z.number().int().nonnegative().optional().catch(undefined),
});

const BASE = "/v1/subscriptions";
const NOT_FOUND = ["subscription_not_found"];

/**
 * Subscriptions with polling (API facts 3.11): 20 operations and 240 polls a minute. Its own subscription is the one thing that
 * an operator of role `Reader` may make and change.
 */
export class SubscriptionsAPI {
  readonly #caller: Caller;

  constructor(caller: Caller) {
    this.#caller = caller;
  }

  /** All subscriptions that the identity may see, page by page; scope `subscriptions:read`. */
  list(context: CallContext): AsyncGenerator<readonly Subscription[]> {
    const action = "list subscriptions";
    return allPages(
      this.#caller,
      {
        call: { method: "GET", category: "subscription", scope: "subscriptions:read", action, safe: true },
        path: BASE,
        query: new URLSearchParams({ limit: "100" }),
        keys: ["subscriptions", "data"],
        entry: subscription,
        read: subscriptionOf,
      },
      context,
    );
  }

  async create(settings: SubscriptionSettings, context: CallContext): Promise<Subscription> {
    const action = "create a subscription";
    const { name, paths, events, bufferSize } = settings;
    const delivery = { type: "polling", buffer_size: bufferSize };
    const answer = await this.#send("POST", BASE, action, context, { body: { name, paths, events, delivery } });
    return subscriptionOf(readJSON(subscription, answer.body, action));
  }

  /** @returns undefined when there is no such subscription */
  async get(id: string, context: CallContext): Promise<Subscription | undefined> {
    const action = "read a subscription";
    const answer = await this.#send("GET", at(id), action, context, { expected: NOT_FOUND });
    return answer.errorCode === undefined ? subscriptionOf(readJSON(subscription, answer.body, action)) : undefined;
  }

  /** Sets what is given. @returns false when there is no such subscription */
  async patch(
    id: string,
    settings: Partial<Pick<SubscriptionSettings, "paths" | "events">>,
    context: CallContext,
  ): Promise<boolean> {
    const more = { body: settings, expected: NOT_FOUND };
    return (await this.#send("PATCH", at(id), "change a subscription", context, more)).errorCode === undefined;
  }

  /** @returns false when it was gone already */
  async delete(id: string, context: CallContext): Promise<boolean> {
    const more = { expected: NOT_FOUND };
    return (await this.#send("DELETE", at(id), "delete a subscription", context, more)).errorCode === undefined;
  }

  /**
   * Waits up to `timeoutSeconds` (1 to 60) for events; the empty list when none came.
   * @param since the last event that was handed on; only later ones come. Without it all come that were not acknowledged
   * @returns undefined when there is no such subscription
   */
  async poll(
    id: string,
    options: { readonly timeoutSeconds: number; readonly since?: string; readonly maxEvents?: number },
    context: CallContext,
  ): Promise<PolledEvents | undefined> {
    const action = "poll a subscription";
    const seconds = Math.min(Math.max(Math.round(options.timeoutSeconds), 1), MAX_POLL_SECONDS);
    const query = new URLSearchParams({ timeout: String(seconds) });
    if (options.since !== undefined) query.set("since_event_id", options.since);
    if (options.maxEvents !== undefined) query.set("max_events", String(options.maxEvents));
    const answer = await this.#caller.call(
      {
        method: "GET",
        path: `${at(id)}/poll?${query.toString()}`,
        category: "subscriptionPoll",
        scope: "subscriptions:read",
        action,
        safe: true,
        timeoutMs: seconds * 1000 + POLL_MARGIN_MS,
        expected: NOT_FOUND,
      },
      context,
    );
    if (answer.errorCode !== undefined) return undefined;
    const found = readJSON(polled, answer.body, action);
    return { events: found.events.map(eventOf), hasMore: found.has_more, dropped: found.dropped_events };
  }

  /** Says that these events were handed on: they do not come again. @returns false when there is no such subscription */
  async ack(id: string, eventIDs: readonly string[], context: CallContext): Promise<boolean> {
    const more = { body: { event_ids: eventIDs }, expected: NOT_FOUND };
    return (await this.#send("POST", `${at(id)}/ack`, "acknowledge events", context, more)).errorCode === undefined;
  }

  #send(
    method: ScaiVaultCall["method"],
    path: string,
    action: string,
    context: CallContext,
    more: { readonly body?: object; readonly expected?: readonly string[] },
  ) {
    const { body, expected } = more;
    const read = method === "GET";
    return this.#caller.call(
      {
        method,
        path,
        action,
        category: "subscription",
        scope: read ? "subscriptions:read" : "subscriptions:write",
        safe: read,
        ownOnly: true,
        ...(body === undefined ? {} : { body: Buffer.from(JSON.stringify(body), "utf8") }),
        ...(expected === undefined ? {} : { expected }),
      },
      context,
    );
  }
}

function at(id: string): string {
  return `${BASE}/${encodeURIComponent(id)}`;
}

function subscriptionOf(found: z.infer<typeof subscription>): Subscription {
  return {
    id: found.id,
    name: found.name,
    paths: found.paths,
    events: found.events,
    status: found.status ?? undefined,
    owner: found.identity_id ?? undefined,
    delivery: found.delivery?.type ?? undefined,
  };
}

function eventOf(found: z.infer<typeof event>): ScaiVaultEvent {
  return {
    id: found.event_id,
    type: found.event_type,
    timestamp:
      found.timestamp !== null && found.timestamp !== undefined && !Number.isNaN(Date.parse(found.timestamp))
        ? found.timestamp
        : undefined,
    path: found.path ?? undefined,
    version: found.data.new_version ?? found.data.version,
  };
}
