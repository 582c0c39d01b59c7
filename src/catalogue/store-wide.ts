import type { SyncError } from "../errors/index.ts";

/** Errors that say something of the store or the login. One that is unavailable with a code concerns that secret alone. */
export function isStoreWide(error: SyncError): boolean {
  if (error.reason === "SourceUnavailable") return error.code === undefined;
  return ["SourceSealed", "LoginFailed", "RateLimited"].includes(error.reason);
}
