import { sourcePathOf } from "../decide/index.ts";
import { indexes, markFieldOf } from "./caches.ts";
import { sourceIDFor, type Subject } from "./subject.ts";
import type { World } from "./world.ts";

/**
 * Secrets of a subtree that were copied before and that the last walk did not list: known from this process's earlier
 * walks and, after a restart, from the marks on our Secrets and below the target in ScaiVault. Absence from a list says nothing; they are asked for by name.
 */
export function lingeringOf(world: World, subject: Subject): string[] {
  const { location, store } = subject;
  if (location?.kind !== "subtree" || store === undefined) return [];
  const listed = store.poller.subtree(location.path);
  if (listed === undefined) return [];
  const now = new Set(listed.paths);
  const before = new Set(store.poller.unlisted(location.path));
  for (const path of world.lingering.paths(subject.key)) if (path.startsWith(`${location.path}/`)) before.add(path);
  for (const secret of world.caches.managed.byIndex(indexes.owner, subject.key)) {
    const source = markFieldOf(secret, "source");
    const path = source === undefined ? undefined : sourcePathOf(source);
    if (path === undefined || !path.startsWith(`${location.path}/`)) continue;
    if (sourceIDFor(world, subject, path) === source) before.add(path);
  }
  return [...before].filter((path) => !now.has(path));
}

/** All secrets that a subject is about below its subtree; empty for a single path, undefined before the first walk. */
export function membersOf(world: World, subject: Subject): readonly string[] | undefined {
  const { location, store } = subject;
  if (location?.kind !== "subtree") return [];
  const listed = store?.poller.subtree(location.path);
  if (listed === undefined) return undefined;
  return [...listed.paths, ...lingeringOf(world, subject)];
}
