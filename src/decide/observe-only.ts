import { isKept } from "./contest.ts";
import {
  type Check,
  firstAnswer,
  holdsWanted,
  needing,
  outcome,
  ownMark,
  type PairContext,
  reshaped,
  targetValue,
  unreadableScaiVault,
  vaultVersion,
  type Verdict,
  type Wanted,
} from "./plan-context.ts";
import type { TargetInput } from "./types.ts";

/** `apply: Never`: compares each target with what it would follow and says equal or not; there are no actions. */
export function observePair(context: PairContext): Verdict[] {
  const { vault, secret } = context;
  if (context.authority === "Source")
    return [vault, secret].flatMap((target) => (target === undefined ? [] : observeFromSource(context, target)));
  if (vault === undefined)
    return secret === undefined
      ? []
      : [outcome(secret, "Failed", "InvalidSpec", "authority ScaiVault needs a ScaiVault target")];
  const truth = unreadableScaiVault(vault) ?? outcome(vault, "InSync", "Observed", "");
  return secret === undefined ? [truth] : [truth, observeFromScaiVault(vault, secret, truth)];
}

function observeFromScaiVault(vault: TargetInput, secret: TargetInput, truth: Verdict): Verdict {
  const { state, reason, message } = truth.outcome;
  if (state !== "InSync") return outcome(secret, state, reason, message);
  const wanted: Wanted = {
    from: "ScaiVault",
    sourceID: vault.sourceID ?? `scaivault:${vault.ref}`,
    version: vaultVersion(vault.observation),
    older: undefined,
    numbered: true,
    need: targetValue(vault),
  };
  return compare({ target: secret, wanted });
}

function observeFromSource({ input }: PairContext, target: TargetInput): Verdict {
  const { source } = input;
  if (source.state === "Unknown") return outcome(target, "Unknown", source.reason, source.message);
  if (source.state === "Gone") {
    if (!source.believed)
      return outcome(target, "Unknown", "DeletionUnconfirmed", `source ${input.path} was not found; looked for again`);
    const reason = source.how === "PendingDeletion" ? "SourcePendingDeletion" : "SourceNotFound";
    return outcome(target, "Failed", reason, `source ${input.path} is not there`);
  }
  const { version, older, numbered } = source;
  const need = { kind: "SourceValue" } as const;
  return compare({ target, wanted: { from: "Source", sourceID: input.sourceID, version, older, numbered, need } });
}

interface Comparing {
  readonly target: TargetInput;
  readonly wanted: Wanted;
}

function compare(comparing: Comparing): Verdict {
  return firstAnswer(comparing, comparisons);
}

const comparisons: readonly Check<Comparing>[] = [
  ({ target }) =>
    target.observation.presence === "Unknown"
      ? outcome(
          target,
          "Unknown",
          target.observation.failure?.reason ?? "Unexpected",
          target.observation.failure?.message ?? `${target.ref} was not seen`,
        )
      : undefined,
  ({ target }) =>
    target.rights.read ? undefined : outcome(target, "Failed", "NotGranted", `no right to read ${target.ref}`),
  ({ target }) =>
    target.observation.presence === "Present"
      ? undefined
      : outcome(target, "Pending", "Differs", `${target.ref} is not there`),
  ({ target, wanted }) => {
    const mark = ownMark(target);
    if (mark === undefined || reshaped(target, mark) || !holdsWanted(target, wanted, mark)) return undefined;
    // People kept another content than the source's: that is what the comparison is for.
    if (isKept(target)) return undefined;
    return outcome(target, "InSync", "Observed", "");
  },
  ({ target }) =>
    target.unrenderable === undefined
      ? undefined
      : outcome(target, "Failed", target.unrenderable.reason, target.unrenderable.message),
  ({ target, wanted }) => {
    const equal = target.content.sourceEqualsTarget;
    if (equal === undefined) return needing(target, [wanted.need, targetValue(target)]);
    return equal
      ? outcome(target, "InSync", "Observed", "")
      : outcome(target, "Pending", "Differs", `${target.ref} differs from what it would be`);
  },
];
