import type { Demand } from "../catalogue/index.ts";
import { isTree, nameOne, sourcePathOf } from "../decide/index.ts";
import { SyncError } from "../errors/index.ts";
import { indexes, markFieldOf } from "./caches.ts";
import { lingeringOf, membersOf } from "./members.ts";
import { lingeringBelow, walkOf } from "./tree-names.ts";
import { resolveTree, type Tree } from "./tree-subject.ts";
import { pairsOf, resolveSubject, sourceIDFor, type Subject } from "./subject.ts";
import type { World } from "./world.ts";

/** SecretSyncs of the given backends that may be looked at: allowed, not suspended, not being deleted. */
export function* activeSubjects(world: World, backends: Iterable<string>): Iterable<Subject> {
  for (const backend of backends) {
    for (const object of world.caches.syncs.byIndex(indexes.backend, backend)) {
      if (object.metadata.deletionTimestamp !== undefined) continue;
      const subject = resolveSubject(world, object);
      if (subject instanceof SyncError || subject.refusal !== undefined || subject.effective.suspend) continue;
      yield subject;
    }
  }
}

/**
 * What the objects of some backends want from their store, with the shortest interval for each path.
 * @param only keys of the objects that count; all without it
 */
export function demandOf(world: World, backends: ReadonlySet<string>, only?: ReadonlySet<string>): Demand {
  const paths = new Map<string, number>();
  const subtrees = new Map<string, number>();
  for (const subject of activeSubjects(world, backends)) {
    if (subject.location === undefined || only?.has(subject.key) === false) continue;
    const into = subject.location.kind === "path" ? paths : subtrees;
    const { syncIntervalMs } = subject.effective;
    into.set(subject.location.path, Math.min(into.get(subject.location.path) ?? Infinity, syncIntervalMs));
    // What was copied from the subtree and is not listed any more is asked for by name: only that can say that it is gone.
    for (const path of lingeringOf(world, subject))
      paths.set(path, Math.min(paths.get(path) ?? Infinity, syncIntervalMs));
  }
  for (const tree of activeTrees(world, backends)) demandTree(world, tree, { paths, subtrees, only });
  return { paths, subtrees };
}

/** Trees of the given backends that may be looked at. */
function* activeTrees(world: World, backends: Iterable<string>): Iterable<Tree> {
  for (const key of backends) {
    const object = world.caches.backends.get(key);
    if (object === undefined || object.metadata.deletionTimestamp !== undefined) continue;
    const tree = resolveTree(world, object);
    if (tree !== undefined && tree.subject.refusal === undefined) yield tree;
  }
}

function demandTree(
  world: World,
  tree: Tree,
  into: {
    readonly paths: Map<string, number>;
    readonly subtrees: Map<string, number>;
    readonly only: ReadonlySet<string> | undefined;
  },
): void {
  if (into.only?.has(tree.key) === false) return;
  const { syncIntervalMs } = tree.subject.effective;
  const want = (map: Map<string, number>, path: string) =>
    map.set(path, Math.min(map.get(path) ?? Infinity, syncIntervalMs));
  for (const mapping of tree.mappings) {
    if (!isTree(mapping.sourcePath)) want(into.paths, mapping.sourcePath);
    else {
      want(into.subtrees, walkOf(mapping));
      for (const path of lingeringBelow(world, tree, mapping)) want(into.paths, path);
    }
  }
}

/**
 * Versions that copies hold, by path: as the marks on them say, as far as they were seen, and the objects' status. Copies of one
 * secret may hold several: what was written to one of them only must not be rolled back either.
 */
export function knownVersions(world: World, backends: ReadonlySet<string>): ReadonlyMap<string, ReadonlySet<string>> {
  const known = new Map<string, Set<string>>();
  const add = (path: string, version: string) => known.set(path, (known.get(path) ?? new Set()).add(version));
  for (const subject of activeSubjects(world, backends)) {
    for (const [path, version] of markedVersions(world, subject)) add(path, version);
    if (subject.location?.kind !== "path") continue;
    for (const { sourceVersion } of subject.sync.status?.targets ?? [])
      if (sourceVersion !== undefined) add(subject.location.path, sourceVersion);
  }
  for (const tree of activeTrees(world, backends))
    for (const [path, version] of copiedVersions(world, tree)) add(path, version);
  return known;
}

/** Versions that the marks on a tree's copies name. */
function* copiedVersions(world: World, tree: Tree): Iterable<readonly [string, string]> {
  const { store } = tree.subject;
  for (const mapping of tree.mappings) {
    const below = isTree(mapping.sourcePath)
      ? (store?.poller.subtree(walkOf(mapping))?.paths ?? [])
      : [mapping.sourcePath];
    for (const path of below) {
      const name = nameOne(mapping, tree.federation.naming, path);
      const mark = typeof name === "string" ? world.scaivault?.observations.last({ path: name })?.mark : undefined;
      if (mark?.state !== "Valid" || mark.mark.source !== sourceIDFor(world, tree.subject, path)) continue;
      yield [path, mark.mark.version];
    }
  }
}

/** Versions that the marks on an object's copies name. */
function* markedVersions(world: World, subject: Subject): Iterable<readonly [string, string]> {
  for (const secret of world.caches.managed.byIndex(indexes.owner, subject.key)) {
    const [source, version] = [markFieldOf(secret, "source"), markFieldOf(secret, "version")];
    const path = source === undefined ? undefined : sourcePathOf(source);
    if (path === undefined || version === undefined || sourceIDFor(world, subject, path) !== source) continue;
    yield [path, version];
  }
  for (const { ref, scaivaultPath } of pairsOf(subject, membersOf(world, subject) ?? []).pairs) {
    const mark =
      scaivaultPath === undefined ? undefined : world.scaivault?.observations.last({ path: scaivaultPath })?.mark;
    if (mark?.state !== "Valid" || mark.mark.source !== sourceIDFor(world, subject, ref.path)) continue;
    yield [ref.path, mark.mark.version];
  }
}
