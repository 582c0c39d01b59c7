import { type BrakeKey, brakeKindOf } from "../decide/index.ts";
import type { Action, Brakes, SourceState } from "../decide/types.ts";
import type { KubeObject } from "../runtime/index.ts";
import type { EvaluatedTarget, PairResult } from "./evaluate.ts";
import type { Subject } from "./subject.ts";
import { viewSync } from "./views.ts";
import type { World } from "./world.ts";

/** Brakes count over all objects of one namespace that read one store identity. */
export function brakeKeyOf(subject: Subject): BrakeKey {
  return { store: subject.store?.identityKey ?? "", namespace: subject.sync.metadata.namespace };
}

/** One secret of one object, as brakes count it. */
export function brakeItemOf(subject: Subject, path: string): string {
  return `${subject.key} ${path}`;
}

/** How the brakes stand for what this pair seems to want, before it is planned. */
export function brakesFor(
  world: World,
  subject: Subject,
  path: string,
  source: SourceState,
  targets: readonly EvaluatedTarget[],
): Brakes {
  const check = (kind: "deletion" | "change", wanted: boolean) =>
    wanted
      ? world.brakes.check(
          brakeKeyOf(subject),
          kind,
          brakeItemOf(subject, path),
          totalOf(world, subject),
          world.clock.now(),
        )
      : ("Open" as const);
  const deleting = source.state === "Gone" && source.believed && subject.effective.deletionPolicy === "Delete";
  return {
    deletion: check("deletion", deleting),
    change: check("change", source.state === "Present" && changes(source.version, targets)),
  };
}

/**
 * Takes the brake for one action right before it is carried out: what several workers planned at the same time does not
 * pass together. An approved action is only counted.
 * @returns the reason with which it is held, if it is
 */
export function takeBrake(
  world: World,
  subject: Subject,
  action: Action,
  approved: boolean,
): "DeletionBraked" | "ManyChanges" | undefined {
  const kind = brakeKindOf(action);
  if (kind === undefined) return undefined;
  const [key, item, nowMs] = [brakeKeyOf(subject), brakeItemOf(subject, action.path), world.clock.now()];
  if (approved) world.brakes.record(key, kind, item, nowMs);
  else if (world.brakes.take(key, kind, item, totalOf(world, subject), nowMs) === "Held")
    return kind === "deletion" ? "DeletionBraked" : "ManyChanges";
  return undefined;
}

/**
 * What one look at a subtree would delete or change goes under the brake together, before the first of it is carried out:
 * otherwise the first ones would be through before the brake knew how many follow.
 */
export function holdTogether(world: World, subject: Subject, results: readonly PairResult[]): void {
  const key = brakeKeyOf(subject);
  for (const kind of ["deletion", "change"] as const) {
    const items = results
      .filter(({ context, plan }) => !context.approved && plan.actions.some((one) => brakeKindOf(one) === kind))
      .map(({ context }) => brakeItemOf(subject, context.path));
    const [first] = items;
    if (first === undefined || items.length < 2) continue;
    for (const item of items) world.brakes.hold(key, kind, item);
    if (world.brakes.check(key, kind, first, totalOf(world, subject), world.clock.now()) === "Open")
      for (const item of items) world.brakes.settle(key, item);
  }
}

/** How many secrets of this namespace are read from this store; a subtree counts as many as it has. */
function totalOf(world: World, subject: Subject): number {
  const namespace = subject.sync.metadata.namespace;
  let total = 0;
  for (const backend of subject.store?.backends ?? []) {
    for (const object of world.caches.syncs.byIndex("backend", backend))
      if (object.metadata.namespace === namespace) total += weightOf(object, subject);
  }
  return Math.max(1, total);
}

function weightOf(object: KubeObject, self: Subject): number {
  const view = viewSync(object);
  const subtree = view.ok ? view.object.spec.source.subtree : undefined;
  const below = subtree === undefined ? undefined : self.store?.poller.subtree(subtree.slice(0, -"/**".length));
  return below?.paths.length ?? 1;
}

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
