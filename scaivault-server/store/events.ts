import type { Owner } from "./store.ts";

/** An event about to be remembered. */
export interface NewEvent {
  readonly id: string;
  readonly owner: Owner;
  readonly type: string;
  readonly path: string | null;
  /** JSON text of the whole envelope. No values. */
  readonly body: string;
}

/** A remembered event; `sequence` grows with every event. */
export interface StoredEvent extends NewEvent {
  readonly sequence: number;
}

/** Where a reader of events goes on. */
export interface EventPage {
  /** Only events behind this sequence. */
  readonly after?: number | undefined;
  readonly limit: number;
}

/** A bounded log of events for each owner, and queues of events that wait for an acknowledgement. */
export interface EventStore {
  /** Remembers an event; the oldest ones of the owner beyond `keepMost` may be forgotten. */
  appendEvent(event: NewEvent, keepMost: number): StoredEvent;
  /** Oldest first. */
  listEvents(owner: Owner, page: EventPage): StoredEvent[];
  /** Sequence of a remembered event. */
  sequenceOf(owner: Owner, eventId: string): number | undefined;
  /** Puts an event at a queue's end. @returns how many of the oldest left it, so that it holds no more than `keepMost`. */
  enqueue(queue: string, event: StoredEvent, keepMost: number): number;
  /** Oldest first. */
  queued(queue: string, page: EventPage): StoredEvent[];
  /** Takes events out of a queue. @returns how many were in it. */
  acknowledge(queue: string, eventIds: readonly string[]): number;
  removeQueue(queue: string): void;
}
