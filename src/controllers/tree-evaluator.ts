import type { ActionKind } from "../decide/types.ts";
import { reasons } from "../errors/index.ts";
import type { WriteLane } from "../ports/index.ts";
import type { Answer, Approvals } from "./approvals.ts";
import type { PairResult } from "./evaluate.ts";
import type { ExecutedPair } from "./execute.ts";
import type { Memory } from "./gather.ts";
import { scopeOf } from "./metric-scope.ts";
import { PairEvaluator, releaseValues } from "./pair-evaluator.ts";
import { pairReport } from "./report.ts";
import type { Requeue } from "./requeue.ts";
import { OwnMarks, Reverts } from "./reverts.ts";
import { sourceStateOf } from "./source-state.ts";
import type { Pair, Subject } from "./subject.ts";
import { brakeItem, brakePlanned } from "./sync-brakes.ts";
import { isAnswered } from "./sync-evaluator.ts";
import { ObjectMovedError, SyncExecutor } from "./sync-executor.ts";
import type { TreeMemory } from "./tree-memory.ts";
import { settleMember } from "./tree-names.ts";
import { resolveTree, type Tree } from "./tree-subject.ts";
import type { World } from "./world.ts";

const MAX_BACKOFF_MS = 300_000;
const MOVED_MS = 50;

/** One secret of a tree, as the evaluator of pairs takes it. */
export function pairOf({ subject }: Tree, source: string, path: string): { subject: Subject; pair: Pair } {
  return {
    subject: { ...subject, location: { kind: "path", path: source } },
    pair: { ref: { path: source }, scaivaultPath: path, secretName: undefined },
  };
}

/** Gathers, plans and carries out one secret of a tree at a time: what one of them waits for moves no other. */
export class TreeEvaluator {
  readonly #world: World;
  readonly #approvals: Approvals;
  readonly #reverts: Reverts;
  readonly #marks = new OwnMarks();
  readonly #pairs: PairEvaluator;
  readonly #executor: SyncExecutor;

  constructor(world: World, approvals: Approvals) {
    this.#world = world;
    this.#approvals = approvals;
    this.#reverts = new Reverts(() => world.clock.monotonic());
    this.#pairs = new PairEvaluator(world, this.memory, writeLane);
    this.#executor = new SyncExecutor(world, {
      marks: this.#marks,
      reverts: this.#reverts,
      assertSame: (subject) => assertSameTree(world, subject),
    });
  }

  /** What one look remembers for the next. */
  get memory(): Memory {
    return { reverts: this.#reverts, marks: this.#marks };
  }

  /** @returns when to look again; undefined: the store has to be asked first, which wakes it */
  async evaluate(memory: TreeMemory, path: string, lane: string, signal: AbortSignal): Promise<Requeue | undefined> {
    const { tree } = memory;
    const source = memory.members.get(path);
    const { store } = tree.subject;
    if (source === undefined || store === undefined) return {};
    const { subject, pair } = pairOf(tree, source, path);
    if (sourceStateOf(subject, pair) === undefined) {
      store.poller.request([source], { fresh: lane === "user" });
      return undefined;
    }
    this.#world.metrics.expectFresh(scopeOf(subject));
    const look = { lane, notBeforeMs: this.#notBefore(memory, lane) };
    try {
      let result = await this.#pairs.evaluate(subject, pair, { ...look, approved: false }, signal);
      const answers = running(this.#approvals.answers(subject, [result]));
      if (answers.size > 0 || this.#approvals.isRunning(subject, [result.plan])) {
        const again = await this.#pairs.evaluate(subject, pair, { ...look, approved: true, answers }, signal);
        const stands = isAnswered(again, answers);
        releaseValues(stands ? result : again);
        if (stands) result = again;
      }
      return await this.#settle(memory, path, { subject, result }, signal);
    } catch (error) {
      if (error instanceof ObjectMovedError) return { requeueAfterMs: MOVED_MS, lane: "retry" };
      throw error;
    }
  }

  async #settle(
    memory: TreeMemory,
    path: string,
    { subject, result }: { readonly subject: Subject; readonly result: PairResult },
    signal: AbortSignal,
  ): Promise<Requeue> {
    const world = this.#world;
    const { context, plan } = result;
    try {
      if (!world.dryRun) brakePlanned(world, brakeItem(subject, context.path), plan);
      const executed =
        world.dryRun || plan.actions.length === 0 ? undefined : await this.#executor.run(subject, result, signal);
      for (const action of executed?.done ?? []) this.#approvals.done(subject.key, action);
      // Meanwhile the tree may have become another one.
      if (memory.members.get(path) !== context.path) return {};
      if ((executed?.done.length ?? 0) > 0) memory.wrote = true;
      if (isGone(result, memory.tree)) {
        memory.drop(path);
        settleMember(world, memory.tree, context.path);
        return {};
      }
      const answers = this.#approvals.hashes(subject, plan);
      memory.take(path, pairReport({ result, executed, answers }), result);
      return this.#next(memory, path, result, executed);
    } finally {
      releaseValues(result);
    }
  }

  /** How old ScaiVault's answers may be. What a poll showed was asked for since then, for all of it together. */
  #notBefore(memory: TreeMemory, lane: string): number {
    const now = this.#world.clock.monotonic();
    if (lane === "change") return Math.min(now - 1000, memory.lookedMs);
    return lane === "user" || lane === "drift" ? now - 1000 : now - memory.tree.subject.effective.syncIntervalMs * 1.5;
  }

  #next(memory: TreeMemory, path: string, result: PairResult, executed: ExecutedPair | undefined): Requeue {
    const turns = result.turn === undefined ? {} : { turns: [result.turn] };
    const errors = executed?.errors ?? [];
    const unseen = result.context.targets.flatMap(({ observation: { failure } }) => {
      const again = failure?.reason === "ScaiVaultUnavailable" || failure?.retryAfterMs !== undefined;
      return failure !== undefined && again ? [failure] : [];
    });
    const transient = [...errors, ...unseen, ...(result.sourceError === undefined ? [] : [result.sourceError])].filter(
      ({ reason }) => reasons[reason].kind === "transient",
    );
    const fenced =
      (result.plan.again && (executed?.done.length ?? 0) > 0) || errors.some(({ code }) => code === "fence");
    if (!fenced && transient.length === 0) {
      if (result.turn === undefined) memory.failures.delete(path);
      return turns;
    }
    const times = (memory.failures.get(path) ?? 0) + 1;
    memory.failures.set(path, times);
    const asked = Math.max(0, ...transient.map(({ retryAfterMs = 0 }) => retryAfterMs));
    const backoff = fenced && times === 1 ? MOVED_MS : Math.min(MAX_BACKOFF_MS, 1000 * 2 ** Math.min(times, 10));
    return { ...turns, requeueAfterMs: Math.max(asked, backoff), lane: "retry" };
  }
}

/** A secret below a mapping went from the store, and no copy of it is left. */
function isGone({ context, plan }: PairResult, { mappings }: Tree): boolean {
  const { source, targets, path } = context;
  if (source.state !== "Gone" || !source.believed || plan.actions.length > 0) return false;
  if (mappings.some(({ sourcePath }) => sourcePath === path)) return false;
  return targets.every(({ observation: { presence } }) => presence !== "Present" && presence !== "Unknown");
}

/** Answers whose use stands in status already. */
function running(answers: ReadonlyMap<string, Answer>): ReadonlyMap<string, Answer> {
  return new Map([...answers].filter(([, { state }]) => state === "Running"));
}

/** Of a tree nobody waits for a single write: rotated values go before first copies, and these before marks. */
function writeLane(_subject: Subject, kind: ActionKind, approved: boolean): WriteLane {
  if (approved) return "rotated";
  if (kind === "Mark") return "verification";
  return kind === "Create" || kind === "Adopt" ? "new" : "rotated";
}

/** @throws ObjectMovedError when the backend, its rights or its store are not what they were when this was planned */
function assertSameTree(world: World, { backend, store }: Subject): void {
  const { uid, generation, namespace = "", name = "" } = backend?.metadata ?? {};
  const object = world.caches.backends.get(`${namespace}/${name}`);
  const same =
    object !== undefined &&
    object.metadata.uid === uid &&
    object.metadata.generation === generation &&
    object.metadata.deletionTimestamp === undefined;
  const now = same ? resolveTree(world, object) : undefined;
  if (now === undefined || now.subject.refusal !== undefined || now.subject.store !== store)
    throw new ObjectMovedError("the backend changed while its tree was worked on");
}
