/** What the documentation does not say of rotation, generated values and expiry. */
import { assume, builtIn } from "./registry.ts";

// ---- 3.6 rotation ------------------------------------------------------------------------------------------------

export const ROTATION_CATEGORY = assume(
  "rotation-category",
  "2.8",
  "Rotation and value-generation policies count as policy operations, `POST /v1/secrets/{path}/rotate` as a write.",
  { policies: "policy", one: "write" } as const,
);

export const ROTATION_NAME_TAKEN = assume(
  "rotation-name",
  "3.6",
  "A second rotation or value-generation policy of a name in the tenant answers `409 policy_exists`.",
  { code: "policy_exists", status: 409 } as const,
);

export const ROTATION_DEFAULTS = assume(
  "rotation-defaults",
  "3.6",
  "`warn_before` is empty by default; thresholds that are not below the interval are never told.",
  { gracePeriod: "48h", warnBefore: "" },
);

builtIn(
  "rotation-start",
  "3.6",
  "The first rotation is due one interval after the current version was made; a secret that is overdue when it is assigned is due at once.",
  "rotation/service.ts",
);

builtIn(
  "rotation-assign",
  "3.6",
  "A secret has at most one rotation policy; assigning it to another moves it. `options.rotation_policy_id` of a PUT assigns, `null` detaches; deleting the secret detaches.",
  "rotation/service.ts",
);

builtIn(
  "rotation-by-put",
  "3.6",
  "A PUT after the first `rotation.due` of a turn is the rotation: `secret.updated` with `is_rotation` true, `secret.rotated`, `rotation.completed`. A PUT before it is an ordinary write.",
  "rotation/service.ts",
);

builtIn(
  "rotation-event-data",
  "3.12",
  "`rotation.due`, `rotation.overdue`, `rotation.completed` and `rotation.failed` hold `rotation_policy_id`, `rotation_policy_name`, and `due_at` or the versions or `reason`; their identity is `system:rotation-scheduler`.",
  "rotation/service.ts",
);

builtIn(
  "rotation-missed",
  "3.6",
  "Of several thresholds that passed while nobody looked, only the last is told.",
  "rotation/turn.ts",
);

builtIn(
  "rotation-grace",
  "3.6",
  "At the end of the grace period the version before the rotation and all older ones are removed: `404 version_not_found`.",
  "rotation/grace.ts",
);

export const FAILED_ROTATION_RETRY_MS = assume(
  "rotation-retry",
  "3.6",
  "A rotation by the server that fails (`rotation.failed`) is tried again every hour.",
  3_600_000,
);

builtIn(
  "rotation-now",
  "3.6",
  "Rotating now without `auto_generate` tells `rotation.due` with `due_now` and answers an item with status `pending`; a secret without a policy answers `400 invalid_request`.",
  "rotation/service.ts",
);

export const ROTATION_HISTORY = assume(
  "rotation-history",
  "3.6",
  "A history item has `id`, `secret_path`, `rotation_policy_id`, `status`, `old_version`, `new_version`, `auto_generated`, `started_at`, `completed_at`, `grace_period_ends`, `error`; the last 1000 of a policy are kept, newest first, below `data`.",
  { prefix: "rh_", kept: 1000 },
);

builtIn(
  "rotation-due-list",
  "3.6",
  "`GET /v1/rotation/due` answers `data` with `secret_path`, `rotation_policy_id`, `rotation_policy_name`, `due_at`, `overdue`, `last_rotated_at`, for paths that the caller may list or rotate, earliest first.",
  "handlers/rotation.ts",
);

builtIn(
  "rotation-webhooks",
  "3.6",
  "The events of a policy's rotations also go to the webhooks of `webhook_ids`, whatever those ask for.",
  "rotation/service.ts",
);

// ---- 3.7 value generation ----------------------------------------------------------------------------------------

builtIn(
  "secret-policy-endpoints",
  "3.7",
  "`/v1/secret-policies` has GET (key `data`) and POST, `/{id}` GET, PATCH and DELETE, `/{id}/preview` POST that answers `data`; scope `admin`. A policy in use by a rotation policy answers `409 policy_in_use`.",
  "handlers/secret-policies.ts",
);

builtIn(
  "secret-policy-fields",
  "3.7",
  "A rotation replaces the policy's fields in `data` and keeps the others.",
  "generate/service.ts",
);

export const GENERATOR_DEFAULTS = assume(
  "generators",
  "3.7",
  "`random`: `length` 32 of `charset` (`alphanumeric` by default, `alphabetic`, `numeric`, `ascii`, or the characters themselves); `hex`: `length` 64 characters; `uuid`: `version` 4; `template`: `template` with `{{field}}` of fields before it and of kept text fields; `static`: `value`.",
  { randomLength: 32, hexLength: 64, mostLength: 4096 },
);

export const KEYPAIR_SUFFIX = assume(
  "generators-keys",
  "3.7",
  "A key pair's private key (PEM, or OpenSSH for `ssh_keypair`) is in the field, its public key in the field with `_public` behind its name; `bits` is 2048 to 4096, `curve` `P-256` or `P-384`.",
  "_public",
);

export const GENERATORS_ABSENT = assume(
  "generators-absent",
  "3.7",
  "`bcrypt_hash` is not served here: `422 validation_error`.",
  ["bcrypt_hash"],
);

export const DEFAULT_RECIPE_FIELDS = assume(
  "default-recipe",
  "3.7",
  "Without `secret_policy_id` a rotation makes 32 random characters for the secret's only field, else for `password` or `value`; else it fails.",
  ["password", "value"],
);

// ---- 1.2 expiry --------------------------------------------------------------------------------------------------

export const NOTIFY_BEFORE = assume(
  "notify-before",
  "1.2",
  "`options.notify_before` of a PUT is a list of durations, `30d`, `7d` and `1d` by default; thresholds that have passed when the secret is written are not told.",
  ["30d", "7d", "1d"],
);

builtIn(
  "expiry-events",
  "3.12",
  "`secret.expired` holds `expires_at` and `version`; expiry events come from `system:expiry-scheduler`.",
  "secrets/expiry.ts",
);
