import type { SyncError } from "../errors/index.ts";
import type { SecretPayload } from "../model/index.ts";

/**
 * One secret version that somebody wants. `path` is the logical path: an ASM name (never an ARN: those are turned into
 * names before) or a Vault `mount/key` without `data/`.
 */
export interface SourceRef {
  readonly path: string;
  /** ASM staging label; default AWSCURRENT. Not for Vault. */
  readonly stage?: string;
  /** ASM version id, or KV v2 version number in decimal. */
  readonly version?: string;
}

/** What a poll is asked for: exact secrets, and subtrees by prefix (`prod/billing` for `prod/billing/**`). */
export interface PollDemand {
  readonly paths: readonly string[];
  readonly subtrees: readonly string[];
  /** Version ids that copies hold, by path: a source that can tells whether they lie before the current one. */
  readonly known?: ReadonlyMap<string, ReadonlySet<string>>;
  /** True after sync-now, a hint or for short intervals: methods whose answers may lag (ASM list) are not used. */
  readonly fresh: boolean;
}

/**
 * What is known of one secret at one poll, without its value. Only positive knowledge: absence from a list is never a
 * fact, the source asks for the secret itself first.
 */
export type SourceFact =
  | {
      readonly state: "Present";
      readonly path: string;
      /** Version id by stage (ASM: `AWSCURRENT` and so on; Vault: `latest`). */
      readonly stages: ReadonlyMap<string, string>;
      /** All version ids that can be read, when the method tells them. */
      readonly versions: ReadonlySet<string> | undefined;
      /** `Id` is an opaque id, `Number` grows by one with each write, `Content` is a keyed hash (stores without versions). */
      readonly versionKind: "Id" | "Number" | "Content";
      /**
       * Versions that are known to be older than the one that the default stage names. When the version copied last is
       * not among them (and not the current one), the secret has gone back. A copied version that the store no longer
       * lists counts as older. Undefined: this source cannot tell here (said in status), or nothing moved.
       */
      readonly olderThanCurrent?: ReadonlySet<string> | undefined;
      /**
       * When each version was written, as the store says it. Numbers may repeat (a secret made anew, a store restored from
       * a backup); number and time together do not.
       */
      readonly writtenAt?: ReadonlyMap<string, string>;
      /** When the source says that the secret changed, ms since the epoch. */
      readonly changedAtMs?: number;
      /** ASM tags as `key=value`. */
      readonly tags?: readonly string[];
      readonly description?: string;
    }
  | {
      readonly state: "Gone";
      readonly path: string;
      /** `Deleted` is KV v2's deleted or destroyed newest version. */
      readonly how: "NotFound" | "PendingDeletion" | "Deleted";
    };

/** How the source found the facts out; shown as `status.effective.poll`. */
export type PollMethod = "List" | "Batch" | "Describe" | "Metadata" | "Read";

/** The answer of one poll. A failure of the whole store (login, network, seal, throttle) is thrown instead. */
export interface PollResult {
  readonly method: PollMethod;
  readonly facts: ReadonlyMap<string, SourceFact>;
  /** Paths of which nothing could be learned (denied, bad name, ...). */
  readonly failures: ReadonlyMap<string, SyncError>;
  /** Paths below each asked subtree, complete; or why the walk failed. A partial walk is a failure, never a result. */
  readonly subtrees: ReadonlyMap<string, readonly string[] | SyncError>;
  /** Shown in status: what this method cannot see, such as that a version gone back is not detected. */
  readonly notes: readonly string[];
}

/** One value with the version that it really is, which may be newer than the one asked by stage. */
export interface SourceRead {
  readonly path: string;
  readonly version: string;
  /** See `writtenAt` of facts. */
  readonly writtenAt?: string | undefined;
  readonly payload: SecretPayload;
}

/**
 * A store that secrets are read from, as one identity. Made once per store identity and kept.
 *
 * Errors are {@link SyncError}: SourceUnavailable, SourceSealed, RateLimited (with retryAfterMs), LoginFailed,
 * AccessDenied (with `right`), SourceNotFound, SourcePendingDeletion, VersionNotFound, SourceEmpty, InvalidPath,
 * UnsupportedMount, NotRepresentable, ValueTooLarge.
 *
 * SourceUnavailable without a `code` is an outage of the store. With a `code` the store answers, but its answer for this
 * one secret cannot be used; it says nothing of other secrets. A call that is stopped by its signal fails with
 * SourceUnavailable too (detail `Aborted ABORTED`).
 */
export interface SecretSource {
  /** Readable identity, such as `111122223333/us-east-1/AKIA...` cut to what the backend's namespace may see. */
  readonly identity: string;
  /** Cheap check of reachability and credentials; reads no value. */
  probe(signal: AbortSignal): Promise<void>;
  /** Version facts of all that is wanted, in as few calls as the rights allow. Reads no value, where the store has versions. */
  poll(demand: PollDemand, signal: AbortSignal): Promise<PollResult>;
  /**
   * Reads values. Concurrent calls may be joined into one batch call.
   * @returns the value; throws when it is not there
   */
  read(ref: SourceRef, signal: AbortSignal): Promise<SourceRead>;
  /** Ends logins and connections. */
  close(): Promise<void>;
}
