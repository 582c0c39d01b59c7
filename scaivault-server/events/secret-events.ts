import type { SecretRecord } from "../store/store.ts";
import type { EventDraft, EventSubject, Origin } from "./hub.ts";

/** The documented `data` of events about secrets, made of records, which have no values. [reference/webhook-events] */

const iso = (ms: number | null): string | null => (ms === null ? null : new Date(ms).toISOString());

/** Tags that are strings; metadata may hold anything. */
function tagsOf(record: SecretRecord): string[] {
  const { tags } = JSON.parse(record.metadata) as { tags?: unknown };
  return Array.isArray(tags) ? tags.filter((tag) => typeof tag === "string") : [];
}

/** What filters ask of a secret. */
export function subjectOf(record: SecretRecord): EventSubject {
  return { secretType: record.secretType, tags: tagsOf(record) };
}

/** An event about a secret; its path and what filters ask come from the record. */
export function aboutSecret(
  type: EventDraft["type"],
  record: SecretRecord,
  origin: Origin,
  data: Readonly<Record<string, unknown>>,
): EventDraft & { readonly subject: EventSubject } {
  return { type, path: record.path, origin, subject: subjectOf(record), data };
}

/** `secret.created` for a first version, else `secret.updated`. */
export function written(
  record: SecretRecord,
  old: SecretRecord | undefined,
  origin: Origin,
  isRotation = false,
): EventDraft {
  if (old === undefined)
    return aboutSecret("secret.created", record, origin, {
      version: record.version,
      secret_type: record.secretType,
      created_by: origin.identityId,
      tags: tagsOf(record),
      expires_at: iso(record.expiresAt),
    });
  return aboutSecret("secret.updated", record, origin, {
    old_version: old.version,
    new_version: record.version,
    updated_by: origin.identityId,
    is_rotation: isRotation,
  });
}

/** `secret.updated` for a change of metadata alone. */
export function metadataChanged(record: SecretRecord, origin: Origin): EventDraft {
  return aboutSecret("secret.updated", record, origin, {
    old_version: record.version,
    new_version: record.version,
    updated_by: origin.identityId,
    is_rotation: false,
    metadata_only: true,
  });
}

/** `secret.deleted`; `recoverable_until` is there for a soft delete only. */
export function deleted(record: SecretRecord, versionCount: number, permanent: boolean, origin: Origin): EventDraft {
  return aboutSecret("secret.deleted", record, origin, {
    version_count: versionCount,
    deleted_by: origin.identityId,
    permanent,
    ...(permanent ? {} : { recoverable_until: iso(record.recoverableUntil) }),
  });
}

/** `secret.accessed`: a value was read. */
export function accessed(record: SecretRecord, version: number, origin: Origin): EventDraft {
  return aboutSecret("secret.accessed", record, origin, { version, accessed_by: origin.identityId });
}
