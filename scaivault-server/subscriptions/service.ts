import { randomBytes } from "node:crypto";
import type { Clock } from "../../src/time/clock.ts";
import { SUBSCRIPTION_ID_PREFIX, SUBSCRIPTION_STATUS } from "../assumptions.ts";
import { matchesGlob } from "../auth/glob.ts";
import type { Policies } from "../auth/policies.ts";
import type { Principal } from "../auth/principal.ts";
import { passes, takesType } from "../events/filter.ts";
import type { EventFilters } from "../events/filter.ts";
import type { EventSink, EventSubject, EventType } from "../events/hub.ts";
import type { StoredEvent } from "../store/events.ts";
import { Collection } from "../store/objects.ts";
import type { Owner, Store } from "../store/store.ts";
import type { Target } from "../webhooks/dispatcher.ts";

/** How events reach the subscriber. */
export type Delivery =
  | { readonly type: "polling"; readonly bufferSize: number }
  | { readonly type: "webhook"; readonly url: string; readonly secret: string };

/** What a subscriber asks for. */
export interface SubscriptionSettings {
  readonly name: string;
  /** Globs over secret paths. */
  readonly paths: readonly string[];
  /** Event types, `secret.*`, `*`. */
  readonly events: readonly string[];
  readonly filters: EventFilters;
  readonly delivery: Delivery;
}

/** A subscription as it is kept. Times in ms since the epoch. */
export interface Subscription extends SubscriptionSettings {
  readonly id: string;
  /** Who made it, as its token said then. */
  readonly principal: Principal;
  readonly status: string;
  /** Events that left the full buffer without an acknowledgement, ever. */
  readonly dropped: number;
  readonly createdAt: number;
  readonly updatedAt: number;
}

/** One poll. */
export interface PollQuery {
  readonly sinceEventId: string | undefined;
  readonly mostEvents: number;
  readonly timeoutMs: number;
  /** Whether the caller may still hear of a path. */
  readonly mayHear: (path: string) => boolean;
  /** Aborts when nobody waits for the answer any more. */
  readonly signal: AbortSignal;
}

export interface PollAnswer {
  readonly events: readonly StoredEvent[];
  readonly hasMore: boolean;
}

/** What the service is built from. */
export interface SubscriptionParts {
  readonly store: Store;
  readonly clock: Clock;
  readonly policies: Policies;
  /** Sends an event to a subscription with delivery `webhook`. */
  readonly push: (subscription: Subscription, event: StoredEvent) => void;
}

/** Subscriptions and the events that wait for their subscribers. Rights of callers are the handlers' matter. */
export class SubscriptionService implements EventSink {
  readonly #parts: SubscriptionParts;
  readonly #items: Collection<Subscription>;
  /** Polls that wait, by subscription. */
  readonly #waiting = new Map<string, Set<() => void>>();

  constructor(parts: SubscriptionParts) {
    this.#parts = parts;
    this.#items = new Collection(parts.store.objects, "subscription");
  }

  /** Takes over what the store has; polls that wait look again. */
  reload(): void {
    this.#items.reload();
    for (const id of [...this.#waiting.keys()]) this.#wake(id);
  }

  list(tenantId: string): readonly Subscription[] {
    return this.#items.values().filter(({ principal }) => principal.tenantId === tenantId);
  }

  /** A subscription of a tenant. */
  find(tenantId: string, id: string): Subscription | undefined {
    const found = this.#items.get(id);
    return found?.principal.tenantId === tenantId ? found : undefined;
  }

  create(principal: Principal, settings: SubscriptionSettings): Subscription {
    const now = this.#parts.clock.now();
    return this.#items.save({
      ...settings,
      id: `${SUBSCRIPTION_ID_PREFIX}${randomBytes(12).toString("hex")}`,
      principal,
      status: SUBSCRIPTION_STATUS.active,
      dropped: 0,
      createdAt: now,
      updatedAt: now,
    });
  }

  /** Changes settings. What waits stays; what is too much for a smaller buffer leaves with the next event. */
  change(subscription: Subscription, settings: SubscriptionSettings): Subscription {
    if (settings.delivery.type === "webhook") this.#parts.store.events.removeQueue(subscription.id);
    return this.#items.save({ ...subscription, ...settings, updatedAt: this.#parts.clock.now() });
  }

  /** Where events of a subscription with delivery `webhook` go. */
  target(id: string): Target | undefined {
    const found = this.#items.get(id);
    if (found?.delivery.type !== "webhook") return undefined;
    const { url, secret } = found.delivery;
    return { id, tenantId: found.principal.tenantId, url, secret, enabled: true };
  }

  /** Told after each attempt at a webhook delivery. */
  noteAttempt(id: string, succeeded: boolean): void {
    const subscription = this.#items.get(id);
    const status = succeeded ? SUBSCRIPTION_STATUS.active : SUBSCRIPTION_STATUS.failing;
    if (subscription !== undefined && subscription.status !== status) this.#items.save({ ...subscription, status });
  }

  remove(id: string): void {
    this.#parts.store.atomically(() => {
      this.#items.remove(id);
      this.#parts.store.events.removeQueue(id);
    });
    this.#wake(id);
  }

  wants(owner: Owner, type: EventType): boolean {
    return this.#items.values().some((item) => ownerOf(item) === owner && takesType(item.events, type));
  }

  offer(event: StoredEvent, subject: EventSubject): void {
    for (const item of this.#items.values()) {
      if (ownerOf(item) !== event.owner || !this.#hears(item, event, subject)) continue;
      if (item.delivery.type === "webhook") {
        this.#parts.push(item, event);
        continue;
      }
      const dropped = this.#parts.store.events.enqueue(item.id, event, item.delivery.bufferSize);
      if (dropped > 0) this.#items.save({ ...item, dropped: item.dropped + dropped });
      this.#wake(item.id);
    }
  }

  /**
   * The unacknowledged events behind `sinceEventId`; waits for the first one up to `timeoutMs` on the server's clock.
   * @returns undefined when the subscription went meanwhile.
   */
  async poll(id: string, query: PollQuery): Promise<PollAnswer | undefined> {
    const { clock } = this.#parts;
    const until = clock.monotonic() + query.timeoutMs;
    for (;;) {
      const subscription = this.#items.get(id);
      if (subscription === undefined) return undefined;
      const answer = this.#take(subscription, query);
      const left = until - clock.monotonic();
      if (answer.events.length > 0 || left <= 0 || query.signal.aborted) return answer;
      await this.#news(id, left, query.signal);
    }
  }

  /** @returns how many of the events were unacknowledged. */
  acknowledge(id: string, eventIds: readonly string[]): number {
    return this.#parts.store.events.acknowledge(id, eventIds);
  }

  #hears(item: Subscription, event: StoredEvent, subject: EventSubject): boolean {
    const { path } = event;
    if (path === null || !takesType(item.events, event.type) || !passes(item.filters, event, subject)) return false;
    if (!item.paths.some((glob) => matchesGlob(glob, path))) return false;
    const { policies } = this.#parts;
    return policies.mentions(item.principal, path, "list") || policies.mentions(item.principal, path, "read");
  }

  #take(subscription: Subscription, query: PollQuery): PollAnswer {
    const { events } = this.#parts.store;
    const owner = ownerOf(subscription);
    let after = query.sinceEventId === undefined ? undefined : events.sequenceOf(owner, query.sinceEventId);
    const found: StoredEvent[] = [];
    const step = query.mostEvents + 1;
    while (found.length < step) {
      const page = events.queued(subscription.id, { after, limit: step });
      for (const event of page) if (event.path !== null && query.mayHear(event.path)) found.push(event);
      after = page.at(-1)?.sequence;
      if (page.length < step) break;
    }
    return { events: found.slice(0, query.mostEvents), hasMore: found.length > query.mostEvents };
  }

  /** Resolves at the next event, when time is up, or when nobody waits any more. */
  #news(id: string, ms: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const waiting = this.#waiting.get(id) ?? new Set();
      this.#waiting.set(id, waiting);
      const done = (): void => {
        waiting.delete(done);
        if (waiting.size === 0 && this.#waiting.get(id) === waiting) this.#waiting.delete(id);
        signal.removeEventListener("abort", done);
        cancel();
        resolve();
      };
      const cancel = this.#parts.clock.setTimeout(done, ms, { unref: true });
      waiting.add(done);
      signal.addEventListener("abort", done, { once: true });
    });
  }

  #wake(id: string): void {
    for (const done of [...(this.#waiting.get(id) ?? [])]) done();
  }
}

function ownerOf(subscription: Subscription): Owner {
  return `tenant:${subscription.principal.tenantId}`;
}
