import type { Action } from "../decide/types.ts";
import { SyncError } from "../errors/index.ts";
import { errorFields } from "../telemetry/index.ts";
import type { EvaluatedTarget, PairResult } from "./evaluate.ts";
import { type ExecuteDeps, type ExecutedPair, executePair } from "./execute.ts";
import { scopeOf } from "./metric-scope.ts";
import { shownVersion } from "./report.ts";
import type { OwnMarks, Reverts } from "./reverts.ts";
import { resolveSubject, type Subject } from "./subject.ts";
import { takeBrake } from "./sync-brakes.ts";
import type { World } from "./world.ts";

/** Carries plans out and remembers what that means for the next look: marks, reverts, brakes, observations. */
export class SyncExecutor {
  readonly #world: World;
  readonly #marks: OwnMarks;
  readonly #reverts: Reverts;
  readonly #assertSame: (subject: Subject) => void;

  /** @param options.assertSame throws {@link ObjectMovedError} when the object is not as it was when it was planned */
  constructor(
    world: World,
    options: {
      readonly marks: OwnMarks;
      readonly reverts: Reverts;
      readonly assertSame: (subject: Subject) => void;
    },
  ) {
    this.#world = world;
    this.#marks = options.marks;
    this.#reverts = options.reverts;
    this.#assertSame = options.assertSame;
  }

  async run(subject: Subject, result: PairResult, signal: AbortSignal): Promise<ExecutedPair> {
    const world = this.#world;
    const executed = await executePair(
      result,
      {
        assertHeld: () => {
          world.assertHeld();
          this.#assertSame(subject);
        },
        braked: (action) => takeBrake(world, subject, action, result.context.approved),
        written: (target, action, now) => this.#written(subject, target, action, now),
      },
      signal,
    );
    // Nobody looked before, so there is nothing to tell: it is looked at and planned anew.
    if (executed.errors.some(({ code }) => code === "taken")) throw new ObjectMovedError("the Secret's name is taken");
    if (executed.errors.length > 0) this.#forgetUncertain(result, executed);
    for (const error of executed.errors) {
      const { namespace, name } = subject.sync.metadata;
      world.log.warn("write failed", {
        kind: subject.kind,
        namespace,
        name,
        path: result.context.path,
        ...errorFields(error),
      });
      world.metrics.failure(error.reason, scopeOf(subject));
    }
    this.#measure(subject, result, executed);
    return executed;
  }

  /** A change in the source is at all its targets now: how long that took. */
  #measure(subject: Subject, result: PairResult, executed: ExecutedPair): void {
    const { metrics, clock } = this.#world;
    const { metadata, status } = subject.sync;
    // What a changed spec asks for is no news of the source.
    if (status?.observedGeneration !== metadata.generation || !bringsChange(result, executed)) return;
    const changedMs = subject.store?.poller.fact(result.context.path)?.changedMs;
    if (changedMs !== undefined) metrics.fresh(scopeOf(subject), clock.now() - changedMs);
  }

  /**
   * A target that moved since it was looked at must not be planned with again. A write that failed otherwise may have been
   * carried out all the same, so that the mark there may be ours although we do not know of it.
   */
  #forgetUncertain({ context, plan }: PairResult, { done, errors }: ExecutedPair): void {
    const moved = errors.every(({ code }) => code === "fence");
    for (const action of plan.actions) {
      if (done.includes(action)) continue;
      const target = context.targets.find((one) => one.target.kind === action.target)?.target;
      if (target === undefined) continue;
      if (target.kind === "ScaiVault") this.#world.scaivault?.observations.forget({ path: target.ref });
      if (!moved) this.#marks.delete(target.targetID);
    }
  }

  #written(
    subject: Subject,
    target: EvaluatedTarget,
    action: Action,
    now: Parameters<ExecuteDeps["written"]>[2],
  ): void {
    const { namespace, name } = subject.sync.metadata;
    const world = this.#world;
    world.metrics.write(action.target, action.kind, scopeOf(subject));
    world.log.info("target written", {
      kind: subject.kind,
      namespace,
      name,
      action: action.kind,
      target: target.target.ref,
      path: action.path,
      version: shownVersion(action.fromVersion),
      reason: action.why,
    });
    if (isRepair(target, action)) {
      const mark = target.observation.mark;
      this.#reverts.add(target.target.targetID, mark.state === "Valid" ? mark.mark.version : "");
    }
    if (action.target === "ScaiVault") world.scaivault?.observations.set({ path: target.target.ref }, now);
    if (now?.mark.state === "Valid") this.#marks.set(target.target.targetID, now.mark.mark);
    else this.#marks.delete(target.target.targetID);
  }
}

/** Something that others undid is done again: a change, a mark that was taken off, a Secret that was deleted. */
function isRepair({ target, knownBefore }: EvaluatedTarget, { kind, why }: Action): boolean {
  if (kind === "Restore" || why === "MarkLost") return true;
  return kind === "Create" && target.kind === "KubernetesSecret" && knownBefore === true;
}

/**
 * Whether this was the last write of a change in the source. First copies, repairs, changed shapes and marks are none; a
 * change that people had to approve waited for them and not for us.
 */
function bringsChange({ context }: PairResult, { done, outcomes }: ExecutedPair): boolean {
  if (context.approved || !outcomes.every(({ state }) => state === "InSync")) return false;
  return done.some(
    ({ kind, from, why }) =>
      kind === "Update" && from === "Source" && (why === "SourceChanged" || why === "BothChanged"),
  );
}

/** The object, or what it needs, is not as it was taken to be when it was planned; it is due again. */
export class ObjectMovedError extends Error {
  override readonly name = "ObjectMovedError";
}

/**
 * Reading a value may take long. What was decided before counts only while the object is as it was, is still allowed what
 * it does (R21), and its backend is the same.
 * @throws ObjectMovedError
 */
export function assertSame(world: World, subject: Subject): void {
  const { uid, generation } = subject.sync.metadata;
  const object = world.caches.syncs.get(subject.key);
  const { metadata } = object ?? {};
  const same =
    object !== undefined &&
    metadata?.uid === uid &&
    metadata.generation === generation &&
    metadata.deletionTimestamp === undefined;
  const now = same ? resolveSubject(world, object) : undefined;
  if (now === undefined || now instanceof SyncError || now.refusal !== undefined || now.store !== subject.store)
    throw new ObjectMovedError("the object changed while it was worked on");
}
