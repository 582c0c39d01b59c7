import { annotations, effectiveSync, type SecretSyncStatus, SYNC_REQUEST_PATTERN } from "../api/index.ts";
import { datedVersion, isStoreWide } from "../catalogue/index.ts";
import type { SyncSituation } from "../decide/index.ts";
import type { Action, Brakes, SourceState } from "../decide/types.ts";
import { reasons, SyncError, toSyncError } from "../errors/index.ts";
import type { KubeObject } from "../runtime/index.ts";
import { errorFields } from "../telemetry/index.ts";
import { approvalOf } from "./approvals.ts";
import { ComparisonMemo } from "./comparison-memo.ts";
import { evaluatePair, type EvaluatedTarget, type PairResult } from "./evaluate.ts";
import { executePair, type ExecutedPair } from "./execute.ts";
import { ensureFinalizer, finalize } from "./finalize.ts";
import { removeStrays } from "./strays.ts";
import { gatherTargets, type Memory, sourceStateOf } from "./gather.ts";
import { situationOf } from "./report.ts";
import { OwnMarks, Reverts } from "./reverts.ts";
import { membersOf } from "./members.ts";
import { PlanMemo } from "./plan-memo.ts";
import type { StatusWriter } from "./status-writer.ts";
import { type Pair, pairsOf, resolveSubject, sourceIDFor, type Subject } from "./subject.ts";
import { viewSync } from "./views.ts";
import type { Lane, World } from "./world.ts";

/** What a reconcile of one object came to; `plan` prints it, `run` makes a status of it. */
export interface SyncOutcome {
  readonly subject: Subject;
  readonly pairs: readonly { readonly result: PairResult; readonly executed: ExecutedPair | undefined }[];
  /** Paths that could not become a pair. */
  readonly problems: readonly { readonly path: string; readonly error: SyncError }[];
  /** The store was not polled for this object yet. */
  readonly waiting: boolean;
  readonly planHash: string;
  readonly wrote: boolean;
}

/** When to look again, and how urgent that is. */
export interface Requeue {
  readonly requeueAfterMs?: number;
  readonly lane?: "user" | "drift" | "retry" | "refresh";
}

const PAIRS_AT_ONCE = 16;
const MAX_BACKOFF_MS = 300_000;
const REQUEST_EVERY_MS = 30_000;

/** Reconciles SecretSyncs: gather, plan, execute, status. Level-triggered: it looks at everything each time. */
export class SyncController {
  readonly #world: World;
  readonly #status: StatusWriter;
  readonly #reverts: Reverts;
  readonly #marks = new OwnMarks();
  readonly #memo = new ComparisonMemo();
  readonly #plans = new PlanMemo();
  readonly #failures = new Map<string, number>();
  readonly #requests = new Map<string, { value: string; atMs: number }>();

  constructor(world: World, status: StatusWriter) {
    this.#world = world;
    this.#status = status;
    this.#reverts = new Reverts(() => world.clock.now());
  }

  async reconcile(key: string, lane: string, signal: AbortSignal): Promise<Requeue> {
    const object = this.#world.caches.syncs.get(key);
    if (object === undefined) {
      this.#failures.delete(key);
      this.#requests.delete(key);
      this.#status.forget("SecretSync", key);
      return {};
    }
    const subject = resolveSubject(this.#world, object);
    if (object.metadata.deletionTimestamp !== undefined) {
      return finalize(this.#world, subject instanceof SyncError ? undefined : subject, object, this.#memory, signal);
    }
    if (subject instanceof SyncError) {
      await this.#report(object, undefined, { kind: "Refused", reason: subject.reason, message: subject.message });
      return {};
    }
    await ensureFinalizer(this.#world, subject, object, signal);
    await removeStrays(this.#world, subject, this.#memory, signal);
    const requestWaitMs = this.#syncRequest(subject);
    if (subject.effective.suspend) {
      await this.#report(object, subject, { kind: "Suspended" });
      return {};
    }
    if (subject.refusal !== undefined) {
      const { reason, message } = subject.refusal;
      await this.#report(object, subject, { kind: "Refused", reason, message });
      return {};
    }
    const outcome = await this.evaluate(subject, lane, signal);
    if (outcome === undefined) {
      await this.#waitingForPoll(object, subject);
      return {};
    }
    await this.#report(object, subject, situationOf(outcome), outcome);
    const next = this.#next(key, outcome);
    if (requestWaitMs === undefined || (next.requeueAfterMs ?? Infinity) <= requestWaitMs) return next;
    return { requeueAfterMs: requestWaitMs, lane: "user" };
  }

  get #memory(): Memory {
    return { reverts: this.#reverts, marks: this.#marks };
  }

  /** An object that was never looked at says so; one that was keeps what it says. */
  async #waitingForPoll(object: KubeObject, subject: Subject): Promise<void> {
    const before = this.#status.current<SecretSyncStatus>("SecretSync", object);
    if (before?.observedGeneration === object.metadata.generation) return;
    if (before !== undefined) return;
    await this.#report(object, subject, {
      kind: "Refused",
      reason: "Progressing",
      message: "the first poll is under way",
    });
  }

  async #report(
    object: KubeObject,
    subject: Subject | undefined,
    situation: SyncSituation,
    outcome?: SyncOutcome,
  ): Promise<void> {
    const effective = subject?.effective ?? defaultEffective;
    const authorities = outcome?.pairs.map(({ result }) => result.plan.authority) ?? [];
    const held = authorities.find((authority) => authority !== effective.authority);
    await this.#status.sync(object, {
      situation,
      effective: { ...effective, authority: held ?? effective.authority },
      lastGoodMs: this.#lastGoodMs(subject),
      wrote: outcome?.wrote ?? false,
      handledSyncRequest: this.#handledRequest(subject),
    });
  }

  /** When source and ScaiVault last answered: the earlier of the two counts. */
  #lastGoodMs(subject: Subject | undefined): number | undefined {
    const poller = subject?.store?.poller;
    // A process that never saw the store counts from when it found it failing.
    const source = poller?.lastGoodMs ?? (poller?.state.state === "Failing" ? poller.state.sinceMs : undefined);
    const { scaivault } = this.#world;
    if (scaivault === undefined || subject?.sync.spec.targets.scaivault === undefined) return source;
    const { reachability } = scaivault.observations;
    if (reachability.state !== "Failing") return source;
    return Math.min(source ?? reachability.sinceMs, reachability.sinceMs);
  }

  /** Everything but status. Undefined: the first poll of the store has not ended; it wakes the object when it has. */
  async evaluate(subject: Subject, lane: string, signal: AbortSignal): Promise<SyncOutcome | undefined> {
    const { store, location } = subject;
    if (store === undefined || location === undefined) return undefined;
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
      store.poller.request(missing, { fresh: lane === "user" });
      return undefined;
    }
    const notBeforeMs = this.#notBefore(subject, lane);
    const results: PairResult[] = [];
    for (let at = 0; at < pairs.length; at += PAIRS_AT_ONCE) {
      const some = pairs.slice(at, at + PAIRS_AT_ONCE);
      results.push(
        ...(await Promise.all(some.map((pair) => this.#evaluatePair(subject, pair, lane, notBeforeMs, signal)))),
      );
    }
    return this.#settle(subject, this.#withoutTraces(subject, results), problems, signal);
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
    const now = this.#world.clock.now();
    if (lane === "user" || lane === "drift") return now - 1000;
    return now - subject.effective.syncIntervalMs * 1.5;
  }

  async #evaluatePair(
    subject: Subject,
    pair: Pair,
    lane: string,
    notBeforeMs: number,
    signal: AbortSignal,
  ): Promise<PairResult> {
    const world = this.#world;
    const source: SourceState = sourceStateOf(subject, pair) ?? notPolled;
    const scaivaultLane: Lane = lane === "user" ? "user" : "new";
    const options = { notBeforeMs, lane: scaivaultLane, ...this.#memory };
    const targets = await gatherTargets(world, subject, pair, options, signal);
    const { store } = subject;
    return evaluatePair(
      {
        path: pair.ref.path,
        owner: subject.owner,
        sourceID: sourceIDFor(world, subject, pair.ref.path),
        policies: subject.effective,
        source,
        targets,
        brakes: this.#brakes(subject, pair, source, targets),
        ring: world.ring,
        memo: this.#memo,
        plans: this.#plans,
        readSource: async (aborted) => {
          if (store === undefined) throw new SyncError("BackendNotReady", "the backend has no source");
          world.metrics.valueRead(store.identity);
          try {
            const read = await store.source.read(pair.ref, aborted);
            return { ...read, version: datedVersion(read.version, read.writtenAt) };
          } catch (error) {
            const failed = toSyncError(error, `read ${pair.ref.path}`);
            if (isStoreWide(failed)) store.poller.noteFailure(failed);
            throw failed;
          }
        },
        approved: (plan) => approvalOf(world, subject, [plan]).approved,
      },
      signal,
    );
  }

  #brakes(subject: Subject, pair: Pair, source: SourceState, targets: readonly EvaluatedTarget[]): Brakes {
    const key = { store: subject.store?.identityKey ?? "", namespace: subject.sync.metadata.namespace };
    const item = `${subject.key} ${pair.ref.path}`;
    const nowMs = this.#world.clock.now();
    const check = (kind: "deletion" | "change", wanted: boolean) => {
      if (wanted) return this.#world.brakes.check(key, kind, item, this.#total(subject), nowMs);
      return "Open" as const;
    };
    return {
      deletion: check(
        "deletion",
        source.state === "Gone" && source.believed && subject.effective.deletionPolicy === "Delete",
      ),
      change: check("change", source.state === "Present" && changes(source.version, targets)),
    };
  }

  /** How many objects of this namespace read this store; a subtree counts its secrets. */
  #total(subject: Subject): number {
    const namespace = subject.sync.metadata.namespace;
    let total = 0;
    for (const backend of subject.store?.backends ?? []) {
      for (const object of this.#world.caches.syncs.byIndex("backend", backend)) {
        if (object.metadata.namespace === namespace) total += this.#weight(object, subject);
      }
    }
    return Math.max(1, total);
  }

  /** A subtree counts as many as it has secrets. */
  #weight(object: KubeObject, self: Subject): number {
    const view = viewSync(object);
    const subtree = view.ok ? view.object.spec.source.subtree : undefined;
    const below = subtree === undefined ? undefined : self.store?.poller.subtree(subtree.slice(0, -"/**".length));
    return below?.paths.length ?? 1;
  }

  /** Whole-object approval, then execution pair by pair. */
  async #settle(
    subject: Subject,
    results: readonly PairResult[],
    problems: SyncOutcome["problems"],
    signal: AbortSignal,
  ): Promise<SyncOutcome> {
    const approval = approvalOf(
      this.#world,
      subject,
      results.map((result) => result.plan),
    );
    const pairs: { result: PairResult; executed: ExecutedPair | undefined }[] = [];
    const key = { store: subject.store?.identityKey ?? "", namespace: subject.sync.metadata.namespace };
    for (const result of results) {
      if (!this.#world.dryRun) this.#world.brakes.planned(key, `${subject.key} ${result.context.path}`, result.plan);
      const executed =
        this.#world.dryRun || result.plan.actions.length === 0
          ? undefined
          : await this.#execute(subject, result, signal);
      release(result);
      pairs.push({ result, executed });
    }
    const wrote = pairs.some(({ executed }) => (executed?.done.length ?? 0) > 0);
    return { subject, pairs, problems, waiting: false, planHash: approval.hash, wrote };
  }

  #outcome(subject: Subject, pairs: SyncOutcome["pairs"], problems: SyncOutcome["problems"]): SyncOutcome {
    return { subject, pairs, problems, waiting: false, planHash: "", wrote: false };
  }

  async #execute(subject: Subject, result: PairResult, signal: AbortSignal): Promise<ExecutedPair> {
    const world = this.#world;
    const executed = await executePair(
      result,
      {
        assertHeld: () => world.assertHeld(),
        written: (target, action, now) => this.#written(subject, target, action, now),
      },
      signal,
    );
    if (executed.errors.length > 0) this.#forgetUncertain(result, executed);
    for (const error of executed.errors) {
      const { namespace, name } = subject.sync.metadata;
      world.log.warn("write failed", {
        kind: "SecretSync",
        namespace,
        name,
        path: result.context.path,
        ...errorFields(error),
      });
      world.metrics.failure(error.reason, namespace);
    }
    return executed;
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
    now: Parameters<Parameters<typeof executePair>[1]["written"]>[2],
  ): void {
    const { namespace, name } = subject.sync.metadata;
    const world = this.#world;
    world.metrics.write(action.target, action.kind);
    world.log.info("target written", {
      kind: "SecretSync",
      namespace,
      name,
      action: action.kind,
      target: target.target.ref,
      path: action.path,
      version: action.fromVersion,
      reason: action.why,
    });
    if (action.kind === "Restore") {
      const mark = target.observation.mark;
      this.#reverts.add(target.target.targetID, mark.state === "Valid" ? mark.mark.version : "");
    }
    if (action.target === "ScaiVault") world.scaivault?.observations.set({ path: target.target.ref }, now);
    if (now?.mark.state === "Valid") this.#marks.set(target.target.targetID, now.mark.mark);
    else this.#marks.delete(target.target.targetID);
    const key = { store: subject.store?.identityKey ?? "", namespace };
    const item = `${subject.key} ${action.path}`;
    if (action.kind === "Delete") world.brakes.record(key, "deletion", item, world.clock.now());
    if (action.kind === "Update") world.brakes.record(key, "change", item, world.clock.now());
  }

  /**
   * A sync request is taken once, at most every thirty seconds an object; it asks the store itself, not its list.
   * @returns how long a request that came too early has to wait
   */
  #syncRequest(subject: Subject): number | undefined {
    const value = subject.sync.metadata.annotations?.[annotations.syncRequestedAt];
    if (value === undefined || !SYNC_REQUEST_PATTERN.test(value)) return undefined;
    if (value === subject.sync.status?.lastHandledSyncRequest) return undefined;
    const last = this.#requests.get(subject.key);
    const now = this.#world.clock.now();
    if (last?.value === value) return undefined;
    if (last !== undefined && now - last.atMs < REQUEST_EVERY_MS) return last.atMs + REQUEST_EVERY_MS - now;
    if (subject.store === undefined || subject.location === undefined) return undefined;
    this.#requests.set(subject.key, { value, atMs: now });
    const { kind, path } = subject.location;
    subject.store.poller.request(kind === "path" ? [path] : [], {
      fresh: true,
      subtrees: kind === "path" ? [] : [path],
    });
    return undefined;
  }

  /** The last request that the store has answered. */
  #handledRequest(subject: Subject | undefined): string | undefined {
    const last = subject === undefined ? undefined : this.#requests.get(subject.key);
    const lookedMs = subject?.store?.poller.lookedAtMs(subject.location?.path ?? "") ?? 0;
    return last !== undefined && lookedMs > last.atMs ? last.value : undefined;
  }

  #next(key: string, outcome: SyncOutcome): Requeue {
    const errors = outcome.pairs.flatMap(({ executed }) => executed?.errors ?? []);
    const again = outcome.pairs.some(({ result, executed }) => result.plan.again && (executed?.done.length ?? 0) > 0);
    const fenced = again || errors.some((error) => error.code === "fence");
    const transient = [
      ...errors,
      ...outcome.pairs.map(({ result }) => result.sourceError).filter((error) => error !== undefined),
    ].filter((error) => reasons[error.reason].kind === "transient");
    if (!fenced && transient.length === 0) {
      this.#failures.delete(key);
      return {};
    }
    const times = (this.#failures.get(key) ?? 0) + 1;
    this.#failures.set(key, times);
    const asked = Math.max(0, ...transient.map((error) => error.retryAfterMs ?? 0));
    const backoff = fenced && times === 1 ? 50 : Math.min(MAX_BACKOFF_MS, 1000 * 2 ** Math.min(times, 10));
    return { requeueAfterMs: Math.max(asked, backoff), lane: "retry" };
  }
}

const notPolled: SourceState = { state: "Unknown", reason: "Progressing", message: "not polled yet" };
const defaultEffective = effectiveSync({ source: { backendRef: { name: "-" } }, targets: {} }, undefined);

/** Whether a version moved away from what a target of ours holds. */
function changes(version: string, targets: readonly EvaluatedTarget[]): boolean {
  return targets.some(({ observation, incumbent }) => {
    const { mark } = observation;
    return (
      incumbent === "Self" &&
      mark.state === "Valid" &&
      mark.mark.authority === "Source" &&
      mark.mark.version !== version
    );
  });
}

/** Values are zeroed as soon as nothing needs them. */
function release(result: PairResult): void {
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
