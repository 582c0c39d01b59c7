export { type RateLane, rateLanes } from "./bucket.ts";
export { RateBudget, type RateBudgetOptions } from "./budget.ts";
export { type ScaiVaultOptions } from "./caller.ts";
export { BATCH_SIZE, MAX_DATA_BYTES, ScaiVaultClient } from "./client.ts";
export { type RawMembers, rawMembers } from "./raw.ts";
export { untilAborted } from "./tokens/cached-token.ts";
export {
  clientCredentials,
  type ClientCredentialsOptions,
  tokenExchange,
  type TokenExchangeOptions,
} from "./tokens/oauth.ts";
export type { SecretSupplier, TokenProvider } from "./tokens/provider.ts";
export { secretFile, tokenFile } from "./tokens/token-file.ts";
export type * from "./types.ts";
