import type { Clock } from "../../src/time/clock.ts";
import type { Policies } from "../auth/policies.ts";
import type { Tenants } from "../auth/tenancy.ts";
import type { Store } from "../store/store.ts";
import { SubscriptionService } from "../subscriptions/service.ts";
import { Dispatcher } from "../webhooks/dispatcher.ts";
import { WebhookService } from "../webhooks/service.ts";
import { EventHub } from "./hub.ts";

/** Events and everybody who hears them. */
export interface EventParts {
  readonly events: EventHub;
  readonly subscriptions: SubscriptionService;
  readonly webhooks: WebhookService;
  readonly dispatcher: Dispatcher;
}

/** Puts the parts together: changes go to the hub, the hub tells subscriptions and webhooks, both send by the dispatcher. */
export function buildEvents(from: {
  readonly store: Store;
  readonly clock: Clock;
  readonly policies: Policies;
  readonly tenants: Tenants;
}): EventParts {
  const { store, clock, policies, tenants } = from;
  const events = new EventHub(store.events, clock, (tenantId) => tenants.partnerOf(tenantId));
  const dispatcher = new Dispatcher({
    store,
    clock,
    targetOf: (id) => webhooks.target(id) ?? subscriptions.target(id),
    onAttempt: (id, succeeded) => {
      webhooks.noteAttempt(id, succeeded);
      subscriptions.noteAttempt(id, succeeded);
    },
  });
  const webhooks = new WebhookService(store, clock, (id, event) => dispatcher.accept(id, event));
  const push = (to: { readonly id: string }, event: Parameters<Dispatcher["accept"]>[1]): void =>
    dispatcher.accept(to.id, event);
  const subscriptions = new SubscriptionService({ store, clock, policies, push });
  events.addSink(subscriptions);
  events.addSink(webhooks);
  return { events, subscriptions, webhooks, dispatcher };
}
