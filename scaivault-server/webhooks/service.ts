import { randomBytes } from "node:crypto";
import type { Clock } from "../../src/time/clock.ts";
import { WEBHOOK_STATUS } from "../assumptions.ts";
import { passes, takesType } from "../events/filter.ts";
import type { EventFilters } from "../events/filter.ts";
import type { EventSink, EventSubject, EventType } from "../events/hub.ts";
import type { StoredEvent } from "../store/events.ts";
import { Collection } from "../store/objects.ts";
import type { Owner, Store } from "../store/store.ts";
import type { Target } from "./dispatcher.ts";

/** What people say of a webhook. */
export interface WebhookSettings {
  readonly name: string;
  readonly url: string;
  /** Key of the signatures. Never answered. */
  readonly secret: string;
  readonly events: readonly string[];
  readonly filters: EventFilters;
  readonly enabled: boolean;
}

/** A webhook as it is kept. Times in ms since the epoch. */
export interface Webhook extends WebhookSettings {
  readonly id: string;
  readonly tenantId: string;
  readonly status: string;
  readonly createdAt: number;
  readonly updatedAt: number;
  /** Until when receivers may take signatures of the secret before this one. */
  readonly previousSecretUntil: number | null;
}

/** Webhooks of all tenants; deliveries are the dispatcher's. */
export class WebhookService implements EventSink {
  readonly #clock: Clock;
  readonly #items: Collection<Webhook>;
  readonly #deliver: (webhookId: string, event: StoredEvent) => void;

  constructor(store: Store, clock: Clock, deliver: (webhookId: string, event: StoredEvent) => void) {
    this.#clock = clock;
    this.#items = new Collection(store.objects, "webhook");
    this.#deliver = deliver;
  }

  reload(): void {
    this.#items.reload();
  }

  list(tenantId: string): Webhook[] {
    return this.#items.values().filter((item) => item.tenantId === tenantId);
  }

  find(tenantId: string, id: string): Webhook | undefined {
    const found = this.#items.get(id);
    return found?.tenantId === tenantId ? found : undefined;
  }

  /** For deliveries. */
  target(id: string): Target | undefined {
    return this.#items.get(id);
  }

  create(tenantId: string, settings: WebhookSettings): Webhook {
    const now = this.#clock.now();
    return this.#items.save({
      ...settings,
      id: `wh_${randomBytes(12).toString("hex")}`,
      tenantId,
      status: WEBHOOK_STATUS.healthy,
      createdAt: now,
      updatedAt: now,
      previousSecretUntil: null,
    });
  }

  /** @param previousSecretMs how long the secret before may still be taken, when the secret changes. */
  change(webhook: Webhook, settings: Partial<WebhookSettings>, previousSecretMs: number | undefined): Webhook {
    const now = this.#clock.now();
    const fresh = settings.secret === undefined ? webhook.previousSecretUntil : now + (previousSecretMs ?? 0);
    return this.#items.save({ ...webhook, ...settings, previousSecretUntil: fresh, updatedAt: now });
  }

  remove(id: string): void {
    this.#items.remove(id);
  }

  /** Told after each attempt. */
  noteAttempt(id: string, succeeded: boolean): void {
    const item = this.#items.get(id);
    const status = succeeded ? WEBHOOK_STATUS.healthy : WEBHOOK_STATUS.failing;
    if (item !== undefined && item.status !== status) this.#items.save({ ...item, status });
  }

  wants(owner: Owner, type: EventType): boolean {
    return this.#items
      .values()
      .some((item) => item.enabled && owner === `tenant:${item.tenantId}` && takesType(item.events, type));
  }

  /** Sends an event to these webhooks too, unless they asked for it themselves. */
  also(ids: readonly string[], event: StoredEvent, subject: EventSubject): void {
    for (const id of ids) {
      const item = this.#items.get(id);
      if (item === undefined || !item.enabled || event.owner !== `tenant:${item.tenantId}`) continue;
      if (!takesType(item.events, event.type) || !passes(item.filters, event, subject)) this.#deliver(id, event);
    }
  }

  offer(event: StoredEvent, subject: EventSubject): void {
    for (const item of this.#items.values()) {
      if (!item.enabled || event.owner !== `tenant:${item.tenantId}`) continue;
      if (takesType(item.events, event.type) && passes(item.filters, event, subject)) this.#deliver(item.id, event);
    }
  }
}
