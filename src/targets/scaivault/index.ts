export { createScaiVaultTarget, type ScaiVaultCodec, type ScaiVaultTargetOptions } from "./target.ts";
export type { ScaiVaultRef } from "./types.ts";
