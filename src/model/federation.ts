/** Kinds of stores that the operator registers (reference/federation). */
export type FederatedType = "hashicorp-vault" | "aws-secrets-manager";

/** A backend as it shall stand in ScaiVault, with its words on the wire. */
export interface WantedRegistration {
  readonly name: string;
  readonly type: FederatedType;
  /** By name on the wire, such as `auth_config_path`. Credentials stand at a ScaiVault path, never here. */
  readonly config: ReadonlyMap<string, string | boolean>;
  /** ScaiVault path pattern to path pattern of the store; for KV v2 with its `data/`. */
  readonly pathMapping: ReadonlyMap<string, string>;
  readonly mode: "proxy" | "sync";
  /** With `sync` only. */
  readonly syncInterval: string | undefined;
  readonly conflictResolution: string | undefined;
}

/** A backend as ScaiVault tells it. What an answer leaves out, or has in a form that is not known, is undefined. */
export interface FederatedBackend {
  readonly id: string;
  readonly name: string;
  readonly type: string | undefined;
  readonly config: ReadonlyMap<string, unknown> | undefined;
  readonly pathMapping: ReadonlyMap<string, string> | undefined;
  readonly mode: string | undefined;
  readonly syncInterval: string | undefined;
  readonly conflictResolution: string | undefined;
  /** `healthy`, or something else as ScaiVault calls it. */
  readonly status: string | undefined;
  /** Milliseconds since the epoch. */
  readonly createdMs: number | undefined;
}

/** Fields of a PATCH; what is absent stays as it is. In `config`, null takes a key off. */
export interface RegistrationPatch {
  readonly config?: ReadonlyMap<string, string | boolean | null>;
  readonly pathMapping?: ReadonlyMap<string, string>;
  readonly mode?: "proxy" | "sync";
  readonly syncInterval?: string | null;
  readonly conflictResolution?: string | null;
}

/** How a backend stands (`GET .../status`). */
export interface RegistrationHealth {
  /** `healthy`, or something else as ScaiVault calls it; a word, never a text. */
  readonly status: string;
  /** `connected`, or something else. */
  readonly connection: string | undefined;
  readonly latencyMs: number | undefined;
  /** End of the last sync, in milliseconds since the epoch; undefined in proxy mode and before the first. */
  readonly lastSyncMs: number | undefined;
  readonly lastSyncDurationMs: number | undefined;
  readonly secretsSynced: number | undefined;
  /** Secrets that could not be synced, and names that make no ScaiVault path; undefined when ScaiVault does not count them. */
  readonly secretsFailed: number | undefined;
  readonly secretsSkipped: number | undefined;
  /** Paths in conflict; undefined when the status does not count them. */
  readonly conflictCount: number | undefined;
  /** ScaiVault's code of the last failure; its text is never kept. */
  readonly errorCode: string | undefined;
}

/** A path that ScaiVault and the store hold with different values. Never a value. */
export interface RegistrationConflict {
  readonly path: string;
  readonly backendPath: string | undefined;
  readonly localVersion: number | undefined;
  readonly detectedMs: number | undefined;
  /** What ScaiVault made of it; undefined while somebody has to decide. */
  readonly resolution: string | undefined;
}

/** The first page of a backend's conflicts. */
export interface RegistrationConflicts {
  readonly conflicts: readonly RegistrationConflict[];
  /** True: there are more than these. */
  readonly more: boolean;
}
