export { BackendRegistry, type ResolvedBackend } from "./backend-registry.ts";
export { BackendResolver, type SourceInput, type SourceMaker } from "./backend-resolver.ts";
export { CacheReflectors, type Caches, createCaches, ownResources } from "./caches.ts";
export { createCredentialReader, credentialText } from "./credentials.ts";
export { OperatorTerm } from "./operator.ts";
export { ignoredPlan, type ObjectPlan, type PlannedTarget, PlanRun } from "./plan-once.ts";
export { type Overlay, overlayManifests, type PlannedObject } from "./plan-overlay.ts";
export { termMetrics } from "./term-metrics.ts";
export type { ScaiVaultSide, World } from "./world.ts";
