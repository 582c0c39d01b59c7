import { toNetError } from "../../src/net/index.ts";
import { ApiError } from "../errors.ts";
import { PROXY_DOWN } from "../assumptions.ts";

/**
 * Why a call to a store failed. It is also `last_error` of a backend's status, so it never carries a word of the store.
 *
 * `unreachable`, `timeout`, `throttled` and `unavailable` (the store's own failure, or a sealed Vault) pass by themselves;
 * the others need somebody.
 */
export type FailureCode =
  | "unreachable"
  | "timeout"
  | "throttled"
  | "unavailable"
  | "tls_failed"
  | "credentials_missing"
  | "credentials_refused"
  | "access_denied"
  | "not_found"
  | "value_too_large"
  | "bad_answer";

/** A failed call to a store. The message is ours. */
export class StoreFailure extends Error {
  readonly code: FailureCode;

  constructor(code: FailureCode) {
    super(`the store's call failed: ${code}`);
    this.name = "StoreFailure";
    this.code = code;
  }
}

const passing: readonly FailureCode[] = ["unreachable", "timeout", "throttled", "unavailable"];

/** Whether nothing is known of the store: a connection problem rather than an answer. */
export function isAway(code: FailureCode): boolean {
  return passing.includes(code);
}

/** The failure of a transport error. */
export function transportFailure(error: unknown): StoreFailure {
  if (error instanceof StoreFailure) return error;
  const name = error instanceof Error ? error.name : "";
  if (name === "TimeoutError" || name === "AbortError") return new StoreFailure("timeout");
  const { kind } = toNetError(error);
  if (kind === "Timeout") return new StoreFailure("timeout");
  if (kind === "TLS") return new StoreFailure("tls_failed");
  if (kind === "TooLarge" || kind === "BadResponse") return new StoreFailure("bad_answer");
  return new StoreFailure("unreachable");
}

/** What a caller of a proxied path is told. */
export function asApiError(failure: StoreFailure, backendId: string): ApiError {
  const away = isAway(failure.code);
  return new ApiError(
    away ? PROXY_DOWN.away : PROXY_DOWN.refuses,
    away ? "the federated backend is away" : "the federated backend refuses",
    {
      details: { backend: backendId, reason: failure.code },
      ...(failure.code === "throttled" ? { headers: { "Retry-After": "1" } } : {}),
    },
  );
}
