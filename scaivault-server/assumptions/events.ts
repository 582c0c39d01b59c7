/** What the documentation does not say of events and subscriptions. */
import { assume, builtIn } from "./registry.ts";

// ---- 3.12 events -------------------------------------------------------------------------------------------------

export const EVENT_LOG_MOST = assume(
  "event-log",
  "3.12",
  "The last 10,000 events of a tenant are remembered; `since_event_id` of an older one counts as unknown.",
  10_000,
);

export const METADATA_EVENT = assume(
  "event-metadata",
  "3.12",
  "A change of metadata alone is `secret.updated` with `old_version` equal to `new_version` and `metadata_only` true.",
  "secret.updated",
);

export const RETENTION_EVENT = assume(
  "event-retention",
  "3.12",
  "The end of a soft-deleted secret's retention is `secret.deleted` with `permanent` true by `system:retention`.",
  "system:retention",
);

builtIn(
  "event-accessed",
  "3.12",
  "`secret.accessed` (`version`, `accessed_by`) is made only while a subscription or webhook names that type or `secret.*` or `*`.",
  "events/hub.ts",
);

builtIn(
  "event-partner-wide",
  "3.12",
  "Changes of partner-wide secrets make no events that subscriptions or webhooks of a tenant hear.",
  "events/hub.ts",
);

builtIn("event-no-values", "3.12", "No event holds a value or part of one.", "events/secret-events.ts");

// ---- 3.11 subscriptions ------------------------------------------------------------------------------------------

export const SUBSCRIPTION_ID_PREFIX = assume(
  "subscription-id",
  "1.6",
  "The id of a subscription starts with `sub_`.",
  "sub_",
);

export const SUBSCRIPTION_STATUS = assume(
  "subscription-status",
  "3.11",
  "`status` of a subscription is `active`, and `failing` while its webhook deliveries fail.",
  { active: "active", failing: "failing" },
);

export const EVENT_PATTERNS = assume(
  "event-patterns",
  "3.11",
  "`events` holds event types, `<family>.*` or `*`; types that the server does not know are taken.",
  /^(?:\*|[a-z]+(?:\.[a-z]+)*(?:\.\*)?)$/,
);

builtIn(
  "subscription-filters",
  "3.11",
  "`filters` of a subscription are those of a webhook: `path_prefix`, `secret_type`, `tags` (one of them is enough).",
  "events/filter.ts",
);

builtIn(
  "subscription-rights",
  "3.11",
  "A subscription hears only of paths that its owner may `list` or `read`: looked at when the event happens and, with all conditions, when it is polled.",
  "subscriptions/service.ts",
);

builtIn(
  "subscription-scope",
  "3.11",
  "Another identity's subscription answers `403 access_denied`; with scope `admin` it may be read, changed and deleted, not polled.",
  "handlers/subscriptions.ts",
);

builtIn(
  "subscription-from-now",
  "3.11",
  "A subscription hears of what happens after it was made or its `paths`, `events` or `filters` were changed.",
  "subscriptions/service.ts",
);

export const BUFFER_SIZE = assume(
  "buffer-size",
  "3.11",
  "`delivery.buffer_size` is 1 to 10,000, else `422 validation_error`.",
  { byDefault: 1000, most: 10_000 },
);

export const DROPPED_FIELD = assume(
  "buffer-dropped",
  "3.11",
  "A full buffer drops its oldest event. `dropped_events` of the subscription and of each poll answer counts the events dropped so far: when it changes, something was missed.",
  "dropped_events",
);

builtIn(
  "poll-redelivery",
  "3.11",
  "A poll answers at once with all unacknowledged events behind `since_event_id`, oldest first; only `ack` removes them.",
  "subscriptions/service.ts",
);

builtIn(
  "poll-since",
  "3.11",
  "A `since_event_id` that the server does not know (any more) counts as none.",
  "subscriptions/service.ts",
);

export const POLL_LIMITS = assume(
  "poll-limits",
  "3.11",
  "`timeout` is 0 to 60 and `max_events` 1 to 1000, else `400 invalid_request`; `timeout=0` does not wait.",
  { timeoutSeconds: 30, longestSeconds: 60, events: 100, mostEvents: 1000 },
);

builtIn(
  "poll-webhook",
  "3.11",
  "Polling or acknowledging a subscription with delivery `webhook` answers `400 invalid_request`.",
  "handlers/subscriptions.ts",
);

export const ACK_ANSWER = assume(
  "ack-answer",
  "3.11",
  'An `ack` answers 200 `{"acknowledged": n}`, n of the 1 to 1000 ids that were unacknowledged; unknown ids are no error.',
  { status: 200, mostIds: 1000 },
);

export const ACK_CATEGORY = assume(
  "ack-category",
  "2.8",
  "An `ack` counts as a subscription operation, not as a poll.",
  "subscription",
);

export const ACK_SCOPE = assume(
  "ack-scope",
  "3.11",
  "An `ack` needs the scope `subscriptions:write`.",
  "subscriptions:write",
);

builtIn(
  "subscription-delete",
  "3.11",
  "DELETE answers 204; a poll that waits answers `404`.",
  "handlers/subscriptions.ts",
);
