/** Step by step checks of the operator's surroundings: cluster, ScaiVault, backends. Nothing is written anywhere. */
export { type BackendCase, type BackendParts, checkBackend } from "./backend.ts";
export { type Check, type Outcome } from "./checklist.ts";
export { checkCluster, type ClusterParts } from "./cluster.ts";
export { awsStatement } from "./policies.ts";
export { checkScaiVault, connectionFailed, type ScaiVaultParts } from "./scaivault.ts";
