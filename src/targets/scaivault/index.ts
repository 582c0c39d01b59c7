export { createScaiVaultTarget, type ScaiVaultTargetOptions } from "./target.ts";
export type { ScaiVaultRef } from "./types.ts";
export { allowedHosts } from "./allowed-hosts.ts";
