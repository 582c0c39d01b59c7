import type { Clock } from "../../src/time/clock.ts";
import { DEFAULT_MAX_VERSIONS, RETENTION_EVENT } from "../assumptions.ts";
import { ApiError } from "../errors.ts";
import type { EventHub, Origin } from "../events/hub.ts";
import * as about from "../events/secret-events.ts";
import { joinMembers, rawMembers } from "../json/raw-json.ts";
import type { RawObject } from "../json/raw-json.ts";
import type { Owner, SecretRecord, SecretVersion, Store } from "../store/store.ts";
import type { WriteInput } from "./body.ts";
import type { SecretWatcher } from "./watcher.ts";

/** What the service is built from. */
export interface SecretServiceParts {
  readonly store: Store;
  readonly clock: Clock;
  /** Hears of every change. */
  readonly events: EventHub;
  /** How long a soft-deleted secret is kept, in ms. */
  readonly retentionMs: number;
  /** Whether `options.cas` is honoured. */
  readonly cas: boolean;
  /** Called for each version made. */
  readonly onVersion: (path: string) => void;
  /** A fault can drop metadata members before they are stored. */
  readonly filterMetadata: (members: RawObject) => RawObject;
}

/** The rules of secrets, without HTTP and rights. Throws `ApiError`. */
export class SecretService {
  readonly #parts: SecretServiceParts;
  readonly #watchers: SecretWatcher[] = [];

  constructor(parts: SecretServiceParts) {
    this.#parts = parts;
  }

  /** Gives somebody a part in writes and deletions. */
  watch(watcher: SecretWatcher): void {
    this.#watchers.push(watcher);
  }

  /** The current value, without noting an access. @throws ApiError `secret_not_found`. */
  current(owner: Owner, path: string): { readonly record: SecretRecord; readonly version: SecretVersion } {
    const record = this.describe(owner, path);
    const version = this.#parts.store.getVersion(owner, path, record.version);
    if (version === undefined) throw notFound(path);
    return { record, version };
  }

  /** Lets a soft-deleted secret go whose retention has run out. */
  sweep(owner: Owner, path: string): void {
    this.#retained(owner, path);
  }

  /** The live secret. @throws ApiError `secret_not_found`. */
  describe(owner: Owner, path: string): SecretRecord {
    const record = this.#retained(owner, path);
    if (record === undefined || record.recoverableUntil !== null) throw notFound(path);
    return record;
  }

  /**
   * A version's value, the current one by default; notes the access.
   * @param origin who reads; without it no `secret.accessed` is made.
   * @throws ApiError `secret_not_found`, `version_not_found`.
   */
  read(
    owner: Owner,
    path: string,
    version?: number,
    origin?: Origin,
  ): { record: SecretRecord; version: SecretVersion } {
    const record = this.describe(owner, path);
    const found = this.#parts.store.getVersion(owner, path, version ?? record.version);
    if (found === undefined) throw new ApiError("version_not_found", "no such version", { details: { path, version } });
    const accessed = { ...record, lastAccessedAt: this.#parts.clock.now() };
    this.#parts.store.saveSecret(accessed);
    const { events } = this.#parts;
    if (origin !== undefined && events.wants(owner, "secret.accessed"))
      events.emit(owner, about.accessed(accessed, found.version, origin));
    return { record: accessed, version: found };
  }

  /** Makes version 1 or N+1. @throws ApiError `secret_exists`, `version_conflict`, `rotation_policy_not_found`. */
  write(owner: Owner, path: string, input: WriteInput, origin: Origin): SecretRecord {
    const old = this.#retained(owner, path);
    if (old !== undefined && old.recoverableUntil !== null)
      throw new ApiError("secret_exists", "the path is deleted and still retained", {
        details: { path, recoverable_until: timestamp(old.recoverableUntil) },
      });
    if (this.#parts.cas && input.cas !== undefined && input.cas !== (old?.version ?? 0))
      throw new ApiError("version_conflict", "the current version is another one", {
        details: { path, current_version: old?.version ?? 0 },
      });

    let isRotation = false;
    for (const watcher of this.#watchers) isRotation = watcher.beforeWrite?.(owner, path, input) === true || isRotation;

    const now = this.#parts.clock.now();
    const record: SecretRecord = {
      owner,
      path,
      version: (old?.version ?? 0) + 1,
      secretType: input.secretType,
      metadata:
        input.metadata === undefined
          ? (old?.metadata ?? "{}")
          : joinMembers(this.#parts.filterMetadata(input.metadata)),
      maxVersions: input.maxVersions ?? old?.maxVersions ?? DEFAULT_MAX_VERSIONS,
      createdAt: old?.createdAt ?? now,
      updatedAt: now,
      expiresAt: expiry(input.expiresInMs, now, old),
      lastAccessedAt: old?.lastAccessedAt ?? null,
      recoverableUntil: null,
    };
    this.#parts.store.atomically(() => {
      this.#parts.store.appendVersion(record, {
        version: record.version,
        secretType: record.secretType,
        createdAt: now,
        createdBy: origin.identityId,
        data: input.data,
      });
      this.#parts.events.emit(owner, about.written(record, old, origin, isRotation));
      for (const watcher of this.#watchers) watcher.written?.(record, { old, input, origin, isRotation });
    });
    this.#parts.onVersion(path);
    return record;
  }

  /** Merges metadata members; `null` removes one. Makes no version. @throws ApiError `secret_not_found`. */
  patch(owner: Owner, path: string, members: RawObject, origin: Origin): SecretRecord {
    const old = this.describe(owner, path);
    const merged = rawMembers(old.metadata);
    for (const [key, text] of this.#parts.filterMetadata(members)) {
      if (text === "null") merged.delete(key);
      else merged.set(key, text);
    }
    const record = { ...old, metadata: joinMembers(merged), updatedAt: this.#parts.clock.now() };
    this.#parts.store.atomically(() => {
      this.#parts.store.saveSecret(record);
      this.#parts.events.emit(owner, about.metadataChanged(record, origin));
    });
    return record;
  }

  /** Soft or permanent delete. @throws ApiError `secret_not_found`. */
  remove(owner: Owner, path: string, permanent: boolean, origin: Origin): void {
    if (permanent) {
      const record = this.#retained(owner, path);
      if (record === undefined) throw notFound(path);
      this.#purge(record, origin);
      return;
    }
    const now = this.#parts.clock.now();
    const record = { ...this.describe(owner, path), updatedAt: now, recoverableUntil: now + this.#parts.retentionMs };
    this.#parts.store.atomically(() => {
      const versions = this.#parts.store.listVersions(owner, path).length;
      this.#parts.store.saveSecret(record);
      this.#parts.events.emit(owner, about.deleted(record, versions, false, origin));
      for (const watcher of this.#watchers) watcher.deleted?.(record, false);
    });
  }

  /** Takes a soft delete back; all versions are there again. @throws ApiError `secret_not_found`. */
  restore(owner: Owner, path: string, origin: Origin): SecretRecord {
    const old = this.#retained(owner, path);
    if (old === undefined || old.recoverableUntil === null) throw notFound(path);
    const record = { ...old, updatedAt: this.#parts.clock.now(), recoverableUntil: null };
    this.#parts.store.atomically(() => {
      this.#parts.store.saveSecret(record);
      // For those who heard of the deletion it is there anew.
      this.#parts.events.emit(owner, about.written(record, undefined, origin));
      for (const watcher of this.#watchers) watcher.restored?.(record);
    });
    return record;
  }

  /** The secret unless its retention has run out, in which case it is gone now. */
  #retained(owner: Owner, path: string): SecretRecord | undefined {
    const record = this.#parts.store.getSecret(owner, path);
    if (record === undefined || record.recoverableUntil === null) return record;
    if (this.#parts.clock.now() < record.recoverableUntil) return record;
    this.#purge(record, { identityId: RETENTION_EVENT });
    return undefined;
  }

  #purge(record: SecretRecord, origin: Origin): void {
    const { store, events } = this.#parts;
    store.atomically(() => {
      const versions = store.listVersions(record.owner, record.path).length;
      store.removeSecret(record.owner, record.path);
      events.emit(record.owner, about.deleted(record, versions, true, origin));
      for (const watcher of this.#watchers) watcher.deleted?.(record, true);
    });
  }
}

function notFound(path: string): ApiError {
  return new ApiError("secret_not_found", "no such secret", { details: { path } });
}

function expiry(inMs: number | null | undefined, now: number, old: SecretRecord | undefined): number | null {
  if (inMs === undefined) return old?.expiresAt ?? null;
  return inMs === null ? null : now + inMs;
}

/** ISO 8601 UTC with `Z`. [api-guides/audit-logs] */
export function timestamp(ms: number): string {
  return new Date(ms).toISOString();
}
