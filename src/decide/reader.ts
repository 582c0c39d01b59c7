import { isKept, keptMessage } from "./contest.ts";
import { holdsVersion, outcome, type PairContext, validMark, type Verdict, type Wanted } from "./plan-context.ts";
import type { TargetInput } from "./types.ts";

// What a ScaiVault path comes to for an operator that only reads ScaiVault (`scaivault.role: Reader`). Another cluster writes
// it; here it is looked at and never written, neither value nor mark nor metadata, and never deleted.

const waiting = (target: TargetInput, message: string): Verdict =>
  outcome(target, "Pending", "WaitingForWriter", message);

/** While the old store is the authority: in sync when the writer's mark says that the path holds the wanted version. */
export function readPath(context: PairContext, target: TargetInput, wanted: Wanted): Verdict {
  const { ref, observation, incumbent, otherOwner = "another object" } = target;
  const { mark, presence, content } = observation;
  if (presence !== "Present") return waiting(target, `${ref} is not in ScaiVault yet`);
  if (mark.state === "None") return waiting(target, `${ref} bears no mark of a writer`);
  if (mark.state === "Unverified")
    return outcome(
      target,
      "Held",
      "BaseUnknown",
      `the mark on ${ref} cannot be checked: a fleet shares marks.keyFiles`,
    );
  if (incumbent === "Other") return outcome(target, "Conflict", "Claimed", `${ref} is kept by ${otherOwner}`);
  if (incumbent === "OtherNamespaceGone")
    return outcome(target, "Failed", "NotOwned", `${ref} is marked by ${otherOwner}`);
  const keeper = incumbent === "OtherCluster" ? otherOwner : "this cluster";
  if (context.fence === "AuthorityFenced" && !context.input.approved)
    return outcome(target, "Held", "AuthorityFenced", `${ref}: ${keeper} says that ScaiVault is the authority`);
  if (context.fence === "FlipHeld") return waiting(target, `${ref}: the writer has not moved the authority yet`);
  if (content !== "AsMarked") return waiting(target, `${ref} was changed since ${keeper} wrote it`);
  if (!holdsVersion(mark.mark, wanted))
    return waiting(target, `${ref} is kept by ${keeper} and does not hold the wanted version yet`);
  if (isKept(target)) return outcome(target, "InSync", "ScaiVaultKept", keptMessage(target, mark.mark.version));
  return outcome(target, "InSync", "InSync", incumbent === "OtherCluster" ? `kept by ${keeper}` : "");
}

/** With `manual`, a change in ScaiVault by another writer keeps Secrets as they are, until the writer or people settle it. */
export function isUnsettled({ input }: PairContext, target: TargetInput): boolean {
  const { content } = target.observation;
  return input.policies.conflictResolution === "manual" && validMark(target) !== undefined && content === "Changed";
}

/** After the flip the path is the truth; a reader only says what it waits for. */
export function readAuthority(context: PairContext, target: TargetInput): Verdict | undefined {
  return isUnsettled(context, target) && validMark(target)?.authority === "ScaiVault"
    ? waiting(target, `${target.ref} was changed by another writer, which is for people to settle`)
    : undefined;
}
