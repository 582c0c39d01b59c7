export { check, type CheckOptions, type SchemaPath, type SchemaProblem, type SchemaProblemCode } from "./check.ts";
export type { BackendCounts, Condition, Conflict, Counts, ObjectMetadata, PlanStatus, Problem } from "./common.ts";
export { customResourceDefinitions } from "./crds.ts";
export {
  defaults,
  effectiveBackend,
  type EffectiveBackend,
  effectiveFederation,
  type EffectiveFederation,
  effectiveSync,
  type EffectiveSync,
  sourceSelector,
} from "./defaults.ts";
export { DURATION_PATTERN, formatDuration, parseDuration } from "./durations.ts";
export {
  federationConnections,
  federationModes,
  federationRunners,
  type FederationSpec,
  type FederationStatus,
  namingRules,
  type PathMapping,
  tagForms,
  type TagTransform,
} from "./federation.ts";
export {
  type FederationBackend,
  federationBackend,
  type FederationBackendSpec,
  federationBackendSpec,
  type FederationBackendStatus,
  federationBackendStatus,
} from "./federation-backend.ts";
export {
  dnsLabelRule,
  dnsSubdomainRule,
  durationRules,
  grantGlobRules,
  isAllowedSecretType,
  parseField,
  patterns,
} from "./grammar.ts";
export * from "./names.ts";
export { nearest } from "./nearest.ts";
export { parseFederationBackend, type ParseResult, parseSecretSync } from "./parse.ts";
export { described, matches, matchesNot, type Rule, rule, rulesOf } from "./rules.ts";
export {
  type DataEntry,
  type KubernetesSecretTargetSpec,
  type ScaiVaultTargetSpec,
  type SecretSync,
  secretSync,
  type SecretSyncSource,
  type SecretSyncSpec,
  secretSyncSpec,
  type SecretSyncStatus,
  secretSyncStatus,
  type TargetStatus,
  targetStates,
} from "./secret-sync.ts";
