import { annotations, effectiveSync, type SecretSyncStatus, SYNC_REQUEST_PATTERN } from "../api/index.ts";
import type { SyncSituation } from "../decide/index.ts";
import { type Reason, reasons, SyncError } from "../errors/index.ts";
import type { KubeObject } from "../runtime/index.ts";
import type { FirstLooks } from "./first-looks.ts";
import { ensureFinalizer, finalize } from "./finalize.ts";
import { lastGoodMs } from "./last-good.ts";
import { situationOf } from "./report.ts";
import type { Requeue } from "./requeue.ts";
import type { StatusWriter } from "./status-writer.ts";
import { KnownCopies, removeStrays } from "./strays.ts";
import { resolveSubject, type Subject } from "./subject.ts";
import { SyncEvaluator } from "./sync-evaluator.ts";
import type { SyncOutcome } from "./sync-outcome.ts";
import { ObjectMovedError } from "./sync-executor.ts";
import { SyncRequests } from "./sync-requests.ts";
import type { World } from "./world.ts";

const MAX_BACKOFF_MS = 300_000;
const MOVED_MS = 50;

/** Reconciles SecretSyncs: gather, plan, execute, status. Level-triggered: it looks at everything each time. */
export class SyncController {
  readonly #world: World;
  readonly #status: StatusWriter;
  readonly #evaluator: SyncEvaluator;
  readonly #copies = new KnownCopies();
  readonly #failures = new Map<string, number>();
  readonly #requests = new SyncRequests();
  readonly #firstLooks: FirstLooks;

  /** @param firstLooks tells whether it is too early after the start to say that an object waits for its first poll */
  constructor(world: World, status: StatusWriter, firstLooks: FirstLooks) {
    this.#firstLooks = firstLooks;
    this.#world = world;
    this.#status = status;
    this.#evaluator = new SyncEvaluator(world, ({ key, sync }) => {
      const object = world.caches.syncs.get(key);
      const hash = sync.metadata.annotations?.[annotations.approve];
      if (object === undefined || hash === undefined)
        throw new ObjectMovedError("the object went while it was planned");
      return status.approvalUsed("SecretSync", object, hash);
    });
  }

  /** The object is gone: nothing of it is kept, and nothing waits for it. */
  forget(key: string): void {
    this.#failures.delete(key);
    this.#requests.forget(key);
    this.#copies.forget(key);
    this.#evaluator.forget(key);
    this.#firstLooks.note(key, false);
    this.#world.lingering.forget(key);
    this.#status.forget("SecretSync", key);
    this.#world.brakes.retain(key, new Set());
  }

  async reconcile(key: string, lane: string, signal: AbortSignal): Promise<Requeue> {
    const object = this.#world.caches.syncs.get(key);
    if (object === undefined) {
      this.forget(key);
      return {};
    }
    const subject = resolveSubject(this.#world, object);
    if (object.metadata.deletionTimestamp !== undefined) {
      return finalize(
        this.#world,
        subject instanceof SyncError ? undefined : subject,
        object,
        this.#evaluator.memory,
        signal,
      );
    }
    if (subject instanceof SyncError) {
      await this.#report(object, undefined, { kind: "Refused", reason: subject.reason, message: subject.message });
      return {};
    }
    await ensureFinalizer(this.#world, subject, object, signal);
    this.#copies.note(subject);
    if (subject.effective.suspend || subject.refusal !== undefined) this.#world.brakes.retain(key, new Set());
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
    const outcome = await this.#evaluate(subject, this.#laneOf(object, lane, requestWaitMs), signal);
    if (outcome === "Moved") return { requeueAfterMs: MOVED_MS, lane: "user" };
    if (outcome === undefined) return this.#waitingForPoll(object, subject);
    this.#firstLooks.note(key, false);
    if (isSettled(outcome)) await removeStrays(this.#world, subject, this.#copies, this.#evaluator.memory, signal);
    await this.#report(object, subject, situationOf(outcome), outcome);
    const next = { ...this.#next(key, outcome), ...waitsOf(outcome) };
    if (requestWaitMs === undefined || requestWaitMs === 0 || (next.requeueAfterMs ?? Infinity) <= requestWaitMs)
      return next;
    return { ...next, requeueAfterMs: requestWaitMs, lane: "user" };
  }

  /** People who only touch annotations get no new look at the stores, unless that was a request that may have one. */
  #laneOf(object: KubeObject, lane: string, requestWaitMs: number | undefined): string {
    if (lane !== "user" || requestWaitMs === 0) return lane;
    const seen = this.#status.current<SecretSyncStatus>("SecretSync", object)?.observedGeneration;
    return seen === object.metadata.generation ? "refresh" : lane;
  }

  /** `Moved`: the object or its rights changed before everything was written. */
  async #evaluate(subject: Subject, lane: string, signal: AbortSignal): Promise<SyncOutcome | undefined | "Moved"> {
    try {
      const outcome = await this.#evaluator.evaluate(subject, lane, signal);
      const failed = outcome?.pairs.some(({ result }) => result.sourceError !== undefined) ?? false;
      // What the store of a replaced credential refuses says nothing of the one that stands now.
      return failed && this.#hasAnotherStore(subject) ? "Moved" : outcome;
    } catch (error) {
      if (error instanceof ObjectMovedError) return "Moved";
      throw error;
    }
  }

  #hasAnotherStore(subject: Subject): boolean {
    const object = this.#world.caches.syncs.get(subject.key);
    const now = object === undefined ? undefined : resolveSubject(this.#world, object);
    return now !== undefined && !(now instanceof SyncError) && now.store !== subject.store;
  }

  /** An object that was never looked at says so; one that was keeps what it says. */
  async #waitingForPoll(object: KubeObject, subject: Subject): Promise<Requeue> {
    const before = this.#status.current<SecretSyncStatus>("SecretSync", object);
    if (before !== undefined) return {};
    const { early } = this.#firstLooks;
    this.#firstLooks.note(subject.key, early);
    if (early) return {};
    await this.#report(object, subject, {
      kind: "Refused",
      reason: "Progressing",
      message: "",
    });
    return {};
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
      lastGoodMs: lastGoodMs(this.#world, subject),
      wrote: outcome?.wrote ?? false,
      handledSyncRequest: this.#handledRequest(subject),
      handledApproval: subject === undefined ? undefined : this.#evaluator.usedApproval(subject),
    });
  }

  /**
   * A sync request is taken once, within the limits of {@link SyncRequests}; it asks the store itself, not its list.
   * @returns how long a request that came too early has to wait; 0: it was taken now
   */
  #syncRequest(subject: Subject): number | undefined {
    const value = subject.sync.metadata.annotations?.[annotations.syncRequestedAt];
    if (value === undefined || !SYNC_REQUEST_PATTERN.test(value)) return undefined;
    if (value === subject.sync.status?.lastHandledSyncRequest) return undefined;
    if (subject.store === undefined || subject.location === undefined) return undefined;
    const share = `${subject.sync.metadata.namespace} ${subject.store.identityKey}`;
    const waitMs = this.#requests.take(subject.key, share, value, this.#world.clock.monotonic());
    if (waitMs !== 0) return waitMs;
    const { kind, path } = subject.location;
    subject.store.poller.request(kind === "path" ? [path] : [], {
      fresh: true,
      subtrees: kind === "path" ? [] : [path],
    });
    return 0;
  }

  /** The last request that the store has answered. */
  #handledRequest(subject: Subject | undefined): string | undefined {
    const last = subject === undefined ? undefined : this.#requests.last(subject.key);
    const lookedMs = subject?.store?.poller.lookedAtMs(subject.location?.path ?? "") ?? -Infinity;
    return last !== undefined && lookedMs > last.atMs ? last.value : undefined;
  }

  #next(key: string, outcome: SyncOutcome): Requeue {
    const errors = outcome.pairs.flatMap(({ executed }) => executed?.errors ?? []);
    const again = outcome.pairs.some(({ result, executed }) => result.plan.again && (executed?.done.length ?? 0) > 0);
    const fenced = again || errors.some((error) => error.code === "fence");
    const unseen = outcome.pairs
      .flatMap(({ result }) => result.context.targets)
      .flatMap(({ observation: { failure } }) => (failure !== undefined && isAskedAgain(failure) ? [failure] : []));
    const transient = [
      ...errors,
      ...unseen,
      ...outcome.pairs.map(({ result }) => result.sourceError).filter((error) => error !== undefined),
    ].filter((error) => reasons[error.reason].kind === "transient");
    if (!fenced && transient.length === 0) {
      // What waits for its turn has not succeeded yet.
      if (outcome.pairs.every(({ result }) => result.turn === undefined)) this.#failures.delete(key);
      return {};
    }
    const times = (this.#failures.get(key) ?? 0) + 1;
    this.#failures.set(key, times);
    const asked = Math.max(0, ...transient.map((error) => error.retryAfterMs ?? 0));
    const backoff = fenced && times === 1 ? 50 : Math.min(MAX_BACKOFF_MS, 1000 * 2 ** Math.min(times, 10));
    return { requeueAfterMs: Math.max(asked, backoff), lane: "retry" };
  }
}

/**
 * Whether a target that could not be seen is asked for again before the next poll. While all of ScaiVault is away that costs
 * one call in ten seconds for all objects together; the rate budget gives each a time of its own.
 */
function isAskedAgain({ reason, retryAfterMs }: SyncError): boolean {
  return reason === "ScaiVaultUnavailable" || (reason === "RateLimited" && retryAfterMs !== undefined);
}

const byOthers: ReadonlySet<Reason> = new Set(["WaitingForWriter", "OtherCluster"]);

/** What an object waits for that no time of its own tells. */
function waitsOf({ pairs }: SyncOutcome): Pick<Requeue, "turns" | "waitsForWriter"> {
  const turns = pairs.flatMap(({ result: { turn } }) => turn ?? []);
  const waitsForWriter = pairs.some(({ result }) => result.plan.outcomes.some(({ reason }) => byOthers.has(reason)));
  return { ...(turns.length === 0 ? {} : { turns }), ...(waitsForWriter ? { waitsForWriter } : {}) };
}

/** Everything that the spec names is there and right. */
function isSettled({ pairs, problems }: SyncOutcome): boolean {
  const outcomes = pairs.flatMap(({ result, executed }) => executed?.outcomes ?? result.plan.outcomes);
  return problems.length === 0 && outcomes.length > 0 && outcomes.every(({ state }) => state === "InSync");
}

const defaultEffective = effectiveSync({ source: { backendRef: { name: "-" } }, targets: {} }, undefined);
