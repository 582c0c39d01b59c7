import { isTree, nameOne, nameTree, type TreeMapping, type TreeNames, treePrefix } from "../decide/index.ts";
import { SyncError } from "../errors/index.ts";
import { lingeringOf } from "./members.ts";
import type { Subject } from "./subject.ts";
import type { TreeMemory } from "./tree-memory.ts";
import type { Tree } from "./tree-subject.ts";
import type { World } from "./world.ts";

/** `prod` of `prod/**`, as walks are asked for. */
export const walkOf = ({ sourcePath }: TreeMapping): string => treePrefix(sourcePath).slice(0, -1);

/** One mapping of a tree, as a subtree is looked at. */
function subtreeOf({ subject }: Tree, mapping: TreeMapping): Subject {
  return { ...subject, location: { kind: "subtree", path: walkOf(mapping) } };
}

/** Secrets below a mapping that were copied before and that its last walk did not list. */
export function lingeringBelow(world: World, tree: Tree, mapping: TreeMapping): string[] {
  return isTree(mapping.sourcePath) ? lingeringOf(world, subtreeOf(tree, mapping)) : [];
}

/**
 * Names the secrets of a tree as the last walks listed them. While a walk fails its secrets stay what they were, and the
 * failure is a problem of its mapping.
 * @returns false while a walk has not ended yet; it was asked for
 */
export function nameMembers(world: World, tree: Tree, memory: TreeMemory): boolean {
  const { store } = tree.subject;
  if (store === undefined) return false;
  const trees = tree.mappings.filter(({ sourcePath }) => isTree(sourcePath));
  const missing = trees.filter(
    (mapping) =>
      store.poller.subtree(walkOf(mapping)) === undefined && store.poller.subtreeFailure(walkOf(mapping)) === undefined,
  );
  if (missing.length > 0) {
    if (store.poller.state.state !== "Failing")
      store.poller.request([], { fresh: false, subtrees: missing.map(walkOf) });
    return false;
  }
  const failed = trees.flatMap((mapping) => {
    const error = store.poller.subtreeFailure(walkOf(mapping));
    return error === undefined ? [] : [{ path: mapping.sourcePath, error }];
  });
  const listed = (mapping: TreeMapping): string[] => {
    const walked = store.poller.subtree(walkOf(mapping))?.paths ?? [];
    return [...walked, ...withoutGone(world, tree, mapping, walked)];
  };
  const names = nameTree(tree.mappings, tree.federation.naming, listed);
  const { trees: most } = world.budgets;
  if (names.mapped.length > most) {
    const error = new SyncError("TooManyMatches", `the tree has ${names.mapped.length} secrets, the limit is ${most}`);
    const none: TreeNames = { mapped: [], problems: [], contested: new Set() };
    memory.name(none, [{ path: tree.mappings[0]?.sourcePath ?? "", error }]);
  } else memory.name(names, [...failed, ...names.problems]);
  world.treeSizes.set(tree.backendKey, memory.members.size);
  return true;
}

/**
 * Secrets that the walk did not list any more and that still matter. One that is believed gone matters only for its own copy:
 * a name that could not be, or that another secret has now, is nothing to wait for.
 */
function withoutGone(world: World, tree: Tree, mapping: TreeMapping, walked: readonly string[]): string[] {
  const lingering = lingeringBelow(world, tree, mapping);
  const gone = lingering.filter((path) => tree.subject.store?.poller.fact(path)?.believedGone === true);
  if (gone.length === 0) return lingering;
  const name = (path: string) => nameOne(mapping, tree.federation.naming, path);
  const taken = new Set(walked.map(name));
  const over = new Set(gone.filter((path) => typeof name(path) !== "string" || taken.has(name(path))));
  for (const path of over) settleMember(world, tree, path);
  return lingering.filter((path) => !over.has(path));
}

/** A secret of a tree that is gone, with all its copies, is not asked for any more. */
export function settleMember(world: World, tree: Tree, source: string): void {
  for (const mapping of tree.mappings)
    if (isTree(mapping.sourcePath)) tree.subject.store?.poller.settled(walkOf(mapping), source);
  world.lingering.settled(tree.key, source);
}
