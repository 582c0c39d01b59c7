import { chmodSync, closeSync, openSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import type { SQLInputValue, SQLOutputValue } from "node:sqlite";

/** A row of an answer. */
export type Row = Record<string, SQLOutputValue>;

/** Values of a statement by name. */
export type Values = Record<string, SQLInputValue>;

/** One SQLite file, readable by its owner only: statements are prepared once, removed content is overwritten. */
export class SqliteDatabase {
  readonly #database: DatabaseSync;
  readonly #statements = new Map<string, ReturnType<DatabaseSync["prepare"]>>();
  #depth = 0;

  constructor(file: string) {
    // The file must never exist with wider rights, so it is made before SQLite opens it; its side files take its rights over.
    closeSync(openSync(file, "a", 0o600));
    chmodSync(file, 0o600);
    this.#database = new DatabaseSync(file);
    this.#database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA secure_delete = ON;");
  }

  exec(sql: string): void {
    this.#database.exec(sql);
  }

  /** @returns rows changed and the id of an inserted row. */
  run(sql: string, values: Values): { readonly changes: number; readonly id: number } {
    const { changes, lastInsertRowid } = this.#prepare(sql).run(values);
    return { changes: Number(changes), id: Number(lastInsertRowid) };
  }

  row(sql: string, values: Values = {}): Row | undefined {
    return this.#prepare(sql).get(values);
  }

  rows(sql: string, values: Values = {}): Row[] {
    return this.#prepare(sql).all(values);
  }

  /** All of `work` or nothing of it. May be nested: the outermost decides. */
  atomically<T>(work: () => T): T {
    if (this.#depth > 0) return work();
    this.#database.exec("BEGIN IMMEDIATE");
    this.#depth++;
    try {
      const result = work();
      this.#database.exec("COMMIT");
      return result;
    } catch (error) {
      this.#database.exec("ROLLBACK");
      throw error;
    } finally {
      this.#depth--;
    }
  }

  close(): void {
    this.#database.close();
  }

  #prepare(sql: string): ReturnType<DatabaseSync["prepare"]> {
    let statement = this.#statements.get(sql);
    if (statement === undefined) {
      statement = this.#database.prepare(sql);
      this.#statements.set(sql, statement);
    }
    return statement;
  }
}
