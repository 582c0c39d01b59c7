import { SyncError } from "../../errors/index.ts";
import { ApiConnectionError, ApiStatusError } from "../../runtime/index.ts";
import { FENCE, TAKEN } from "../fence.ts";

/** The Secret moved since it was observed; nothing was written. */
export function fenceError(action: string, what: string): SyncError {
  return new SyncError("Conflict", `the Secret ${what} since it was looked at; nothing was written`, {
    action,
    code: FENCE,
  });
}

/** It was assumed to be absent and is not; nothing was written. */
export function takenError(action: string): SyncError {
  return new SyncError("Conflict", "the Secret exists already; nothing was written", { action, code: TAKEN });
}

export function notOwned(name: string, why: string, action: string): SyncError {
  return new SyncError("NotOwned", `Secret ${name} ${why}`, { action });
}

/** What the caller does when a call to the API server fails; the server's text is gone already, codes and fields are left. */
export function kubeError(error: unknown, action: string, verb: string): unknown {
  if (error instanceof ApiConnectionError) {
    // The caller's own signal ended it: its reason says why.
    if (error.kind === "aborted") return error;
    return new SyncError("WriteRefused", `the API server cannot be reached (${error.kind})`, {
      action,
      code: error.kind,
    });
  }
  if (!(error instanceof ApiStatusError)) return error;
  const options = {
    action,
    code: `${error.code} ${error.reason}`,
    ...(error.retryAfterMs === undefined ? {} : { retryAfterMs: error.retryAfterMs }),
  };
  if (error.fields.some((field) => field.reason === "NamespaceTerminating")) {
    return new SyncError("NamespaceTerminating", "the namespace is being deleted", options);
  }
  if (error.code === 403) {
    return new SyncError("WriteRefused", `the API server forbids the operator to ${verb} Secrets here`, {
      ...options,
      right: `secrets: ${verb}`,
    });
  }
  if (error.code === 409) return fenceError(action, "was changed by somebody else");
  if (error.code === 422) return invalidError(error, options);
  if (error.code === 413)
    return new SyncError("ValueTooLarge", "the Secret is larger than the API server takes", options);
  return new SyncError("WriteRefused", `the API server answered ${error.code} ${error.reason}`, options);
}

function invalidError(error: ApiStatusError, options: { readonly action: string; readonly code: string }): SyncError {
  const named = (field: string): boolean => error.fields.some((one) => one.field === field);
  if (named("metadata.uid")) return fenceError(options.action, "was replaced by another of the same name");
  if (named("type")) {
    return new SyncError("ImmutableType", "the Secret exists with another type, and a type cannot change", options);
  }
  if (error.fields.some((one) => one.field === "data" && one.reason === "FieldValueForbidden")) {
    return new SyncError("WriteRefused", "the Secret is marked immutable", options);
  }
  if (error.fields.some((one) => one.field === "data" && one.reason === "FieldValueTooLong")) {
    return new SyncError("ValueTooLarge", "the Secret would be larger than 1 MiB", options);
  }
  const fields = error.fields.map((one) => one.field).join(", ");
  return new SyncError(
    "WriteRefused",
    `the API server refuses the Secret${fields === "" ? "" : ` (${fields})`}`,
    options,
  );
}

/** Runs one step; errors of the API client become SyncErrors without the server's text. */
export async function attempt<T>(
  action: string,
  verb: string,
  signal: AbortSignal,
  step: () => Promise<T>,
): Promise<T> {
  try {
    return await step();
  } catch (error) {
    signal.throwIfAborted();
    throw kubeError(error, action, verb);
  }
}
