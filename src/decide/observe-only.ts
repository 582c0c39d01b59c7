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
  vaultVersion,
  type Verdict,
  type Wanted,
} from "./plan-context.ts";
import type { TargetInput } from "./types.ts";

/** `apply: Never`: compares each target with what it would follow and says equal or not; there are no actions. */
export function observePair(context: PairContext): Verdict[] {
  const { input, vault, secret } = context;
  const verdicts: Verdict[] = [];
  if (vault !== undefined)
    verdicts.push(context.authority === "Source" ? observeFromSource(context, vault) : observeTruth(vault));
  if (secret === undefined) return verdicts;
  if (context.authority === "Source") return [...verdicts, observeFromSource(context, secret)];
  const wanted: Wanted = {
    from: "ScaiVault",
    sourceID: vault?.sourceID ?? `scaivault:${vault?.ref ?? input.path}`,
    version: vault === undefined ? "" : vaultVersion(vault.observation),
    older: undefined,
    numbered: true,
    need: { kind: "TargetValue", target: "ScaiVault" },
  };
  const truth = verdicts[0]?.outcome;
  if (truth?.state !== "InSync")
    return [
      ...verdicts,
      outcome(secret, truth?.state ?? "Failed", truth?.reason ?? "InvalidSpec", truth?.message ?? ""),
    ];
  return [...verdicts, compare({ target: secret, wanted })];
}

function observeTruth(vault: TargetInput): Verdict {
  const { presence, failure } = vault.observation;
  if (presence === "Unknown")
    return outcome(vault, "Unknown", failure?.reason ?? "Unexpected", failure?.message ?? `${vault.ref} was not seen`);
  if (!vault.rights.read) return outcome(vault, "Failed", "NotGranted", `no right to read ${vault.ref}`);
  if (presence !== "Present") return outcome(vault, "Failed", "TargetNotFound", `${vault.ref} is not in ScaiVault`);
  return outcome(vault, "InSync", "Observed", "");
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
