/**
 * Everything this server does that the public ScaiVault documentation does not say (or says in two ways).
 *
 * One entry per assumption: the sentence, the section of `sections.ts` it belongs to, and the constant that the server's
 * code uses, or (`builtIn`) the file whose way of working it is. When a real ScaiVault turns out to answer otherwise
 * (`npm run conformance -- --url ...` tells), the correction starts here. The families that came later have files of their own in `assumptions/`.
 */
import { assume, builtIn } from "./assumptions/registry.ts";

export { assumption, assumptions } from "./assumptions/registry.ts";
export type { Assumption } from "./assumptions/registry.ts";
export * from "./assumptions/events.ts";
export * from "./assumptions/rotation.ts";
export * from "./assumptions/webhooks.ts";
export * from "./assumptions/federation.ts";

// ---- 1.6 ids -----------------------------------------------------------------------------------------------------

export const BINDING_ID_PREFIX = assume(
  "binding-id",
  "1.6",
  "The id of a policy binding starts with `bind_`.",
  "bind_",
);

// ---- 2.3, 2.4 tokens ---------------------------------------------------------------------------------------------

export const TOKEN_PATHS = assume(
  "token-paths",
  "2.3",
  "The token endpoint is `/oauth/token`; ScaiKey's two other documented paths answer alike.",
  ["/oauth/token", "/api/v1/platform/oauth/token", "/api/v1/auth/tenants/{slug}/oauth/token"],
);

export const EXCHANGE_GRANT = assume(
  "exchange-body",
  "2.4",
  "`POST /v1/auth/exchange` takes the field names of RFC 8693 in a JSON body (`grant_type`, `subject_token`, `subject_token_type`, `audience`, `scope`, optional `role`) and answers `access_token`, `token_type`, `expires_in`, `scope`.",
  {
    grantType: "urn:ietf:params:oauth:grant-type:token-exchange",
    subjectTokenTypes: ["urn:ietf:params:oauth:token-type:jwt", "urn:ietf:params:oauth:token-type:id_token"],
  },
);

export const EXCHANGE_REFUSED = assume(
  "exchange-refused",
  "2.4",
  "An exchanged token of an unknown issuer or with a bad signature answers `401 token_invalid`, an expired one `401 token_expired`, a subject nobody mapped `403 access_denied`, a `role` that is not granted `400 invalid_role`.",
  { untrusted: "token_invalid", expired: "token_expired", unmapped: "access_denied", role: "invalid_role" },
);

export const EXCHANGE_CATEGORY = assume(
  "exchange-unlimited",
  "2.8",
  "Token requests and `/v1/auth/exchange` have no rate limit of their own.",
  "system",
);

// ---- 2.5 scopes --------------------------------------------------------------------------------------------------

export const ADMIN_IMPLIES_ALL = assume(
  "admin-scope",
  "2.5",
  "Scope `admin` implies all other scopes of the tenant.",
  true,
);

export const AUDITED_DENIALS = assume(
  "audited-denials",
  "3.4",
  "A request of a known identity that is denied leaves an audit row with `success` false and the error code in `extra_data.code`.",
  true,
);

// ---- 2.6 tenants -------------------------------------------------------------------------------------------------

export const FOREIGN_TENANT_CODE = assume(
  "foreign-tenant",
  "2.6",
  "A tenant of another partner answers `403 tenant_access_denied` (one page says `access_denied`).",
  "tenant_access_denied",
);

builtIn(
  "own-tenant",
  "2.6",
  "Naming the tenant of one's own token by path prefix or header needs no partner role.",
  "auth/tenancy.ts",
);

builtIn(
  "tenant-right-first",
  "2.6",
  "Without a partner role every other tenant, known or not, answers `403 tenant_access_denied`; `404 tenant_not_found` is for partner admins.",
  "auth/tenancy.ts",
);

export const PARTNER_ADMIN_ROLES = assume(
  "partner-roles",
  "2.6",
  "The roles `partner_admin` (own partner) and `super_admin` (all partners) open other tenants and the writing of partner-wide secrets.",
  { ofPartner: "partner_admin", ofAll: "super_admin" },
);

builtIn(
  "tenant-rules",
  "2.6",
  "In another tenant the rules bound to the caller in that tenant count, not those of its own.",
  "auth/policies.ts",
);

builtIn(
  "partner-policies",
  "2.6",
  "Reading a partner-wide secret needs a scope and a policy rule like any other path.",
  "handlers/secrets.ts",
);

// ---- 2.7 pages ---------------------------------------------------------------------------------------------------

export const LIST_KEY = assume(
  "list-shape",
  "2.7",
  '`GET /v1/secrets` answers `{"secrets": [...], "cursor": ..., "has_more": ...}`.',
  "secrets",
);

export const CURSOR_LIFETIME_MS = assume(
  "cursor-lifetime",
  "2.7",
  "A cursor is good for one hour and for the query it was made for; otherwise `400 invalid_cursor`.",
  3_600_000,
);

export const LIST_LIMITS = assume(
  "list-limits",
  "2.7",
  "`limit` of a secret listing is 100 by default and 1000 at most.",
  {
    byDefault: 100,
    most: 1000,
  },
);

export const LIMIT_TOO_HIGH_CODE = assume(
  "bad-query",
  "2.7",
  "A query parameter of the wrong shape (a `limit` of 0 or above the maximum, a `version` that is no number) answers `400 invalid_request`.",
  "invalid_request",
);

// ---- 2.8 rate limits ---------------------------------------------------------------------------------------------

export const RATE_HEADERS = assume(
  "rate-headers",
  "2.8",
  "The rate headers are `X-RateLimit-Limit`, `X-RateLimit-Remaining` and `X-RateLimit-Reset`.",
  { limit: "X-RateLimit-Limit", remaining: "X-RateLimit-Remaining", reset: "X-RateLimit-Reset" },
);

builtIn(
  "rate-reset",
  "2.8",
  "`X-RateLimit-Reset` is the moment at which the bucket is full again.",
  "limits/rate-limiter.ts",
);

builtIn("retry-after", "2.8", "`Retry-After` is whole seconds; `details.retry_after` repeats it.", "http/pipeline.ts");

builtIn("bucket-size", "2.8", "A bucket holds as many tokens as refill in one minute.", "limits/rate-limiter.ts");

export const UNCOUNTED_CATEGORY = assume(
  "rate-uncounted",
  "2.8",
  "Answers that belong to no documented category, or to no identity, carry the three headers of a bucket that is always full.",
  { name: "system", perMinute: 300 },
);

export const METADATA_CATEGORY = assume(
  "metadata-category",
  "2.8",
  "Reading metadata or versions of one secret counts as a list operation, updating metadata as a write.",
  { read: "list", write: "write" },
);

builtIn(
  "batch-cost",
  "2.8",
  'A batch read whose paths do not fit into the "read secrets" bucket answers `429 rate_limited` and returns nothing.',
  "handlers/batch.ts",
);

// ---- 2.9 conditional writes --------------------------------------------------------------------------------------

export const CAS_BY_DEFAULT = assume(
  "cas",
  "2.9",
  "`options.cas` (expected current version, 0 for none) is not supported and ignored; a server may be set to honour it with `409 version_conflict`.",
  false,
);

builtIn("put-not-idempotent", "2.9", "Each PUT makes a version, also when nothing differs.", "secrets/service.ts");

// ---- 2.10, 2.11 errors -------------------------------------------------------------------------------------------

export const REQUEST_ID = assume(
  "request-id",
  "2.10",
  "A client-sent `X-Request-ID` is echoed (1 to 128 of `A-Za-z0-9._:-`); otherwise the server makes `req_<random>`.",
  { prefix: "req_", mostCharacters: 128 },
);

export const ASSUMED_STATUS = assume(
  "error-status",
  "2.11",
  "`secret_exists` and `version_conflict` have status 409, `service_unavailable` 503, `internal_error` 500.",
  { secret_exists: 409, version_conflict: 409, service_unavailable: 503, internal_error: 500 },
);

export const UNKNOWN_ROUTE = assume(
  "unknown-route",
  "2.11",
  "A path that is no endpoint answers `404 not_found`, a method an endpoint does not have `405 method_not_allowed`.",
  { path: { code: "not_found", status: 404 }, method: { code: "method_not_allowed", status: 405 } },
);

export const FORBIDDEN_FOR_HOST = assume(
  "host-check",
  "2.11",
  "A request whose `Host` is not this server's, or that carries an `Origin`, answers `403 forbidden`.",
  "forbidden",
);

export const CONTENT_TYPE_REQUIRED = assume(
  "content-type",
  "2.1",
  "A JSON body without `Content-Type: application/json` answers `400 invalid_request`.",
  "application/json",
);

// ---- 3.1 secrets -------------------------------------------------------------------------------------------------

export const WRITE_ANSWER = assume(
  "write-answer",
  "3.1",
  "A write answers 201 for the first version and 200 for a later one, with `path`, `version`, `secret_type`, `metadata`, `created_at`, `updated_at`, `expires_at`, `rotation_policy_id` and no `data`.",
  { first: 201, later: 200 },
);

export const DEFAULT_SECRET_TYPE = assume("default-type", "3.1", "`secret_type` defaults to `kv`.", "kv");

builtIn(
  "put-metadata",
  "3.1",
  "A PUT without `metadata` keeps the stored metadata; with `metadata` it replaces them.",
  "secrets/service.ts",
);

builtIn(
  "put-options",
  "3.1",
  "A PUT without `max_versions` or `expires_in` keeps the stored number and the stored moment of expiry.",
  "secrets/service.ts",
);

builtIn(
  "custom-metadata",
  "3.1",
  "Custom metadata keys of any JSON type are kept and answered as sent.",
  "secrets/service.ts",
);

builtIn(
  "lossless-data",
  "3.1",
  "`data` is answered with the numbers as they were written: integers above 2^53, `1.0` and `1e2` keep their text.",
  "json/raw-json.ts",
);

builtIn(
  "patch-merges",
  "3.1",
  "`PATCH /v1/secrets/{path}` merges the given metadata keys into the stored ones, `null` removes a key, and makes no version.",
  "secrets/service.ts",
);

export const RETENTION_MS = assume(
  "retention",
  "3.1",
  "A soft-deleted secret is retained for 30 days.",
  30 * 86_400_000,
);

builtIn(
  "put-on-deleted",
  "3.1",
  "A PUT on a soft-deleted path still in retention answers `409 secret_exists`; a permanent delete frees the path.",
  "secrets/service.ts",
);

export const DELETE_ANSWER = assume("delete-answer", "3.1", "`DELETE /v1/secrets/{path}` answers 204.", 204);

export const PERMANENT_PARAMETER = assume(
  "delete-permanent",
  "3.1",
  "`DELETE /v1/secrets/{path}?permanent=true` removes all versions for good, also those of a soft-deleted secret.",
  "permanent",
);

builtIn(
  "deleted-is-absent",
  "3.1",
  "Reading, patching or soft-deleting a soft-deleted secret answers `404 secret_not_found`.",
  "secrets/service.ts",
);

builtIn(
  "list-endpoint",
  "3.1",
  "`GET /v1/secrets?prefix=&limit=&cursor=` lists without values, by path; `prefix` is a prefix of the text.",
  "handlers/secrets.ts",
);

builtIn(
  "list-filter",
  "3.1",
  "A listing leaves out the paths for which no policy grants `list`, without an error.",
  "handlers/secrets.ts",
);

builtIn(
  "metadata-endpoint",
  "3.1",
  "`GET /v1/secrets/{path}/metadata` answers the secret without `data` plus `version_count`; it needs the scope `secrets:list` and the permission `list`.",
  "handlers/secrets.ts",
);

builtIn(
  "versions-endpoint",
  "3.1",
  '`GET /v1/secrets/{path}/versions` answers `{"versions": [{"version", "created_at", "created_by"}]}`, newest first.',
  "handlers/secrets.ts",
);

export const EXPIRING_ENDPOINT = assume(
  "expiring-endpoint",
  "3.1",
  "`GET /v1/secrets/expiring?days=30&prefix=` lists secrets with an `expires_at` within the days.",
  { days: 30 },
);

export const RESERVED_WORDS = assume(
  "reserved-words",
  "3.1",
  "`metadata`, `versions` and `rotate` as last segment and `batch` and `expiring` as whole path are reserved: `400 invalid_path`.",
  { last: ["metadata", "versions", "rotate"], whole: ["batch", "expiring"] },
);

builtIn(
  "encoded-path",
  "3.1",
  "Percent-encoding in a secret path is not decoded: `400 invalid_path`.",
  "http/router.ts",
);

builtIn("version-restart", "3.1", "After a permanent delete the next write is version 1.", "secrets/service.ts");

builtIn(
  "expired-readable",
  "3.1",
  "Reading and writing an expired secret keeps working; `expires_at` is information.",
  "secrets/service.ts",
);

export const ROTATION_POLICIES_ABSENT = assume(
  "rotation-policy",
  "3.1",
  "`options.rotation_policy_id` that names no rotation policy answers `404 rotation_policy_not_found`.",
  "rotation_policy_not_found",
);

// ---- 3.2 batch ---------------------------------------------------------------------------------------------------

export const BATCH_OPTIONS_TOP_LEVEL = assume(
  "batch-options",
  "3.2",
  "The flags of a batch are nested in `options`; the same names at the top level are accepted too.",
  true,
);

export const BATCH_STATUS = assume("batch-status", "3.2", "A batch answers 200 also when some paths failed.", 200);

builtIn("batch-too-many", "3.2", "More than 100 paths, or none, answer `422 validation_error`.", "handlers/batch.ts");

builtIn(
  "fail-fast",
  "3.2",
  "With `fail_fast` the answer is the error envelope of the first path that failed.",
  "handlers/batch.ts",
);

builtIn(
  "batch-metadata",
  "3.2",
  '`POST /v1/secrets/batch/metadata` takes `{"paths": [...], "expand_wildcards": true}` and answers `{"secrets": {path: {"version", "secret_type", "metadata"}}, "errors": {}}`.',
  "handlers/batch.ts",
);

export const EXPANSION_MOST = assume(
  "expansion-cap",
  "3.2",
  "`expand_wildcards` that matches more than 1000 paths answers `422 validation_error`; one that matches none is no error.",
  1000,
);

builtIn(
  "batch-audit",
  "3.4",
  "A batch read leaves one `read` row per path, a batch metadata call one `list` row.",
  "handlers/batch.ts",
);

// ---- 3.4 audit ---------------------------------------------------------------------------------------------------

builtIn("audit-order", "3.4", "Audit rows come newest first.", "store/store.ts");

builtIn(
  "audit-relative-time",
  "3.4",
  "`from` and `to` also take `<n> <unit> ago` (second, minute, hour, day), as one guide sends it.",
  "handlers/query.ts",
);

export const AUDIT_TRAIL_SHAPE = assume(
  "audit-trail",
  "3.4",
  "The trail of one secret or identity answers `logs`, `cursor`, `has_more` and `summary` (30 days: `total_events`, `successful_events`, `failed_events`, `by_action`).",
  { days: 30 },
);

export const AUDIT_METADATA_ACTION = assume(
  "audit-metadata-action",
  "3.4",
  "Reading metadata and versions is audited as `list`, updating metadata as `write`.",
  { read: "list", write: "write" },
);

// ---- 3.5 policies ------------------------------------------------------------------------------------------------

export const DOUBLE_STAR_MAY_BE_EMPTY = assume(
  "glob-double-star",
  "3.5",
  "`**` matches zero segments everywhere, also at the start (`**/ssl/*` matches `ssl/cert`; one table says it does not).",
  true,
);

export const STAR_INSIDE_SEGMENT = assume(
  "glob-star",
  "3.5",
  "`*` beside other characters of a segment matches any run of characters of that segment.",
  true,
);

export const CONDITION_CODES = assume(
  "condition-codes",
  "3.5",
  "When a rule matches but for its conditions, the code names the condition (`ip_not_allowed`, `mfa_required`, `time_window_violation`) and `details.failed_condition` repeats its field (`ip_ranges`, `require_mfa`, `time_windows`).",
  { ip_ranges: "ip_not_allowed", require_mfa: "mfa_required", time_windows: "time_window_violation" },
);

// ---- 5 limits and grammars ---------------------------------------------------------------------------------------

export const TAG_LIMITS = assume("tag-limits", "5.2", "At most 50 tags of at most 256 characters each.", {
  most: 50,
  mostCharacters: 256,
});

export const DATA_MAX_BYTES = assume(
  "data-size",
  "5.3",
  "`data` has at most 1 MiB of JSON text, else `422 validation_error`.",
  1_048_576,
);

export const BODY_MAX_BYTES = assume(
  "body-size",
  "5.3",
  "A request body has at most 2 MiB, else `422 validation_error`.",
  2_097_152,
);

export const DEFAULT_MAX_VERSIONS = assume(
  "max-versions",
  "5.3",
  "`options.max_versions` is 10 by default; the oldest versions are pruned first.",
  10,
);

export const DURATION_UNITS_MS = assume("durations", "5.4", "A duration is `^[1-9][0-9]*(s|m|h|d)$`, one unit only.", {
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
} as Readonly<Record<string, number>>);

builtIn("unknown-fields", "2.1", "Unknown fields of a body are ignored.", "secrets/body.ts");
