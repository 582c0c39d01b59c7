import type { PairReport, SyncSituation, TargetReport } from "../decide/index.ts";
import type { Action, TargetOutcome } from "../decide/types.ts";
import type { PairResult } from "./evaluate.ts";
import type { Conflict } from "../api/index.ts";
import type { ExecutedPair } from "./execute.ts";
import type { SyncOutcome } from "./sync-outcome.ts";

type Evaluated = Extract<SyncSituation, { kind: "Evaluated" }>;

/** What status is made of, out of what came of an object. */
export function situationOf(outcome: SyncOutcome): Evaluated {
  const plans = outcome.pairs.map(({ result }) => result.plan);
  const held = plans.flatMap((plan) => plan.held);
  const count = (kinds: readonly Action["kind"][]) => held.filter(({ kind }) => kinds.includes(kind)).length;
  return {
    kind: "Evaluated",
    pairs: outcome.pairs.map(pairReport),
    problems: outcome.problems.map(({ path, error }) => ({ path, reason: error.reason, message: error.message })),
    plan: {
      hash: outcome.planHash,
      add: count(["Create"]),
      change: count(["Update", "Restore", "Mark", "Adopt", "Release"]),
      delete: count(["Delete"]),
    },
    subtree: outcome.subject.location?.kind === "subtree",
    applyNever: outcome.subject.effective.apply === "Never",
  };
}

/** One secret, with what came of it. */
export type Pair = SyncOutcome["pairs"][number];

/** One secret, as status is made of it. */
export function pairReport(pair: Pair): PairReport {
  const { result, executed } = pair;
  const { context, plan } = result;
  const outcomes = executed?.outcomes ?? plan.outcomes;
  const version = context.source.state === "Present" ? context.source.version : undefined;
  return {
    path: context.path,
    ...(version === undefined ? {} : { sourceVersion: shownVersion(version) }),
    targets: outcomes.map((outcome) => ({
      ...targetReport(result, executed, outcome),
      ...conflictOf(pair, outcome),
    })),
    held: plan.held.length,
  };
}

/** What both sides hold by version, and what settles it: of a path in ScaiVault that people have to decide about. */
function conflictOf({ result, answers }: Pair, { kind }: TargetOutcome): { readonly conflict?: Conflict } {
  const { context, plan } = result;
  if (kind !== "ScaiVault" || plan.choices.length === 0) return {};
  const seen = context.targets.find(({ target }) => target.kind === kind)?.observation;
  const mark = seen?.mark.state === "Valid" ? seen.mark.mark : undefined;
  const { source } = context;
  const [keepSource, keepScaiVault] = [answers.get("Source"), answers.get("ScaiVault")];
  return {
    conflict: {
      source: {
        ...(mark === undefined ? {} : { base: shownVersion(mark.version) }),
        ...(source.state === "Present" ? { now: shownVersion(source.version) } : {}),
      },
      scaivault: {
        ...(mark === undefined ? {} : { base: mark.targetVersion }),
        ...(seen?.presence === "Present" ? { now: seen.version } : {}),
      },
      ...(keepSource === undefined ? {} : { keepSource }),
      ...(keepScaiVault === undefined ? {} : { keepScaiVault }),
    },
  };
}

function targetReport(result: PairResult, executed: ExecutedPair | undefined, outcome: TargetOutcome): TargetReport {
  const evaluated = result.context.targets.find(({ target }) => target.kind === outcome.kind);
  const observation = executed?.now.get(outcome.kind) ?? evaluated?.observation;
  const mark = observation?.mark.state === "Valid" ? observation.mark.mark : undefined;
  const targetVersion = outcome.kind === "ScaiVault" ? observation?.version : undefined;
  const keys = evaluated === undefined ? undefined : result.keys.get(evaluated.target);
  return {
    ...outcome,
    ...(mark === undefined ? {} : { sourceVersion: shownVersion(mark.version) }),
    ...(targetVersion === undefined || targetVersion === "" ? {} : { targetVersion }),
    ...(keys === undefined ? {} : { keys }),
  };
}

/** Stores without versions are followed by a keyed hash, which status never shows; of dated versions the number is shown. */
export function shownVersion(version: string): string {
  if (version.startsWith("content-")) return "unversioned";
  const [number = version] = version.split("@");
  return number;
}
