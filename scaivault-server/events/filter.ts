import { z } from "zod";
import { EVENT_PATTERNS, TAG_LIMITS } from "../assumptions.ts";
import type { StoredEvent } from "../store/events.ts";
import type { EventSubject } from "./hub.ts";

/** `events` of subscriptions and webhooks. */
export const eventPatterns = z.array(z.string().regex(EVENT_PATTERNS)).min(1).max(100);

/** `filters` of subscriptions and webhooks; all that are given must hold. [reference/webhooks] */
export const eventFilters = z.object({
  path_prefix: z.string().max(512).optional(),
  secret_type: z.string().max(100).optional(),
  tags: z.array(z.string().max(TAG_LIMITS.mostCharacters)).max(TAG_LIMITS.most).optional(),
});

export type EventFilters = z.infer<typeof eventFilters>;

/** Whether one of the patterns (`secret.updated`, `secret.*`, `*`) takes a type. */
export function takesType(patterns: readonly string[], type: string): boolean {
  return patterns.some(
    (pattern) =>
      pattern === "*" || pattern === type || (pattern.endsWith(".*") && type.startsWith(pattern.slice(0, -1))),
  );
}

/** Whether the filters let an event through. */
export function passes(filters: EventFilters, event: StoredEvent, subject: EventSubject): boolean {
  const { path_prefix: prefix, secret_type: secretType, tags } = filters;
  return (
    (prefix === undefined || (event.path?.startsWith(prefix) ?? false)) &&
    (secretType === undefined || subject.secretType === secretType) &&
    (tags === undefined || tags.length === 0 || tags.some((tag) => subject.tags.includes(tag)))
  );
}
