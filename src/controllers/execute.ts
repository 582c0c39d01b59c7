import { fingerprint, policyField } from "../decide/index.ts";
import type { Action, TargetKind, TargetOutcome } from "../decide/types.ts";
import { SyncError, toSyncError } from "../errors/index.ts";
import type { Mark } from "../model/index.ts";
import { NotLeaderError } from "../runtime/index.ts";
import type { TargetObservation, WriteResult } from "../ports/index.ts";
import type { EvaluatedTarget, PairResult } from "./evaluate.ts";

/** What the executor needs around it; it decides nothing. */
export interface ExecuteDeps {
  /** Throws when this replica may no longer write. Asked before each write. */
  assertHeld(): void;
  /** Takes the brake for an action right before it; the reason with which it is held instead, if it is. */
  braked(action: Action): "DeletionBraked" | "ManyChanges" | undefined;
  /** Told after each write that succeeded, with what the target now looks like; undefined after a removal. */
  written(target: EvaluatedTarget, action: Action, now: TargetObservation | undefined): void;
}

/** What came of the actions of one pair. */
export interface ExecutedPair {
  readonly outcomes: readonly TargetOutcome[];
  readonly done: readonly Action[];
  /** Targets as they are after the writes that succeeded. */
  readonly now: ReadonlyMap<TargetKind, TargetObservation>;
  readonly errors: readonly SyncError[];
}

/**
 * Carries out the actions of one pair, one after the other. A failure of one target does not keep the other from being
 * written; the failed one's outcome says why.
 */
export async function executePair(result: PairResult, deps: ExecuteDeps, signal: AbortSignal): Promise<ExecutedPair> {
  const outcomes = new Map(result.plan.outcomes.map((outcome) => [outcome.kind, outcome]));
  const done: Action[] = [];
  const errors: SyncError[] = [];
  const now = new Map<TargetKind, TargetObservation>();
  for (const action of result.plan.actions) {
    const target = result.context.targets.find((candidate) => candidate.target.kind === action.target);
    if (target === undefined) continue;
    deps.assertHeld();
    const braked = deps.braked(action);
    if (braked !== undefined) {
      const message = `${action.ref}: held back, many others came at the same time`;
      outcomes.set(action.target, { kind: action.target, ref: action.ref, state: "Held", reason: braked, message });
      continue;
    }
    try {
      const after = await perform(action, target, result, signal);
      deps.written(target, action, after);
      if (after !== undefined) now.set(action.target, after);
      done.push(action);
      outcomes.set(action.target, settled(action, target));
    } catch (error) {
      // The lease went while the write waited for its turn: it was not sent.
      if (error instanceof NotLeaderError) throw error;
      const failed = toSyncError(error, `${action.kind} ${action.ref}`);
      errors.push(failed);
      // ScaiVault is not as it was when the other target was planned for it: that one is planned anew, too.
      if (failed.code === "fence" && action.target === "ScaiVault") {
        outcomes.set(action.target, failedOutcome(action, failed));
        break;
      }
      if (failed.reason === "RateLimited" && action.kind === "Create") {
        // A first copy that waits for its turn is under way, and need not say more than it did before.
        outcomes.set(action.target, {
          kind: action.target,
          ref: action.ref,
          state: "Pending",
          reason: "Progressing",
          message: "",
        });
        continue;
      }
      outcomes.set(action.target, failedOutcome(action, failed));
    }
  }
  return { outcomes: [...outcomes.values()], done, now, errors };
}

function failedOutcome({ target: kind, ref }: Action, { kind: how, reason, message }: SyncError): TargetOutcome {
  // The same as the planner says of it from then on: status does not go to and fro between the two.
  const held = how === "waiting" && reason !== "TargetSoftDeleted";
  return { kind, ref, state: held ? "Held" : "Failed", reason, message };
}

function settled(action: Action, target: EvaluatedTarget): TargetOutcome {
  const gone = action.kind === "Delete" || action.kind === "Release";
  return {
    kind: action.target,
    ref: target.target.ref,
    state: gone ? "Retained" : "InSync",
    reason: gone ? "SourceGoneRetained" : "InSync",
    message: "",
  };
}

async function perform(
  action: Action,
  { target, observation }: EvaluatedTarget,
  result: PairResult,
  signal: AbortSignal,
): Promise<TargetObservation | undefined> {
  const permit = target.kind === "ScaiVault" ? result.values.permit : undefined;
  switch (action.kind) {
    case "Create":
    case "Update":
    case "Restore":
    case "Adopt": {
      const content = result.values.rendered.get(target);
      if (content === undefined) throw new SyncError("Unexpected", "an action came without its content");
      const mark = markOf(action, result, { target, observation });
      const differs = action.why === "AdoptDiffers";
      const request = { mark, observed: observation, permit, ...(differs ? { differs } : {}) };
      const written =
        action.kind === "Adopt" || differs
          ? await target.adopt(content, request, signal)
          : await target.write(content, request, signal);
      return observedAfter(observation, mark, written);
    }
    case "Mark": {
      const mark = markOf(action, result, { target, observation });
      return observedAfter(observation, mark, await target.mark({ mark, observed: observation, permit }, signal));
    }
    case "Release":
      await target.release(observation, signal);
      return undefined;
    case "Delete":
      await target.remove(observation, signal);
      return undefined;
    default:
      return action.kind satisfies never;
  }
}

/** The mark that must stand on the target after the action. */
function markOf(
  action: Action,
  { context, values }: PairResult,
  { target, observation }: Pick<EvaluatedTarget, "target" | "observation">,
): Mark {
  const before = observation.mark.state === "Valid" ? observation.mark.mark : undefined;
  // What people kept is what stands there; everything else is what was rendered for it.
  const content = (action.why === "Kept" ? values.held : values.rendered).get(target);
  const intent = action.mark;
  // Only other metadata: the content is what the mark says already.
  const same = content === undefined || action.why === "Metadata";
  const print = same ? before?.fingerprint : fingerprint(context.ring, target.targetID, content);
  if (intent === undefined || print === undefined) throw new SyncError("Unexpected", "a mark came without its content");
  // The value that was read may be newer than the one that was planned for.
  const read =
    action.from === "Source" && content !== undefined && action.why !== "Kept" ? values.source?.version : undefined;
  const { deletionPolicy, cleanupPolicy } = context.policies;
  return {
    owner: context.owner,
    source: intent.source,
    version: read ?? intent.version,
    // The target knows its own version and fills it in.
    targetVersion: before?.targetVersion ?? "-",
    authority: intent.authority,
    policy: policyField(deletionPolicy, cleanupPolicy, target.shape, intent.note),
    fingerprint: print,
  };
}

/** The target as it is right after a write, so that nothing has to be asked again. */
function observedAfter(before: TargetObservation, mark: Mark, written: WriteResult): TargetObservation {
  return {
    ...before,
    presence: "Present",
    version: written.version,
    mark: { state: "Valid", mark: { ...mark, targetVersion: written.version === "" ? "-" : written.version } },
    content: "AsMarked",
    metadataAsDeclared: true,
    otherWriter: undefined,
    controllerOwner: undefined,
    fence: written.fence,
  };
}
