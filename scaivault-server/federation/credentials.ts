import type { Store } from "../store/store.ts";
import { credentialsPath } from "./config.ts";
import { StoreFailure } from "./failure.ts";
import type { BackendSpec } from "./record.ts";

/** A store's credentials, in the clear: they go into the login call and nowhere else. */
export interface Credentials {
  readonly fields: Readonly<Record<string, string>>;
  /** Version of the secret that they come from. */
  readonly version: number;
}

/** Fields that the credential secret must have. */
export function neededFields(spec: Pick<BackendSpec, "type" | "config">): readonly string[] {
  if (spec.type === "aws-secrets-manager") return ["access_key_id", "secret_access_key"];
  return spec.config["auth_method"] === "token" ? ["token"] : ["role_id", "secret_id"];
}

/**
 * Reads the credential secret of a backend in its tenant.
 * @throws StoreFailure `credentials_missing` when there is none, or a field is absent
 */
export function readCredentials(
  store: Store,
  tenantId: string,
  spec: Pick<BackendSpec, "type" | "config">,
): Credentials {
  const path = credentialsPath(spec.type, spec.config);
  // Straight from the store: it is no access of somebody's, and a proxied path hides nothing here.
  const record = store.getSecret(`tenant:${tenantId}`, path);
  const version = record?.recoverableUntil === null ? store.getVersion(record.owner, path, record.version) : undefined;
  if (version === undefined) throw new StoreFailure("credentials_missing");
  const fields = Object.fromEntries(
    Object.entries(JSON.parse(version.data) as Record<string, unknown>).filter(
      (entry): entry is [string, string] => typeof entry[1] === "string",
    ),
  );
  if (neededFields(spec).some((name) => (fields[name] ?? "") === "")) throw new StoreFailure("credentials_missing");
  return { fields, version: version.version };
}
