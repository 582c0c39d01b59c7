import { FINALIZER, fieldManagers, GROUP, VERSION } from "../api/index.ts";
import { type CleanupPlan, planCleanup, sourcePathOf, sourceStoreOf } from "../decide/index.ts";
import type { Action } from "../decide/types.ts";
import { toSyncError } from "../errors/index.ts";
import { addFinalizer, type KubeObject, removeFinalizer, resources } from "../runtime/index.ts";
import { errorFields } from "../telemetry/index.ts";
import { ownResources, ownSecrets } from "./caches.ts";
import { bindSecretByName, gatherTargets, type Memory } from "./gather.ts";
import type { EvaluatedTarget } from "./evaluate.ts";
import { type Pair, pairsOf, type Subject } from "./subject.ts";
import { membersOf } from "./members.ts";
import { scopeOf } from "./metric-scope.ts";
import { type BrakeItem, brakeItem, brakeRecord, brakeState } from "./sync-brakes.ts";
import type { Requeue } from "./requeue.ts";
import type { World } from "./world.ts";

const RETRY_MS = 30_000;
const call = (world: World, signal: AbortSignal) => ({
  signal,
  fieldManager: fieldManagers.finalizers,
  guard: () => world.assertHeld(),
});

const resourceOf = (kind: "SecretSync" | "FederationBackend") =>
  kind === "SecretSync" ? ownResources.syncs : ownResources.backends;

/** The finalizer of a backend that is not to have one any more, or whose clean-up has ended. */
export async function releaseBackend(world: World, object: KubeObject, signal: AbortSignal): Promise<void> {
  if (world.dryRun || object.metadata.finalizers?.includes(FINALIZER) !== true) return;
  world.assertHeld();
  await removeFinalizer(world.client, ownResources.backends, object, FINALIZER, call(world, signal));
}

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
  const resource = resourceOf(subject.kind);
  if (wanted) await addFinalizer(world.client, resource, object, FINALIZER, call(world, signal));
  else await removeFinalizer(world.client, resource, object, FINALIZER, call(world, signal));
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
  const dying = await isDying(world, object.metadata.namespace ?? "", signal);
  const keeps = subject === undefined || dying || mustKeep(subject);
  const release = keeps ? true : await cleanUp(world, subject, memory, signal);
  if (!release) return { requeueAfterMs: RETRY_MS, lane: "retry" };
  world.assertHeld();
  await removeFinalizer(world.client, ownResources.syncs, object, FINALIZER, call(world, signal));
  return {};
}

/** An object that only observes, or is suspended, writes nothing, and deletes nothing when it goes either. */
export function mustKeep({ effective }: Subject): boolean {
  return effective.suspend || effective.apply === "Never";
}

/** Whether the namespace, or the CRD itself, is being deleted: then the backend and credentials may be gone already. */
export async function isDying(
  world: World,
  namespace: string,
  signal: AbortSignal,
  of: "SecretSync" | "FederationBackend" = "SecretSync",
): Promise<boolean> {
  const found = await world.client.findMetadata(resources.namespaces, { name: namespace }, { signal });
  if (found === undefined || found.metadata.deletionTimestamp !== undefined) return true;
  const group = await world.client.groupDiscovery(GROUP, VERSION, { signal });
  // A CRD that is being deleted does not offer `create` any more.
  const kind = group?.find(({ name }) => name === resourceOf(of).plural);
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
  const options = { ...memory, notBeforeMs: world.clock.monotonic() - 1000, lane: "user" as const, leaving: true };
  for (const pair of pairs) found.push({ pair, targets: await gatherTargets(world, subject, pair, options, signal) });
  const named = new Set(pairs.map(({ secretName }) => secretName));
  for (const secret of ownSecrets(world.caches, subject.key)) {
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

async function cleanUp(world: World, subject: Subject, memory: Memory, signal: AbortSignal): Promise<boolean> {
  let release = true;
  for (const { pair, targets } of await cleanupTargets(world, subject, memory, signal)) {
    const done = await applyCleanup(world, subject, { path: pair.ref.path, why: "ObjectDeleted", targets }, signal);
    release &&= done;
  }
  return release;
}

/** Targets of one source secret that are to be cleaned up, and why. */
export interface Cleaned {
  readonly path: string;
  readonly why: "ObjectDeleted" | "TargetRemoved";
  readonly targets: readonly EvaluatedTarget[];
  /** People approved the deletion that a brake held. */
  readonly approved?: boolean;
}

/** What is to become of some targets, by `cleanupPolicy`. */
export function cleanupPlanOf(world: World, subject: Subject, what: Cleaned): CleanupPlan {
  return planCleanup({
    path: what.path,
    why: what.why,
    cleanupPolicy: subject.effective.cleanupPolicy,
    targets: what.targets.map((one) => ({ ...one, kind: one.target.kind, ref: one.target.ref })),
    brakes: { deletion: brakeState(world, "deletion", brakeItemIn(subject, what.path, what.targets)) },
    approved: what.approved === true,
    dying: false,
  });
}

/** What is cleaned up, as brakes count it: the mark says where it came from when the backend is gone already. */
function brakeItemIn(subject: Subject, path: string, targets: readonly EvaluatedTarget[]): BrakeItem {
  const marks = targets.map(({ observation: { mark } }) => (mark.state === "Valid" ? mark.mark.source : undefined));
  return brakeItem(
    subject,
    path,
    marks.find((source) => source !== undefined && sourceStoreOf(source) !== undefined),
  );
}

/** Plans and carries out the clean-up of some targets. @returns whether the finalizer may go */
export async function applyCleanup(
  world: World,
  subject: Subject,
  what: Cleaned,
  signal: AbortSignal,
): Promise<boolean> {
  const { namespace, name } = subject.sync.metadata;
  const plan = cleanupPlanOf(world, subject, what);
  // Of an object that goes this was asked before.
  if (
    what.why === "TargetRemoved" &&
    plan.actions.length > 0 &&
    (await isDying(world, namespace, signal, subject.kind))
  )
    return true;
  const orphans: { readonly ref: string; readonly why: string }[] = [...plan.orphans];
  const item = brakeItemIn(subject, what.path, what.targets);
  let ended = plan.releaseFinalizer;
  for (const action of plan.actions) {
    const target = what.targets.find((one) => one.target.kind === action.target && one.target.ref === action.ref);
    if (target === undefined) continue;
    if (action.kind === "Delete") {
      // Others may have deleted since this was planned; nothing comes between this look and the note of it.
      if (what.approved !== true && brakeState(world, "deletion", item) === "Held") {
        orphans.push({ ref: action.ref, why: "its deletion is held by the brake" });
        continue;
      }
      brakeRecord(world, "deletion", item);
    }
    const done = await carryOut(world, subject, action, target, signal);
    ended &&= done;
  }
  for (const { ref, why } of orphans)
    world.log.info("copy stays", { kind: subject.kind, namespace, name, target: ref, message: why });
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
      kind: subject.kind,
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
      kind: subject.kind,
      namespace,
      name,
      target: action.ref,
      ...errorFields(failed),
    });
    // What is refused for good must not keep the object for ever.
    return failed.kind === "terminal" || failed.kind === "waiting";
  }
}
