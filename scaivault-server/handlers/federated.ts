/** What the endpoints of secrets answer on paths that a federation backend has. */
import { ApiError } from "../errors.ts";
import type { RemoteInfo, RemoteSecret } from "../federation/remote.ts";
import type { Claim } from "../federation/service.ts";
import type { Call } from "../http/call.ts";
import { RawJson } from "../json/raw-json.ts";
import { timestamp } from "../secrets/service.ts";

const orNull = (ms: number | null): string | null => (ms === null ? null : timestamp(ms));

/** The backend that has a path in proxy mode. */
export function proxied(call: Call, path: string): Claim | undefined {
  const claim = call.app.federation.find(call.owner, path);
  return claim?.backend.record.mode === "proxy" ? claim : undefined;
}

/** @throws ApiError `federated_path_read_only` when a path belongs to its backend. */
export function refuseFederated(call: Call, path: string): void {
  const record = call.app.federation.find(call.owner, path)?.backend.record;
  if (record === undefined || (record.mode === "sync" && record.conflictResolution !== "remote_wins")) return;
  throw new ApiError("federated_path_read_only", "the path belongs to a federation backend", {
    details: { path, backend: record.id },
  });
}

/** A proxied secret without its value, as listings answer it. */
export function proxiedWithoutData(path: string, info: RemoteInfo): Record<string, unknown> {
  return {
    path,
    secret_type: "json",
    version: info.version,
    metadata: metadataOf(info),
    created_at: orNull(info.createdAt),
    updated_at: orNull(info.updatedAt),
    expires_at: null,
    rotation_policy_id: null,
  };
}

export function metadataOf({ tags }: RemoteInfo): Record<string, unknown> {
  return tags.length === 0 ? {} : { tags };
}

/** A proxied secret with its value. */
export function proxiedSecret(path: string, secret: RemoteSecret): Record<string, unknown> {
  return {
    path,
    secret_type: secret.secretType,
    version: secret.version,
    metadata: {},
    created_at: orNull(secret.createdAt),
    updated_at: orNull(secret.createdAt),
    expires_at: null,
    rotation_policy_id: null,
    data: new RawJson(secret.data),
    last_accessed_at: null,
    secret_policy_id: null,
  };
}
