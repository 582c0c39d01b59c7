import { SyncError } from "../errors/index.ts";
import type { SecretPayload } from "../model/index.ts";

/** @throws SyncError SourceEmpty when there is nothing in it: no bytes, or an object without keys */
export function refuseEmpty(payload: SecretPayload, action: string): SecretPayload {
  if (payload.raw.length === 0 || (payload.form === "Object" && payload.keys.size === 0))
    throw new SyncError("SourceEmpty", "the secret has no value", { action });
  return payload;
}
