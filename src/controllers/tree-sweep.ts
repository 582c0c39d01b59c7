import { isTree, nameOne, ownerMatches, sourcePathOf, treePrefix } from "../decide/index.ts";
import type { KubeObject } from "../runtime/index.ts";
import type { EvaluatedTarget } from "./evaluate.ts";
import { applyCleanup, copiedPath, isDying, mustKeep, releaseBackend } from "./finalize.ts";
import { bindScaiVaultByPath, type Memory, selfOf } from "./gather.ts";
import type { Requeue } from "./requeue.ts";
import { sourceIDFor } from "./subject.ts";
import { brakeItem, brakeState, holdTogether } from "./sync-brakes.ts";
import type { TreeMemory } from "./tree-memory.ts";
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
 * sync: until then an old copy may be the only one.
 */
export async function removeTreeStrays(
  world: World,
  memory: TreeMemory,
  evaluated: Memory,
  signal: AbortSignal,
): Promise<void> {
  const { tree, strays } = memory;
  const { cleanupPolicy, apply } = tree.federation;
  if (world.dryRun || cleanupPolicy !== "Delete" || apply !== "Automatic" || strays.length === 0) return;
  // Right after a start, or while others are held, nothing is deleted: they wait. Too many at once stay for good.
  const [first = ""] = strays;
  if (brakeState(world, "deletion", brakeItem(tree.subject, first)) === "Held") return;
  memory.strays = await cleanAll(world, tree, strays, { why: "TargetRemoved", memory: evaluated }, signal);
}

/** @returns paths of which the clean-up has not ended */
async function cleanAll(
  world: World,
  { subject }: Tree,
  paths: readonly string[],
  { why, memory }: { readonly why: "TargetRemoved" | "ObjectDeleted"; readonly memory: Memory },
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
    const done = await applyCleanup(world, subject, { path: copiedPath(target), why, targets: [target] }, signal);
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
    const left =
      paths === undefined
        ? undefined
        : await cleanAll(world, tree, paths, { why: "ObjectDeleted", memory: evaluated }, signal);
    // Without a connection there is nothing that could be cleaned up, and it must not hang.
    const waits = world.scaivault !== undefined && (left === undefined || left.length > 0);
    if (waits) return { requeueAfterMs: RETRY_MS, lane: "retry" };
  }
  await releaseBackend(world, object, signal);
  return {};
}

/** What stands in status: the mappings' paths, and those of earlier ones until clean-up is done with them. */
export function shownCopies(memory: TreeMemory): string[] {
  const { tree, strays } = memory;
  // A tree that is refused, or suspended, has its copies all the same.
  if (tree.mappings.length === 0) return [...(tree.backend.status?.federation?.copies ?? [])];
  const now = tree.mappings.map(({ scaivaultPath }) => scaivaultPath);
  const kept =
    tree.federation.cleanupPolicy !== "Delete"
      ? []
      : (tree.backend.status?.federation?.copies ?? []).filter(
          (path) =>
            !now.includes(path) &&
            (!memory.isSwept ||
              strays.some((one) => one === path || (isTree(path) && one.startsWith(treePrefix(path))))),
        );
  return [...now, ...kept].slice(0, 128);
}
