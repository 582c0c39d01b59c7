import type { Planner } from "./cli/plan.ts";
import type { Config } from "./config/index.ts";
import { ignoredPlan, type ObjectPlan, overlayManifests, type PlannedObject } from "./controllers/index.ts";
import { withOperator } from "./session.ts";
import { systemClock } from "./time/clock.ts";

/** `plan`: the caches hold what the cluster has, the manifests are laid over it, and nothing is written. */
export const planObjects: Planner = (config, manifests, { io, stage }) =>
  withOperator(config, { io, stage }, async (operator) => {
    const namespace = operator.namespace ?? "default";
    const overlay = overlayManifests(operator.caches, manifests, { namespace, nowMs: systemClock.now() });
    const watched = (planned: PlannedObject) => isWatched(config, planned);
    const unwatched = [...overlay.backends, ...overlay.syncs].filter((planned) => !watched(planned));
    const seen = { syncs: overlay.syncs.filter(watched), backends: overlay.backends.filter(watched) };
    const ignored: ObjectPlan[] = unwatched.map((planned) => ignoredPlan(planned, "NotWatched"));
    return [...(await operator.planRun().plan(seen, io.signal, stage)), ...ignored];
  });

function isWatched({ watchNamespaces }: Config, { object }: PlannedObject): boolean {
  return watchNamespaces === undefined || watchNamespaces.includes(object.metadata.namespace ?? "");
}
