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

/** A secret that may be replaced while the process runs, such as a client secret in a mounted file. */
export interface SecretSupplier {
  /** Cheap to ask for each call; may be a second old. @throws SyncError ScaiVaultDenied while it was never seen */
  read(): Promise<SecretValue>;
  /** As it is now. @throws SyncError ScaiVaultDenied when it is not there */
  readNow(): Promise<SecretValue>;
}
