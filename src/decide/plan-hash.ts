import type { KeyRing, Part } from "./keys.ts";
import type { Action } from "./types.ts";

/** Half of what an approval lives at most: a hash counts in the period that it was made in and in the one after. */
const PERIOD_MS = 12 * 3_600_000;

/** What a hash names: one object in one generation, and exactly the actions that are held. */
export interface HeldPlan {
  /** `metadata.uid` and `metadata.generation` of the object. */
  readonly uid: string;
  readonly generation: number;
  readonly plans: readonly { readonly held: readonly Action[] }[];
  /** The approval of this object that was used last: with it, the same plan has another name than before. */
  readonly used?: string | undefined;
  /** Milliseconds since the epoch. */
  readonly nowMs: number;
  /** The hash that the status has: kept while it names the same plan and lives, so that the status does not change. */
  readonly previous?: string | undefined;
}

/**
 * Name of what is held (R31): keyed, bound to the object's UID and generation, to paths and versions of each action, and to
 * the approval that was used before; it can be approved once, for 12 to 24 hours. Empty when nothing is held.
 */
export function planHash(ring: KeyRing, plan: HeldPlan): string {
  if (plan.plans.every(({ held }) => held.length === 0)) return "";
  if (plan.previous !== undefined && planApproved(ring, plan, plan.previous)) return plan.previous;
  const period = Math.floor(plan.nowMs / PERIOD_MS);
  return `${period.toString(36)}-${ring.sign("plan", parts(plan, period))}`;
}

/** Whether the annotation names exactly this plan, and was made within the last 24 hours. */
export function planApproved(ring: KeyRing, plan: HeldPlan, annotation: string): boolean {
  if (plan.plans.every(({ held }) => held.length === 0)) return false;
  const dash = annotation.indexOf("-");
  const given = annotation.slice(0, Math.max(0, dash));
  const now = Math.floor(plan.nowMs / PERIOD_MS);
  const period = [now, now - 1].find((candidate) => candidate.toString(36) === given);
  return period !== undefined && ring.verify("plan", parts(plan, period), annotation.slice(dash + 1));
}

function parts(plan: HeldPlan, period: number): Part[] {
  const actions = plan.plans.flatMap(({ held }) => held.map(actionText)).sort();
  return ["v1", plan.uid, String(plan.generation), String(period), plan.used ?? "", ...actions];
}

/** What is held, by the text that a hash is made of. */
export function heldActions(plans: HeldPlan["plans"]): ReadonlyMap<string, Action> {
  return new Map(plans.flatMap(({ held }) => held).map((action) => [actionText(action), action]));
}

/** Whether two actions are one and the same for an approval. */
export function sameAction(a: Action, b: Action): boolean {
  return actionText(a) === actionText(b);
}

/** Fields are JSON texts in a list, so that none can run into another. */
function actionText(action: Action): string {
  const { kind, target, path, ref, from, fromVersion, why, over, mark } = action;
  return JSON.stringify([
    kind,
    target,
    path,
    ref,
    from,
    fromVersion,
    why,
    over,
    mark?.source ?? "",
    mark?.authority ?? "",
  ]);
}

/** How many targets the held actions would create, change and delete. */
export function heldCounts(plans: readonly { readonly held: readonly Action[] }[]): {
  add: number;
  change: number;
  delete: number;
} {
  const counts = { add: 0, change: 0, delete: 0 };
  for (const action of plans.flatMap(({ held }) => held)) {
    if (action.kind === "Create") counts.add += 1;
    else if (action.kind === "Delete") counts.delete += 1;
    else counts.change += 1;
  }
  return counts;
}
