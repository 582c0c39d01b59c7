import { type Reason, SyncError } from "../../errors/index.ts";
import { clampRetryAfter } from "../../net/index.ts";
import { trouble } from "../limits.ts";
import type { VaultAnswer } from "./api.ts";

type Json = Readonly<Record<string, unknown>>;

/** The body as an object; `{}` when it is none. Parse errors quote the text and are dropped. */
export function bodyOf(answer: VaultAnswer): Json {
  return objectOf(parse(answer.text));
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

/** A value as an object; `{}` when it is none. */
export function objectOf(value: unknown): Json {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Json) : {};
}

/** `errors` of a body in one lower-case text, for classification only; it is never shown. */
export function errorText(answer: VaultAnswer): string {
  const errors = bodyOf(answer)["errors"];
  return Array.isArray(errors)
    ? errors
        .filter((error) => typeof error === "string")
        .join("\n")
        .toLowerCase()
    : "";
}

/** The store as a whole does not answer as Vault would. */
export function unusable(action: string, detail: string): SyncError {
  return new SyncError("SourceUnavailable", "the store cannot be reached", { action, detail });
}

/**
 * The store-wide error that a status means, or undefined when the status speaks of the thing that was asked for
 * (200, 204, 400, 403, 404, 405, 412, 500).
 * @param throttled told of 429 with Vault's advice; returns the pause
 */
export function storeWide(
  answer: VaultAnswer,
  action: string,
  nowMs: number,
  throttled: (adviceMs: number | undefined) => number,
): SyncError | undefined {
  const { status } = answer;
  if ([200, 204, 400, 403, 404, 405, 412, 500].includes(status)) return undefined;
  if (status === 429) {
    const retryAfterMs = throttled(clampRetryAfter(answer.headers["retry-after"], nowMs));
    return new SyncError("RateLimited", "Vault asks to slow down", { action, code: "429", retryAfterMs });
  }
  if (status === 503 && errorText(answer).includes("sealed"))
    return new SyncError("SourceSealed", "Vault is sealed", { action, code: "503" });
  return unusable(action, `HTTP ${status}`);
}

/** The error of one path for 400, 403, 404, 405 and 500; `right` such as `read on kv/data/app`. */
export function pathError(answer: VaultAnswer, action: string, right: string): SyncError {
  const code = String(answer.status);
  const make = (reason: Reason, message: string): SyncError => new SyncError(reason, message, { action, code });
  switch (answer.status) {
    case 403:
      return new SyncError("AccessDenied", `Vault denies ${right}`, { action, code, right });
    case 404:
      return make("SourceNotFound", "there is no such secret");
    case 400:
      // Also said of a mount that is just being upgraded from v1 to v2, which is not the path's fault.
      if (!errorText(answer).includes("path") || errorText(answer).includes("upgrading")) return trouble(action, code);
      return make("InvalidPath", "Vault refuses the path");
    case 405:
      return make("UnsupportedMount", "the mount does not take this request");
    default:
      return trouble(action, code);
  }
}
