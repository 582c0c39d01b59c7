import type { Incumbent, Sight, TargetInput } from "./types.ts";

/**
 * What a look at ScaiVault says about the fence; undefined when it says nothing: the path could not be looked at, or the
 * proof of its mark does not fit.
 */
export function sightOf({ presence, mark }: TargetInput["observation"], incumbent: Incumbent): Sight | undefined {
  if (presence === "Unknown" || (presence === "Present" && mark.state === "Unverified")) return undefined;
  if (presence !== "Present" || mark.state !== "Valid") return {};
  if (incumbent === "Other" || incumbent === "OtherNamespaceGone") return {};
  const ours = incumbent === "Self" || incumbent === "Gone";
  return { authority: mark.mark.authority, ...(ours ? { mark: mark.mark } : {}) };
}

/** The newest that is known of the fence: what is seen now, else what was seen last. */
export function fenceSeen(vault: TargetInput): Sight | undefined {
  return sightOf(vault.observation, vault.incumbent) ?? vault.lastSeen;
}
