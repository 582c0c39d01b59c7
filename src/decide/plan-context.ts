import type { Reason } from "../errors/index.ts";
import type { Authority, Mark } from "../model/index.ts";
import { fenceSeen } from "./fence.ts";
import { type MarkNote, noNote, parsePolicyField } from "./mark.ts";
import type { Action, ActionKind, Choice, Need, PairInput, TargetInput, TargetOutcome, Why } from "./types.ts";

/** What a target shall follow: the old store, or ScaiVault after the flip. */
export interface Wanted {
  readonly from: Action["from"];
  readonly sourceID: string;
  readonly version: string;
  readonly older: ReadonlySet<string> | undefined;
  readonly numbered: boolean;
  /** What has to be read to have its content. */
  readonly need: Need;
}

/** One pair while it is planned. */
export interface PairContext {
  readonly input: PairInput;
  /** Authority in force. */
  readonly authority: Authority;
  readonly fence: "FlipHeld" | "AuthorityFenced" | undefined;
  readonly vault: TargetInput | undefined;
  readonly secret: TargetInput | undefined;
}

/** What came of one target: exactly one outcome, and at most one action, done or held. */
export interface Verdict {
  readonly outcome: TargetOutcome;
  readonly action?: Action;
  readonly held?: Action;
  readonly needs?: readonly Need[];
  /** What will be written for certain, although the action itself depends on the needs. */
  readonly writes?: ActionKind;
  /** Answers that people may give to the conflict that this is. */
  readonly choices?: readonly Choice[];
}

/** One named question; the first that has an answer decides. */
export type Check<C> = (context: C) => Verdict | undefined;

/** The first answer; the last check must always answer. */
export function firstAnswer<C>(context: C, checks: readonly Check<C>[]): Verdict {
  for (const check of checks) {
    const verdict = check(context);
    if (verdict !== undefined) return verdict;
  }
  throw new RangeError("no check answered");
}

export function outcome(target: TargetInput, state: TargetOutcome["state"], reason: Reason, message: string): Verdict {
  return { outcome: { kind: target.kind, ref: target.ref, state, reason, message } };
}

/** The mark of the target when its proof fits and this object may act on it: its own, or of an object that is gone. */
export function ownMark(target: TargetInput): Mark | undefined {
  const { mark } = target.observation;
  if (target.observation.presence !== "Present" || mark.state !== "Valid") return undefined;
  return target.incumbent === "Self" || target.incumbent === "Gone" ? mark.mark : undefined;
}

/** The mark of the target when its proof fits, whosever it is. */
export function validMark({ observation: { presence, mark } }: Pick<TargetInput, "observation">): Mark | undefined {
  return presence === "Present" && mark.state === "Valid" ? mark.mark : undefined;
}

/** Separates a version of ScaiVault from the lineage of its path. */
const LINEAGE = "@";

/** Version of a ScaiVault path as the mark of a Secret carries it: numbers begin again when a path is made anew. */
export function vaultVersion({ version, lineage }: TargetInput["observation"]): string {
  return lineage === undefined || lineage === "" ? version : `${version}${LINEAGE}${lineage}`;
}

/** A version as a number, where it is one. */
function numberOf(version: string): number | undefined {
  const [number = ""] = version.split(LINEAGE);
  return /^\d{1,15}$/.test(number) ? Number(number) : undefined;
}

/** Versions that carry the time at which they were written: the time decides, since numbers may begin again. */
function olderByTime(now: string, copied: string): boolean | undefined {
  const [left, right] = [timeOf(now), timeOf(copied)];
  if (left === undefined || right === undefined) return undefined;
  return left === right ? (numberOf(now) ?? 0) < (numberOf(copied) ?? 0) : left < right;
}

function timeOf(version: string): number | undefined {
  const at = version.indexOf(LINEAGE);
  const ms = at < 0 ? Number.NaN : Date.parse(version.slice(at + 1));
  return Number.isNaN(ms) ? undefined : ms;
}

/** Whether `wanted` is older than the version that the mark says was copied. Of two lineages neither is older. */
export function wentBack(wanted: Wanted, mark: Mark): boolean {
  if (mark.source !== wanted.sourceID || mark.version === wanted.version) return false;
  if (wanted.numbered) {
    const byTime = olderByTime(wanted.version, mark.version);
    if (byTime !== undefined) return byTime;
    const [now, copied] = [numberOf(wanted.version), numberOf(mark.version)];
    const sameLineage = wanted.version.split(LINEAGE)[1] === mark.version.split(LINEAGE)[1];
    if (now !== undefined && copied !== undefined) return sameLineage && now < copied;
  }
  return wanted.older !== undefined && !wanted.older.has(mark.version);
}

/** The content of the target is that of the wanted version, as far as the mark tells. */
export function holdsWanted(target: TargetInput, wanted: Wanted, mark: Mark): boolean {
  return (
    target.observation.content === "AsMarked" && mark.source === wanted.sourceID && mark.version === wanted.version
  );
}

/**
 * Whether a mark that another cluster may have written names the wanted version. Version ids are unique; numbers need the
 * same secret of the same store, whatever the other cluster calls its backend.
 */
export function holdsVersion(mark: Mark, { version, numbered, sourceID }: Wanted): boolean {
  return mark.version === version && (!numbered || storeAndPath(mark.source) === storeAndPath(sourceID));
}

/** `@digest:path` of `namespace/name@digest:path`. */
function storeAndPath(sourceID: string): string {
  return sourceID.slice(Math.max(0, sourceID.indexOf("@")));
}

/** What shapes a Secret is other than what the mark was written with. Metadata in ScaiVault do not shape content. */
export function reshaped(target: TargetInput, mark: Mark): boolean {
  return target.kind === "KubernetesSecret" && parsePolicyField(mark.policy)?.shape !== target.shape;
}

/** Why the mark should be written anew although the content is right; undefined when it is as it should be. */
export function remarkWhy(context: PairContext, target: TargetInput, mark: Mark): Why | undefined {
  if (mark.authority !== context.authority) return context.authority === "ScaiVault" ? "Flip" : "FlipBack";
  if (target.incumbent === "Gone") return "TakeOver";
  const stood = parsePolicyField(mark.policy);
  const { deletionPolicy, cleanupPolicy } = context.input.policies;
  if (stood?.deletionPolicy !== deletionPolicy || stood.cleanupPolicy !== cleanupPolicy) return "PolicyChanged";
  if (stood.shape !== target.shape || !target.observation.metadataAsDeclared) return "Metadata";
  return undefined;
}

/** What the mark in ScaiVault says beside the ordinary after an action. A new version of the source begins anew. */
function noteAfter(
  target: TargetInput,
  wanted: Pick<Wanted, "sourceID" | "version">,
  kind: ActionKind,
  why: Why,
): MarkNote {
  const mark = ownMark(target);
  if (why === "Kept") return { kept: true, reverts: 0 };
  if (why === "Resolved" || mark?.version !== wanted.version || mark.source !== wanted.sourceID) return noNote;
  const { kept, reverts } = parsePolicyField(mark.policy) ?? noNote;
  if (why === "Drift") return { kept: false, reverts: reverts + 1 };
  // Equal to the source by now, or written from it: there is nothing left that was kept.
  return { kept: kept && kind === "Mark" && why !== "NewBase", reverts };
}

export function makeAction(
  context: PairContext,
  target: TargetInput,
  wanted: Pick<Wanted, "from" | "sourceID" | "version">,
  kind: Exclude<ActionKind, "Release" | "Delete">,
  why: Why,
): Action {
  return {
    kind,
    target: target.kind,
    path: context.input.path,
    ref: target.ref,
    from: wanted.from,
    fromVersion: wanted.version,
    why,
    over: target.observation.version,
    mark: {
      source: wanted.sourceID,
      version: wanted.version,
      authority: context.authority,
      ...(target.kind === "ScaiVault" ? { note: noteAfter(target, wanted, kind, why) } : {}),
    },
  };
}

/** Why ScaiVault, as the side that is followed, cannot be read. */
export function unreadableScaiVault(vault: TargetInput): Verdict | undefined {
  const { presence, failure } = vault.observation;
  if (presence === "Unknown")
    return outcome(vault, "Unknown", failure?.reason ?? "Unexpected", failure?.message ?? `${vault.ref} was not seen`);
  if (!vault.rights.read) return outcome(vault, "Failed", "NotGranted", `no right to read ${vault.ref}`);
  if (presence === "SoftDeleted")
    return outcome(
      vault,
      "Failed",
      "TargetSoftDeleted",
      `${vault.ref} is soft-deleted in ScaiVault and still retained`,
    );
  return presence === "Absent"
    ? outcome(vault, "Failed", "TargetNotFound", `${vault.ref} is not in ScaiVault`)
    : undefined;
}

/** Something keeps an action back until it is approved. */
export interface Gate {
  readonly reason: Reason;
  readonly message: string;
}

/** Spec edits, repairs and what people approve one by one are not what the change brake counts. */
const notBraked: ReadonlySet<Why> = new Set(["NewTarget", "ShapeChanged", "Drift", "MarkLost", "AdoptDiffers"]);

/** Whether a value that is written for this reason counts as a changed one. */
export function isBraked(why: Why): boolean {
  return !notBraked.has(why);
}

/**
 * What holds an action back, if anything does. Asked before values are read, and without them: a held action must look
 * the same each time, since an approval is bound to it, and holding costs no reads.
 */
export function gateOf(context: PairContext, target: TargetInput, wanted: Wanted, why: Why): Gate | undefined {
  const { input } = context;
  if (input.approved) return undefined;
  if (context.fence === "AuthorityFenced")
    return {
      reason: "AuthorityFenced",
      message: `${target.ref}: the mark says that ScaiVault is the authority, the spec says Source`,
    };
  // What the writer copied tells a reader, too, that its source went back.
  const seen = input.targets.map((one) => (one.readOnly === true ? validMark(one) : ownMark(one)));
  const marks = [...seen, context.vault?.lastSeen?.mark];
  const back = marks.find((mark) => mark !== undefined && wentBack(wanted, mark));
  if (back !== undefined)
    return {
      reason: "VersionWentBack",
      message: `${input.path} shows version ${wanted.version}, older than ${back.version}, which was copied`,
    };
  if (context.vault !== undefined && mayBeFenced(context.vault, target, wanted, why))
    return {
      reason: "AuthorityUnknown",
      message: `${target.ref}: the mark on ${context.vault.ref} was not seen, it may say that ScaiVault is the authority`,
    };
  if (target.observation.presence === "Present" && input.brakes.change === "Held" && isBraked(why))
    return { reason: "ManyChanges", message: `${target.ref}: unusually many values changed at once` };
  return undefined;
}

/**
 * Whether a Secret would get another content out of the old store while nothing tells that ScaiVault is not the authority
 * by now. The version that its own mark names is no other content, nor is what stands in ScaiVault already.
 */
function mayBeFenced(vault: TargetInput, target: TargetInput, wanted: Wanted, why: Why): boolean {
  if (target.kind !== "KubernetesSecret" || wanted.from !== "Source" || why === "Adopt") return false;
  if (fenceSeen(vault) !== undefined || vault.content.sourceEqualsTarget === true) return false;
  const mark = ownMark(target);
  const same = mark?.authority === "Source" && mark.source === wanted.sourceID && mark.version === wanted.version;
  return !same;
}

/** The action as it is carried out, or held when a gate is closed. */
export function gated(
  target: TargetInput,
  action: Action,
  gate: Gate | undefined,
  needs: readonly Need[] = [],
): Verdict {
  if (gate !== undefined) return { ...outcome(target, "Held", gate.reason, gate.message), held: action };
  return { ...outcome(target, "Pending", "Progressing", ""), action, ...(needs.length === 0 ? {} : { needs }) };
}

/** Nothing can be said before these values are read. */
export function needing(target: TargetInput, needs: readonly Need[]): Verdict {
  return { ...outcome(target, "Pending", "Progressing", ""), needs };
}

/** ScaiVault as the side that a Secret follows. */
export function fromVault(vault: TargetInput): Wanted {
  return {
    from: "ScaiVault",
    sourceID: vault.sourceID ?? `scaivault:${vault.ref}`,
    version: vaultVersion(vault.observation),
    older: undefined,
    numbered: true,
    need: targetValue(vault),
  };
}

export function targetValue(target: TargetInput): Need {
  return { kind: "TargetValue", target: target.kind };
}
