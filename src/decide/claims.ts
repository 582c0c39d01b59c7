import { cleanText } from "../errors/index.ts";
import type { MarkReading } from "../model/index.ts";
import { type KeyRing, opaqueID } from "./keys.ts";
import { type OwnerRef, ownerMatches, parseOwner } from "./mark.ts";
import type { Incumbent } from "./types.ts";

/** A living object that declares a target. */
export interface Claim {
  /** `namespace/name`. */
  readonly key: string;
  /** `metadata.creationTimestamp`, RFC 3339 in UTC. */
  readonly createdAt: string;
}

/**
 * The claim that goes before `self` for the same target, if there is one: the older one, then the smaller name. Whoever's
 * mark stands on the target goes before both and is not asked here (F14).
 * @returns key of the winner, or undefined when `self` may have the target
 */
export function claimedBy(self: Claim, others: readonly Claim[]): string | undefined {
  let first = self;
  for (const other of others) if (goesBefore(other, first)) first = other;
  return first.key === self.key ? undefined : first.key;
}

function goesBefore(a: Claim, b: Claim): boolean {
  return a.createdAt === b.createdAt ? a.key < b.key : a.createdAt < b.createdAt;
}

/** Whose mark stands on a target, and what it is called towards `self`'s namespace. */
export interface IncumbentVerdict {
  readonly incumbent: Incumbent;
  /** The other owner, as far as this namespace may know it (R40). */
  readonly otherOwner?: string;
}

/**
 * @param exists whether an object of this cluster lives and still declares the target
 * @param predecessors clusters whose marks are taken over (`scaivault.takeOverFrom`): their objects of this namespace count
 *   as gone
 */
export function incumbentOf(
  reading: MarkReading,
  self: OwnerRef,
  ring: KeyRing,
  exists: (owner: OwnerRef) => boolean,
  predecessors: ReadonlySet<string> = new Set(),
): IncumbentVerdict {
  if (reading.state !== "Valid") return { incumbent: "None" };
  const stored = reading.mark.owner;
  if (ownerMatches(ring, stored, self)) return { incumbent: "Self" };
  const owner = parseOwner(stored);
  if (owner === undefined) return { incumbent: "Other", otherOwner: opaqueID(ring, stored) };
  if (owner.cluster !== self.cluster) {
    const passesOn = predecessors.has(owner.cluster) && owner.namespace === self.namespace;
    return { incumbent: passesOn ? "Gone" : "OtherCluster", otherOwner: `cluster ${cleanText(owner.cluster, 64)}` };
  }
  // A name that was cut cannot be looked up: it counts as living.
  const lives = owner.cut || exists(owner);
  if (owner.namespace !== self.namespace)
    return {
      incumbent: lives ? "Other" : "OtherNamespaceGone",
      otherOwner: opaqueID(ring, `${owner.namespace}/${owner.name}`),
    };
  return lives
    ? { incumbent: "Other", otherOwner: cleanText(`${owner.kind} ${owner.name}`, 128) }
    : { incumbent: "Gone", otherOwner: cleanText(`${owner.kind} ${owner.name}`, 128) };
}
