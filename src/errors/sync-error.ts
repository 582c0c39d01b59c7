import { type Reason, type ReasonKind, reasons } from "./reasons.ts";
import { cleanText } from "./clean.ts";

/** What a {@link SyncError} may carry besides reason and message. */
export interface SyncErrorOptions {
  /** What was being done, such as `read prod/billing/stripe`. */
  readonly action?: string;
  /** The right that is missing, such as `secretsmanager:GetSecretValue`. */
  readonly right?: string;
  /** How long the other side asks to wait, in milliseconds. */
  readonly retryAfterMs?: number;
  /** A short, stable code of the other side, such as `ThrottlingException` or `secret_not_found`. */
  readonly code?: string;
  /** Detail for the operator's own log only (never status): an allow-listed text such as `ECONNREFUSED`. */
  readonly detail?: string;
}

/**
 * The one error type of the operator. `message` is safe for status, events and logs: it never holds foreign error text,
 * and it is cleaned of control characters and capped at 256 characters. There is no `cause`: foreign errors may quote
 * values, so they are classified by code where they are caught and then dropped.
 */
export class SyncError extends Error {
  override readonly name = "SyncError";
  readonly reason: Reason;
  readonly action: string | undefined;
  readonly right: string | undefined;
  readonly retryAfterMs: number | undefined;
  readonly code: string | undefined;
  readonly detail: string | undefined;

  constructor(reason: Reason, message: string, options: SyncErrorOptions = {}) {
    super(cleanText(message));
    this.reason = reason;
    this.action = options.action === undefined ? undefined : cleanText(options.action);
    this.right = options.right === undefined ? undefined : cleanText(options.right);
    this.retryAfterMs = options.retryAfterMs;
    this.code = options.code === undefined ? undefined : cleanText(options.code, 64);
    this.detail = options.detail === undefined ? undefined : cleanText(options.detail, 128);
  }

  /** Who can mend it. */
  get kind(): ReasonKind {
    return reasons[this.reason].kind;
  }

  /** One sentence that says what to do. */
  get hint(): string {
    return reasons[this.reason].hint;
  }
}

/** The same failure as others may be told of it who asked for something else: without what was being done. */
export function withoutAction(error: SyncError): SyncError {
  const { reason, message, action, retryAfterMs, code, detail } = error;
  if (action === undefined || !message.includes(action)) return error;
  const shown = message.replace(` (${action})`, "").replaceAll(action, "the call");
  return new SyncError(reason, shown, {
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    ...(code === undefined ? {} : { code }),
    ...(detail === undefined ? {} : { detail }),
  });
}

/** The error as a SyncError; anything foreign becomes `Unexpected` without its text, which may quote values. */
export function toSyncError(error: unknown, action?: string): SyncError {
  if (error instanceof SyncError) return error;
  const code = errorCode(error);
  return new SyncError("Unexpected", "an unexpected error; see the operator's log", {
    ...(action === undefined ? {} : { action }),
    ...(code === undefined ? {} : { code }),
    detail: error instanceof Error ? error.name : typeof error,
  });
}

/** How many causes deep a code is looked for; causes may go round. */
const MAX_CAUSES = 8;

/** The `code` of a foreign error when it is a plain identifier, such as `ECONNRESET` or `UND_ERR_SOCKET`. */
export function errorCode(error: unknown, depth = 0): string | undefined {
  if (typeof error !== "object" || error === null || depth > MAX_CAUSES) return undefined;
  const own = (error as { code?: unknown }).code;
  if (typeof own === "string" && /^[A-Z][A-Z0-9_]{2,40}$/.test(own)) return own;
  const cause = (error as { cause?: unknown }).cause;
  return cause === undefined ? undefined : errorCode(cause, depth + 1);
}
