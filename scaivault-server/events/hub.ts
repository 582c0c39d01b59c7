import { randomBytes } from "node:crypto";
import type { Clock } from "../../src/time/clock.ts";
import { EVENT_LOG_MOST } from "../assumptions.ts";
import type { EventStore, NewEvent, StoredEvent } from "../store/events.ts";
import type { Owner } from "../store/store.ts";

/** Event types that the documentation names and this server makes. [core-concepts/events-and-webhooks] */
export type EventType =
  | "secret.created"
  | "secret.updated"
  | "secret.deleted"
  | "secret.rotated"
  | "secret.expiring"
  | "secret.expired"
  | "secret.accessed"
  | "rotation.due"
  | "rotation.overdue"
  | "rotation.completed"
  | "rotation.failed"
  | "webhook.test";

/** Who caused something, by which request. */
export interface Origin {
  /** Such as `sa:billing` or `system:rotation-scheduler`. */
  readonly identityId: string;
  readonly requestId?: string | undefined;
}

/** What filters ask of the secret that an event is about. */
export interface EventSubject {
  readonly secretType: string | undefined;
  readonly tags: readonly string[];
}

/** An event in the making. */
export interface EventDraft {
  readonly type: EventType;
  readonly path?: string;
  /** Field names as documented. Never a value or part of one. */
  readonly data: Readonly<Record<string, unknown>>;
  readonly origin: Origin;
  readonly subject?: EventSubject;
}

/** Somebody who hears events. */
export interface EventSink {
  /** Called inside the change that the event tells of: must not throw, and not call back into it. */
  offer(event: StoredEvent, subject: EventSubject): void;
  /** Whether events of a type that is made only on demand are wanted. */
  wants(owner: Owner, type: EventType): boolean;
}

/** Makes events: one place for all of them, a bounded log for each tenant, and sinks that hear them. */
export class EventHub {
  readonly #store: EventStore;
  readonly #clock: Clock;
  readonly #partnerOf: (tenantId: string) => string | undefined;
  readonly #sinks: EventSink[] = [];

  constructor(store: EventStore, clock: Clock, partnerOf: (tenantId: string) => string | undefined) {
    this.#store = store;
    this.#clock = clock;
    this.#partnerOf = partnerOf;
  }

  addSink(sink: EventSink): void {
    this.#sinks.push(sink);
  }

  /** Whether somebody asked for a type by name or pattern. */
  wants(owner: Owner, type: EventType): boolean {
    return this.#sinks.some((sink) => sink.wants(owner, type));
  }

  /** Remembers an event and tells the sinks; those of a tenant hear nothing of partner-wide secrets. */
  emit(owner: Owner, draft: EventDraft): StoredEvent {
    const stored = this.#store.appendEvent(this.draft(owner, draft), EVENT_LOG_MOST);
    if (tenantOf(owner) !== null)
      for (const sink of this.#sinks) sink.offer(stored, draft.subject ?? { secretType: undefined, tags: [] });
    return stored;
  }

  /** An event that nobody is told of yet. */
  draft(owner: Owner, draft: EventDraft): NewEvent {
    const id = `evt_${randomBytes(12).toString("hex")}`;
    const tenantId = tenantOf(owner);
    const envelope = {
      event_id: id,
      event_type: draft.type,
      timestamp: new Date(this.#clock.now()).toISOString(),
      tenant_id: tenantId,
      partner_id: tenantId === null ? owner.slice("partner:".length) : (this.#partnerOf(tenantId) ?? null),
      identity_id: draft.origin.identityId,
      path: draft.path,
      data: draft.data,
      request_id: draft.origin.requestId ?? null,
    };
    return { id, owner, type: draft.type, path: draft.path ?? null, body: JSON.stringify(envelope) };
  }
}

function tenantOf(owner: Owner): string | null {
  return owner.startsWith("tenant:") ? owner.slice("tenant:".length) : null;
}
