import { sameAction } from "../decide/index.ts";
import type { ActionKind } from "../decide/types.ts";
import { SyncError } from "../errors/index.ts";
import type { WriteLane } from "../ports/index.ts";
import { type Answer, Approvals, type Planned } from "./approvals.ts";
import type { PairResult } from "./evaluate.ts";
import type { Memory } from "./gather.ts";
import { membersOf } from "./members.ts";
import { scopeOf } from "./metric-scope.ts";
import { type Look, PairEvaluator, releaseValues } from "./pair-evaluator.ts";
import { OwnMarks, Reverts } from "./reverts.ts";
import { sourceStateOf } from "./source-state.ts";
import { type Pair, pairsOf, type Subject } from "./subject.ts";
import { brakeItem, brakeItemOf, brakePlanned, holdPlans } from "./sync-brakes.ts";
import { assertSame, SyncExecutor } from "./sync-executor.ts";
import type { SyncOutcome } from "./sync-outcome.ts";
import type { World } from "./world.ts";

/** Told that an object's approval is about to be used. */
export type ApprovalUsed = (subject: Subject) => Promise<void>;

const PAIRS_AT_ONCE = 16;

/** Gathers, plans and carries out what one SecretSync is about. In `plan` nothing is carried out. */
export class SyncEvaluator {
  readonly #world: World;
  readonly #reverts: Reverts;
  readonly #marks = new OwnMarks();
  readonly #pairs: PairEvaluator;
  readonly #executor: SyncExecutor;
  readonly #approvals: Approvals;
  readonly #approvalUsed: ApprovalUsed;

  /** @param approvalUsed awaited before anything is done by an approval; what it throws keeps it from being done */
  constructor(world: World, approvalUsed: ApprovalUsed = () => Promise.resolve()) {
    this.#world = world;
    this.#approvals = new Approvals(world);
    this.#approvalUsed = approvalUsed;
    this.#reverts = new Reverts(() => world.clock.monotonic());
    this.#pairs = new PairEvaluator(world, this.memory, writeLane);
    this.#executor = new SyncExecutor(world, {
      marks: this.#marks,
      reverts: this.#reverts,
      assertSame: (subject) => assertSame(world, subject),
    });
  }

  /** What one look remembers for the next. */
  get memory(): Memory {
    return { reverts: this.#reverts, marks: this.#marks };
  }

  /** The approval of this object that was used last. */
  usedApproval(subject: Subject): string | undefined {
    return this.#approvals.lastUsed(subject);
  }

  /** The object is gone. */
  forget(key: string): void {
    this.#approvals.forget(key);
  }

  /** Everything but status. Undefined: the first poll of the store has not ended; it wakes the object when it has. */
  async evaluate(subject: Subject, lane: string, signal: AbortSignal): Promise<SyncOutcome | undefined> {
    const { store, location } = subject;
    if (store === undefined || location === undefined) return undefined;
    this.#world.metrics.expectFresh(scopeOf(subject));
    const below = location.kind === "path" ? [] : this.#below(subject);
    if (below === undefined) return undefined;
    if (below instanceof SyncError) return this.#outcome(subject, [], [{ path: location.path, error: below }]);
    const { matches } = this.#world.budgets;
    if (below.length > matches) {
      const error = new SyncError(
        "TooManyMatches",
        `${below.length} secrets below ${location.path}, the limit is ${matches}`,
      );
      return this.#outcome(subject, [], [{ path: location.path, error }]);
    }
    const { pairs, problems } = pairsOf(subject, below);
    const missing = pairs.filter((pair) => sourceStateOf(subject, pair) === undefined).map((pair) => pair.ref.path);
    if (missing.length > 0) {
      // The first poll is about to answer: what it finds is not asked for once more.
      const polled = store.poller.state.state !== "Unpolled";
      store.poller.request(missing, { fresh: lane === "user" && polled });
      return undefined;
    }
    const notBeforeMs = this.#notBefore(subject, lane);
    const look = { lane, notBeforeMs };
    const results = await this.#evaluateAll(subject, pairs, { ...look, approved: false }, signal);
    const plans = results.map(({ plan }) => plan);
    const { state } = this.#approvals.of(subject, plans);
    const answers = this.#approvals.answers(subject, results);
    const given = [...answers.values()].find((answer) => answer.state === "Given");
    if ((state === "Given" || given !== undefined) && !this.#world.dryRun) {
      await this.#approvalUsed(subject);
      this.#approvals.use(subject, given === undefined ? plans : [{ held: [given.action] }]);
    }
    // What is approved is the object's plan as a whole; each part that is held in it is planned anew, as approved.
    const held = results.filter(({ plan }) => state !== "None" && plan.held.length > 0);
    const due = new Set([...held.map(({ context }) => context.path), ...answers.keys()]);
    const again = pairs.filter(({ ref }) => due.has(ref.path));
    for (const result of await this.#evaluateAll(subject, again, { ...look, approved: true, answers }, signal)) {
      const at = results.findIndex(({ context }) => context.path === result.context.path);
      const stands = isAnswered(result, answers);
      for (const old of stands ? results.splice(at, 1, result) : [result]) releaseValues(old);
    }
    return this.#settle(
      subject,
      this.#withoutTraces(subject, results),
      problems,
      this.#hashOf(subject, results),
      signal,
    );
  }

  /** Name of what is (still) held. */
  #hashOf(subject: Subject, results: readonly PairResult[]): string {
    const plans = results.map(({ plan }) => plan);
    return this.#approvals.of(subject, plans).hash;
  }

  async #evaluateAll(subject: Subject, pairs: readonly Pair[], look: Look, signal: AbortSignal): Promise<PairResult[]> {
    const results: PairResult[] = [];
    for (let at = 0; at < pairs.length; at += PAIRS_AT_ONCE) {
      const some = pairs.slice(at, at + PAIRS_AT_ONCE);
      results.push(...(await Promise.all(some.map((pair) => this.#pairs.evaluate(subject, pair, look, signal)))));
    }
    return results;
  }

  /** A secret that went from a subtree and has no copies any more is not spoken of any longer. */
  #withoutTraces(subject: Subject, results: readonly PairResult[]): readonly PairResult[] {
    const { store, location } = subject;
    if (location?.kind !== "subtree" || store === undefined) return results;
    return results.filter(({ context }) => {
      const gone = context.source.state === "Gone" && context.source.believed;
      const traces = context.targets.some(
        ({ observation: { presence } }) => presence === "Present" || presence === "Unknown",
      );
      if (!gone || traces) return true;
      store.poller.settled(location.path, context.path);
      this.#world.lingering.settled(subject.key, context.path);
      return false;
    });
  }

  /** Paths below the subtree as of the last walk; undefined while there was none. */
  #below(subject: Subject): readonly string[] | SyncError | undefined {
    const { store, location } = subject;
    if (store === undefined || location === undefined) return undefined;
    const failure = store.poller.subtreeFailure(location.path);
    const known = store.poller.subtree(location.path);
    if (known !== undefined && failure === undefined) return membersOf(this.#world, subject);
    // The old list says nothing of today: copies stay, and the object says why it cannot be sure.
    if (failure !== undefined) return failure;
    if (store.poller.state.state === "Failing") return store.poller.state.error;
    store.poller.request([], { fresh: false, subtrees: [location.path] });
    return undefined;
  }

  /** How old ScaiVault's answers may be: after a user's change or a drift they are asked for anew. */
  #notBefore(subject: Subject, lane: string): number {
    const now = this.#world.clock.monotonic();
    if (lane === "user" || lane === "drift" || lane === "change") return now - 1000;
    return now - subject.effective.syncIntervalMs * 1.5;
  }

  /** Execution, pair by pair. */
  async #settle(
    subject: Subject,
    results: readonly PairResult[],
    problems: SyncOutcome["problems"],
    planHash: string,
    signal: AbortSignal,
  ): Promise<SyncOutcome> {
    const pairs: SyncOutcome["pairs"][number][] = [];
    const items = results.map(({ context }) => brakeItemOf(subject, context.path));
    this.#world.brakes.retain(subject.key, new Set(items));
    if (!this.#world.dryRun) holdPlans(this.#world, subject, results);
    try {
      for (const result of results) {
        if (!this.#world.dryRun) brakePlanned(this.#world, brakeItem(subject, result.context.path), result.plan);
        const executed =
          this.#world.dryRun || result.plan.actions.length === 0
            ? undefined
            : await this.#executor.run(subject, result, signal);
        releaseValues(result);
        for (const action of executed?.done ?? []) this.#approvals.done(subject.key, action);
        pairs.push({ result, executed, answers: this.#approvals.hashes(subject, result.plan) });
      }
    } finally {
      for (const result of results) releaseValues(result);
    }
    const wrote = pairs.some(({ executed }) => (executed?.done.length ?? 0) > 0);
    return { subject, pairs, problems, planHash, wrote };
  }

  #outcome(subject: Subject, pairs: SyncOutcome["pairs"], problems: SyncOutcome["problems"]): SyncOutcome {
    return { subject, pairs, problems, planHash: "", wrote: false };
  }
}

/** What an answer is carried out by is what people saw: had a side moved meanwhile, the conflict would be another. */
export function isAnswered({ context, plan }: Planned, answers: ReadonlyMap<string, Answer>): boolean {
  const answer = answers.get(context.path);
  return answer === undefined || plan.actions.every((action) => sameAction(action, answer.action));
}

/** How urgent a write to ScaiVault is: what a person just changed or approved, then rotated values, first copies, marks. */
function writeLane({ sync }: Subject, kind: ActionKind, approved: boolean): WriteLane {
  // 0 is the API server's default: nobody looked at the object yet, so it is a first copy and no change.
  const seen = sync.status?.observedGeneration ?? 0;
  if (approved || (seen > 0 && seen !== sync.metadata.generation)) return "user";
  if (kind === "Mark") return "verification";
  return kind === "Create" || kind === "Adopt" ? "new" : "rotated";
}
