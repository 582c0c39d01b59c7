import type { StoreContent } from "./content.ts";
import type { EventPage, EventStore, NewEvent, StoredEvent } from "./events.ts";
import type { ObjectStore } from "./objects.ts";
import type { Owner } from "./store.ts";

/** Objects in memory. */
export class MemoryObjects implements ObjectStore {
  readonly #kinds = new Map<string, Map<string, string>>();

  loadObjects(kind: string): string[] {
    return [...(this.#kinds.get(kind)?.values() ?? [])];
  }

  saveObject(kind: string, id: string, json: string): void {
    let items = this.#kinds.get(kind);
    if (items === undefined) {
      items = new Map();
      this.#kinds.set(kind, items);
    }
    items.set(id, json);
  }

  removeObject(kind: string, id: string): void {
    this.#kinds.get(kind)?.delete(id);
  }

  all(): StoreContent["objects"] {
    return [...this.#kinds].flatMap(([kind, items]) => [...items].map(([id, json]) => ({ kind, id, json })));
  }

  replace(objects: StoreContent["objects"]): void {
    this.#kinds.clear();
    for (const { kind, id, json } of objects) this.saveObject(kind, id, json);
  }
}

/** Events in memory. */
export class MemoryEvents implements EventStore {
  readonly #logs = new Map<Owner, StoredEvent[]>();
  /** By queue: events by id, oldest first. */
  readonly #queues = new Map<string, Map<string, StoredEvent>>();
  #sequence = 0;

  appendEvent(event: NewEvent, keepMost: number): StoredEvent {
    const stored = { ...event, sequence: ++this.#sequence };
    const log = this.#logs.get(event.owner) ?? [];
    log.push(stored);
    this.#logs.set(event.owner, log.length > keepMost * 1.25 ? log.slice(-keepMost) : log);
    return stored;
  }

  listEvents(owner: Owner, page: EventPage): StoredEvent[] {
    return (this.#logs.get(owner) ?? [])
      .filter((event) => page.after === undefined || event.sequence > page.after)
      .slice(0, page.limit);
  }

  sequenceOf(owner: Owner, eventId: string): number | undefined {
    return this.#logs.get(owner)?.findLast((event) => event.id === eventId)?.sequence;
  }

  enqueue(queue: string, event: StoredEvent, keepMost: number): number {
    let items = this.#queues.get(queue);
    if (items === undefined) {
      items = new Map();
      this.#queues.set(queue, items);
    }
    items.set(event.id, event);
    let dropped = 0;
    for (const id of items.keys()) {
      if (items.size <= keepMost) break;
      items.delete(id);
      dropped++;
    }
    return dropped;
  }

  queued(queue: string, page: EventPage): StoredEvent[] {
    const found: StoredEvent[] = [];
    for (const event of this.#queues.get(queue)?.values() ?? []) {
      if (found.length === page.limit) break;
      if (page.after === undefined || event.sequence > page.after) found.push(event);
    }
    return found;
  }

  acknowledge(queue: string, eventIds: readonly string[]): number {
    const items = this.#queues.get(queue);
    return eventIds.filter((id) => items?.delete(id) === true).length;
  }

  removeQueue(queue: string): void {
    this.#queues.delete(queue);
  }

  content(): Pick<StoreContent, "events" | "queued"> {
    return {
      events: [...this.#logs.values()].flat().sort((a, b) => a.sequence - b.sequence),
      queued: [...this.#queues].flatMap(([queue, items]) => [...items.values()].map((event) => ({ queue, event }))),
    };
  }

  replace({ events, queued }: Pick<StoreContent, "events" | "queued">): void {
    this.#logs.clear();
    this.#queues.clear();
    for (const event of events) {
      const log = this.#logs.get(event.owner) ?? [];
      log.push(event);
      this.#logs.set(event.owner, log);
    }
    for (const { queue, event } of queued) this.enqueue(queue, event, Number.POSITIVE_INFINITY);
    this.#sequence = queued.reduce((most, { event }) => Math.max(most, event.sequence), events.at(-1)?.sequence ?? 0);
  }
}
