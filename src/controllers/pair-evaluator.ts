import { datedVersion, isStoreWide } from "../catalogue/index.ts";
import type { ActionKind, SourceState } from "../decide/types.ts";
import { SyncError, toSyncError } from "../errors/index.ts";
import type { Authority } from "../model/index.ts";
import type { Reservation, WriteLane } from "../ports/index.ts";
import { ComparisonMemo } from "./comparison-memo.ts";
import { type EvaluatedTarget, evaluatePair, type PairResult } from "./evaluate.ts";
import { gatherTargets, type Memory, secretTargetID } from "./gather.ts";
import { scopeOf } from "./metric-scope.ts";
import { PlanMemo } from "./plan-memo.ts";
import { sourceStateOf } from "./source-state.ts";
import { type Pair, sourceIDFor, type Subject } from "./subject.ts";
import { brakesFor } from "./sync-brakes.ts";
import type { Lane, World } from "./world.ts";

/** How pairs are looked at: how urgent it is, how old ScaiVault's answers may be, what people approved of them. */
export interface Look {
  readonly lane: string;
  readonly notBeforeMs: number;
  readonly approved: boolean;
  /** Answers to conflicts, by source path. */
  readonly answers?: ReadonlyMap<string, { readonly keep: Authority }>;
}

/** How urgent a write to ScaiVault is. */
export type LaneOf = (subject: Subject, kind: ActionKind, approved: boolean) => WriteLane;

const notPolled: SourceState = { state: "Unknown", reason: "Progressing", message: "not polled yet" };

/** Gathers and plans one secret with its targets, the same for SecretSyncs and for federated trees. */
export class PairEvaluator {
  readonly #world: World;
  readonly #memory: Memory;
  readonly #laneOf: LaneOf;
  readonly #memo = new ComparisonMemo();
  readonly #plans = new PlanMemo();

  constructor(world: World, memory: Memory, laneOf: LaneOf) {
    this.#world = world;
    this.#memory = memory;
    this.#laneOf = laneOf;
  }

  async evaluate(
    subject: Subject,
    pair: Pair,
    { lane, notBeforeMs, approved, answers }: Look,
    signal: AbortSignal,
  ): Promise<PairResult> {
    const world = this.#world;
    const source: SourceState = sourceStateOf(subject, pair) ?? notPolled;
    const scaivaultLane: Lane = lane === "user" ? "user" : "new";
    const options = { notBeforeMs, lane: scaivaultLane, ...this.#memory };
    const assume = source.state === "Present" && this.#isFirstCopy(subject, pair);
    const targets = await gatherTargets(world, subject, pair, { ...options, assume }, signal);
    const keep = answers?.get(pair.ref.path)?.keep;
    const result = await this.#plan(subject, pair, { source, targets, approved, keep }, signal);
    const guessed = targets.some(({ observation }) => observation.assumed === true);
    if (!guessed || result.plan.actions.some(({ kind }) => kind === "Create")) return result;
    // Anything but a creation right now needs to know.
    releaseValues(result);
    const seen = await gatherTargets(world, subject, pair, options, signal);
    return this.#plan(subject, pair, { source, targets: seen, approved, keep }, signal);
  }

  /**
   * Nothing says that this Secret was ever there, and it is the object's only target: it is created without a look, which the
   * API server refuses when the name is taken. With other targets beside it there would be two writes to account for.
   */
  #isFirstCopy({ sync, effective, location }: Subject, pair: Pair): boolean {
    if (this.#world.dryRun || effective.apply !== "Automatic" || location?.kind !== "path") return false;
    if (pair.secretName === undefined || sync.spec.targets.scaivault !== undefined) return false;
    const copied = sync.status?.targets?.some(({ sourceVersion }) => sourceVersion !== undefined) === true;
    return !copied && !this.#memory.marks.wrote(secretTargetID(sync.metadata.namespace, pair.secretName));
  }

  #plan(
    subject: Subject,
    pair: Pair,
    {
      source,
      targets,
      approved,
      keep,
    }: {
      readonly source: SourceState;
      readonly targets: readonly EvaluatedTarget[];
      readonly approved: boolean;
      readonly keep: Authority | undefined;
    },
    signal: AbortSignal,
  ): Promise<PairResult> {
    const world = this.#world;
    const { store } = subject;
    const reserve = reserveOf(targets, (kind) => this.#laneOf(subject, kind, approved));
    return evaluatePair(
      {
        ...(world.dryRun || reserve === undefined ? {} : { reserve }),
        path: pair.ref.path,
        owner: subject.owner,
        sourceID: sourceIDFor(world, subject, pair.ref.path),
        policies: subject.effective,
        source,
        targets,
        brakes: brakesFor(world, subject, pair.ref.path, source, targets),
        ring: world.ring,
        memo: this.#memo,
        plans: this.#plans,
        readSource: async (aborted) => {
          if (store === undefined) throw new SyncError("BackendNotReady", "the backend has no source");
          world.metrics.valueRead(scopeOf(subject));
          try {
            const read = await store.source.read(pair.ref, aborted);
            return { ...read, version: datedVersion(read.version, read.writtenAt) };
          } catch (error) {
            const failed = toSyncError(error, `read ${pair.ref.path}`);
            if (isStoreWide(failed)) store.poller.noteFailure(failed);
            throw failed;
          }
        },
        approved,
        ...(keep === undefined ? {} : { keep }),
      },
      signal,
    );
  }
}

function reserveOf(
  targets: readonly EvaluatedTarget[],
  laneOf: (kind: ActionKind) => WriteLane,
): ((kind: ActionKind) => Reservation) | undefined {
  const path = targets.find(({ target }) => target.kind === "ScaiVault")?.target;
  return path === undefined ? undefined : (kind) => path.reserve(laneOf(kind));
}

/** Values are zeroed as soon as nothing needs them, and a call that was set aside and not made is given back. */
export function releaseValues(result: PairResult): void {
  result.values.permit?.release();
  result.values.source?.payload.raw.release();
  for (const value of result.values.source?.payload.keys.values() ?? []) value.release();
  for (const content of [...result.values.rendered.values(), ...result.values.held.values()]) {
    content.payload.raw.release();
    for (const value of content.keys.values()) value.release();
  }
  result.values.rendered.clear();
  result.values.held.clear();
  delete result.values.source;
}
