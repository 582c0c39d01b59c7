import type { Authority } from "../model/index.ts";
import { fenceSeen } from "./fence.ts";
import { ownMark, targetValue } from "./plan-context.ts";
import type { Need, PairInput, PairPlan, TargetInput } from "./types.ts";

/** Which authority holds, and what keeps the declared one from holding. */
export interface InForce {
  readonly authority: Authority;
  readonly fence?: PairPlan["fence"];
  /** Values without which it cannot be said whether both sides are equal. */
  readonly needs?: readonly Need[];
}

/**
 * The authority that stands at the targets: ScaiVault's mark first, since that is where the fence is. A Secret that was fed
 * from ScaiVault after a flip says so, too: ScaiVault may have been restored to a day before it.
 */
function marked(
  declared: Authority,
  vault: TargetInput | undefined,
  secret: TargetInput | undefined,
): Authority | undefined {
  const flipped = secret !== undefined && ownMark(secret)?.authority === "ScaiVault";
  // Where another cluster writes the path, its mark tells of a flip back.
  const written = vault === undefined || ownMark(vault) !== undefined;
  if (flipped && (declared === "ScaiVault" || written)) return "ScaiVault";
  const seen = vault === undefined ? undefined : markedInScaiVault(vault);
  return seen ?? (secret === undefined ? undefined : ownMark(secret)?.authority);
}

/** A mark that cannot be checked is no reason to wait for equality, but what stood there keeps the fence up. */
function markedInScaiVault(vault: TargetInput): Authority | undefined {
  const seen = fenceSeen(vault)?.authority;
  const { presence, mark } = vault.observation;
  const unverified = presence === "Present" && mark.state === "Unverified";
  return unverified && seen === "Source" ? undefined : seen;
}

/**
 * A flip to ScaiVault waits until both sides are equal, or the old store's secret is gone for good. A mark that says
 * ScaiVault while the spec says Source is a fence: this operator may have come from an old state.
 */
export function authorityInForce(
  input: PairInput,
  vault: TargetInput | undefined,
  secret: TargetInput | undefined,
): InForce {
  const declared = input.policies.authority;
  const stands = marked(declared, vault, secret);
  if (stands === undefined || stands === declared) return { authority: declared };
  if (declared === "Source") return { authority: "Source", fence: "AuthorityFenced" };
  return flip(input, vault);
}

/** Whether the mark may say ScaiVault from now on. */
function flip(input: PairInput, vault: TargetInput | undefined): InForce {
  const held: InForce = { authority: "Source", fence: "FlipHeld" };
  const { source } = input;
  // The mark is moved by whoever keeps the path.
  if (vault?.observation.presence !== "Present" || vault.incumbent === "OtherCluster" || vault.readOnly === true)
    return held;
  if (source.state === "Gone" && source.believed) return { authority: "ScaiVault" };
  if (source.state !== "Present") return held;
  const mark = ownMark(vault);
  if (mark !== undefined && vault.observation.content === "AsMarked") {
    // Metadata tell. When the source moved on, ScaiVault is brought up to it first.
    return mark.source === input.sourceID && mark.version === source.version ? { authority: "ScaiVault" } : held;
  }
  const equal = vault.content.sourceEqualsTarget;
  if (equal === undefined) return { ...held, needs: [{ kind: "SourceValue" }, targetValue(vault)] };
  return equal ? { authority: "ScaiVault" } : held;
}
