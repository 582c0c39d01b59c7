import { FINALIZER, fieldManagers, GROUP, VERSION } from "../api/index.ts";
import { type CleanupPlan, planCleanup, sourcePathOf } from "../decide/index.ts";
import type { Action } from "../decide/types.ts";
import { toSyncError } from "../errors/index.ts";
import {
  addFinalizer,
  keyOf,
  type KubeObject,
  type PartialObjectMetadata,
  removeFinalizer,
  resources,
} from "../runtime/index.ts";
import { errorFields } from "../telemetry/index.ts";
import { indexes, ownResources } from "./caches.ts";
import { bindSecretByName, gatherTargets, type Memory } from "./gather.ts";
import type { EvaluatedTarget } from "./evaluate.ts";
import { type Pair, pairsOf, type Subject } from "./subject.ts";
import { membersOf } from "./members.ts";
import { scopeOf } from "./metric-scope.ts";
import { brakeItemOf, brakeKeyOf } from "./sync-brakes.ts";
import type { Requeue } from "./sync-controller.ts";
import type { World } from "./world.ts";

const RETRY_MS = 30_000;
const call = (world: World, signal: AbortSignal) => ({
  signal,
  fieldManager: fieldManagers.finalizers,
  guard: () => world.assertHeld(),
});

/** The finalizer stands exactly while `cleanupPolicy: Delete` does. */
export async function ensureFinalizer(
  world: World,
  subject: Subject,
  object: KubeObject,
  signal: AbortSignal,
): Promise<void> {
  if (world.dryRun) return;
  const wanted = subject.effective.cleanupPolicy === "Delete";
  const has = object.metadata.finalizers?.includes(FINALIZER) === true;
  if (wanted === has) return;
  world.assertHeld();
  if (wanted) await addFinalizer(world.client, ownResources.syncs, object, FINALIZER, call(world, signal));
  else await removeFinalizer(world.client, ownResources.syncs, object, FINALIZER, call(world, signal));
}

/**
 * The object is being deleted and our finalizer is on it: copies that are provably ours and unchanged go, under the brake;
 * everything else stays as an orphan with its mark. It never hangs in a namespace or a CRD that is being deleted.
 */
export async function finalize(
  world: World,
  subject: Subject | undefined,
  object: KubeObject,
  memory: Memory,
  signal: AbortSignal,
): Promise<Requeue> {
  if (world.dryRun || object.metadata.finalizers?.includes(FINALIZER) !== true) return {};
  const dying = await isDying(world, object, signal);
  const keeps = subject === undefined || dying || mustKeep(subject);
  const release = keeps ? true : await cleanUp(world, subject, memory, signal);
  if (!release) return { requeueAfterMs: RETRY_MS, lane: "retry" };
  world.assertHeld();
  await removeFinalizer(world.client, ownResources.syncs, object, FINALIZER, call(world, signal));
  return {};
}

/** An object that only observes, or is suspended, writes nothing, and deletes nothing when it goes either. */
function mustKeep({ effective }: Subject): boolean {
  return effective.suspend || effective.apply === "Never";
}

/** Whether the object's namespace, or the CRD itself, is being deleted: then the backend and credentials may be gone already. */
async function isDying(world: World, object: KubeObject, signal: AbortSignal): Promise<boolean> {
  const namespace = object.metadata.namespace ?? "";
  const found = await world.client.findMetadata(resources.namespaces, { name: namespace }, { signal });
  if (found === undefined || found.metadata.deletionTimestamp !== undefined) return true;
  const group = await world.client.groupDiscovery(GROUP, VERSION, { signal });
  // A CRD that is being deleted does not offer `create` any more.
  const kind = group?.find(({ name }) => name === ownResources.syncs.plural);
  return kind?.verbs.includes("create") !== true;
}

/** Everything that this object ever wrote, as far as it can be found: by its spec, and by marks on Secrets. */
async function cleanupTargets(
  world: World,
  subject: Subject,
  memory: Memory,
  signal: AbortSignal,
): Promise<{ pair: Pair; targets: EvaluatedTarget[] }[]> {
  const { pairs } = pairsOf(subject, membersOf(world, subject) ?? []);
  const found: { pair: Pair; targets: EvaluatedTarget[] }[] = [];
  const options = { ...memory, notBeforeMs: world.clock.now() - 1000, lane: "user" as const, leaving: true };
  for (const pair of pairs) found.push({ pair, targets: await gatherTargets(world, subject, pair, options, signal) });
  const named = new Set(pairs.map(({ secretName }) => secretName));
  for (const secret of ownSecrets(world, subject.key)) {
    if (named.has(secret.metadata.name)) continue;
    const target = await bindSecretByName(world, subject, secret.metadata.name, memory, signal);
    const pair = { ref: { path: copiedPath(target) }, scaivaultPath: undefined, secretName: secret.metadata.name };
    found.push({ pair, targets: [target] });
  }
  return found;
}

/** The secret that a copy was made of, as its mark says; brakes count secrets. */
export function copiedPath({ target, observation: { mark } }: EvaluatedTarget): string {
  return (mark.state === "Valid" ? sourcePathOf(mark.mark.source) : undefined) ?? target.ref;
}

/** Secrets with a mark of this object. */
export function ownSecrets(world: World, key: string): PartialObjectMetadata[] {
  return world.caches.managed.byIndex(indexes.owner, key);
}

async function cleanUp(world: World, subject: Subject, memory: Memory, signal: AbortSignal): Promise<boolean> {
  let release = true;
  for (const { pair, targets } of await cleanupTargets(world, subject, memory, signal)) {
    const done = await applyCleanup(world, subject, { path: pair.ref.path, why: "ObjectDeleted", targets }, signal);
    release &&= done;
  }
  return release;
}

/** What is to become of some targets, by `cleanupPolicy`. */
export function cleanupPlanOf(
  world: World,
  subject: Subject,
  what: { path: string; why: "ObjectDeleted" | "TargetRemoved"; targets: readonly EvaluatedTarget[] },
): CleanupPlan {
  return planCleanup({
    path: what.path,
    why: what.why,
    cleanupPolicy: subject.effective.cleanupPolicy,
    targets: what.targets.map((one) => ({ ...one, kind: one.target.kind, ref: one.target.ref })),
    brakes: { deletion: brakeOf(world, subject, what.path) },
    approved: false,
    dying: false,
  });
}

function brakeOf(world: World, subject: Subject, path: string): "Open" | "Held" {
  return world.brakes.check(
    brakeKeyOf(subject),
    "deletion",
    brakeItemOf(subject, path),
    copiesIn(world, subject.sync.metadata.namespace),
    world.clock.now(),
  );
}

/** How many secrets this namespace has copies of, about: objects, and all Secrets of those that have several. */
function copiesIn(world: World, namespace: string): number {
  const objects = world.caches.syncs.byIndex("namespace", namespace);
  return objects.reduce((sum, object) => sum + Math.max(1, ownSecrets(world, keyOf(object)).length), 0);
}

/** Plans and carries out the clean-up of some targets. @returns whether the finalizer may go */
export async function applyCleanup(
  world: World,
  subject: Subject,
  what: { path: string; why: "ObjectDeleted" | "TargetRemoved"; targets: readonly EvaluatedTarget[] },
  signal: AbortSignal,
): Promise<boolean> {
  const { namespace, name } = subject.sync.metadata;
  const plan = cleanupPlanOf(world, subject, what);
  const orphans: { readonly ref: string; readonly why: string }[] = [...plan.orphans];
  let ended = plan.releaseFinalizer;
  for (const action of plan.actions) {
    const target = what.targets.find((one) => one.target.kind === action.target && one.target.ref === action.ref);
    if (target === undefined) continue;
    if (action.kind === "Delete") {
      // Others may have deleted since this was planned; nothing comes between this look and the note of it.
      if (brakeOf(world, subject, what.path) === "Held") {
        orphans.push({ ref: action.ref, why: "its deletion is held by the brake" });
        continue;
      }
      world.brakes.record(brakeKeyOf(subject), "deletion", brakeItemOf(subject, what.path), world.clock.now());
    }
    const done = await carryOut(world, subject, action, target, signal);
    ended &&= done;
  }
  for (const { ref, why } of orphans)
    world.log.info("copy stays", { kind: "SecretSync", namespace, name, target: ref, message: why });
  return ended;
}

async function carryOut(
  world: World,
  subject: Subject,
  action: Action,
  { target, observation }: EvaluatedTarget,
  signal: AbortSignal,
): Promise<boolean> {
  const { namespace, name } = subject.sync.metadata;
  world.assertHeld();
  try {
    if (action.kind === "Delete") await target.remove(observation, signal);
    else await target.release(observation, signal);
    if (target.kind === "ScaiVault") world.scaivault?.observations.set({ path: target.ref }, undefined);
    world.metrics.write(action.target, action.kind, scopeOf(subject));
    world.log.info("target written", {
      kind: "SecretSync",
      namespace,
      name,
      action: action.kind,
      target: action.ref,
      reason: action.why,
    });
    return true;
  } catch (error) {
    const failed = toSyncError(error, `${action.kind} ${action.ref}`);
    world.log.warn("clean-up failed", {
      kind: "SecretSync",
      namespace,
      name,
      target: action.ref,
      ...errorFields(failed),
    });
    // What is refused for good must not keep the object for ever.
    return failed.kind === "terminal" || failed.kind === "waiting";
  }
}
