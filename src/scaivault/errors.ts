import * as z from "zod";
import { type Reason, SyncError } from "../errors/index.ts";
import { clampRetryAfter } from "../net/index.ts";

/** Longest wait that any hint of a server may cause, in milliseconds. */
export const MAX_RETRY_AFTER_MS = 15 * 60_000;

/** What was asked, for messages: shown to people, so no token and no value belongs into it. */
export interface CallDescription {
  /** Such as `read environments/production/stripe` or `read metadata`. */
  readonly action: string;
  /** The scope that the call needs, such as `secrets:read`. */
  readonly scope?: string;
}

/** An answer with an error status, reduced to what may be branched on. */
export interface ErrorAnswer {
  readonly status: number;
  readonly code: string;
  /** Names of bad fields of a `validation_error`, only such that look like field names. */
  readonly fields: readonly string[];
  readonly retryAfterMs: number | undefined;
}

const envelope = z.object({
  error: z.object({
    code: z.string(),
    details: z.unknown().optional(),
  }),
});
const fieldName = /^[a-z0-9_.[\]]{1,64}$/;

/**
 * Reads the error envelope; whatever is unreadable counts as no code. The message is never kept: it may quote the request.
 * @param body the answer's text; may be anything
 */
export function readErrorAnswer(
  status: number,
  body: Uint8Array,
  retryAfter: string | undefined,
  nowMs: number,
): ErrorAnswer {
  let parsed: unknown;
  try {
    parsed = JSON.parse(Buffer.from(body).toString("utf8"));
  } catch {
    parsed = undefined;
  }
  const known = envelope.safeParse(parsed);
  const code = known.success && /^[a-z0-9_]{1,64}$/.test(known.data.error.code) ? known.data.error.code : "";
  const details = known.success ? known.data.error.details : undefined;
  const detailSeconds = own(details, "retry_after");
  const wait =
    clampRetryAfter(retryAfter, nowMs) ??
    (typeof detailSeconds === "number" ? clampWait(detailSeconds * 1000) : undefined);
  return { status, code, fields: fieldNames(own(details, "fields")), retryAfterMs: wait };
}

function own(value: unknown, key: string): unknown {
  return typeof value === "object" && value !== null && Object.hasOwn(value, key)
    ? (value as Record<string, unknown>)[key]
    : undefined;
}

/** Field names out of `details.fields`, whose shape is not documented: an object by field, or an array of names or objects. */
function fieldNames(fields: unknown): readonly string[] {
  if (typeof fields !== "object" || fields === null) return [];
  const names: unknown[] = Array.isArray(fields)
    ? fields.slice(0, 16).map((entry: unknown) => (typeof entry === "string" ? entry : own(entry, "field")))
    : Object.keys(fields).slice(0, 16);
  return names.filter((name): name is string => typeof name === "string" && fieldName.test(name));
}

function clampWait(ms: number): number | undefined {
  return Number.isNaN(ms) ? undefined : Math.min(Math.max(ms, 0), MAX_RETRY_AFTER_MS);
}

const tokenCodes: ReadonlySet<string> = new Set([
  "authentication_required",
  "token_expired",
  "token_invalid",
  "token_revoked",
]);
/** Codes after which a fresh token may help (API facts 2.3). */
export const renewableCodes: ReadonlySet<string> = new Set(["token_expired", "token_invalid", "token_revoked"]);

/** The one code after which the same call is tried once more at once, when that is harmless (API facts 2.11). */
export const ONCE_MORE = "internal_error";

/** The request itself is refused: sent again it would be refused again. */
const refusals: ReadonlySet<string> = new Set([
  "validation_error",
  "invalid_request",
  "invalid_secret_type",
  "invalid_duration",
  "invalid_policy",
  "invalid_glob",
  "invalid_config",
]);

/** What a missing right is called in the message. */
const denials: ReadonlyMap<string, string> = new Map([
  ["mfa_required", "ScaiVault asks this identity for a second factor"],
  ["ip_not_allowed", "ScaiVault does not allow this network address"],
  ["time_window_violation", "a policy of ScaiVault does not allow this time of day"],
  ["tenant_access_denied", "the identity may not use this tenant"],
  ["tenant_not_found", "ScaiVault knows no such tenant"],
]);

/** The error that an answer stands for (API facts 2.11); unknown codes are sorted by status. */
export function answerError(call: CallDescription, answer: ErrorAnswer): SyncError {
  const { status, code, retryAfterMs } = answer;
  const options = {
    action: call.action,
    code: code === "" ? `HTTP ${status}` : code,
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  };
  const special = bySpecialCode(call, answer, options);
  if (special !== undefined) return special;
  if (status === 429) {
    return new SyncError("RateLimited", "ScaiVault asks to slow down", {
      ...options,
      retryAfterMs: retryAfterMs ?? 5000,
    });
  }
  if (status === 401 || tokenCodes.has(code)) {
    return new SyncError("ScaiVaultDenied", "ScaiVault refuses the operator's token", options);
  }
  if (status === 403 || denials.has(code)) return denied(call, code, options);
  if (status >= 300 && status < 400) return redirected(status, options);
  const shown = code === "" ? `HTTP ${status}` : `${code}, HTTP ${status}`;
  return new SyncError(otherReason(answer), `ScaiVault answered ${shown} (${call.action})`, options);
}

/**
 * By status: 408 and 5xx pass, other 4xx do not. 404 without a code of ScaiVault's is no absence: a wrong address or a proxy
 * answers so. A cursor that is not taken any more is no fault of anybody: the next listing begins anew.
 */
function otherReason({ status, code }: ErrorAnswer): Reason {
  if (status === 408 || status >= 500 || code === "invalid_cursor") return "ScaiVaultUnavailable";
  return status === 404 && !code.endsWith("_not_found") ? "ScaiVaultUnavailable" : "ScaiVaultDenied";
}

function redirected(status: number, options: ErrorOptions): SyncError {
  const text = `ScaiVault's address answers with a redirect (HTTP ${status}), which is not followed; mend scaivault.url`;
  return new SyncError("ScaiVaultUnavailable", text, options);
}

type ErrorOptions = ConstructorParameters<typeof SyncError>[2];

function bySpecialCode(call: CallDescription, answer: ErrorAnswer, options: ErrorOptions): SyncError | undefined {
  if (refusals.has(answer.code)) return refusedField(call, answer, options);
  switch (answer.code) {
    case "invalid_path":
      return new SyncError("InvalidPath", `ScaiVault does not take this path (${call.action})`, options);
    case "secret_exists":
      return new SyncError(
        "TargetSoftDeleted",
        `the path is soft-deleted in ScaiVault and still retained (${call.action})`,
        options,
      );
    case "federated_path_read_only":
      return new SyncError(
        "ReadOnlyPath",
        `ScaiVault reads the path through from a federated store, so it cannot be written (${call.action})`,
        options,
      );
    case "version_conflict":
      return new SyncError("TargetChanged", `another writer was at work at the same time (${call.action})`, options);
    case "version_not_found":
      return new SyncError("VersionNotFound", `ScaiVault has no such version (${call.action})`, options);
    default:
      return undefined;
  }
}

function refusedField(call: CallDescription, answer: ErrorAnswer, options: ErrorOptions): SyncError {
  const field = answer.fields[0];
  if (field?.startsWith("data") === true) {
    return new SyncError("NotRepresentable", `ScaiVault refuses the value (${answer.code} at ${field})`, options);
  }
  if (field?.startsWith("metadata") === true && answer.fields.every((name) => !/tags|owner|description/.test(name))) {
    return new SyncError("NoRoomForMark", `ScaiVault refuses the mark (${answer.code} at ${field})`, options);
  }
  const where = answer.fields.length === 0 ? "" : ` at ${answer.fields.join(", ")}`;
  return new SyncError(
    "InvalidSpec",
    `ScaiVault refuses the request: ${answer.code}${where} (${call.action})`,
    options,
  );
}

function denied(call: CallDescription, code: string, options: ErrorOptions): SyncError {
  const right = call.scope === undefined ? {} : { right: call.scope };
  const why = denials.get(code);
  if (why !== undefined) return new SyncError("ScaiVaultDenied", `${why} (${call.action})`, options);
  const needs =
    call.scope === undefined
      ? "this call"
      : code === "insufficient_scope"
        ? `scope ${call.scope}`
        : `scope ${call.scope} and a policy rule for the path`;
  return new SyncError("ScaiVaultDenied", `the operator's identity needs ${needs} (${call.action})`, {
    ...options,
    ...right,
  });
}
