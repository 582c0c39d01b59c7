import { brakeKindOf, type KeyComparison } from "../decide/index.ts";
import type { Action, TargetOutcome } from "../decide/types.ts";
import { type Reason, SyncError } from "../errors/index.ts";
import { keyOf } from "../runtime/index.ts";
import type { BackendRegistry } from "./backend-registry.ts";
import type { Memory } from "./gather.ts";
import { NO_ANSWER, OneLook, POLL_TIMEOUT_MS } from "./one-look.ts";
import { PlanBrakes } from "./plan-brakes.ts";
import type { Overlay, PlannedObject } from "./plan-overlay.ts";
import { shownVersion } from "./report.ts";
import { OwnMarks, Reverts } from "./reverts.ts";
import { planStrays } from "./strays.ts";
import { resolveSubject } from "./subject.ts";
import { brakeHold, brakeItem } from "./sync-brakes.ts";
import { resolveTree } from "./tree-subject.ts";
import { SyncEvaluator } from "./sync-evaluator.ts";
import type { SyncOutcome } from "./sync-outcome.ts";
import { backendKeyOf, viewSync } from "./views.ts";
import type { World } from "./world.ts";

/** One target as it stands, with how its keys compare where they were compared (`apply: Never`). */
export type PlannedTarget = TargetOutcome & { readonly path: string; readonly keys?: KeyComparison };

/** What would be done for one object. */
export interface ObjectPlan {
  readonly kind: "SecretSync" | "FederationBackend";
  readonly namespace: string;
  readonly name: string;
  /** `Cluster`: it is in no manifest, but reads a backend that one of them changes. */
  readonly origin: PlannedObject["origin"];
  /** Why nothing is done for it at all, when that is nobody's mistake. */
  readonly ignored?: "Suspended" | "BeingDeleted" | "NotWatched" | "TreeNotPlanned";
  readonly actions: readonly Action[];
  readonly held: readonly Action[];
  /** Hash to approve what is held; empty when nothing is, and for objects that the cluster does not have yet. */
  readonly hash: string;
  readonly outcomes: readonly PlannedTarget[];
  /** Why nothing can be said of it, or of one of its secrets. */
  readonly errors: readonly {
    readonly path: string;
    readonly reason: Reason;
    readonly message: string;
    readonly hint: string;
  }[];
}

const OBJECTS_AT_ONCE = 8;

/**
 * What `run` would do for the given objects, by the same code. The caches hold what the cluster has, with the manifests
 * laid over it; nothing is written. It looks once where `run` looks twice: what is gone counts as gone.
 */
export class PlanRun {
  readonly #world: World;
  readonly #evaluator: SyncEvaluator;
  readonly #memory: Memory;
  readonly #look: OneLook;

  constructor(clock: World["clock"], makeWorld: (registry: BackendRegistry) => World) {
    this.#look = new OneLook(clock, (registry) => {
      const world = makeWorld(registry);
      return { ...world, brakes: new PlanBrakes((key) => world.caches.syncs.get(key)) };
    });
    this.#world = this.#look.world;
    this.#evaluator = new SyncEvaluator(this.#world);
    this.#memory = { reverts: new Reverts(() => clock.monotonic()), marks: new OwnMarks() };
  }

  /** @param stage told what it is at */
  async plan(overlay: Overlay, signal: AbortSignal, stage: (line: string) => void): Promise<ObjectPlan[]> {
    const { syncs, backends } = overlay;
    this.#look.only(new Set(syncs.map(({ object }) => keyOf(object))));
    try {
      stage("checking the backends ...");
      const refused = await this.#resolveBackends(overlay, signal);
      const plans = backends.flatMap((planned) => {
        const error = refused.get(keyOf(planned.object));
        if (error !== undefined) return [failed(planned, error)];
        // Ten thousand secrets are more than a plan of one look can show: the operator holds them for an approval instead.
        return resolveTree(this.#world, planned.object) === undefined ? [] : [ignoredPlan(planned, "TreeNotPlanned")];
      });
      for (let at = 0; at < syncs.length; at += OBJECTS_AT_ONCE) {
        stage(`planning SecretSyncs: ${at} of ${syncs.length} ...`);
        const some = syncs.slice(at, at + OBJECTS_AT_ONCE);
        plans.push(...(await Promise.all(some.map((planned) => this.#planObject(planned, signal)))));
      }
      // Awaited here: afterwards there are no stores any more.
      return await this.#underTheBrakes(syncs, plans, signal);
    } finally {
      await this.#look.close();
    }
  }

  /** Makes the sources of all backends that are needed. @returns what is wrong with the others */
  #resolveBackends(overlay: Overlay, signal: AbortSignal): Promise<Map<string, SyncError>> {
    const views = overlay.syncs.map(({ object }) => viewSync(object)).filter((view) => view.ok);
    const keys = [
      ...overlay.backends.map(({ object }) => keyOf(object)),
      ...views.map((view) => backendKeyOf(view.object)),
    ];
    return this.#look.resolveBackends(keys, signal);
  }

  async #planObject(planned: PlannedObject, signal: AbortSignal): Promise<ObjectPlan> {
    const { object } = planned;
    if (object.metadata.deletionTimestamp !== undefined) return { ...empty(planned), ignored: "BeingDeleted" };
    const subject = resolveSubject(this.#world, object);
    if (subject instanceof SyncError) return failed(planned, subject);
    if (subject.effective.suspend) return { ...empty(planned), ignored: "Suspended" };
    if (subject.refusal !== undefined) return failed(planned, subject.refusal);
    const deadline = AbortSignal.any([signal, AbortSignal.timeout(POLL_TIMEOUT_MS)]);
    try {
      const outcome = await this.#look.untilPolled(async () => {
        await this.#look.refreshTargets(subject, deadline);
        return this.#evaluator.evaluate(subject, "refresh", deadline);
      }, deadline);
      return planOf(planned, outcome, await planStrays(this.#world, subject, this.#memory, deadline));
    } catch (error) {
      if (error instanceof SyncError && error.message === NO_ANSWER) return failed(planned, error);
      throw error;
    }
  }

  /**
   * Each object was planned as if it were alone. Where together they are more than the brakes let through they are
   * planned again with all of them on the brake.
   */
  async #underTheBrakes(
    syncs: readonly PlannedObject[],
    plans: readonly ObjectPlan[],
    signal: AbortSignal,
  ): Promise<ObjectPlan[]> {
    for (const plan of plans) {
      for (const action of plan.actions) {
        const kind = brakeKindOf(action);
        const object = this.#world.caches.syncs.get(`${plan.namespace}/${plan.name}`);
        const subject = object === undefined || kind === undefined ? undefined : resolveSubject(this.#world, object);
        if (kind !== undefined && subject !== undefined && !(subject instanceof SyncError))
          brakeHold(this.#world, kind, brakeItem(subject, action.path));
      }
    }
    const again = async (plan: ObjectPlan): Promise<ObjectPlan> => {
      const planned = syncs.find(({ object }) => keyOf(object) === `${plan.namespace}/${plan.name}`);
      if (planned === undefined || plan.actions.every((action) => brakeKindOf(action) === undefined)) return plan;
      return this.#planObject(planned, signal);
    };
    const out: ObjectPlan[] = [];
    for (const plan of plans) out.push(plan.kind === "SecretSync" ? await again(plan) : plan);
    return out;
  }
}

/** A plan that says nothing yet. */
function empty({ object, origin }: PlannedObject): ObjectPlan {
  const [namespace = "", name = ""] = keyOf(object).split("/");
  const kind = object.kind === "FederationBackend" ? "FederationBackend" : "SecretSync";
  return { kind, namespace, name, origin, actions: [], held: [], hash: "", outcomes: [], errors: [] };
}

/** The plan of an object that nothing is done for. */
export function ignoredPlan(planned: PlannedObject, ignored: NonNullable<ObjectPlan["ignored"]>): ObjectPlan {
  return { ...empty(planned), ignored };
}

const shown = (path: string, { reason, message, hint }: SyncError) => ({ path, reason, message, hint });

function failed(planned: PlannedObject, error: SyncError): ObjectPlan {
  return { ...empty(planned), errors: [shown("", error)] };
}

function planOf(
  planned: PlannedObject,
  outcome: SyncOutcome,
  strays: Awaited<ReturnType<typeof planStrays>>,
): ObjectPlan {
  const plans = [...outcome.pairs.map(({ result }) => result.plan), ...strays];
  const targets = outcome.pairs.flatMap(({ result: { plan, context, keys } }) =>
    plan.outcomes.map((one): PlannedTarget => {
      const bound = context.targets.find(({ target }) => target.kind === one.kind && target.ref === one.ref)?.target;
      const compared = bound === undefined ? undefined : keys.get(bound);
      return { ...one, path: context.path, ...(compared === undefined ? {} : { keys: compared }) };
    }),
  );
  const open = (action: Action): Action => ({ ...action, fromVersion: shownVersion(action.fromVersion) });
  return {
    ...empty(planned),
    actions: plans.flatMap((plan) => plan.actions.map(open)),
    held: plans.flatMap((plan) => plan.held.map(open)),
    // Bound to the UID, which only the API server gives.
    hash: planned.exists ? outcome.planHash : "",
    outcomes: [...targets, ...strays.flatMap((plan) => plan.outcomes.map((one) => ({ ...one, path: "" })))],
    errors: outcome.problems.map(({ path, error }) => shown(path, error)),
  };
}
