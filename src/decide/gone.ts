import type { Authority } from "../model/index.ts";
import { contested, isKept } from "./contest.ts";
import { parsePolicyField } from "./mark.ts";
import { firstAnswer, type Gate, gated, outcome, type PairContext, type Verdict } from "./plan-context.ts";
import type { Action, TargetInput } from "./types.ts";

/** The side that a target follows is not there. */
export interface Lost {
  readonly context: PairContext;
  readonly target: TargetInput;
  /** Positive not-found on two polls at least one interval apart. */
  readonly believed: boolean;
  /** What the mark must name as its source for a deletion to concern it, and the authority that it must carry. */
  readonly sourceID: string;
  readonly authority: Authority;
  /** Shown to people: what is gone. */
  readonly what: string;
  /** Reason when there is no copy either. */
  readonly missing: "SourceNotFound" | "SourcePendingDeletion" | "TargetNotFound";
}

/**
 * What becomes of a copy whose source is gone. It is deleted only when everything says so: belief, a policy that stood in
 * the mark before, a valid mark of this object for this source, the right, unchanged content, and open brakes.
 */
export function lost(input: Lost): Verdict {
  return firstAnswer(input, [
    notObserved,
    absent,
    unconfirmed,
    readOnly,
    changedByOther,
    keptWithScaiVault,
    fenced,
    retained,
    notGranted,
    remove,
  ]);
}

function notObserved({ target }: Lost): Verdict | undefined {
  const { presence, failure } = target.observation;
  if (presence !== "Unknown") return undefined;
  return outcome(target, "Unknown", failure?.reason ?? "Unexpected", failure?.message ?? `${target.ref} was not seen`);
}

function absent({ context, target, missing, what }: Lost): Verdict | undefined {
  if (target.observation.presence === "Present") return undefined;
  const copies = context.input.targets.some(({ observation }) => observation.presence === "Present");
  return copies
    ? outcome(target, "Retained", "SourceGoneRetained", `${what} is gone, ${target.ref} is not there`)
    : outcome(target, "Failed", missing, `${what} is not there`);
}

function unconfirmed({ target, believed, what }: Lost): Verdict | undefined {
  if (believed) return undefined;
  return outcome(target, "Unknown", "DeletionUnconfirmed", `${what} was not found; looked for again in an interval`);
}

/** What becomes of a path in ScaiVault is up to the cluster that writes it. */
function readOnly({ target, what }: Lost): Verdict | undefined {
  if (target.readOnly !== true) return undefined;
  return outcome(target, "Retained", "SourceGoneRetained", `${what} is gone; ${target.ref} is left to the writer`);
}

/** Whether this object's valid mark stands there for this source. */
function isOurs({ target, sourceID, authority }: Lost): boolean {
  const { mark } = target.observation;
  return (
    mark.state === "Valid" &&
    target.incumbent === "Self" &&
    target.claimedBy === undefined &&
    target.markMoved !== true &&
    mark.mark.source === sourceID &&
    mark.mark.authority === authority
  );
}

function changedByOther(input: Lost): Verdict | undefined {
  const { target, what, context } = input;
  const { mark, content } = target.observation;
  if (mark.state === "Unverified")
    return outcome(target, "Held", "BaseUnknown", `${what} is gone and the mark on ${target.ref} cannot be checked`);
  if (mark.state !== "Valid" || target.incumbent !== "Self" || content === "AsMarked") return undefined;
  if (target.kind === "KubernetesSecret" && context.input.policies.deletionPolicy === "Retain") return undefined;
  const message = `${what} is gone and ${target.ref} was changed by another writer`;
  const conflict = outcome(target, "Conflict", "TargetChanged", message);
  if (target.kind !== "ScaiVault") return conflict;
  const { source: sourceID, version } = mark.mark;
  return contested(context, target, conflict, { scaivault: { from: "Source", sourceID, version } });
}

/** A Secret is not deleted while its copy in ScaiVault is in doubt. */
function keptWithScaiVault({ context, target, what }: Lost): Verdict | undefined {
  const { vault } = context;
  if (target.kind !== "KubernetesSecret" || vault === undefined || context.authority !== "Source") return undefined;
  const { presence, mark, content } = vault.observation;
  const ours = mark.state === "Valid" && vault.incumbent === "Self";
  if (presence === "Unknown")
    return outcome(target, "Unknown", "DeletionUnconfirmed", `${vault.ref} could not be seen`);
  if (presence !== "Present" || (mark.state !== "Unverified" && !(ours && content !== "AsMarked"))) return undefined;
  return outcome(
    target,
    "Held",
    "TargetChanged",
    `${what} is gone, ${target.ref} is kept while ${vault.ref} is in doubt`,
  );
}

function fenced({ context, target }: Lost): Verdict | undefined {
  if (context.fence === undefined) return undefined;
  return outcome(target, "Held", context.fence, `${target.ref} is kept as it is`);
}

function retained(input: Lost): Verdict | undefined {
  const { context, target, what } = input;
  const { mark } = target.observation;
  const kept = (why: string): Verdict => outcome(target, "Retained", "SourceGoneRetained", `${what} is gone; ${why}`);
  if (context.input.policies.deletionPolicy !== "Delete") return kept("the copy is kept (deletionPolicy Retain)");
  if (target.kind === "ScaiVault" && isKept(target)) return kept(`people decided to keep ${target.ref}`);
  if (!isOurs(input)) return kept(`${target.ref} is not ours for this source, so it is kept`);
  const stood = mark.state === "Valid" ? parsePolicyField(mark.mark.policy)?.deletionPolicy : undefined;
  if (stood !== "Delete") return kept("deletionPolicy was not Delete when the copy was made, so it is kept");
  return undefined;
}

function notGranted({ target }: Lost): Verdict | undefined {
  if (target.rights.delete) return undefined;
  return outcome(target, "Failed", "NotGranted", `no right to delete ${target.ref}`);
}

function remove({ context, target, what }: Lost): Verdict {
  const action: Action = {
    kind: "Delete",
    target: target.kind,
    path: context.input.path,
    ref: target.ref,
    from: context.authority,
    fromVersion: "",
    why: "SourceGone",
    over: target.observation.version,
  };
  return gated(target, action, deletionGate(context, target, what));
}

function deletionGate({ input }: PairContext, target: TargetInput, what: string): Gate | undefined {
  if (input.approved) return undefined;
  const soft = target.kind === "ScaiVault" ? " (its path stays blocked for the time of ScaiVault's retention)" : "";
  if (input.policies.conflictResolution === "manual")
    return { reason: "ApprovalNeeded", message: `${what} is gone; approve the deletion of ${target.ref}${soft}` };
  if (input.brakes.deletion === "Held")
    return {
      reason: "DeletionBraked",
      message: `${what} is gone; ${target.ref} is not deleted before it is safe${soft}`,
    };
  return undefined;
}
