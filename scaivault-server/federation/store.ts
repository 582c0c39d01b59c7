import type { SqliteDatabase, Values } from "../store/sqlite-database.ts";
import type { BackendRecord, FederationStore, SyncedPath } from "./record.ts";

const byName = (a: BackendRecord, b: BackendRecord): number => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0);
const byPath = (a: SyncedPath, b: SyncedPath): number => (a.path < b.path ? -1 : 1);

/** Backends in memory, gone when the process ends. */
export class MemoryFederation implements FederationStore {
  readonly #backends = new Map<string, BackendRecord>();
  readonly #paths = new Map<string, Map<string, SyncedPath>>();

  listBackends(): BackendRecord[] {
    return [...this.#backends.values()].sort(byName);
  }

  saveBackend(record: BackendRecord): void {
    this.#backends.set(record.id, record);
  }

  removeBackend(id: string): void {
    this.#backends.delete(id);
    this.#paths.delete(id);
  }

  listPaths(backendId: string): SyncedPath[] {
    return [...(this.#paths.get(backendId)?.values() ?? [])].sort(byPath);
  }

  getPath(backendId: string, path: string): SyncedPath | undefined {
    return this.#paths.get(backendId)?.get(path);
  }

  savePath(path: SyncedPath): void {
    const paths = this.#paths.get(path.backendId) ?? new Map<string, SyncedPath>();
    paths.set(path.path, path);
    this.#paths.set(path.backendId, paths);
  }

  removePath(backendId: string, path: string): void {
    this.#paths.get(backendId)?.delete(path);
  }
}

// Tables that came after the first format: files without them get them, older servers do not look at them.
const schema = `
  CREATE TABLE IF NOT EXISTS federation_backends (id TEXT PRIMARY KEY, name TEXT NOT NULL, record TEXT NOT NULL) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS federation_paths (
    backend_id TEXT NOT NULL, path TEXT NOT NULL, record TEXT NOT NULL, PRIMARY KEY (backend_id, path)
  ) WITHOUT ROWID;
`;

/** Backends in the server's SQLite file. */
export class SqliteFederation implements FederationStore {
  readonly #database: SqliteDatabase;

  constructor(database: SqliteDatabase) {
    this.#database = database;
    database.exec(schema);
  }

  listBackends(): BackendRecord[] {
    return this.#records<BackendRecord>("SELECT record FROM federation_backends ORDER BY name", {});
  }

  saveBackend(record: BackendRecord): void {
    const { id, name } = record;
    const sql = "INSERT OR REPLACE INTO federation_backends (id, name, record) VALUES (:id, :name, :record)";
    this.#database.run(sql, { id, name, record: JSON.stringify(record) });
  }

  removeBackend(id: string): void {
    this.#database.atomically(() => {
      this.#database.run("DELETE FROM federation_paths WHERE backend_id = :id", { id });
      this.#database.run("DELETE FROM federation_backends WHERE id = :id", { id });
    });
  }

  listPaths(id: string): SyncedPath[] {
    return this.#records<SyncedPath>("SELECT record FROM federation_paths WHERE backend_id = :id ORDER BY path", {
      id,
    });
  }

  getPath(id: string, path: string): SyncedPath | undefined {
    const sql = "SELECT record FROM federation_paths WHERE backend_id = :id AND path = :path";
    return this.#records<SyncedPath>(sql, { id, path })[0];
  }

  savePath(path: SyncedPath): void {
    const sql = "INSERT OR REPLACE INTO federation_paths (backend_id, path, record) VALUES (:id, :path, :record)";
    this.#database.run(sql, { id: path.backendId, path: path.path, record: JSON.stringify(path) });
  }

  removePath(id: string, path: string): void {
    this.#database.run("DELETE FROM federation_paths WHERE backend_id = :id AND path = :path", { id, path });
  }

  #records<T>(sql: string, values: Values): T[] {
    return this.#database.rows(sql, values).map((row) => JSON.parse(String(row["record"])) as T);
  }
}
