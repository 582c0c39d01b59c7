import { ASSUMED_STATUS, ROTATION_NAME_TAKEN, FEDERATION_CODES, UNKNOWN_ROUTE } from "./assumptions.ts";

/** Error codes of the protocol and the HTTP status of each. [reference/error-codes, core-concepts/errors] */
export const errorStatus = {
  authentication_required: 401,
  token_expired: 401,
  token_invalid: 401,
  token_revoked: 401,
  access_denied: 403,
  insufficient_scope: 403,
  mfa_required: 403,
  ip_not_allowed: 403,
  time_window_violation: 403,
  tenant_access_denied: 403,
  forbidden: 403,
  invalid_request: 400,
  invalid_path: 400,
  invalid_secret_type: 400,
  invalid_duration: 400,
  invalid_cursor: 400,
  invalid_glob: 400,
  invalid_role: 400,
  invalid_config: 400,
  validation_error: 422,
  secret_not_found: 404,
  version_not_found: 404,
  rotation_policy_not_found: 404,
  subscription_not_found: 404,
  webhook_not_found: 404,
  secret_policy_not_found: 404,
  policy_in_use: 409,
  [ROTATION_NAME_TAKEN.code]: ROTATION_NAME_TAKEN.status,
  tenant_not_found: 404,
  secret_exists: ASSUMED_STATUS.secret_exists,
  version_conflict: ASSUMED_STATUS.version_conflict,
  ...FEDERATION_CODES,
  rate_limited: 429,
  service_unavailable: ASSUMED_STATUS.service_unavailable,
  internal_error: ASSUMED_STATUS.internal_error,
  not_found: UNKNOWN_ROUTE.path.status,
  method_not_allowed: UNKNOWN_ROUTE.method.status,
} as const satisfies Readonly<Record<string, number>>;

/** A stable error code. */
export type ErrorCode = keyof typeof errorStatus;

/** What an error may carry besides its code. Never a secret value. */
export interface ErrorExtras {
  readonly details?: Readonly<Record<string, unknown>>;
  readonly headers?: Readonly<Record<string, string>>;
}

/** An error that is answered to the client as the error envelope. */
export class ApiError extends Error {
  readonly code: ErrorCode;
  readonly status: number;
  readonly details: Readonly<Record<string, unknown>> | undefined;
  readonly headers: Readonly<Record<string, string>>;

  constructor(code: ErrorCode, message: string, extras: ErrorExtras = {}) {
    super(message);
    this.name = "ApiError";
    this.code = code;
    this.status = errorStatus[code];
    this.details = extras.details;
    this.headers = extras.headers ?? {};
  }
}

/** `422 validation_error` with the bad fields in `details.fields`. [reference/error-codes] */
export function validationError(fields: Readonly<Record<string, string>>): ApiError {
  return new ApiError("validation_error", `invalid field: ${Object.keys(fields).join(", ")}`, { details: { fields } });
}
