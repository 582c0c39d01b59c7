/** What the documentation does not say of webhooks. */
import { assume, builtIn } from "./registry.ts";

export const WEBHOOK_URLS = assume(
  "webhook-url",
  "3.9",
  "A webhook's `url` is `https:`, or `http:` to a loopback address (on a server for local use), without user, password and fragment; else `422 validation_error`.",
  { plainToLoopback: true },
);

builtIn("webhook-redirect", "3.9", "A redirect is a failed delivery; it is never followed.", "webhooks/dispatcher.ts");

builtIn(
  "webhook-success",
  "3.9",
  "A delivery succeeds when the receiver answers 2xx within ten seconds.",
  "webhooks/dispatcher.ts",
);

export const DELIVERY_TIMEOUT_MS = 10_000;

export const RETRY_DELAYS_MS = assume(
  "webhook-retries",
  "3.9",
  "A failed delivery is tried again after 10 s, 1 m, 5 m, 30 m, 2 h and 6 h; then it is `failed`. No webhook is disabled for failures.",
  [10_000, 60_000, 300_000, 1_800_000, 7_200_000, 21_600_000],
);

builtIn(
  "webhook-order",
  "3.9",
  "Deliveries come in no promised order, and a delivery may come twice; the event id tells.",
  "webhooks/dispatcher.ts",
);

export const DELIVERIES_KEPT = assume(
  "webhook-deliveries",
  "3.9",
  "The last 1000 deliveries of a webhook are kept, newest first: `id`, `event_id`, `event_type`, `timestamp`, `status`, `attempts`, `response_code`, `duration_ms`, `error`, `next_attempt_at`.",
  1000,
);

export const WEBHOOK_STATUS = assume(
  "webhook-status",
  "3.9",
  "`status` of a webhook is `healthy`, and `failing` from a failed attempt to the next that succeeds.",
  { healthy: "healthy", failing: "failing" },
);

builtIn(
  "webhook-disabled",
  "3.9",
  "A disabled webhook gets no new deliveries; those that wait for another try fail when their time comes.",
  "webhooks/dispatcher.ts",
);

builtIn(
  "webhook-filter-tags",
  "3.9",
  "All filters must hold; of `tags` one is enough. `events` also takes `secret.*` and `*`.",
  "events/filter.ts",
);

export const TEST_EVENT = assume(
  "webhook-test",
  "3.9",
  "`POST .../test` sends an event `webhook.test` once, waits for the answer, and answers 200 also when it failed.",
  "webhook.test",
);

builtIn(
  "webhook-statistics",
  "3.9",
  "`success_rate_24h` is from 0 to 1; it and `avg_latency_ms` are null without a finished delivery.",
  "handlers/webhooks.ts",
);

builtIn(
  "webhook-secret-change",
  "3.10",
  "`previous_secret_ttl` without `secret` answers `422 validation_error`; the answer tells `previous_secret_expires_at`.",
  "handlers/webhooks.ts",
);

builtIn(
  "webhook-subscription",
  "3.11",
  "A subscription with delivery `webhook` is delivered, signed and retried like a webhook; `url` and `secret` are required.",
  "handlers/subscriptions.ts",
);

builtIn(
  "webhook-tenant",
  "3.9",
  "Webhooks hear of all paths of their tenant: their scope is `admin`.",
  "webhooks/service.ts",
);
