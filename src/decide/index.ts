export { type Belief, believe, noBelief } from "./belief.ts";
export { BRAKE_WINDOW_MS, type BrakeKey, type BrakeKind, brakeKindOf, BrakeWindows } from "./brakes.ts";
export { type Claim, claimedBy, incumbentOf, type IncumbentVerdict } from "./claims.ts";
export { type CleanupInput, type CleanupPlan, planCleanup } from "./cleanup.ts";
export { isKept } from "./contest.ts";
export { sightOf } from "./fence.ts";
export { checkGlob, globCovers, globMatches } from "./glob.ts";
export { createKeyRing, identityKey, type KeyRing, opaqueID, type Part, type Purpose } from "./keys.ts";
export {
  createMarkSeal,
  fieldMatches,
  fingerprint,
  fingerprintMatches,
  fitField,
  locationDigest,
  type MarkedPolicies,
  type MarkNote,
  markFieldNames,
  type MarkSeal,
  ownerMatches,
  ownerOf,
  type OwnerRef,
  parseOwner,
  parsePolicyField,
  policyField,
  readMark,
  sameContent,
  shapeDigest,
  sourceIDOf,
  type SourceLocation,
  sourcePathOf,
  sourceStoreOf,
  vaultSourceIDOf,
  writeMark,
} from "./mark.ts";
export {
  type FormerCopies,
  formerCopies,
  handoverRegistration,
  isHeldBy,
  isVerified,
  recordedAfter,
} from "./handover.ts";
export {
  holdsPath,
  isTree,
  lowerDash,
  nameOne,
  nameTree,
  type Naming,
  type TreeMapping,
  type TreeNames,
  type TreePath,
  treePrefix,
} from "./naming.ts";
export { starMatches, transformTags } from "./tags.ts";
export {
  belowSubtree,
  checkScaiVaultPath,
  mapAll,
  type MappedPath,
  mapSubtree,
  secretNameOf,
  sourcePath,
  type SubtreeMapping,
} from "./paths.ts";
export { heldActions, heldCounts, type HeldPlan, planApproved, planHash, sameAction } from "./plan-hash.ts";
export { planPair } from "./planner.ts";
export {
  type DeclaredRegistration,
  decideRegistration,
  decideRetirement,
  registrationDiff,
  registrationName,
  type RegistrationSituation,
  type RegistrationStep,
  type RetirementStep,
  wantedRegistration,
} from "./registration.ts";
export { registeredStatus } from "./registered-status.ts";
export { checkAllowedHost, checkRegistrationHost, registrationHost } from "./registration-host.ts";
export {
  isOpenConflict,
  type RegistrationReport,
  type RegistrationView,
  reportRegistration,
} from "./registration-report.ts";
export {
  createRights,
  type Grant,
  hostListed,
  type Rights,
  type RightsConfig,
  type Tenancy,
  type Verdict,
} from "./rights.ts";
export { MAX_SCAIVAULT_BYTES, MAX_SECRET_BYTES, renderScaiVault, renderSecret, type SecretShape } from "./shape.ts";
export { type BackendStatusInput, backendStatus, type StoreVerdict, type TreeReport } from "./backend-status.ts";
export { sameStatus, timeText } from "./conditions.ts";
export {
  type PairReport,
  syncStatus,
  type SyncStatusInput,
  type SyncSituation,
  type TargetReport,
} from "./sync-status.ts";
export { compareKeys, type KeyComparison } from "./compare-keys.ts";
