import type { SecretValue } from "../../model/index.ts";

/** Where the bearer token of ScaiVault calls comes from. */
export interface TokenProvider {
  /**
   * The token to use now; cached, cheap to ask for each call.
   * @throws SyncError ScaiVaultDenied (the credential is missing or refused), ScaiVaultUnavailable
   */
  token(signal: AbortSignal): Promise<SecretValue>;
  /**
   * Called when ScaiVault refused `refused`: a different token, or undefined when there is none to be had.
   * Concurrent callers share one attempt.
   */
  renew(refused: SecretValue, signal: AbortSignal): Promise<SecretValue | undefined>;
}

/** A secret that is read when it is needed, such as a client secret out of a mounted file. */
export type SecretSupplier = (signal: AbortSignal) => Promise<SecretValue>;
