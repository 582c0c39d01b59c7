import { z } from "zod";
import { ApiError } from "../errors.ts";
import { checkBody } from "../secrets/body.ts";
import type { StoreContent } from "../store/content.ts";
import type { Owner, Store } from "../store/store.ts";

/** Backups: everything that the store keeps as one JSON text. They hold all values, unencrypted. */

const format = "scaivault-reference-server-backup";
const formatVersion = 1;

const whole = z.int();
const owner = z
  .string()
  .regex(/^(?:tenant|partner):./)
  .transform((text) => text as Owner);
const event = z.object({
  sequence: whole,
  id: z.string(),
  owner,
  type: z.string(),
  path: z.string().nullable(),
  body: z.string(),
});
const record = z.object({
  owner,
  path: z.string(),
  version: whole,
  secretType: z.string(),
  metadata: z.string(),
  maxVersions: whole,
  createdAt: whole,
  updatedAt: whole,
  expiresAt: whole.nullable(),
  lastAccessedAt: whole.nullable(),
  recoverableUntil: whole.nullable(),
});
const version = z.object({
  version: whole,
  secretType: z.string(),
  createdAt: whole,
  createdBy: z.string(),
  data: z.string(),
});
const schema = z.object({
  format: z.literal(format),
  version: z.literal(formatVersion),
  content: z.object({
    secrets: z.array(z.object({ record, versions: z.array(version) })),
    audit: z.array(z.looseObject({ sequence: whole, id: z.string(), tenantId: z.string() })),
    objects: z.array(z.object({ kind: z.string(), id: z.string(), json: z.string() })),
    events: z.array(event),
    queued: z.array(z.object({ queue: z.string(), event })),
    backends: z.array(
      z.object({
        record: z.looseObject({ id: z.string(), name: z.string(), tenantId: z.string() }),
        paths: z.array(z.looseObject({ backendId: z.string(), path: z.string() })),
      }),
    ),
  }),
});

/** The text of a backup. @param now ms since the epoch. */
export function backupOf(store: Store, now: number): string {
  const createdAt = new Date(now).toISOString();
  return `${JSON.stringify({ format, version: formatVersion, created_at: createdAt, content: store.content() })}\n`;
}

/**
 * Replaces everything that the store keeps; nothing changes when the text is no backup.
 * @throws ApiError `invalid_request` or `validation_error`, without a word of the text.
 */
export function restoreInto(store: Store, text: string): void {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new ApiError("invalid_request", "the backup is not JSON");
  }
  const { content } = checkBody(schema, value);
  store.replace(content as unknown as StoreContent);
}
