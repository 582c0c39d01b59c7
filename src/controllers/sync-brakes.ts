import { type BrakeKey, type BrakeKind, brakeKindOf, locationDigest, sourceStoreOf } from "../decide/index.ts";
import type { Action, Brakes, PairPlan, SourceState } from "../decide/types.ts";
import { keyOf, type KubeObject } from "../runtime/index.ts";
import { indexes, ownSecrets } from "./caches.ts";
import type { EvaluatedTarget, PairResult } from "./evaluate.ts";
import { backendLocation, type Subject } from "./subject.ts";
import { backendKeyOf, viewBackend, viewDeclared } from "./views.ts";
import type { World } from "./world.ts";

/** One secret of one object, as brakes count it, and every window that it counts in. */
export interface BrakeItem {
  readonly name: string;
  readonly keys: readonly BrakeKey[];
}

/** One secret of one object, as brakes count it. */
export function brakeItemOf(subject: Subject, path: string): string {
  return `${subject.key} ${path}`;
}

/**
 * The windows that a secret of an object counts in: that of the store in this namespace, and that of its backend. A
 * backend that is gone is known by the copies' marks.
 * @param marked source that the mark of a copy names
 */
export function brakeItem(subject: Subject, path: string, marked?: string): BrakeItem {
  const { namespace } = subject.sync.metadata;
  const copied = marked === undefined ? undefined : sourceStoreOf(marked);
  const { backend } = subject;
  const declared =
    backend === undefined
      ? undefined
      : {
          backend: `${backend.metadata.namespace}/${backend.metadata.name}`,
          location: locationDigest(backendLocation(backend)),
        };
  const read = copied ?? declared;
  const store = read?.location ?? "";
  const keys: BrakeKey[] = [{ store, namespace }];
  if (read !== undefined) keys.push({ store, namespace, backend: read.backend });
  return { name: brakeItemOf(subject, path), keys };
}

/** Whether one more secret may be deleted or changed now: each of its windows has to be open. */
export function brakeState(world: World, kind: BrakeKind, { name, keys }: BrakeItem): "Open" | "Held" {
  const nowMs = world.clock.monotonic();
  const held = keys.some((key) => world.brakes.check(key, kind, name, totalOf(world, key), nowMs) === "Held");
  return held ? "Held" : "Open";
}

/** It was deleted or changed, by itself or by approval. */
export function brakeRecord(world: World, kind: BrakeKind, { name, keys }: BrakeItem): void {
  for (const key of keys) world.brakes.record(key, kind, name, world.clock.monotonic());
}

/** It is wanted and held. */
export function brakeHold(world: World, kind: BrakeKind, { name, keys }: BrakeItem): void {
  for (const key of keys) world.brakes.hold(key, kind, name);
}

/** Takes over from a plan what is held by a brake and what is not (any more). */
export function brakePlanned(world: World, { name, keys }: BrakeItem, plan: Pick<PairPlan, "outcomes">): void {
  for (const key of keys) world.brakes.planned(key, name, plan);
}

/** How the brakes stand for what this pair seems to want, before it is planned. */
export function brakesFor(
  world: World,
  subject: Subject,
  path: string,
  source: SourceState,
  targets: readonly EvaluatedTarget[],
): Brakes {
  const check = (kind: BrakeKind, wanted: boolean) =>
    wanted ? brakeState(world, kind, brakeItem(subject, path)) : ("Open" as const);
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
  const item = brakeItem(subject, action.path);
  if (approved || brakeState(world, kind, item) === "Open") {
    brakeRecord(world, kind, item);
    return undefined;
  }
  brakeHold(world, kind, item);
  return kind === "deletion" ? "DeletionBraked" : "ManyChanges";
}

/**
 * What one look would delete or change goes under the brake together, before the first of it is carried out: otherwise the
 * first ones would be through before the brake knew how many follow. Fewer than the brake minds are not held.
 */
export function holdTogether(world: World, kind: BrakeKind, items: readonly BrakeItem[]): void {
  for (const item of items) brakeHold(world, kind, item);
  const held = new Map<string, boolean>();
  const isHeld = (key: BrakeKey, item: string): boolean => {
    const id = JSON.stringify(key);
    const nowMs = world.clock.monotonic();
    const known = held.get(id) ?? world.brakes.check(key, kind, item, totalOf(world, key), nowMs) === "Held";
    held.set(id, known);
    return known;
  };
  const open = items.filter(({ name, keys }) => !keys.map((key) => isHeld(key, name)).includes(true));
  for (const { name, keys } of open) for (const key of keys) world.brakes.settle(key, name);
}

/** The same for the plans of one object. */
export function holdPlans(world: World, subject: Subject, results: readonly PairResult[]): void {
  for (const kind of ["deletion", "change"] as const) {
    const items = results
      .filter(({ context, plan }) => !context.approved && plan.actions.some((one) => brakeKindOf(one) === kind))
      .map(({ context }) => brakeItem(subject, context.path));
    if (items.length > 1) holdTogether(world, kind, items);
  }
}

/** How many secrets count in a window: a single one for each object, of a subtree or a tree as many as it has. */
function totalOf(world: World, { store, namespace, backend }: BrakeKey): number {
  let total = 0;
  for (const object of backend === undefined ? world.caches.backends.list() : backendNamed(world, backend)) {
    const view = viewBackend(object);
    if (!view.ok || locationDigest(backendLocation(view.object)) !== store) continue;
    if (object.metadata.namespace === namespace) total += world.treeSizes.get(keyOf(object)) ?? 0;
    for (const sync of world.caches.syncs.byIndex(indexes.backend, keyOf(object)))
      if (sync.metadata.namespace === namespace) total += weightOf(world, sync);
  }
  return Math.max(1, total);
}

function backendNamed(world: World, key: string): KubeObject[] {
  const found = world.caches.backends.get(key);
  return found === undefined ? [] : [found];
}

function weightOf(world: World, object: KubeObject): number {
  const view = viewDeclared(object);
  const subtree = view.ok ? view.object.spec.source.subtree : undefined;
  if (!view.ok || subtree === undefined) return 1;
  const state = world.registry.get(backendKeyOf(view.object));
  const store = state.state === "Usable" ? state.store : undefined;
  const below = store?.poller.subtree(subtree.slice(0, -"/**".length))?.paths.length ?? 0;
  return Math.max(1, below, ownSecrets(world.caches, keyOf(object)).length);
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
