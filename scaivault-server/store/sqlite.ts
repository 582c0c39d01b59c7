import type { SQLInputValue, SQLOutputValue } from "node:sqlite";
import type { AuditAction, AuditFilter, AuditRow, AuditSummary, NewAuditRow } from "../audit/audit.ts";
import { backendsOf, replaceBackends } from "./content.ts";
import type { StoreContent } from "./content.ts";
import { SqliteDatabase } from "./sqlite-database.ts";
import type { Row, Values } from "./sqlite-database.ts";
import { SqliteEvents, SqliteObjects } from "./sqlite-events.ts";
import { SqliteFederation } from "../federation/store.ts";
import type { ListQuery, Owner, SecretRecord, SecretVersion, Store, VersionInfo } from "./store.ts";

const schemaVersion = 1;
const schema = `
  CREATE TABLE secrets (
    owner TEXT NOT NULL, path TEXT NOT NULL, version INTEGER NOT NULL, secret_type TEXT NOT NULL, metadata TEXT NOT NULL,
    max_versions INTEGER NOT NULL, created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL, expires_at INTEGER,
    last_accessed_at INTEGER, recoverable_until INTEGER,
    PRIMARY KEY (owner, path)
  ) WITHOUT ROWID;
  CREATE TABLE versions (
    owner TEXT NOT NULL, path TEXT NOT NULL, version INTEGER NOT NULL, secret_type TEXT NOT NULL,
    created_at INTEGER NOT NULL, created_by TEXT NOT NULL, data TEXT NOT NULL,
    PRIMARY KEY (owner, path, version)
  ) WITHOUT ROWID;
  CREATE TABLE audit (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL, tenant_id TEXT NOT NULL, timestamp INTEGER NOT NULL,
    action TEXT NOT NULL, identity_type TEXT NOT NULL, identity_id TEXT NOT NULL, secret_path TEXT, source_ip TEXT NOT NULL,
    user_agent TEXT NOT NULL, success INTEGER NOT NULL, duration_ms INTEGER NOT NULL, request_id TEXT NOT NULL,
    extra_data TEXT NOT NULL
  );
  CREATE INDEX audit_by_path ON audit (tenant_id, secret_path, sequence);
  CREATE INDEX audit_by_identity ON audit (tenant_id, identity_id, sequence);
`;

const saveSecretSql = `
  INSERT INTO secrets (owner, path, version, secret_type, metadata, max_versions, created_at, updated_at, expires_at,
    last_accessed_at, recoverable_until)
  VALUES (:owner, :path, :version, :secretType, :metadata, :maxVersions, :createdAt, :updatedAt, :expiresAt,
    :lastAccessedAt, :recoverableUntil)
  ON CONFLICT (owner, path) DO UPDATE SET version = excluded.version, secret_type = excluded.secret_type,
    metadata = excluded.metadata, max_versions = excluded.max_versions, created_at = excluded.created_at,
    updated_at = excluded.updated_at, expires_at = excluded.expires_at, last_accessed_at = excluded.last_accessed_at,
    recoverable_until = excluded.recoverable_until`;

const insertAuditSql = `
  INSERT INTO audit (sequence, id, tenant_id, timestamp, action, identity_type, identity_id, secret_path, source_ip,
    user_agent, success, duration_ms, request_id, extra_data)
  VALUES (:sequence, :id, :tenantId, :timestamp, :action, :identityType, :identityId, :secretPath, :sourceIp,
    :userAgent, :success, :durationMs, :requestId, :extraData)`;

/**
 * Everything in one SQLite file, readable by its owner only. Values lie in it unencrypted; removed ones are overwritten.
 * Times are stored as ms since the epoch.
 */
export class SqliteStore implements Store {
  readonly objects: SqliteObjects;
  readonly events: SqliteEvents;
  readonly #database: SqliteDatabase;
  readonly federation: SqliteFederation;

  /** @throws Error when the file is no database of this server or of a newer one. */
  constructor(file: string) {
    this.#database = new SqliteDatabase(file);
    const found = Number(this.#database.row("PRAGMA user_version")?.["user_version"]);
    if (found === 0) this.#database.exec(`BEGIN; ${schema} PRAGMA user_version = ${schemaVersion}; COMMIT;`);
    else if (found !== schemaVersion) {
      this.#database.close();
      throw new Error(`the data file has format ${found}; this server reads format ${schemaVersion}`);
    }
    this.federation = new SqliteFederation(this.#database);
    this.objects = new SqliteObjects(this.#database);
    this.events = new SqliteEvents(this.#database);
  }

  atomically<T>(work: () => T): T {
    return this.#database.atomically(work);
  }

  getSecret(owner: Owner, path: string): SecretRecord | undefined {
    const row = this.#database.row("SELECT * FROM secrets WHERE owner = :owner AND path = :path", { owner, path });
    return row === undefined ? undefined : secretOf(row);
  }

  saveSecret(record: SecretRecord): void {
    this.#database.run(saveSecretSql, { ...record });
  }

  appendVersion(record: SecretRecord, version: SecretVersion): void {
    const { owner, path } = record;
    this.atomically(() => {
      this.saveSecret(record);
      this.#insertVersion(owner, path, version);
      this.#database.run(
        `DELETE FROM versions WHERE owner = :owner AND path = :path AND version NOT IN
           (SELECT version FROM versions WHERE owner = :owner AND path = :path ORDER BY version DESC LIMIT :most)`,
        { owner, path, most: record.maxVersions },
      );
    });
  }

  getVersion(owner: Owner, path: string, version: number): SecretVersion | undefined {
    const row = this.#database.row(
      "SELECT * FROM versions WHERE owner = :owner AND path = :path AND version = :version",
      {
        owner,
        path,
        version,
      },
    );
    return row === undefined ? undefined : { ...versionOf(row), data: String(row["data"]) };
  }

  listVersions(owner: Owner, path: string): VersionInfo[] {
    const sql = `SELECT version, secret_type, created_at, created_by FROM versions
                 WHERE owner = :owner AND path = :path ORDER BY version DESC`;
    return this.#database.rows(sql, { owner, path }).map(versionOf);
  }

  removeVersion(owner: Owner, path: string, version: number): void {
    this.#database.run("DELETE FROM versions WHERE owner = :owner AND path = :path AND version = :version", {
      owner,
      path,
      version,
    });
  }

  softDeleted(): SecretRecord[] {
    return this.#database.rows("SELECT * FROM secrets WHERE recoverable_until IS NOT NULL").map(secretOf);
  }

  removeSecret(owner: Owner, path: string): void {
    this.atomically(() => {
      this.#database.run("DELETE FROM secrets WHERE owner = :owner AND path = :path", { owner, path });
      this.#database.run("DELETE FROM versions WHERE owner = :owner AND path = :path", { owner, path });
    });
  }

  listSecrets(owner: Owner, query: ListQuery): SecretRecord[] {
    // Paths hold ASCII only, so everything with the prefix lies below the prefix and the last ASCII character.
    const sql = `SELECT * FROM secrets WHERE owner = :owner AND path >= :prefix AND path < :end AND path > :after
                 AND recoverable_until IS NULL ORDER BY path LIMIT :limit`;
    return this.#database
      .rows(sql, {
        owner,
        prefix: query.prefix,
        end: `${query.prefix}\x7f`,
        after: query.after ?? "",
        limit: query.limit,
      })
      .map(secretOf);
  }

  appendAudit(row: NewAuditRow): void {
    this.#database.run(insertAuditSql, { ...row, sequence: null, success: row.success ? 1 : 0 });
  }

  queryAudit(filter: AuditFilter, page: { readonly before?: number | undefined; readonly limit: number }): AuditRow[] {
    const { where, values } = condition(filter);
    const sql = `SELECT * FROM audit WHERE ${where} AND sequence < :before ORDER BY sequence DESC LIMIT :limit`;
    return this.#database
      .rows(sql, { ...values, before: page.before ?? Number.MAX_SAFE_INTEGER, limit: page.limit })
      .map(auditOf);
  }

  summarizeAudit(filter: AuditFilter): AuditSummary {
    const { where, values } = condition(filter);
    const sql = `SELECT action, COUNT(*) AS total, SUM(success) AS successful FROM audit WHERE ${where}
                 GROUP BY action ORDER BY MIN(sequence)`;
    const byAction = new Map<string, number>();
    let total = 0;
    let successful = 0;
    for (const row of this.#database.rows(sql, values)) {
      byAction.set(String(row["action"]), Number(row["total"]));
      total += Number(row["total"]);
      successful += Number(row["successful"]);
    }
    return { total, successful, byAction };
  }

  content(): StoreContent {
    return this.atomically(() => ({
      secrets: this.#database
        .rows("SELECT * FROM secrets ORDER BY owner, path")
        .map(secretOf)
        .map((record) => ({ record, versions: this.#versionsOf(record) })),
      audit: this.#database.rows("SELECT * FROM audit ORDER BY sequence").map(auditOf),
      objects: this.objects.all(),
      ...this.events.content(),
      backends: backendsOf(this.federation),
    }));
  }

  replace(content: StoreContent): void {
    this.atomically(() => {
      this.#database.exec("DELETE FROM secrets; DELETE FROM versions; DELETE FROM audit");
      for (const { record, versions } of content.secrets) {
        this.saveSecret(record);
        for (const version of versions) this.#insertVersion(record.owner, record.path, version);
      }
      for (const row of content.audit) this.#database.run(insertAuditSql, { ...row, success: row.success ? 1 : 0 });
      this.objects.replace(content.objects);
      this.events.replace(content);
      replaceBackends(this.federation, content.backends);
    });
  }

  close(): void {
    this.#database.close();
  }

  #insertVersion(owner: Owner, path: string, version: SecretVersion): void {
    this.#database.run(
      `INSERT INTO versions (owner, path, version, secret_type, created_at, created_by, data)
       VALUES (:owner, :path, :version, :secretType, :createdAt, :createdBy, :data)`,
      { owner, path, ...version },
    );
  }

  #versionsOf({ owner, path }: SecretRecord): SecretVersion[] {
    const sql = "SELECT * FROM versions WHERE owner = :owner AND path = :path ORDER BY version";
    return this.#database.rows(sql, { owner, path }).map((row) => ({ ...versionOf(row), data: String(row["data"]) }));
  }
}

const orNull = (value: SQLOutputValue | undefined): number | null =>
  value === null || value === undefined ? null : Number(value);

function secretOf(row: Row): SecretRecord {
  return {
    owner: String(row["owner"]) as Owner,
    path: String(row["path"]),
    version: Number(row["version"]),
    secretType: String(row["secret_type"]),
    metadata: String(row["metadata"]),
    maxVersions: Number(row["max_versions"]),
    createdAt: Number(row["created_at"]),
    updatedAt: Number(row["updated_at"]),
    expiresAt: orNull(row["expires_at"]),
    lastAccessedAt: orNull(row["last_accessed_at"]),
    recoverableUntil: orNull(row["recoverable_until"]),
  };
}

function versionOf(row: Row): VersionInfo {
  return {
    version: Number(row["version"]),
    secretType: String(row["secret_type"]),
    createdAt: Number(row["created_at"]),
    createdBy: String(row["created_by"]),
  };
}

function auditOf(row: Row): AuditRow {
  return {
    sequence: Number(row["sequence"]),
    id: String(row["id"]),
    tenantId: String(row["tenant_id"]),
    timestamp: Number(row["timestamp"]),
    action: String(row["action"]) as AuditAction,
    identityType: String(row["identity_type"]),
    identityId: String(row["identity_id"]),
    secretPath: row["secret_path"] === null ? null : String(row["secret_path"]),
    sourceIp: String(row["source_ip"]),
    userAgent: String(row["user_agent"]),
    success: row["success"] === 1,
    durationMs: Number(row["duration_ms"]),
    requestId: String(row["request_id"]),
    extraData: String(row["extra_data"]),
  };
}

/** The filter as SQL over bound values. */
function condition(filter: AuditFilter): { where: string; values: Values } {
  const parts = ["tenant_id = :tenantId"];
  const values: Values = { tenantId: filter.tenantId };
  const add = (sql: string, name: string, value: SQLInputValue | undefined): void => {
    if (value === undefined) return;
    parts.push(sql);
    values[name] = value;
  };
  add("timestamp >= :from", "from", filter.from);
  add("timestamp <= :to", "to", filter.to);
  add("identity_id = :identityId", "identityId", filter.identityId);
  add("identity_type = :identityType", "identityType", filter.identityType);
  add("secret_path = :secretPath", "secretPath", filter.secretPath);
  add("substr(secret_path, 1, length(:pathPrefix)) = :pathPrefix", "pathPrefix", filter.pathPrefix);
  add("success = :success", "success", filter.success === undefined ? undefined : filter.success ? 1 : 0);
  add("source_ip = :sourceIp", "sourceIp", filter.sourceIp);
  add("request_id = :requestId", "requestId", filter.requestId);
  add(
    "action IN (SELECT value FROM json_each(:actions))",
    "actions",
    filter.actions === undefined ? undefined : JSON.stringify(filter.actions),
  );
  return { where: parts.join(" AND "), values };
}
