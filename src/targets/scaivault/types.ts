import type { RateLane } from "../../scaivault/index.ts";

/** One path in ScaiVault with the metadata that is declared for it. What is not declared is left as it is. */
export interface ScaiVaultRef {
  readonly path: string;
  readonly owner?: string | undefined;
  readonly description?: string | undefined;
  /** All tags: the declared ones, and those of the source as `key=value`. Order does not matter. */
  readonly tags?: readonly string[] | undefined;
  /** Of credentials: the hosts that they may be sent to, as metadata key `allowed_hosts`. */
  readonly allowedHosts?: readonly string[] | undefined;
  /** How many versions ScaiVault keeps, at least 2. */
  readonly maxVersions?: number | undefined;
  /** `namespace/name` of the object, for the User-Agent. */
  readonly object?: string | undefined;
  /** Order in the rate budget; `user` also looks afresh. Default `new`. */
  readonly lane?: RateLane | undefined;
  /** Asked now, whatever was learned a moment ago. */
  readonly fresh?: boolean | undefined;
}
