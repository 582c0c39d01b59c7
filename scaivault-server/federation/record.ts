/** What the server keeps about a federation backend. Times are ms since the epoch. */

/** Kinds of stores that this server can read. */
export type BackendType = "hashicorp-vault" | "aws-secrets-manager";
export type BackendMode = "proxy" | "sync";
export type ConflictResolution = "remote_wins" | "local_wins" | "manual";
/** Configuration by key, as on the wire. It names where credentials are and never holds them. */
export type BackendConfig = Readonly<Record<string, string | boolean>>;

/** What people say about a backend. */
export interface BackendSpec {
  readonly name: string;
  readonly type: BackendType;
  readonly config: BackendConfig;
  /** ScaiVault pattern to template of the store. */
  readonly pathMapping: Readonly<Record<string, string>>;
  readonly mode: BackendMode;
  /** As written; null in proxy mode. */
  readonly syncInterval: string | null;
  readonly conflictResolution: ConflictResolution;
}

/** What the last sync that ended came to. */
export interface SyncOutcome {
  readonly lastSync: number;
  readonly durationMs: number;
  /** Paths that are in step with the store. */
  readonly synced: number;
  /** Names that are no ScaiVault paths. */
  readonly skipped: number;
  /** Secrets that could not be read or written. */
  readonly failed: number;
  /** Code of the first of them. */
  readonly failure: string | null;
}

/** A backend as stored. */
export interface BackendRecord extends BackendSpec {
  readonly id: string;
  readonly tenantId: string;
  readonly createdAt: number;
  readonly updatedAt: number;
  /** The last sync that came to its end; null before the first and in proxy mode. */
  readonly outcome: SyncOutcome | null;
  /** Code of why the last sync did not come to its end; null when it did. */
  readonly lastError: string | null;
}

/** One path that a backend in sync mode knows. No values. */
export interface SyncedPath {
  readonly backendId: string;
  readonly path: string;
  readonly backendPath: string;
  /** The local version that the sync wrote or found equal; 0 when the local secret was never in step. */
  readonly localVersion: number;
  /** When that local secret was made: one that was deleted for good and made again counts from 1 again. */
  readonly localSince: number;
  /** The store's own word for the version that was read last; empty when it has none. */
  readonly mark: string;
  /** True after the sync soft-deleted the copy because the source was gone. */
  readonly removed: boolean;
  /** Since when both sides hold different values; null when they do not. */
  readonly conflictSince: number | null;
}

/** Where backends are kept. All calls are synchronous and each is atomic. */
export interface FederationStore {
  /** All backends of all tenants, by name. */
  listBackends(): BackendRecord[];
  saveBackend(record: BackendRecord): void;
  /** Removes a backend and what is known of its paths. */
  removeBackend(id: string): void;
  /** By path. */
  listPaths(backendId: string): SyncedPath[];
  getPath(backendId: string, path: string): SyncedPath | undefined;
  savePath(path: SyncedPath): void;
  removePath(backendId: string, path: string): void;
}
