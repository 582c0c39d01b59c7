import type { Clock } from "../src/time/clock.ts";
import type { Counters } from "./admin/counters.ts";
import type { Faults } from "./admin/faults.ts";
import type { Exchange } from "./auth/exchange.ts";
import type { Policies } from "./auth/policies.ts";
import type { Tenants } from "./auth/tenancy.ts";
import type { TokenRegistry } from "./auth/token-registry.ts";
import type { EventHub } from "./events/hub.ts";
import type { Syncs } from "./federation/scheduler.ts";
import type { Federation } from "./federation/service.ts";
import type { Cursors } from "./limits/cursor.ts";
import type { RateLimiter } from "./limits/rate-limiter.ts";
import type { Metrics } from "./metrics.ts";
import type { SecretPolicies } from "./generate/service.ts";
import type { RotationHistory } from "./rotation/history.ts";
import type { RotationPolicies } from "./rotation/policies.ts";
import type { RotationService } from "./rotation/service.ts";
import type { Expiry } from "./secrets/expiry.ts";
import type { SecretService } from "./secrets/service.ts";
import type { Store } from "./store/store.ts";
import type { SubscriptionService } from "./subscriptions/service.ts";
import type { Dispatcher } from "./webhooks/dispatcher.ts";
import type { WebhookService } from "./webhooks/service.ts";

/** The parts of a running server. */
export interface App {
  readonly clock: Clock;
  readonly store: Store;
  readonly secrets: SecretService;
  readonly events: EventHub;
  readonly subscriptions: SubscriptionService;
  readonly webhooks: WebhookService;
  readonly dispatcher: Dispatcher;
  readonly expiry: Expiry;
  readonly rotation: RotationService;
  readonly rotationPolicies: RotationPolicies;
  readonly rotationHistory: RotationHistory;
  readonly secretPolicies: SecretPolicies;
  readonly federation: Federation;
  readonly sync: Syncs;
  readonly tokens: TokenRegistry;
  readonly tenants: Tenants;
  readonly policies: Policies;
  readonly exchange: Exchange;
  readonly limiter: RateLimiter;
  readonly cursors: Cursors;
  readonly faults: Faults;
  readonly counters: Counters;
  readonly metrics: Metrics;
  readonly tokenLifetimeMs: number;
  /** Tenant of identities that name none. */
  readonly homeTenantId: string;
  /** Monotonic ms. */
  readonly startedAt: number;
  /** Takes over what the store has after a restore. */
  readonly reload: () => void;
  /** What `/v1/health/ready` answers. */
  readonly isReady: () => boolean;
}
