import type { StoreContent } from "./content.ts";
import type { EventPage, EventStore, NewEvent, StoredEvent } from "./events.ts";
import type { ObjectStore } from "./objects.ts";
import type { Row, SqliteDatabase } from "./sqlite-database.ts";
import type { Owner } from "./store.ts";

/** Tables that a file made by an older server does not have yet. */
const schema = `
  CREATE TABLE IF NOT EXISTS objects (
    position INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, id TEXT NOT NULL, json TEXT NOT NULL,
    UNIQUE (kind, id)
  );
  CREATE TABLE IF NOT EXISTS events (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, owner TEXT NOT NULL, type TEXT NOT NULL,
    path TEXT, body TEXT NOT NULL
  );
  CREATE INDEX IF NOT EXISTS events_by_owner ON events (owner, sequence);
  CREATE TABLE IF NOT EXISTS queued (
    queue TEXT NOT NULL, sequence INTEGER NOT NULL, id TEXT NOT NULL, owner TEXT NOT NULL, type TEXT NOT NULL,
    path TEXT, body TEXT NOT NULL,
    PRIMARY KEY (queue, sequence), UNIQUE (queue, id)
  ) WITHOUT ROWID;
`;

/** Objects in SQLite. */
export class SqliteObjects implements ObjectStore {
  readonly #database: SqliteDatabase;

  constructor(database: SqliteDatabase) {
    this.#database = database;
    database.exec(schema);
  }

  loadObjects(kind: string): string[] {
    return this.#database
      .rows("SELECT json FROM objects WHERE kind = :kind ORDER BY position", { kind })
      .map((row) => String(row["json"]));
  }

  saveObject(kind: string, id: string, json: string): void {
    this.#database.run(
      `INSERT INTO objects (kind, id, json) VALUES (:kind, :id, :json)
       ON CONFLICT (kind, id) DO UPDATE SET json = excluded.json`,
      { kind, id, json },
    );
  }

  removeObject(kind: string, id: string): void {
    this.#database.run("DELETE FROM objects WHERE kind = :kind AND id = :id", { kind, id });
  }

  all(): StoreContent["objects"] {
    return this.#database
      .rows("SELECT kind, id, json FROM objects ORDER BY position")
      .map((row) => ({ kind: String(row["kind"]), id: String(row["id"]), json: String(row["json"]) }));
  }

  replace(objects: StoreContent["objects"]): void {
    this.#database.exec("DELETE FROM objects");
    for (const { kind, id, json } of objects) this.saveObject(kind, id, json);
  }
}

/** Events in SQLite. */
export class SqliteEvents implements EventStore {
  readonly #database: SqliteDatabase;

  constructor(database: SqliteDatabase) {
    this.#database = database;
    database.exec(schema);
  }

  appendEvent(event: NewEvent, keepMost: number): StoredEvent {
    return this.#database.atomically(() => {
      const { id: sequence } = this.#database.run(
        "INSERT INTO events (id, owner, type, path, body) VALUES (:id, :owner, :type, :path, :body)",
        { ...event },
      );
      // Not each time: what is a little too old costs nothing.
      if (sequence % 100 === 0)
        this.#database.run(
          `DELETE FROM events WHERE owner = :owner AND sequence <=
             (SELECT sequence FROM events WHERE owner = :owner ORDER BY sequence DESC LIMIT 1 OFFSET :keepMost)`,
          { owner: event.owner, keepMost },
        );
      return { ...event, sequence };
    });
  }

  listEvents(owner: Owner, page: EventPage): StoredEvent[] {
    return this.#database
      .rows("SELECT * FROM events WHERE owner = :owner AND sequence > :after ORDER BY sequence LIMIT :limit", {
        owner,
        after: page.after ?? 0,
        limit: page.limit,
      })
      .map(eventOf);
  }

  sequenceOf(owner: Owner, eventId: string): number | undefined {
    const row = this.#database.row("SELECT sequence FROM events WHERE id = :eventId AND owner = :owner", {
      owner,
      eventId,
    });
    return row === undefined ? undefined : Number(row["sequence"]);
  }

  enqueue(queue: string, event: StoredEvent, keepMost: number): number {
    return this.#database.atomically(() => {
      this.#database.run(
        `INSERT INTO queued (queue, sequence, id, owner, type, path, body)
         VALUES (:queue, :sequence, :id, :owner, :type, :path, :body)`,
        { queue, ...event },
      );
      return this.#database.run(
        `DELETE FROM queued WHERE queue = :queue AND sequence <=
           (SELECT sequence FROM queued WHERE queue = :queue ORDER BY sequence DESC LIMIT 1 OFFSET :keepMost)`,
        { queue, keepMost },
      ).changes;
    });
  }

  queued(queue: string, page: EventPage): StoredEvent[] {
    return this.#database
      .rows("SELECT * FROM queued WHERE queue = :queue AND sequence > :after ORDER BY sequence LIMIT :limit", {
        queue,
        after: page.after ?? 0,
        limit: page.limit,
      })
      .map(eventOf);
  }

  acknowledge(queue: string, eventIds: readonly string[]): number {
    return this.#database.run("DELETE FROM queued WHERE queue = :queue AND id IN (SELECT value FROM json_each(:ids))", {
      queue,
      ids: JSON.stringify(eventIds),
    }).changes;
  }

  removeQueue(queue: string): void {
    this.#database.run("DELETE FROM queued WHERE queue = :queue", { queue });
  }

  content(): Pick<StoreContent, "events" | "queued"> {
    return {
      events: this.#database.rows("SELECT * FROM events ORDER BY sequence").map(eventOf),
      queued: this.#database
        .rows("SELECT * FROM queued ORDER BY queue, sequence")
        .map((row) => ({ queue: String(row["queue"]), event: eventOf(row) })),
    };
  }

  replace({ events, queued }: Pick<StoreContent, "events" | "queued">): void {
    this.#database.exec("DELETE FROM events; DELETE FROM queued");
    for (const event of events)
      this.#database.run(
        `INSERT INTO events (sequence, id, owner, type, path, body) VALUES (:sequence, :id, :owner, :type, :path, :body)`,
        { ...event },
      );
    for (const { queue, event } of queued) this.enqueue(queue, event, Number.MAX_SAFE_INTEGER);
  }
}

function eventOf(row: Row): StoredEvent {
  return {
    sequence: Number(row["sequence"]),
    id: String(row["id"]),
    owner: String(row["owner"]) as Owner,
    type: String(row["type"]),
    path: row["path"] === null ? null : String(row["path"]),
    body: String(row["body"]),
  };
}
