import type { Mark } from "../model/index.ts";
import { contested, isKept, keptMessage } from "./contest.ts";
import { parsePolicyField } from "./mark.ts";
import {
  type Check,
  firstAnswer,
  gated,
  gateOf,
  holdsVersion,
  holdsWanted,
  makeAction,
  needing,
  outcome,
  ownMark,
  type PairContext,
  remarkWhy,
  reshaped,
  targetValue,
  validMark,
  type Verdict,
  type Wanted,
} from "./plan-context.ts";
import { readPath } from "./reader.ts";
import type { TargetInput, Why } from "./types.ts";

/** How often another writer's change is undone within ten minutes before it is left to people. */
export const MAX_REVERTS = 3;

/** A target and what it shall follow. */
interface Following {
  readonly context: PairContext;
  readonly target: TargetInput;
  readonly wanted: Wanted;
  /** A conflict that people have to decide keeps ScaiVault as it is; the Secret then keeps what both sides held. */
  readonly conflict: boolean;
}

/** Makes a target hold what is wanted: the rows of the decision table in which the wanted side is present. */
export function follow(following: Following): Verdict {
  return firstAnswer(following, checks);
}

const checks: readonly Check<Following>[] = [
  notObserved,
  notGranted,
  claimedByOther,
  readOnly,
  softDeleted,
  unrenderable,
  keptInConflict,
  absent,
  markLost,
  notMarked,
  marksOfOthers,
  anotherWriter,
  settled,
  changedSecret,
  changedInScaiVault,
  behind,
];

function notObserved({ target }: Following): Verdict | undefined {
  const { presence, failure } = target.observation;
  if (presence !== "Unknown") return undefined;
  return outcome(target, "Unknown", failure?.reason ?? "Unexpected", failure?.message ?? `${target.ref} was not seen`);
}

function notGranted({ target }: Following): Verdict | undefined {
  const needed = target.readOnly === true ? "read" : "write";
  if (target.rights[needed]) return undefined;
  return outcome(target, "Failed", "NotGranted", `no right to ${needed} ${target.ref}`);
}

function claimedByOther({ target }: Following): Verdict | undefined {
  if (target.claimedBy === undefined) return undefined;
  return outcome(target, "Conflict", "Claimed", `${target.ref} is claimed by ${target.claimedBy}`);
}

function readOnly({ context, target, wanted }: Following): Verdict | undefined {
  return target.readOnly === true ? readPath(context, target, wanted) : undefined;
}

function softDeleted({ target }: Following): Verdict | undefined {
  if (target.observation.presence !== "SoftDeleted") return undefined;
  return outcome(
    target,
    "Failed",
    "TargetSoftDeleted",
    `${target.ref} is soft-deleted in ScaiVault and still retained`,
  );
}

function unrenderable({ target }: Following): Verdict | undefined {
  if (target.unrenderable === undefined) return undefined;
  return outcome(target, "Failed", target.unrenderable.reason, target.unrenderable.message);
}

function keptInConflict({ context, target, wanted, conflict }: Following): Verdict | undefined {
  if (!conflict || target.kind !== "KubernetesSecret") return undefined;
  const { vault } = context;
  const base = vault === undefined ? undefined : vault.readOnly === true ? validMark(vault) : ownMark(vault);
  const settling = context.input.keep !== undefined;
  // The source still shows what both sides held: the Secret may be kept at that.
  if (
    !settling &&
    context.authority === "Source" &&
    base?.version === wanted.version &&
    base.source === wanted.sourceID
  )
    return undefined;
  return outcome(target, "Held", "BothChanged", `${target.ref} keeps what both sides held`);
}

function absent(following: Following): Verdict | undefined {
  const { context, target, wanted } = following;
  if (target.observation.presence !== "Absent") return undefined;
  const lost = target.kind === "ScaiVault" && target.knownBefore === true;
  if (lost && (context.input.policies.conflictResolution === "manual" || context.fence === "FlipHeld")) {
    const message = `${target.ref} was deleted in ScaiVault by another writer`;
    const conflict = outcome(target, "Conflict", "TargetChanged", message);
    return contested(context, target, conflict, { source: { wanted, kind: "Create" } });
  }
  if (target.kind === "KubernetesSecret" && target.reverts >= MAX_REVERTS) return fought(target, "is deleted");
  return write(following, "Create", "NewTarget", gateOf(context, target, wanted, "NewTarget"));
}

/** Writes the wanted content; it still has to be read when it was not. */
function write(
  { context, target, wanted }: Following,
  kind: "Create" | "Update" | "Restore",
  why: Why,
  gate: ReturnType<typeof gateOf>,
): Verdict {
  const needs = isRendered(target) ? [] : [wanted.need];
  return gated(target, makeAction(context, target, wanted, kind, why), gate, needs);
}

function isRendered({ content }: TargetInput): boolean {
  return content.rendered ?? (content.sourceEqualsMark !== undefined || content.sourceEqualsTarget !== undefined);
}

/** Our label and our keys are there and only the mark is gone: it is ours (Secrets). */
function markLost(following: Following): Verdict | undefined {
  const { context, target, wanted } = following;
  if (target.observation.markLost !== true) return undefined;
  if (target.reverts >= MAX_REVERTS) return fought(target, "is stripped of its mark");
  return write(following, "Update", "MarkLost", gateOf(context, target, wanted, "MarkLost"));
}

function notMarked(following: Following): Verdict | undefined {
  const { target } = following;
  const { state } = target.observation.mark;
  if (state === "Valid") return undefined;
  const { failure } = target.observation;
  if (state === "None" && failure?.reason === "NoRoomForMark")
    return adopt(following, "NoRoomForMark", failure.message);
  if (state === "None") return adopt(following, "NotOwned", `${target.ref} exists and is not ours`);
  return adopt(following, "BaseUnknown", `the mark on ${target.ref} cannot be checked`);
}

/** What is not ours is taken over only when asked for and equal, or approved; else it is left alone, and the reason says why. */
function adopt(following: Following, refusal: "NotOwned" | "NoRoomForMark" | "BaseUnknown", message: string): Verdict {
  const { context, target, wanted } = following;
  if (context.input.policies.adopt === "Never")
    return outcome(target, refusal === "BaseUnknown" ? "Held" : "Failed", refusal, message);
  if (target.observation.controllerOwner !== undefined)
    return outcome(
      target,
      "Failed",
      "AdoptRefused",
      `${target.ref} is owned by the controller ${target.observation.controllerOwner}`,
    );
  const gate = gateOf(context, target, wanted, "Adopt");
  const action = makeAction(context, target, wanted, "Adopt", "Adopt");
  if (gate !== undefined) return gated(target, action, gate);
  const equal = target.content.sourceEqualsTarget;
  if (equal === undefined) return needing(target, [wanted.need, targetValue(target)]);
  if (equal) return gated(target, action, undefined);
  const unmarked = target.observation.mark.state === "None" && refusal === "NotOwned";
  if (context.input.policies.adopt === "WithApproval" && unmarked) return adoptDiffering(following);
  return outcome(target, "Failed", "AdoptDiffers", `${target.ref} differs from the source`);
}

/**
 * What differs and bears no mark is written over once people approve exactly that: this version over the one that stands
 * there. A Secret keeps no versions, so its owner has to consent as well, on the Secret itself.
 */
function adoptDiffering({ context, target, wanted }: Following): Verdict {
  const { ref, kind, observation, consented } = target;
  if (kind === "KubernetesSecret" && target.content.otherType === true)
    return outcome(target, "Failed", "AdoptDiffers", `${ref} is of another type, which nobody can change`);
  if (kind === "KubernetesSecret" && consented !== true) {
    const how = "its owner has to consent with the annotation scaivault.scailabs.ai/adopt, the name of this object";
    return outcome(target, "Failed", "AdoptDiffers", `${ref} differs from the source; ${how}`);
  }
  const planned = makeAction(context, target, wanted, "Update", "AdoptDiffers");
  // Without a mark a Secret has no version of its own: the approval is for the state that was compared.
  const action = kind === "KubernetesSecret" ? { ...planned, over: observation.fence } : planned;
  const gate = gateOf(context, target, wanted, "AdoptDiffers");
  if (gate !== undefined) return gated(target, action, gate);
  if (context.input.approved) return gated(target, action, undefined);
  const message = `${ref} is not ours and differs from the source; it is written over when that is approved`;
  return gated(target, action, { reason: "ApprovalNeeded", message });
}

function marksOfOthers(following: Following): Verdict | undefined {
  const { context, target, wanted } = following;
  const { incumbent, otherOwner = "another object", observation } = target;
  if (incumbent === "Self" || incumbent === "Gone") return undefined;
  if (incumbent === "Other") return outcome(target, "Conflict", "Claimed", `${target.ref} is kept by ${otherOwner}`);
  if (incumbent === "OtherCluster" && target.kind === "ScaiVault" && observation.mark.state === "Valid") {
    const { mark } = observation.mark;
    const inSync = observation.content === "AsMarked" && holdsVersion(mark, wanted);
    if (context.fence === "AuthorityFenced" && !context.input.approved)
      return outcome(
        target,
        "Held",
        "AuthorityFenced",
        `${target.ref}: ${otherOwner} says that ScaiVault is the authority`,
      );
    return inSync
      ? right(target, mark, `kept by ${otherOwner}`)
      : outcome(
          target,
          "Pending",
          "OtherCluster",
          `${target.ref} is kept by ${otherOwner} and does not hold the wanted version yet`,
        );
  }
  return adopt(following, "NotOwned", `${target.ref} is marked by ${otherOwner}`);
}

function anotherWriter({ target }: Following): Verdict | undefined {
  if (target.markMoved !== true) return undefined;
  return outcome(
    target,
    "Conflict",
    "AnotherWriter",
    `the mark on ${target.ref} was written by another operator in our name`,
  );
}

/** The mark says that the content is right; at most the mark itself or declared metadata are not. */
function settled({ context, target, wanted }: Following): Verdict | undefined {
  const mark = ownMark(target);
  if (mark === undefined || reshaped(target, mark)) return undefined;
  if (!holdsWanted(target, wanted, mark) && !flipsWithScaiVault(context, target)) return undefined;
  // What ScaiVault kept as the authority was never the source's: it is written when that is the authority again.
  if (context.authority === "Source" && mark.authority === "ScaiVault" && isKept(target)) return undefined;
  const why = remarkWhy(context, target, mark);
  if (why === undefined) return right(target, mark, "");
  return gated(target, makeAction(context, target, wanted, "Mark", why), gateOf(context, target, wanted, why));
}

/** In sync, or kept by people although the source holds another content. */
function right(target: TargetInput, { version }: Mark, message: string): Verdict {
  if (target.kind !== "ScaiVault" || !isKept(target)) return outcome(target, "InSync", "InSync", message);
  return outcome(target, "InSync", "ScaiVaultKept", keptMessage(target, version));
}

/** At a flip the Secret holds the very source version that ScaiVault holds, so nothing has to be read. */
function flipsWithScaiVault({ authority, vault }: PairContext, target: TargetInput): boolean {
  const [mark, theirs] = [ownMark(target), vault === undefined ? undefined : validMark(vault)];
  if (authority !== "ScaiVault" || target.kind !== "KubernetesSecret" || mark?.authority !== "Source") return false;
  if (target.observation.content !== "AsMarked" || vault?.observation.content !== "AsMarked") return false;
  // What people kept in ScaiVault is not what the source had under that version.
  if (isKept(vault)) return false;
  return theirs !== undefined && theirs.source === mark.source && theirs.version === mark.version;
}

/** A Secret that another writer changed. Its data is never read (R28): writing the wanted content is the repair. */
function changedSecret(following: Following): Verdict | undefined {
  const { context, target, wanted } = following;
  const mark = ownMark(target);
  if (target.kind !== "KubernetesSecret" || mark === undefined || target.observation.content === "AsMarked")
    return undefined;
  if (mark.version !== wanted.version || mark.source !== wanted.sourceID) {
    const why = whyBehind(context, mark, wanted);
    return write(following, "Update", why, gateOf(context, target, wanted, why));
  }
  return restore(following);
}

function restore(following: Following): Verdict {
  const { context, target, wanted } = following;
  // In ScaiVault the mark counts: each time is one version more, and the oldest ones go.
  const counted = target.kind === "ScaiVault" ? parsePolicyField(ownMark(target)?.policy ?? "")?.reverts : undefined;
  if (Math.max(target.reverts, counted ?? 0) >= MAX_REVERTS) return bothSides(following, fought(target, "is changed"));
  return write(following, "Restore", "Drift", gateOf(context, target, wanted, "Drift"));
}

/** A conflict in which either side may be kept. */
function bothSides({ context, target, wanted }: Following, conflict: Verdict): Verdict {
  if (target.kind !== "ScaiVault") return conflict;
  return contested(context, target, conflict, { source: { wanted, kind: "Update" }, scaivault: wanted });
}

/** Whoever undoes what we write is left alone for a while. */
function fought(target: TargetInput, what: string): Verdict {
  const writer = target.observation.otherWriter ?? "another writer";
  return outcome(target, "Conflict", "Conflict", `${target.ref} ${what} again and again by ${writer}`);
}

/** A ScaiVault path with a version that is not ours: equal content is the new base, else the conflict rules decide. */
function changedInScaiVault(following: Following): Verdict | undefined {
  const { context, target, wanted } = following;
  const mark = ownMark(target);
  if (target.kind !== "ScaiVault" || mark === undefined || target.observation.content === "AsMarked") return undefined;
  const sourceMoved = mark.version !== wanted.version || mark.source !== wanted.sourceID;
  const why = sourceMoved ? "BothChanged" : "Drift";
  const gate = gateOf(context, target, wanted, why);
  if (gate !== undefined) return gated(target, makeAction(context, target, wanted, "Update", why), gate);
  const equal = target.content.sourceEqualsTarget;
  if (equal === undefined) return needing(target, [wanted.need, targetValue(target)]);
  if (equal) return gated(target, makeAction(context, target, wanted, "Mark", "NewBase"), undefined);
  return writtenAnew(following, sourceMoved) ?? differsInScaiVault(following, mark, sourceMoved);
}

/** ScaiVault was written anew with what both sides held: as if nobody had been at it. */
function writtenAnew(following: Following, sourceMoved: boolean): Verdict | undefined {
  const { context, target, wanted } = following;
  if (target.content.targetEqualsMark !== true) return undefined;
  if (sourceMoved) return write(following, "Update", "SourceChanged", undefined);
  return isKept(target) ? gated(target, makeAction(context, target, wanted, "Mark", "Kept"), undefined) : undefined;
}

/** ScaiVault holds something else than the source: people decide, or the source is written over it. */
function differsInScaiVault(following: Following, mark: Mark, sourceMoved: boolean): Verdict {
  const { context, target, wanted } = following;
  const versions = `source ${mark.version} to ${wanted.version}, ScaiVault ${mark.targetVersion} to ${target.observation.version}`;
  if (context.fence === "FlipHeld")
    return bothSides(following, outcome(target, "Held", "FlipHeld", `${target.ref}: ${versions}`));
  // What people kept is not written over on the word of the same version of the source.
  if (context.input.policies.conflictResolution === "manual" || (isKept(target) && !sourceMoved)) {
    const reason = sourceMoved ? "BothChanged" : "TargetChanged";
    return bothSides(following, outcome(target, "Conflict", reason, `${target.ref}: ${versions}`));
  }
  if (!sourceMoved) return restore(following);
  return write(following, "Update", "BothChanged", undefined);
}

/** The target is as we left it, and something else is wanted by now. */
function behind(following: Following): Verdict {
  const { context, target, wanted } = following;
  const mark = ownMark(target);
  if (mark === undefined) return outcome(target, "Failed", "NotOwned", `${target.ref} is not ours`);
  const why = whyBehind(context, mark, wanted);
  const gate = gateOf(context, target, wanted, why);
  const update = makeAction(context, target, wanted, "Update", why);
  if (gate !== undefined) return gated(target, update, gate);
  const equal = target.content.sourceEqualsMark;
  if (equal === undefined) return { ...needing(target, [wanted.need]), writes: update.kind };
  if (!equal) return gated(target, update, undefined);
  const remark = why === "Flip" || why === "FlipBack" ? why : "NewBase";
  return gated(target, makeAction(context, target, wanted, "Mark", remark), undefined);
}

function whyBehind(
  context: PairContext,
  mark: { source: string; version: string; authority: string },
  wanted: Wanted,
): Why {
  if (mark.authority !== context.authority) return context.authority === "ScaiVault" ? "Flip" : "FlipBack";
  if (mark.source !== wanted.sourceID) return "SourceMoved";
  return mark.version !== wanted.version ? "SourceChanged" : "ShapeChanged";
}
