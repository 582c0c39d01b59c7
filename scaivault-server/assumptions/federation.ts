/** Assumptions about federation: backends, proxied paths, sync, conflicts. */
import { assume, builtIn } from "./registry.ts";

// ---- Rates, codes ------------------------------------------------------------------------------------------------

export const FEDERATION_CODES = assume(
  "federation-codes",
  "2.11",
  "`404 backend_not_found`, `409 backend_exists` (duplicate name), `409 sync_in_progress`, `403 federated_path_read_only`, `502 backend_error` and `503 service_unavailable` (proxied backend) are the codes of federation.",
  {
    backend_not_found: 404,
    backend_exists: 409,
    sync_in_progress: 409,
    federated_path_read_only: 403,
    backend_error: 502,
  } as const,
);

// ---- 3.3 backends ------------------------------------------------------------------------------------------------

export const FEDERATION_SCOPES = assume(
  "federation-scopes",
  "3.3",
  "Reading a backend, its status and its conflicts needs `federation:read`; changing and deleting one `federation:write`.",
  { read: "federation:read", write: "federation:write" } as const,
);

export const BACKEND_CREATE_ANSWER = assume(
  "backend-create-answer",
  "3.3",
  "Creating a backend answers 201 with the whole backend: its fields, `id`, `status`, `created_at`, `updated_at`. PATCH answers 200 with the same, DELETE 204.",
  { created: 201, changed: 200, deleted: 204 },
);

export const BACKEND_LIST_KEY = assume(
  "backend-list",
  "3.3",
  '`GET /v1/federation/backends` answers `{"backends": [...], "cursor": ..., "has_more": ...}`, by name; `limit` is 100 by default and 1000 at most.',
  "backends",
);

export const BACKEND_NAME = assume(
  "backend-name",
  "5.2",
  "A backend's name has 1 to 128 of `A-Za-z0-9._-` and is unique in its tenant.",
  /^[\w.-]{1,128}$/,
);

builtIn(
  "backend-type-immutable",
  "3.3",
  "A backend's `type` cannot be changed: `422 validation_error`.",
  "federation/body.ts",
);

builtIn(
  "backend-patch",
  "3.3",
  "PATCH takes `name`, `config`, `path_mapping`, `mode`, `sync_interval` and `conflict_resolution`; `config` is merged by key, `null` takes a key off; `path_mapping` is replaced as a whole; `null` sets `conflict_resolution` back to its default.",
  "federation/body.ts",
);

export const SYNC_INTERVAL_BOUNDS = assume(
  "sync-interval",
  "4.5",
  "`sync_interval` is required in sync mode, from `1m` to `24h`; in proxy mode it answers `422 validation_error`. A change to proxy mode takes the stored one off.",
  { leastMs: 60_000, mostMs: 86_400_000 },
);

export const CONFLICT_RESOLUTIONS = assume(
  "conflict-resolutions",
  "4.6",
  "`conflict_resolution` is `remote_wins` (default), `local_wins` or `manual`; `backend_wins` is another word for `remote_wins`.",
  { byDefault: "remote_wins", words: ["remote_wins", "local_wins", "manual"], alias: "backend_wins" } as const,
);

export const WRITE_MODES = assume(
  "write-mode",
  "4.1",
  "`write_mode` is `disabled`; `write_through` is not supported: `422 validation_error`.",
  ["disabled"],
);

builtIn(
  "federated-types",
  "4.2",
  "This server reads `hashicorp-vault` (`approle`, `token`) and `aws-secrets-manager` (static keys); the other documented types, the other `auth_method`s and the role of the host answer `400 invalid_config`.",
  "federation/config.ts",
);

builtIn(
  "config-strict",
  "4.2",
  "A `config` with a key that its type does not have answers `400 invalid_config`, so that credentials are never given inline.",
  "federation/config.ts",
);

builtIn(
  "config-endpoint",
  "4.2",
  "`config.endpoint` of `aws-secrets-manager` names an emulator; endpoints are `https`, or plain `http` on loopback, with a host and a port only.",
  "federation/config.ts",
);

builtIn(
  "config-ca",
  "4.2",
  "`config.ca_cert_pem` (PEM) replaces the certificate authorities for this backend; `ca_cert_path` is not supported.",
  "federation/config.ts",
);

builtIn(
  "credentials-first",
  "4.7",
  "A backend whose credentials path holds no secret of the right fields answers `400 invalid_config`; one that cannot be reached is created with status `unhealthy`.",
  "federation/service.ts",
);

builtIn(
  "credentials-right",
  "4.2",
  "Who creates a backend, or changes its `config`, needs the permission `read` on the credentials path, else `403 access_denied`: a backend sends these credentials to an address that the caller names.",
  "handlers/federation.ts",
);

builtIn(
  "credentials-fields",
  "4.2",
  "Credential secrets hold `role_id` and `secret_id` (and `mount_path` when AppRole is mounted elsewhere), `token`, or `access_key_id` and `secret_access_key` (and `session_token`). They are read anew when their secret has a new version.",
  "federation/credentials.ts",
);

builtIn(
  "federation-audit",
  "3.4",
  "Creating, changing, deleting and syncing a backend is audited as `federation_sync` with `extra_data.backend` and `extra_data.operation`; each path that a sync changes has a row of its own by `system:federation-sync`.",
  "federation/service.ts",
);

// ---- 4.3 path_mapping --------------------------------------------------------------------------------------------

builtIn(
  "mapping-grammar",
  "4.3",
  "A pattern of `path_mapping` ends in `/**` on both sides (the store's may be `**` alone) or is an exact path on both sides; the left side has a literal segment in front. Anything else answers `422 validation_error`.",
  "federation/mapping.ts",
);

builtIn(
  "mapping-longest",
  "4.3",
  "Within a backend the longest pattern wins; two backends of a tenant may not claim overlapping paths: `422 validation_error`.",
  "federation/mapping.ts",
);

builtIn(
  "mapping-kv",
  "4.3",
  "A Vault template with a `data` segment behind the mount is KV v2, listed at `metadata`; one without is KV v1.",
  "federation/mapping.ts",
);

builtIn(
  "mapping-names",
  "4.3",
  "Names of the store that break the path grammar, or end in a reserved word, are left out and counted (`secrets_skipped`).",
  "federation/mapping.ts",
);

// ---- 4.1 proxy ---------------------------------------------------------------------------------------------------

builtIn(
  "proxy-read-only",
  "4.1",
  "PUT, PATCH and DELETE on a proxied path answer `403 federated_path_read_only` with `details.backend`.",
  "handlers/federated.ts",
);

export const PROXY_DOWN = assume(
  "proxy-down",
  "4.1",
  "A proxied backend that cannot be reached, is sealed or throttles answers `503 service_unavailable`; one that refuses (credentials, rights, an answer that makes no sense) `502 backend_error`; both with `details.backend` (the id) and `details.reason`.",
  { away: "service_unavailable", refuses: "backend_error" } as const,
);

builtIn(
  "proxy-version",
  "4.1",
  "The version of a proxied secret is that of KV v2; of KV v1 and AWS it is always 1. `?version=N` is forwarded to KV v2.",
  "federation/vault-store.ts",
);

builtIn(
  "proxy-one-call",
  "4.1",
  "A proxied read is one call and answers empty metadata; `/metadata` asks for tags and times.",
  "federation/proxy.ts",
);

builtIn(
  "proxy-list",
  "4.1",
  "Listings and `expand_wildcards` hold the proxied paths of the backends that lie in their range, live; what the backend's credentials may not list is left out, and a backend that is away fails the listing. `expiring` looks at stored secrets only.",
  "federation/proxy.ts",
);

builtIn(
  "proxy-hides",
  "4.1",
  "What ScaiVault has stored at a proxied path stays stored and is not seen: the copies of a backend that goes from sync to proxy are there again when it goes back.",
  "federation/proxy.ts",
);

// ---- 4.1, 4.4, 4.6 sync ------------------------------------------------------------------------------------------

export const SYNC_IDENTITY = assume(
  "sync-identity",
  "3.12",
  "What a sync changes is changed by the identity `system:federation-sync`; there is no event of federation itself.",
  "system:federation-sync",
);

builtIn(
  "sync-first",
  "4.5",
  "The first sync begins when a backend is created in sync mode, and after each change of one; after a restart of the server a sync that became due meanwhile begins at once.",
  "federation/scheduler.ts",
);

export const SYNC_ANSWER = assume(
  "sync-answer",
  "3.3",
  'A manual sync answers 202 with `{"sync_id", "status": "running", "started_at"}`; in proxy mode `400 invalid_request`, while one runs `409 sync_in_progress`.',
  { status: 202, idPrefix: "sync_" },
);

builtIn(
  "sync-status",
  "3.3",
  "`status` is `pending` before the first sync (of a proxied backend before its first call since the start of the server), `syncing`, `healthy`, `degraded` (some secrets could not be read) or `unhealthy` (no connection, or the last sync failed); `connection.status` is `connected`, `disconnected` or `error`. `last_error` is a code or null. Proxied backends have `last_sync` null and `secrets_synced` 0.",
  "federation/status.ts",
);

builtIn(
  "sync-content",
  "4.4",
  "Content is compared as JSON whatever its spacing and the order of its keys, with numbers as they are written; equal content makes no version.",
  "federation/content.ts",
);

builtIn(
  "sync-values",
  "4.4",
  "A `SecretString` that is a JSON object becomes `data` as it is (`json`); other JSON (array, number) becomes `value` (`json`), other text `value` (`kv`), `SecretBinary` `value_base64` (`kv`).",
  "federation/content.ts",
);

builtIn(
  "sync-gone",
  "4.4",
  "A secret that is gone at the backend is soft-deleted after a complete listing, unless it was changed locally or `local_wins` holds; one that comes back is restored with its versions (`secret.created`).",
  "federation/decide.ts",
);

builtIn(
  "sync-local-writes",
  "4.1",
  "In sync mode local writes are accepted with `local_wins` and `manual`; with `remote_wins` they answer `403 federated_path_read_only`.",
  "handlers/federated.ts",
);

builtIn(
  "sync-conflict",
  "4.6",
  "A path is in conflict when both sides hold different values and the local one was not written by the sync: `remote_wins` writes a version over it, `local_wins` and `manual` keep it and list it. A copy that nobody touched follows the backend, but with `local_wins`.",
  "federation/decide.ts",
);

export const CONFLICTS_SHAPE = assume(
  "conflicts-answer",
  "3.3",
  'Conflicts answer `{"conflicts": [{"path", "backend_path", "local_version", "detected_at", "resolution"}], "cursor", "has_more"}`, by path, never values; `resolution` is null while somebody has to decide (`manual`).',
  "conflicts",
);

export const ORPHANED_TAG = assume(
  "orphaned-tag",
  "4.4",
  "Copies whose backend is deleted, or whose path is no longer mapped, stay and get the tag `federation=orphaned`.",
  "federation=orphaned",
);
