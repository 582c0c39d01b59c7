export type { MetadataStore } from "./lookup.ts";
export { createKubernetesSecretTarget, type KubernetesSecretTargetOptions } from "./target.ts";
export type { KubernetesSecretRef } from "./types.ts";
