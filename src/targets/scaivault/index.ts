export { createScaiVaultTarget, type ScaiVaultTargetOptions } from "./target.ts";
export type { ScaiVaultRef } from "./types.ts";
