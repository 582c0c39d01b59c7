/** Who may change a copied secret: the old store, or ScaiVault after the flip. */
export type Authority = "Source" | "ScaiVault";

/**
 * Our mark on a target: the only ledger there is. Every field is readable text of at most 256 characters out of
 * `[A-Za-z0-9 _.:/=+@-]`; longer owners and sources end in a keyed hash.
 */
export interface Mark {
  /** `cluster/namespace/kind/name` of the object that keeps the target. Never a UID: restores change those. */
  readonly owner: string;
  /** Where the content came from: `backendNamespace/backendName:path`, or `scaivault:path` after the flip. */
  readonly source: string;
  /** Source version that was copied. */
  readonly version: string;
  /** The target's own version that the content was written as; `-` where the target has none (Secrets). */
  readonly targetVersion: string;
  readonly authority: Authority;
  /**
   * `<deletionPolicy>/<cleanupPolicy>/<shape>`: the policies that stood when it was written, and what shaped it. In ScaiVault
   * `/kept` or `/reverts=<count>` may follow: people kept its content, or another writer's changes were undone.
   */
  readonly policy: string;
  /** Keyed and bound to the target, so that equal values of two targets differ. */
  readonly fingerprint: string;
}

/**
 * What stands on a target.
 * - `None`: no mark at all.
 * - `Unverified`: a mark whose proof does not fit (forged, copied, cut, or made with a key we do not have). It may only
 *   cause inaction.
 * - `Valid`: the proof fits this target and these fields.
 */
export type MarkReading =
  { readonly state: "None" } | { readonly state: "Unverified" } | { readonly state: "Valid"; readonly mark: Mark };
