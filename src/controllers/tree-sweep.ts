import type { CleanupPlan, PairReport } from "../decide/index.ts";
import { isTree, nameOne, ownerMatches, sourcePathOf, treePrefix } from "../decide/index.ts";
import type { PairPlan } from "../decide/types.ts";
import type { KubeObject } from "../runtime/index.ts";
import type { Approvals } from "./approvals.ts";
import type { EvaluatedTarget } from "./evaluate.ts";
import {
  applyCleanup,
  type Cleaned,
  cleanupPlanOf,
  copiedPath,
  isDying,
  mustKeep,
  releaseBackend,
} from "./finalize.ts";
import { bindScaiVaultByPath, type Memory, selfOf } from "./gather.ts";
import type { Requeue } from "./requeue.ts";
import { sourceIDFor } from "./subject.ts";
import { brakeItem, holdTogether } from "./sync-brakes.ts";
import type { HeldStray, TreeMemory } from "./tree-memory.ts";
import type { Tree } from "./tree-subject.ts";
import { scaivaultAddress, type World } from "./world.ts";

const RETRY_MS = 30_000;

/** ScaiVault paths, as mappings name them, that a tree has now or had before. */
export function copiesOf({ backend, mappings }: Pick<Tree, "backend" | "mappings">): string[] {
  const now = mappings.map(({ scaivaultPath }) => scaivaultPath);
  return [...new Set([...now, ...(backend.status?.federation?.copies ?? [])])];
}

/** A copy of ours, and the source path that its mark names. */
interface Copy {
  readonly path: string;
  readonly source: string;
}

/**
 * All copies in ScaiVault that bear the tree's mark and are none of `known`: a listing below each of its paths and the metadata
 * of what is not known. Undefined: it cannot be said now.
 */
async function copiesBelow(
  world: World,
  tree: Tree,
  known: ReadonlySet<string>,
  signal: AbortSignal,
): Promise<Copy[] | undefined> {
  const { scaivault } = world;
  const { subject, backend } = tree;
  const spec = subject.sync.spec.targets.scaivault;
  if (scaivault === undefined || spec === undefined) return undefined;
  const found = new Set<string>();
  for (const path of copiesOf(tree)) {
    // Listing is reading: without a right to all of it nothing is listed.
    if (!world.rights.scaivault(backend.metadata.namespace, path, "write").ok) continue;
    try {
      if (!isTree(path)) found.add(path);
      else for (const one of await scaivault.list(treePrefix(path), signal)) found.add(one);
    } catch {
      return undefined;
    }
  }
  const others = [...found].filter((path) => !known.has(path)).slice(0, world.budgets.trees);
  if (others.length === 0) return [];
  const refs = others.map((path) => scaivaultAddress(spec, path, subject, [], "verification"));
  const seen = await scaivault.observations.refresh(refs, signal);
  if (scaivault.observations.reachability.state === "Failing") return undefined;
  return others.flatMap((path) => {
    const mark = seen.get(path)?.mark;
    if (mark?.state !== "Valid" || !ownerMatches(world.ring, mark.mark.owner, selfOf(world, subject))) return [];
    return [{ path, source: sourcePathOf(mark.mark.source) ?? "" }];
  });
}

/**
 * After a start, or when the mappings changed, nobody remembers what was copied before: copies whose secret a mapping still
 * names are asked for by name, and those that no mapping names any more are strays.
 * @returns false when ScaiVault could not say; the next poll asks again
 */
export async function sweepTree(world: World, memory: TreeMemory, signal: AbortSignal): Promise<boolean> {
  const { tree } = memory;
  if (world.lingering.lookedFor(tree.subject)) return true;
  const known = new Set([...memory.members.keys(), ...memory.contested]);
  const copies = await copiesBelow(world, tree, known, signal);
  if (copies === undefined) return false;
  const lingering: string[] = [];
  const strays: string[] = [];
  for (const { path, source } of copies) {
    const named = tree.mappings.some((mapping) => nameOne(mapping, tree.federation.naming, source) === path);
    const mark = world.scaivault?.observations.last({ path })?.mark;
    const same = mark?.state === "Valid" && mark.mark.source === sourceIDFor(world, tree.subject, source);
    if (named && same) lingering.push(source);
    else if (!named) strays.push(path);
  }
  world.lingering.note(tree.subject, lingering);
  memory.strays = strays;
  memory.isSwept = true;
  return true;
}

/**
 * Copies that no mapping names any more are treated by `cleanupPolicy`. Call it only when everything that is named is in
 * sync: until then an old copy may be the only one. What a brake holds, or `apply: OnApproval`, is held by name until it is
 * approved or may go; nothing is dropped without a word.
 */
export async function removeTreeStrays(
  world: World,
  memory: TreeMemory,
  { evaluated, approvals }: { readonly evaluated: Memory; readonly approvals: Approvals },
  signal: AbortSignal,
): Promise<void> {
  const { tree } = memory;
  const { subject } = tree;
  if (world.dryRun || !tidies(tree)) return;
  const open = memory.strays.filter((path) => !memory.stays.has(path));
  const now = world.clock.monotonic();
  const running = [...memory.heldStrays.values()].some(({ plan }) => approvals.isRunning(subject, [plan]));
  if (open.length === 0 || (now - memory.tidiedMs < TIDY_MS && !running)) return;
  memory.tidiedMs = now;
  const targets = await bound(world, tree, open, evaluated, signal);
  const wanted = targets.filter(({ what }) => deletes(cleanupPlanOf(world, subject, { ...what, approved: true })));
  holdTogether(
    world,
    "deletion",
    wanted.map(({ what }) => brakeItem(subject, what.path)),
  );
  const stays = new Map(memory.stays);
  const held = new Map<string, HeldStray>();
  const left = new Set(memory.stays.keys());
  for (const { path, what } of targets) {
    const plan = heldPlan(tree, cleanupPlanOf(world, subject, what));
    const approved = plan !== undefined && approvals.isRunning(subject, [plan]);
    if (plan !== undefined && !approved) {
      held.set(path, { plan, report: strayReport(path, plan) });
      left.add(path);
      continue;
    }
    const allowed = { ...what, approved };
    for (const { why } of cleanupPlanOf(world, subject, allowed).orphans) stays.set(path, why);
    if (stays.has(path) || !(await applyCleanup(world, subject, allowed, signal))) left.add(path);
    for (const action of approved ? plan.held : []) approvals.done(subject.key, action);
  }
  memory.strays = [...left];
  memory.stays = stays;
  memory.heldStrays = held;
}

/** So often at most what is held is looked at again. */
const TIDY_MS = 60_000;

/** Only what writes tidies up. */
function tidies({ federation: { cleanupPolicy, apply } }: Tree): boolean {
  return cleanupPolicy === "Delete" && apply !== "Never";
}

const deletes = ({ actions }: CleanupPlan): boolean => actions.some(({ kind }) => kind === "Delete");

/** What waits of a clean-up, as approvals know it; undefined when nothing does. */
function heldPlan({ federation: { apply } }: Tree, plan: CleanupPlan): PairPlan | undefined {
  const asks = apply === "OnApproval" && deletes(plan);
  const held = asks ? plan.actions : plan.held;
  if (held.length === 0) return undefined;
  const outcomes = held.map(({ target: kind, ref }) => {
    const what = `${ref} is a copy that no mapping names any more; it goes when that is approved`;
    const reason = asks ? ("ApprovalNeeded" as const) : ("DeletionBraked" as const);
    return { kind, ref, state: "Held" as const, reason, message: asks ? what : `${what}, or when the brake opens` };
  });
  const nothing = { actions: [], needs: [], writes: [], choices: [] };
  return { ...nothing, held, outcomes, authority: "Source", secretsFrom: "Source", again: false };
}

function strayReport(path: string, { held, outcomes }: PairPlan): PairReport {
  return { path, targets: outcomes, held: held.length };
}

/** What status says of copies that no mapping names any more. */
export function strayNotes(memory: TreeMemory): string[] {
  const { tree, strays, stays, heldStrays } = memory;
  if (strays.length === 0) return [];
  const some = (paths: readonly string[]): string =>
    `${paths.slice(0, 3).join(", ")}${paths.length > 3 ? ` and ${paths.length - 3} more` : ""}`;
  const { cleanupPolicy, apply } = tree.federation;
  if (!tidies(tree)) {
    const why = cleanupPolicy === "Delete" ? `apply is ${apply}` : `cleanupPolicy is ${cleanupPolicy}`;
    return [`copies that no mapping names any more stay, ${why}: ${some(strays)}`];
  }
  const [why = ""] = stays.values();
  const waiting = strays.filter((path) => !stays.has(path) && !heldStrays.has(path));
  return [
    ...(stays.size === 0 ? [] : [`copies that no mapping names any more stay, ${why}: ${some([...stays.keys()])}`]),
    ...(waiting.length === 0
      ? []
      : [`copies that no mapping names any more go when all else is in sync: ${some(waiting)}`]),
  ];
}

/** Copies as they are now; what cannot be bound is not there. */
async function bound(
  world: World,
  { subject }: Tree,
  paths: readonly string[],
  memory: Memory,
  signal: AbortSignal,
): Promise<{ readonly path: string; readonly what: Cleaned }[]> {
  const found: { path: string; what: Cleaned }[] = [];
  for (const path of paths) {
    const target = await bindScaiVaultByPath(world, subject, path, memory, signal);
    if (target === undefined) continue;
    found.push({ path, what: { path: copiedPath(target), why: "TargetRemoved", targets: [target] } });
  }
  return found;
}

/** @returns paths of which the clean-up has not ended */
async function cleanAll(
  world: World,
  { subject }: Tree,
  paths: readonly string[],
  memory: Memory,
  signal: AbortSignal,
): Promise<string[]> {
  const targets: { path: string; target: EvaluatedTarget }[] = [];
  for (const path of paths) {
    const target = await bindScaiVaultByPath(world, subject, path, memory, signal);
    if (target !== undefined) targets.push({ path, target });
  }
  holdTogether(
    world,
    "deletion",
    targets.map(({ target }) => brakeItem(subject, copiedPath(target))),
  );
  const left: string[] = [];
  for (const { path, target } of targets) {
    const done = await applyCleanup(
      world,
      subject,
      { path: copiedPath(target), why: "ObjectDeleted", targets: [target] },
      signal,
    );
    if (!done) left.push(path);
  }
  return left;
}

/**
 * The backend is being deleted and our finalizer is on it: copies that are provably ours and unchanged go, under the brake;
 * everything else stays with its mark. It never hangs in a namespace or a CRD that is being deleted.
 */
export async function finalizeTree(
  world: World,
  tree: Tree | undefined,
  object: KubeObject,
  evaluated: Memory,
  signal: AbortSignal,
): Promise<Requeue> {
  const { namespace = "" } = object.metadata;
  const keeps =
    tree === undefined ||
    tree.federation.cleanupPolicy !== "Delete" ||
    mustKeep(tree.subject) ||
    (await isDying(world, namespace, signal, "FederationBackend"));
  if (!keeps) {
    const copies = await copiesBelow(world, tree, new Set(), signal);
    const paths = copies?.map(({ path }) => path);
    const left = paths === undefined ? undefined : await cleanAll(world, tree, paths, evaluated, signal);
    // Without a connection there is nothing that could be cleaned up, and it must not hang.
    const waits = world.scaivault !== undefined && (left === undefined || left.length > 0);
    if (waits) return { requeueAfterMs: RETRY_MS, lane: "retry" };
  }
  await releaseBackend(world, object, signal);
  return {};
}

/** What stands in status: the mappings' paths, and those of earlier ones while copies of ours stand there. */
export function shownCopies(memory: TreeMemory): string[] {
  const { tree, strays } = memory;
  // A tree that is refused, or suspended, has its copies all the same.
  if (tree.mappings.length === 0) return [...(tree.backend.status?.federation?.copies ?? [])];
  const now = tree.mappings.map(({ scaivaultPath }) => scaivaultPath);
  const kept = (tree.backend.status?.federation?.copies ?? []).filter(
    (path) =>
      !now.includes(path) &&
      (!memory.isSwept || strays.some((one) => one === path || (isTree(path) && one.startsWith(treePrefix(path))))),
  );
  return [...now, ...kept].slice(0, 128);
}
