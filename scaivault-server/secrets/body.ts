import { z } from "zod";
import { DATA_MAX_BYTES, DEFAULT_SECRET_TYPE, TAG_LIMITS } from "../assumptions.ts";
import { ApiError, validationError } from "../errors.ts";
import { rawMembers } from "../json/raw-json.ts";
import type { RawObject } from "../json/raw-json.ts";
import { durationMs } from "./duration.ts";

/** The secret types of the documentation; a hint only. [core-concepts/secrets] */
const secretTypes = ["kv", "json", "certificate", "ssh_key", "api_key"];

const isObject = (value: unknown): value is object =>
  typeof value === "object" && value !== null && !Array.isArray(value);

const metadata = z.looseObject({
  description: z.string().nullish(),
  tags: z.array(z.string().max(TAG_LIMITS.mostCharacters)).max(TAG_LIMITS.most).nullish(),
  owner: z.string().nullish(),
});

const putBody = z.object({
  // Only its kind is looked at here: the value itself stays source text.
  data: z.custom<object>(isObject, "must be an object"),
  secret_type: z.string().default(DEFAULT_SECRET_TYPE),
  metadata: metadata.optional(),
  options: z
    .object({
      max_versions: z.int().min(1).optional(),
      expires_in: z.string().nullable().optional(),
      notify_before: z.array(z.string()).max(20).optional(),
      rotation_policy_id: z.string().nullable().optional(),
      cas: z.int().min(0).optional(),
    })
    .optional(),
});

const patchBody = z.object({ metadata });

/** What a PUT asks for. `undefined` keeps what is stored. */
export interface WriteInput {
  /** JSON source text of an object. */
  readonly data: string;
  readonly secretType: string;
  readonly metadata: RawObject | undefined;
  readonly maxVersions: number | undefined;
  /** ms from now, null for never. */
  readonly expiresInMs: number | null | undefined;
  readonly rotationPolicyId: string | null | undefined;
  /** Thresholds before the expiry, as written. */
  readonly notifyBefore?: readonly string[] | undefined;
  /** Version that must be the current one, 0 for none. */
  readonly cas: number | undefined;
}

/** @throws ApiError `invalid_request` when `text` is not a JSON object. */
export function parseObject(text: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // The parser's message quotes the text, so it goes nowhere.
    throw new ApiError("invalid_request", "the body is not JSON");
  }
  if (!isObject(value)) throw new ApiError("invalid_request", "the body is not a JSON object");
  return value as Record<string, unknown>;
}

/** Checks `value`; problems become `422 validation_error` with one line per field and no values. */
export function checkBody<T>(schema: z.ZodType<T>, value: unknown): T {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const fields: Record<string, string> = {};
  for (const issue of parsed.error.issues)
    fields[issue.path.join(".") || "body"] = issue.code === "custom" ? issue.message : issue.code;
  throw validationError(fields);
}

/** @throws ApiError for every way a PUT body can be wrong. */
export function parseWrite(text: string): WriteInput {
  const body = checkBody(putBody, parseObject(text));
  if (!secretTypes.includes(body.secret_type)) throw new ApiError("invalid_secret_type", "not a secret type");
  const members = rawMembers(text);
  const data = members.get("data") ?? "{}";
  if (Buffer.byteLength(data) > DATA_MAX_BYTES) throw validationError({ data: "too_big" });
  const metadataText = body.metadata === undefined ? undefined : members.get("metadata");
  const expiresIn = body.options?.expires_in;
  for (const threshold of body.options?.notify_before ?? []) durationMs(threshold);
  return {
    data,
    secretType: body.secret_type,
    metadata: metadataText === undefined ? undefined : rawMembers(metadataText),
    maxVersions: body.options?.max_versions,
    expiresInMs: typeof expiresIn === "string" ? durationMs(expiresIn) : expiresIn,
    rotationPolicyId: body.options?.rotation_policy_id,
    notifyBefore: body.options?.notify_before,
    cas: body.options?.cas,
  };
}

/** The metadata members of a PATCH body. */
export function parsePatch(text: string): RawObject {
  checkBody(patchBody, parseObject(text));
  return rawMembers(rawMembers(text).get("metadata") ?? "{}");
}
