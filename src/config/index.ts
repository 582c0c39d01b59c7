export {
  AWS_SECRET_VARIABLE,
  type AwsSecretRef,
  DEFAULT_AWS_SECRET,
  isAwsRegion,
  parseAwsSecretRef,
} from "./aws-secret-ref.ts";
export { type ConfigChanges, configChanges } from "./changes.ts";
export {
  type AwsLogin,
  type AwsSecretLocation,
  type Config,
  type Listener,
  type ScaiVaultAuth,
  type TenancyEntry,
} from "./config.ts";
export { type EnvironmentVerdict, refuseDangerousEnvironment } from "./environment.ts";
export {
  CONFIG_FILE_VARIABLE,
  type ConfigProblem,
  configProblemLine,
  type ConfigResult,
  type ConfigSource,
  environmentOverrides,
  loadConfig,
  readConfig,
} from "./load.ts";
export { parseMarkKey, readMarkKeys } from "./mark-keys.ts";
export { watchFile, type WatchFileOptions, WATCH_EVERY_MS } from "./watch-file.ts";
export {
  type ParsedYaml,
  parseYaml,
  type SourcePosition,
  type YamlDialect,
  type YamlDocument,
  type YamlProblem,
} from "./yaml-source.ts";
