/**
 * What the server keeps: secrets with versions, audit rows, events, and small objects of other families. Two implementations (memory, SQLite) share one test
 * suite. All calls are synchronous and each is atomic.
 */
import type { AuditFilter, AuditRow, AuditSummary, NewAuditRow } from "../audit/audit.ts";
import type { StoreContent } from "./content.ts";
import type { EventStore } from "./events.ts";
import type { ObjectStore } from "./objects.ts";
import type { FederationStore } from "../federation/record.ts";

/** Whose secret it is: `tenant:<id>`, or `partner:<id>` for partner-wide secrets. The same path of two owners is two secrets. */
export type Owner = `tenant:${string}` | `partner:${string}`;

/** A secret without its values. Times are ms since the epoch. */
export interface SecretRecord {
  readonly owner: Owner;
  readonly path: string;
  /** Number of the current version. */
  readonly version: number;
  readonly secretType: string;
  /** JSON text of the metadata object. */
  readonly metadata: string;
  readonly maxVersions: number;
  readonly createdAt: number;
  readonly updatedAt: number;
  readonly expiresAt: number | null;
  readonly lastAccessedAt: number | null;
  /** Set while the secret is soft-deleted: until then it is retained. */
  readonly recoverableUntil: number | null;
}

/** One version without its value. */
export interface VersionInfo {
  readonly version: number;
  readonly secretType: string;
  readonly createdAt: number;
  readonly createdBy: string;
}

/** One version with its value, as JSON source text. Never logged. */
export interface SecretVersion extends VersionInfo {
  readonly data: string;
}

/** Which secrets a listing returns: live ones, by path. */
export interface ListQuery {
  readonly prefix: string;
  /** Only paths behind this one. */
  readonly after?: string | undefined;
  readonly limit: number;
}

export interface Store {
  /** Objects of the other families; see `Collection`. */
  readonly objects: ObjectStore;
  readonly events: EventStore;
  /** Several calls as one: after a crash all of them are there or none. May be nested. */
  atomically<T>(work: () => T): T;
  readonly federation: FederationStore;
  /** The secret, soft-deleted or not. */
  getSecret(owner: Owner, path: string): SecretRecord | undefined;
  /** Saves a secret's record; its versions stay. */
  saveSecret(record: SecretRecord): void;
  /** Saves the record and its newest version and removes the versions beyond `record.maxVersions`, oldest first. */
  appendVersion(record: SecretRecord, version: SecretVersion): void;
  getVersion(owner: Owner, path: string, version: number): SecretVersion | undefined;
  /** All versions that are left, newest first. */
  listVersions(owner: Owner, path: string): VersionInfo[];
  /** Removes one version that is not the current one. */
  removeVersion(owner: Owner, path: string, version: number): void;
  /** All secrets that are soft-deleted and retained, of all owners. */
  softDeleted(): SecretRecord[];
  /** Removes the secret with all its versions. */
  removeSecret(owner: Owner, path: string): void;
  /** Live secrets in the order of their paths' bytes. */
  listSecrets(owner: Owner, query: ListQuery): SecretRecord[];
  appendAudit(row: NewAuditRow): void;
  /** Rows that match, newest first, older than `before` when given. */
  queryAudit(filter: AuditFilter, page: { readonly before?: number | undefined; readonly limit: number }): AuditRow[];
  summarizeAudit(filter: AuditFilter): AuditSummary;
  /** Everything that is kept, as of one moment. */
  content(): StoreContent;
  /** Forgets everything and keeps `content` instead. */
  replace(content: StoreContent): void;
  close(): void;
}
