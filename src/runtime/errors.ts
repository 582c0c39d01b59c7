/**
 * Errors of calls to the API server.
 *
 * The server's own text is dropped on the way in: for Secrets it quotes values (a failed patch quotes the whole object), and
 * nobody can tell later which text is harmless. What stays are codes and field names.
 */

/** A field that the server named in a refusal, with its machine-readable reason (`FieldValueInvalid`, `FieldManagerConflict`). */
export interface StatusField {
  readonly field: string;
  readonly reason: string;
}

/** The API server answered with an error. */
export class ApiStatusError extends Error {
  override readonly name = "ApiStatusError";
  /** HTTP code. */
  readonly code: number;
  /** `reason` of the Status object (`Conflict`, `Forbidden`, `Expired`), or `Unknown`. */
  readonly reason: string;
  /** What the server asked to wait, in ms, clamped to 0 .. 15 minutes; absent when it did not ask. */
  readonly retryAfterMs?: number;
  /** At most 16 fields that the server complained about. */
  readonly fields: readonly StatusField[];

  constructor(code: number, reason: string, fields: readonly StatusField[] = [], retryAfterMs?: number) {
    super(`API server answered ${code} ${reason}`);
    this.code = code;
    this.reason = reason;
    this.fields = fields;
    if (retryAfterMs !== undefined) this.retryAfterMs = retryAfterMs;
  }
}

/** How a call failed without an answer of the API server. */
export type ConnectionFailure =
  "timeout" | "refused" | "reset" | "dns" | "tls" | "aborted" | "badResponse" | "tooLarge" | "credentials" | "other";

/** No usable answer came. */
export class ApiConnectionError extends Error {
  override readonly name = "ApiConnectionError";
  readonly kind: ConnectionFailure;
  /** True when the request may have reached the server, so that a write may have happened. */
  readonly sent: boolean;

  constructor(kind: ConnectionFailure, sent: boolean) {
    super(`call to the API server failed: ${kind}`);
    this.kind = kind;
    this.sent = sent;
  }
}

const maxRetryAfterMs = 15 * 60_000;
const maxFields = 16;

/** A word of the server: letters, digits and the punctuation of field paths, cut to 256 characters. Anything else is hidden. */
function word(value: unknown, fallback: string): string {
  if (typeof value !== "string" || value === "") return fallback;
  const cut = value.slice(0, 256);
  return /^[\w.[\]/:"' -]+$/.test(cut) ? cut : fallback;
}

function own(value: unknown, key: string): unknown {
  return typeof value === "object" && value !== null && Object.hasOwn(value, key)
    ? (value as Record<string, unknown>)[key]
    : undefined;
}

/**
 * Reads `Retry-After` (seconds or an HTTP date) in ms, clamped to 0 .. 15 minutes.
 * @param nowMs wall clock, for the date form
 */
export function parseRetryAfter(header: unknown, nowMs: number): number | undefined {
  const text: unknown = Array.isArray(header) ? header[0] : header;
  if (typeof text !== "string" || text.trim() === "") return undefined;
  const seconds = Number(text);
  const ms = Number.isNaN(seconds) ? Date.parse(text) - nowMs : seconds * 1000;
  if (Number.isNaN(ms)) return undefined;
  return Math.min(Math.max(ms, 0), maxRetryAfterMs);
}

/**
 * Makes an error from an answer, or from the object of an ERROR event of a watch.
 * @param code HTTP code; for events taken from the Status when it has one
 * @param body parsed body, of whatever shape
 */
export function statusError(code: number, body: unknown, retryAfterMs?: number): ApiStatusError {
  const details = own(body, "details");
  const causes = own(details, "causes");
  const fields = (Array.isArray(causes) ? causes.slice(0, maxFields) : []).map((cause: unknown) => ({
    field: word(own(cause, "field"), "?"),
    reason: word(own(cause, "reason"), "Unknown"),
  }));
  const detailSeconds = own(details, "retryAfterSeconds");
  const wait =
    retryAfterMs ??
    (typeof detailSeconds === "number" && detailSeconds > 0
      ? Math.min(detailSeconds * 1000, maxRetryAfterMs)
      : undefined);
  return new ApiStatusError(code, word(own(body, "reason"), "Unknown"), fields, wait);
}

function hasCode(error: unknown, ...codes: number[]): boolean {
  return error instanceof ApiStatusError && codes.includes(error.code);
}

/** 404. */
export const isNotFound = (error: unknown): boolean => hasCode(error, 404);
/** 409: another writer was first, a precondition failed, or the object exists. */
export const isConflict = (error: unknown): boolean => hasCode(error, 409);
/** 409 because something with that name exists. */
export const isAlreadyExists = (error: unknown): boolean =>
  error instanceof ApiStatusError && error.code === 409 && error.reason === "AlreadyExists";
/** 401. */
export const isUnauthorized = (error: unknown): boolean => hasCode(error, 401);
/** 403. */
export const isForbidden = (error: unknown): boolean => hasCode(error, 403);
/** 422 or 400: the object is refused as it is. */
export const isInvalid = (error: unknown): boolean => hasCode(error, 400, 422);
/** 429. */
export const isTooManyRequests = (error: unknown): boolean => hasCode(error, 429);
/** 410, or `Expired`: the resource version or continue token is too old. */
export const isGone = (error: unknown): boolean =>
  hasCode(error, 410) || (error instanceof ApiStatusError && error.reason === "Expired");
/** The caller's own signal ended the call. */
export const isAborted = (error: unknown): boolean => error instanceof ApiConnectionError && error.kind === "aborted";
/** Waiting may help: no answer, 429, or 5xx. */
export const isTransient = (error: unknown): boolean =>
  error instanceof ApiConnectionError
    ? error.kind !== "aborted"
    : error instanceof ApiStatusError && (error.code === 429 || error.code >= 500);

/** What the server asked to wait in ms, 0 when it did not ask. */
export function retryAfterOf(error: unknown): number {
  return error instanceof ApiStatusError ? (error.retryAfterMs ?? 0) : 0;
}

const connectionCodes: ReadonlyMap<string, ConnectionFailure> = new Map([
  ["ECONNREFUSED", "refused"],
  ["ECONNRESET", "reset"],
  ["EPIPE", "reset"],
  ["UND_ERR_SOCKET", "reset"],
  ["UND_ERR_CLOSED", "reset"],
  ["UND_ERR_DESTROYED", "reset"],
  ["UND_ERR_CONNECT_TIMEOUT", "timeout"],
  ["UND_ERR_HEADERS_TIMEOUT", "timeout"],
  ["UND_ERR_BODY_TIMEOUT", "timeout"],
  ["ETIMEDOUT", "timeout"],
  ["EHOSTUNREACH", "refused"],
  ["ENETUNREACH", "refused"],
  ["ENOTFOUND", "dns"],
  ["EAI_AGAIN", "dns"],
  ["UNABLE_TO_VERIFY_LEAF_SIGNATURE", "tls"],
  ["SELF_SIGNED_CERT_IN_CHAIN", "tls"],
  ["DEPTH_ZERO_SELF_SIGNED_CERT", "tls"],
  ["UNABLE_TO_GET_ISSUER_CERT", "tls"],
  ["UNABLE_TO_GET_ISSUER_CERT_LOCALLY", "tls"],
  ["CERT_HAS_EXPIRED", "tls"],
  ["CERT_NOT_YET_VALID", "tls"],
  ["CERT_SIGNATURE_FAILURE", "tls"],
  ["UND_ERR_RES_EXCEEDED_MAX_SIZE", "tooLarge"],
]);

/** Failures at which the request cannot have reached the server. */
const unsent: ReadonlySet<ConnectionFailure> = new Set(["refused", "dns", "tls", "credentials"]);

/** Sorts an error of the HTTP client by its code alone; its text and cause are dropped. */
export function connectionError(error: unknown): ApiConnectionError {
  if (error instanceof ApiConnectionError) return error;
  const code = own(error, "code");
  const name = error instanceof Error ? error.name : "";
  if (name === "AbortError" || name === "TimeoutError" || code === "UND_ERR_ABORTED") {
    return new ApiConnectionError(name === "TimeoutError" ? "timeout" : "aborted", true);
  }
  const text = typeof code === "string" ? code : "";
  const kind =
    connectionCodes.get(text) ?? (text.startsWith("ERR_TLS") || text.startsWith("ERR_SSL") ? "tls" : "other");
  const connectTimeout = text === "UND_ERR_CONNECT_TIMEOUT";
  return new ApiConnectionError(kind, !unsent.has(kind) && !connectTimeout);
}
