import { authorityInForce } from "./authority.ts";
import { contested, isKept, keptUnseen, secretFollows } from "./contest.ts";
import { follow } from "./follow.ts";
import { lost } from "./gone.ts";
import { observePair } from "./observe-only.ts";
import {
  fromVault,
  gated,
  makeAction,
  needing,
  outcome,
  ownMark,
  type PairContext,
  remarkWhy,
  targetValue,
  unreadableScaiVault,
  validMark,
  type Verdict,
  type Wanted,
} from "./plan-context.ts";
import type { Authority } from "../model/index.ts";
import { isUnsettled, readAuthority } from "./reader.ts";
import type { Need, PairInput, PairPlan, TargetInput, Why } from "./types.ts";

/**
 * Plans one source secret and its targets: the decision table, whole. Pure: the same input gives the same plan.
 *
 * Asked first with what metadata tell. When the plan has `needs`, these values are read and compared and it is asked
 * again; actions that stand beside needs already are certain, only their content is missing.
 */
export function planPair(input: PairInput): PairPlan {
  const vault = input.targets.find(({ kind }) => kind === "ScaiVault");
  const secret = input.targets.find(({ kind }) => kind === "KubernetesSecret");
  if (input.policies.apply === "Never") {
    const context: PairContext = { input, authority: input.policies.authority, fence: undefined, vault, secret };
    return planOf(context, observePair(context));
  }
  const { authority, fence, needs = [] } = authorityInForce(input, vault, secret);
  const context: PairContext = { input, authority, fence, vault, secret };
  return planOf(context, authority === "Source" ? fromSource(context) : fromScaiVault(context), needs);
}

/** Both targets follow the old store. */
function fromSource(context: PairContext): Verdict[] {
  const { input, vault, secret } = context;
  const { source } = input;
  const targets = [vault, secret].filter((target) => target !== undefined);
  if (source.state === "Unknown")
    return targets.map((target) => outcome(target, "Unknown", source.reason, source.message));
  if (source.state === "Gone") {
    const missing = source.how === "PendingDeletion" ? "SourcePendingDeletion" : "SourceNotFound";
    const common = { believed: source.believed, sourceID: input.sourceID, authority: "Source", missing } as const;
    return targets.map((target) => lost({ context, target, ...common, what: `source ${input.path}` }));
  }
  const wanted: Wanted = {
    from: "Source",
    sourceID: input.sourceID,
    version: source.version,
    older: source.older,
    numbered: source.numbered,
    need: { kind: "SourceValue" },
  };
  const first = vault === undefined ? undefined : follow({ context, target: vault, wanted, conflict: false });
  const conflict = (first !== undefined && isLeftToPeople(context, first)) || input.keep !== undefined;
  const second = secret === undefined ? undefined : secretFromSource(context, secret, wanted, conflict);
  return [first, second].filter((verdict) => verdict !== undefined);
}

/** The Secret follows the old store, unless people kept what ScaiVault holds. */
function secretFromSource(context: PairContext, secret: TargetInput, wanted: Wanted, conflict: boolean): Verdict {
  const { vault } = context;
  return (
    keptUnseen(context, secret, wanted) ??
    follow({ context, target: secret, wanted: secretFollows(vault, wanted), conflict })
  );
}

/** ScaiVault was changed and nobody but people may say what is right. */
function isLeftToPeople(context: PairContext, { outcome: { state, reason }, needs }: Verdict): boolean {
  const { fence, vault } = context;
  if (vault?.readOnly === true) return isUnsettled(context, vault);
  if (fence === "FlipHeld" && (needs?.length ?? 0) > 0) return true;
  return (state === "Conflict" && (reason === "BothChanged" || reason === "TargetChanged")) || reason === "FlipHeld";
}

/** ScaiVault is the truth: it is read, never written but for its mark; the Secret follows it. */
function fromScaiVault(context: PairContext): Verdict[] {
  const { vault, secret } = context;
  if (vault === undefined)
    return secret === undefined
      ? []
      : [outcome(secret, "Failed", "InvalidSpec", "authority ScaiVault needs a ScaiVault target")];
  const first = keepScaiVault(context, vault);
  return secret === undefined ? [first] : [first, secretFromScaiVault(context, vault, secret, first)];
}

function keepScaiVault(context: PairContext, vault: TargetInput): Verdict {
  const unreadable = goneFromScaiVault(context, vault) ?? unreadableScaiVault(vault);
  if (unreadable !== undefined) return unreadable;
  if (vault.readOnly === true) return readAuthority(context, vault) ?? noteOldStore(context, vault);
  if (vault.markMoved === true)
    return outcome(
      vault,
      "Conflict",
      "AnotherWriter",
      `the mark on ${vault.ref} was written by another operator in our name`,
    );
  return undecided(context, vault) ?? remark(context, vault) ?? noteOldStore(context, vault);
}

/** With `manual`, people say what becomes of a path that another writer deleted after the flip. */
function goneFromScaiVault(context: PairContext, vault: TargetInput): Verdict | undefined {
  const { input, secret } = context;
  const { source } = input;
  const known = vault.knownBefore === true || (secret !== undefined && ownMark(secret)?.authority === "ScaiVault");
  if (input.policies.conflictResolution !== "manual" || vault.observation.presence !== "Absent") return undefined;
  if (vault.readOnly === true || vault.goneBelieved !== true || !known) return undefined;
  const conflict = outcome(
    vault,
    "Conflict",
    "TargetChanged",
    `${vault.ref} was deleted in ScaiVault by another writer`,
  );
  if (source.state !== "Present") return conflict;
  const wanted = { from: "Source", sourceID: input.sourceID, version: source.version } as const;
  return contested(context, vault, conflict, { source: { wanted, kind: "Create" } });
}

/** What the old store says by now is only a note. */
function noteOldStore({ input }: PairContext, vault: TargetInput): Verdict {
  const { source, path } = input;
  const copied = isKept(vault) ? "" : (vault.readOnly === true ? validMark(vault) : ownMark(vault))?.version;
  if (source.state === "Gone" && source.believed)
    return outcome(vault, "InSync", "Retired", `${path} is gone from the old store`);
  if (source.state === "Present" && copied !== undefined && copied !== source.version)
    return outcome(vault, "InSync", "SourceChanged", `${path} is at ${source.version} in the old store`);
  return outcome(vault, "InSync", "InSync", "");
}

/**
 * ScaiVault was changed after the flip. Equal content on both sides is the new base; else ScaiVault's content stands, with
 * `manual` only once people have said so.
 */
function undecided(context: PairContext, vault: TargetInput): Verdict | undefined {
  const { source } = context.input;
  const mark = ownMark(vault);
  if (mark?.authority !== "ScaiVault" || vault.observation.content === "AsMarked") return undefined;
  const manual = context.input.policies.conflictResolution === "manual";
  const moved = source.state === "Present" && mark.version !== source.version;
  // ScaiVault wins: there is nothing to compare, unless the old store moved as well.
  if (!manual && (!moved || !vault.rights.write)) return undefined;
  const standing = { from: "Source", sourceID: mark.source, version: mark.version } as const;
  const versions = `${vault.ref}: ScaiVault ${mark.targetVersion} to ${vault.observation.version}`;
  if (source.state !== "Present")
    return contested(context, vault, outcome(vault, "Conflict", "TargetChanged", versions), { scaivault: standing });
  const now = { from: "Source", sourceID: context.input.sourceID, version: source.version } as const;
  const { sourceEqualsTarget: equal, targetEqualsMark: same } = vault.content;
  if (equal === undefined) return needing(vault, [{ kind: "SourceValue" }, targetValue(vault)]);
  if (equal) return writeMark(context, vault, now, "NewBase");
  if (!manual) return writeMark(context, vault, now, "Kept");
  if (same === true) return writeMark(context, vault, standing, "Metadata");
  const conflict = outcome(vault, "Conflict", moved ? "BothChanged" : "TargetChanged", versions);
  return contested(context, vault, conflict, { source: { wanted: now, kind: "Update" }, scaivault: now });
}

/** Flips the authority in ScaiVault's own mark, or brings the policies in it up to date; never without knowing its content. */
function remark(context: PairContext, vault: TargetInput): Verdict | undefined {
  const { input } = context;
  const mark = ownMark(vault);
  if (mark === undefined) return undefined;
  const asMarked = vault.observation.content === "AsMarked";
  const equalToSource = input.source.state === "Present" && vault.content.sourceEqualsTarget === true;
  if (!asMarked && !(mark.authority === "Source" && equalToSource)) return undefined;
  const why = remarkWhy(context, vault, mark);
  if (why === undefined) return undefined;
  const version = !asMarked && input.source.state === "Present" ? input.source.version : mark.version;
  const sourceID = asMarked ? mark.source : input.sourceID;
  return writeMark(context, vault, { from: "Source", sourceID, version }, why);
}

function writeMark(
  context: PairContext,
  vault: TargetInput,
  base: Pick<Wanted, "from" | "sourceID" | "version">,
  why: "Flip" | "NewBase" | "Kept" | ReturnType<typeof remarkWhy>,
): Verdict {
  if (!vault.rights.write) return outcome(vault, "Failed", "NotGranted", `no right to mark ${vault.ref}`);
  return gated(vault, makeAction(context, vault, base, "Mark", why ?? "Metadata"), undefined);
}

function secretFromScaiVault(context: PairContext, vault: TargetInput, secret: TargetInput, first: Verdict): Verdict {
  const { presence } = vault.observation;
  const sourceID = vault.sourceID ?? `scaivault:${vault.ref}`;
  if (presence === "Unknown" || !vault.rights.read) {
    const { state, reason, message } = first.outcome;
    return outcome(secret, state, reason, message);
  }
  if (presence !== "Present") {
    if (
      context.input.policies.conflictResolution === "manual" &&
      vault.goneBelieved === true &&
      ownMark(secret) !== undefined
    )
      return outcome(secret, "Conflict", "TargetChanged", `${vault.ref} is gone from ScaiVault; ${secret.ref} is kept`);
    return lost({
      context,
      target: secret,
      believed: vault.goneBelieved === true,
      sourceID,
      authority: "ScaiVault",
      what: `ScaiVault path ${vault.ref}`,
      missing: "TargetNotFound",
    });
  }
  const manual = context.input.policies.conflictResolution === "manual";
  const unsettled = vault.readOnly === true && isUnsettled(context, vault);
  const open = unsettled || first.outcome.state === "Conflict" || (first.needs?.length ?? 0) > 0;
  const conflict = (manual && open) || context.input.keep !== undefined;
  return follow({ context, target: secret, wanted: fromVault(vault), conflict });
}

/** Puts the verdicts together; with `apply: OnApproval` everything waits for the approval. */
function planOf(context: PairContext, verdicts: readonly Verdict[], needs: readonly Need[] = []): PairPlan {
  const { input, authority, fence } = context;
  const wait = input.policies.apply === "OnApproval" && !input.approved && input.keep === undefined;
  const asked = input.keep === undefined ? verdicts : verdicts.map(onlyAnswer);
  const shown = asked.map((verdict) =>
    wait && verdict.action !== undefined ? waitForApproval(verdict, verdict.action) : verdict,
  );
  const fenced = fence === "FlipHeld" ? shown.map(showFlipHeld) : shown;
  const flipped = fenced.map((verdict) => postponed(input, verdict));
  const actions = flipped.flatMap(({ action }) => action ?? []);
  return {
    actions,
    held: flipped.flatMap(({ held }) => held ?? []),
    outcomes: flipped.map(({ outcome: one }) => one),
    needs: distinct([...needs, ...flipped.flatMap((verdict) => verdict.needs ?? [])]),
    writes: wait ? [] : fenced.flatMap(writesOf),
    choices: flipped.flatMap((verdict) => verdict.choices ?? []),
    authority,
    secretsFrom: secretsFrom(context),
    ...(fence === undefined ? {} : { fence }),
    again: (fence === "FlipHeld" || input.keep !== undefined) && actions.length > 0,
  };
}

function secretsFrom({ input: { source, policies }, authority, vault }: PairContext): Authority {
  if (authority === "ScaiVault" || source.state !== "Present" || policies.apply === "Never") return authority;
  const { version, older, numbered } = source;
  const need = { kind: "SourceValue" } as const;
  return secretFollows(vault, { from: "Source", sourceID: "", version, older, numbered, need }).from;
}

/** An answer to a conflict does what it says and nothing else; the rest is planned when that is done. */
function onlyAnswer(verdict: Verdict): Verdict {
  const { action, outcome: one } = verdict;
  if (action === undefined || (one.kind === "ScaiVault" && (action.why === "Resolved" || action.why === "Kept")))
    return verdict;
  return { outcome: one };
}

function writesOf({ outcome: { kind: target }, action, writes }: Verdict): PairPlan["writes"] {
  const kind = action?.kind ?? writes;
  return kind === undefined ? [] : [{ target, kind }];
}

/** Marks without which a copy is as right as with them. */
const mayWait: ReadonlySet<Why> = new Set(["TakeOver", "PolicyChanged", "NewBase", "Kept"]);

/** What there is no room for is not done and not read for. What holds the wanted content already is in sync meanwhile. */
function postponed({ targets }: PairInput, verdict: Verdict): Verdict {
  const { outcome: one, action } = verdict;
  const { deferred } = targets.find(({ kind }) => kind === one.kind) ?? {};
  if (deferred !== true || writesOf(verdict).length === 0) return verdict;
  const { held } = verdict;
  const right = action?.kind === "Mark" && mayWait.has(action.why);
  return {
    outcome: right ? { ...one, state: "InSync", reason: "InSync" } : one,
    ...(held === undefined ? {} : { held }),
  };
}

function waitForApproval(verdict: Verdict, action: NonNullable<Verdict["action"]>): Verdict {
  const message = `${action.kind} of ${action.ref} waits for an approval`;
  return {
    outcome: { ...verdict.outcome, state: "Held", reason: "ApprovalNeeded", message },
    held: action,
    ...(verdict.needs === undefined ? {} : { needs: verdict.needs }),
  };
}

/** What is in sync by the old authority still waits for the new one. */
function showFlipHeld(verdict: Verdict): Verdict {
  const { outcome: one } = verdict;
  if (one.state !== "InSync" || one.kind !== "ScaiVault") return verdict;
  return {
    ...verdict,
    outcome: { ...one, state: "Held", reason: "FlipHeld", message: `${one.ref}: both sides are not equal yet` },
  };
}

function distinct(needs: readonly Need[]): Need[] {
  const seen = new Map(needs.map((need) => [need.kind === "SourceValue" ? need.kind : need.target, need]));
  return [...seen.values()];
}
