import type { Action, TargetOutcome } from "../decide/types.ts";
import { SyncError, toSyncError } from "../errors/index.ts";
import { keyOf, type KubeObject } from "../runtime/index.ts";
import { BackendRegistry } from "./backend-registry.ts";
import { demandOf, knownVersions } from "./demand.ts";
import { StatusWriter } from "./status-writer.ts";
import { resolveSubject } from "./subject.ts";
import { SyncController, type SyncOutcome } from "./sync-controller.ts";
import { backendKeyOf, viewBackend, viewSync } from "./views.ts";
import type { World } from "./world.ts";

/** What would be done for one object. */
export interface ObjectPlan {
  readonly namespace: string;
  readonly name: string;
  readonly actions: readonly Action[];
  readonly held: readonly Action[];
  /** Hash to approve when something is held. */
  readonly hash: string;
  readonly outcomes: readonly (TargetOutcome & { readonly path: string })[];
  /** Why nothing can be said of it, or of one of its secrets. */
  readonly errors: readonly {
    readonly path: string;
    readonly reason: string;
    readonly message: string;
    readonly hint: string;
  }[];
}

const POLL_TIMEOUT_MS = 60_000;

/**
 * What `run` would do for the given SecretSyncs, by the same code. The caches hold what the cluster has, with the
 * manifests laid over it; nothing is written.
 */
export class PlanRun {
  readonly #world: World;
  readonly #controller: SyncController;
  readonly #waiting = new Set<() => void>();

  constructor(clock: World["clock"], makeWorld: (registry: BackendRegistry) => World) {
    const wake = (): void => {
      for (const one of [...this.#waiting]) one();
    };
    const registry = new BackendRegistry({
      clock,
      hooks: {
        demand: (backends) => demandOf(this.#world, backends),
        known: (backends) => knownVersions(this.#world, backends),
        onPolled: wake,
        onState: wake,
      },
    });
    this.#world = makeWorld(registry);
    this.#controller = new SyncController(this.#world, new StatusWriter(this.#world));
  }

  async plan(syncs: readonly KubeObject[], signal: AbortSignal): Promise<ObjectPlan[]> {
    try {
      await this.#resolveBackends(syncs, signal);
      const plans: ObjectPlan[] = [];
      for (const object of syncs) plans.push(await this.#planObject(object, signal));
      return plans;
    } finally {
      await this.#world.registry.close();
    }
  }

  async #resolveBackends(syncs: readonly KubeObject[], signal: AbortSignal): Promise<void> {
    const views = syncs.map((object) => viewSync(object)).filter((view) => view.ok);
    for (const key of new Set(views.map((view) => backendKeyOf(view.object)))) {
      const object = this.#world.caches.backends.get(key);
      const view = object === undefined ? undefined : viewBackend(object);
      if (view === undefined) continue;
      const outcome = view.ok
        ? await this.#world.resolver.resolve(view.object, signal).catch((error: unknown) => toSyncError(error))
        : view.error;
      await this.#world.registry.set(key, outcome);
    }
  }

  async #planObject(object: KubeObject, signal: AbortSignal): Promise<ObjectPlan> {
    const subject = resolveSubject(this.#world, object);
    const refusal = subject instanceof SyncError ? subject : subject.refusal;
    if (subject instanceof SyncError || refusal !== undefined) return failed(object, refusal ?? toSyncError(undefined));
    if (subject.effective.suspend) return { ...empty(object), errors: [] };
    const deadline = AbortSignal.any([signal, AbortSignal.timeout(POLL_TIMEOUT_MS)]);
    for (;;) {
      const woken = this.#nextPoll(deadline);
      const outcome = await this.#controller.evaluate(subject, "refresh", deadline);
      if (outcome !== undefined) return planOf(object, outcome);
      if (deadline.aborted)
        return failed(object, new SyncError("SourceUnavailable", "the store gave no answer in a minute"));
      await woken;
    }
  }

  #nextPoll(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        this.#waiting.delete(done);
        signal.removeEventListener("abort", done);
        resolve();
      };
      this.#waiting.add(done);
      signal.addEventListener("abort", done, { once: true });
      if (signal.aborted) done();
    });
  }
}

function empty(object: KubeObject): ObjectPlan {
  const [namespace = "", name = ""] = keyOf(object).split("/");
  return { namespace, name, actions: [], held: [], hash: "", outcomes: [], errors: [] };
}

const shown = (path: string, error: SyncError) => ({
  path,
  reason: error.reason,
  message: error.message,
  hint: error.hint,
});

function failed(object: KubeObject, error: SyncError): ObjectPlan {
  return { ...empty(object), errors: [shown("", error)] };
}

function planOf(object: KubeObject, outcome: SyncOutcome): ObjectPlan {
  const plans = outcome.pairs.map(({ result }) => result.plan);
  return {
    ...empty(object),
    actions: plans.flatMap((plan) => plan.actions),
    held: plans.flatMap((plan) => plan.held),
    hash: outcome.planHash,
    outcomes: outcome.pairs.flatMap(({ result }) =>
      result.plan.outcomes.map((one) => ({ ...one, path: result.context.path })),
    ),
    errors: outcome.problems.map(({ path, error }) => shown(path, error)),
  };
}
