export { AUDIT_PAGE, type AuditFilter, type AuditRow, type AuditSummary, type AuditTrail } from "./audit.ts";
export { BATCH_SIZE } from "./batch.ts";
export { type RateLane, rateLanes } from "./bucket.ts";
export { RateBudget, type RateBudgetOptions } from "./budget.ts";
export { type ScaiVaultOptions } from "./caller.ts";
export { MAX_DATA_BYTES, ScaiVaultClient } from "./client.ts";
export { FederationClient } from "./federation.ts";
export type { Page } from "./pages.ts";
export { type RawMembers, rawMembers } from "./raw.ts";
export { untilAborted } from "./tokens/cached-token.ts";
export {
  clientCredentials,
  type ClientCredentialsOptions,
  tokenExchange,
  type TokenExchangeOptions,
} from "./tokens/oauth.ts";
export type { DueRotation, RotationPolicy, RotationRecord, RotationSettings } from "./rotation.ts";
export {
  MAX_POLL_SECONDS,
  type PolledEvents,
  type ScaiVaultEvent,
  type Subscription,
  type SubscriptionSettings,
} from "./subscriptions.ts";
export type { SecretSupplier, TokenProvider } from "./tokens/provider.ts";
export { secretFile, tokenFile } from "./tokens/token-file.ts";
export type * from "./types.ts";
