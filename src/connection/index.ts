export { awsLogin, type LoginParts } from "./credentials.ts";
export { FollowedConnection, type FollowOptions } from "./followed.ts";
export { type SecretRead, SecretStore, type SecretStoreOptions } from "./secret-store.ts";
export {
  type ConnectionContent,
  type ConnectionLogin,
  type ConnectionSettings,
  connectionText,
  parseConnection,
  sameConnection,
  settingsFrom,
  shownConnection,
} from "./settings.ts";
export { fixedToken, followedTokens } from "./tokens.ts";
