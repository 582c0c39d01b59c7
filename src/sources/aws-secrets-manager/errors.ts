import { SyncError } from "../../errors/index.ts";
import { NetError, unavailable } from "../../net/index.ts";
import { trouble } from "../limits.ts";
import { AsmFailure } from "./api.ts";

/** Codes that mean that the credentials are no good, whatever was asked. */
const loginCodes = new Set([
  "UnrecognizedClientException",
  "InvalidClientTokenId",
  "InvalidSignatureException",
  "SignatureDoesNotMatch",
  "IncompleteSignature",
  "IncompleteSignatureException",
  "MissingAuthenticationToken",
  "MissingAuthenticationTokenException",
  "ExpiredToken",
  "ExpiredTokenException",
  "RequestExpired",
  "AuthFailure",
  "OptInRequired",
  "NotSignedUp",
  "CredentialsProviderError",
  "ProviderError",
  "TokenProviderError",
]);

const throttleCodes = new Set([
  "Throttling",
  "ThrottlingException",
  "ThrottledException",
  "RequestThrottled",
  "RequestThrottledException",
  "RequestLimitExceeded",
  "TooManyRequestsException",
  "SlowDown",
  "BandwidthLimitExceeded",
  "LimitExceededException",
]);

const secretCodes = new Set([
  "ResourceNotFoundException",
  "InvalidRequestException",
  "InvalidParameterException",
  "ValidationException",
  "DecryptionFailure",
  "AccessDeniedException",
  "AccessDenied",
]);

interface SdkError {
  readonly name?: unknown;
  readonly message?: unknown;
  readonly $metadata?: { readonly httpStatusCode?: unknown };
}

/**
 * An error of the SDK by its code: store-wide ones as SyncError, those of one secret as {@link AsmFailure}. Texts are
 * dropped: they name principals and accounts.
 * @param throttled told of throttling; returns the pause
 */
export function classify(error: unknown, action: string, throttled: () => number): SyncError | AsmFailure {
  if (error instanceof SyncError || error instanceof AsmFailure) return error;
  if (error instanceof NetError) return unavailable(error, "SourceUnavailable", action);
  const { code, status, text } = readSdkError(error);
  if (throttleCodes.has(code) || status === 429)
    return new SyncError("RateLimited", "AWS asks to slow down", { action, code, retryAfterMs: throttled() });
  if (loginCodes.has(code)) return new SyncError("LoginFailed", "AWS refuses the credentials", { action, code });
  if (secretCodes.has(code))
    return new AsmFailure(code, { kms: text.includes("kms"), deletion: /deletion|deleted/.test(text) });
  // A 500 may be one secret's; anything else unknown is the service's.
  if (status === 500) return trouble(action, code);
  return new SyncError("SourceUnavailable", "the store cannot be reached", {
    action,
    detail: `HTTP ${status ?? "-"} ${code}`,
  });
}

/** Code and status of an SDK error; its text in lower case, for classification only. */
function readSdkError(error: unknown): { code: string; status: number | undefined; text: string } {
  const sdk = typeof error === "object" && error !== null ? (error as SdkError) : {};
  const status = sdk.$metadata?.httpStatusCode;
  return {
    code: typeof sdk.name === "string" && /^[a-z]{1,64}$/i.test(sdk.name) ? sdk.name : "Unknown",
    status: typeof status === "number" ? status : undefined,
    text: typeof sdk.message === "string" ? sdk.message.toLowerCase() : "",
  };
}

/** Whether AWS denies the action itself. */
export function isDenied(error: unknown): boolean {
  return error instanceof AsmFailure && (error.code === "AccessDeniedException" || error.code === "AccessDenied");
}

/**
 * The error of one secret for everybody else. `ResourceNotFoundException` and `InvalidRequestException` need more
 * knowledge and are settled by the caller; here they are what they most likely are.
 * @param right the IAM action that was used
 */
export function secretError(failure: AsmFailure, action: string, right: string): SyncError {
  const options = { action, code: failure.code };
  switch (failure.code) {
    case "ResourceNotFoundException":
      return new SyncError("SourceNotFound", "there is no such secret", options);
    case "InvalidRequestException":
      if (failure.deletion)
        return new SyncError("SourcePendingDeletion", "the secret is scheduled for deletion", options);
      return trouble(action, failure.code);
    case "InvalidParameterException":
    case "ValidationException":
      return new SyncError("InvalidPath", "AWS refuses the name, stage or version", options);
    case "DecryptionFailure":
      return denied(options, "kms:Decrypt");
    default:
      return denied(options, failure.kms ? "kms:Decrypt" : right);
  }
}

function denied(options: { action: string; code: string }, right: string): SyncError {
  return new SyncError("AccessDenied", `AWS denies ${right}`, { ...options, right });
}
