import type { SecretValue } from "../model/index.ts";
import type { RateLane } from "./bucket.ts";
import type { RawMembers } from "./raw.ts";

/**
 * Endpoint categories of ScaiVault's rate limits that the operator uses (advanced/rate-limiting). None is named for rotation
 * policies: they are taken to be policy operations.
 */
export type RateCategory =
  | "read"
  | "write"
  | "delete"
  | "list"
  | "batchRead"
  | "batchMetadata"
  | "audit"
  | "policy"
  | "federation"
  | "subscription"
  | "subscriptionPoll"
  | "whoami";

/** Searchable, non-secret facts of a secret (core-concepts/secrets). */
export interface SecretMetadata {
  readonly description: string | undefined;
  readonly owner: string | undefined;
  readonly tags: readonly string[];
  /** Every other key with its JSON source text: ours and foreign ones. */
  readonly custom: RawMembers;
}

/** What ScaiVault tells of a secret without its value. */
export interface SecretInfo {
  readonly path: string;
  /** Integer, 1 for the first version. */
  readonly version: number;
  readonly secretType: string;
  readonly metadata: SecretMetadata;
}

/** A secret with its value as source text. */
export interface SecretWithValue extends SecretInfo {
  /** The JSON text of `data`, as the server sent it. */
  readonly data: SecretValue;
}

/** A secret in a listing. */
export interface ListedSecret {
  readonly path: string;
  readonly version: number | undefined;
  /** ISO 8601. */
  readonly expiresAt: string | undefined;
}

/** One version of a secret, without its value. */
export interface SecretVersion {
  readonly version: number;
  /** ISO 8601. */
  readonly createdAt: string | undefined;
  /** Identity, such as `sa:billing`. */
  readonly createdBy: string | undefined;
}

/** Outcome for one path of a batch. Absent and soft-deleted look alike to a reader. */
export type BatchOutcome<T> =
  | { readonly state: "Found"; readonly secret: T }
  | { readonly state: "Absent" }
  | { readonly state: "Failed"; readonly error: Error };

/** A write of value and metadata; makes version 1 or N+1. */
export interface PutRequest {
  /** JSON text of an object; goes out byte by byte as it is. */
  readonly data: SecretValue;
  readonly secretType: string;
  /** Replaces all stored metadata. */
  readonly metadata: SecretMetadata;
  /** How many versions ScaiVault keeps; absent keeps what is stored. */
  readonly maxVersions?: number;
}

/** What a write answered. */
export interface PutAnswer {
  /** The version that was made; undefined when the answer does not say. */
  readonly version: number | undefined;
  /** Metadata as stored; undefined when the answer does not say. */
  readonly metadata: SecretMetadata | undefined;
}

/** Metadata to set, and custom keys to take off. */
export interface MetadataPatch {
  readonly metadata: SecretMetadata;
  readonly removed?: readonly string[];
}

/** Who the operator's identity is at ScaiVault. */
export interface WhoAmI {
  readonly identityID: string;
  readonly tenantID: string;
  readonly scopes: readonly string[];
}

/** One call that the rate budget has set aside. */
export interface Permit {
  /** Takes the call, right before it is made. @returns false when it was taken already, or the server asked to pause */
  use(): boolean;
  /** Gives it back when it was not used. Safe to call more than once. */
  release(): void;
}

/** A call may go now, or has to wait for its turn; then ask again. */
export type Reservation =
  { readonly granted: true; readonly permit: Permit } | { readonly granted: false; readonly turn: Promise<void> };

/** On whose behalf a call is made, and how long it may take. */
export interface CallContext {
  readonly signal: AbortSignal;
  /** Order in the rate budget; default `new`. */
  readonly lane?: RateLane;
  /** The call was set aside already; else it is taken out of the budget. */
  readonly permit?: Permit | undefined;
  /** `namespace/name` of the object, for the User-Agent; absent for joined calls. */
  readonly object?: string;
}

/** One finished call, for metrics and benchmarks. */
export interface CallReport {
  readonly category: RateCategory | "health";
  /** HTTP status; 0 when no answer came. */
  readonly status: number;
  readonly ms: number;
  /** Paths asked for in the call. */
  readonly paths: number;
}
