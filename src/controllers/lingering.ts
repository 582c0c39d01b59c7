import { belowSubtree, ownerMatches, sourcePathOf } from "../decide/index.ts";
import { SyncError } from "../errors/index.ts";
import type { TargetObservation } from "../ports/index.ts";
import type { StoreHandle } from "./backend-registry.ts";
import { indexes } from "./caches.ts";
import { selfOf } from "./gather.ts";
import { pairsOf, resolveSubject, sourceIDFor, type Subject } from "./subject.ts";
import { viewDeclared } from "./views.ts";
import { scaivaultAddress, type World } from "./world.ts";

/**
 * After a start nobody remembers which secrets a subtree had. Copies in Secrets are found by their marks; those in ScaiVault
 * are looked for here, once for each object: one listing below its target and the metadata of what its walk did not name.
 * What could not be listed is listed with the next poll.
 */
export async function findLingering(world: World, store: StoreHandle, signal: AbortSignal): Promise<void> {
  for (const backend of store.backends) {
    for (const object of world.caches.syncs.byIndex(indexes.backend, backend)) {
      const view = viewDeclared(object);
      if (!view.ok || !view.object.spec.source.subtree || view.object.spec.targets.scaivault === undefined) continue;
      const subject = resolveSubject(world, object);
      if (subject instanceof SyncError || subject.store !== store || world.lingering.lookedFor(subject)) continue;
      const found = await copiesBelow(world, subject, signal);
      if (found !== undefined) world.lingering.note(subject, found);
    }
  }
}

/** Source paths that copies below an object's ScaiVault target name; undefined when that cannot be said now. */
async function copiesBelow(world: World, subject: Subject, signal: AbortSignal): Promise<string[] | undefined> {
  const { scaivault } = world;
  const { sync, location, store } = subject;
  const target = sync.spec.targets.scaivault;
  const listed = store?.poller.subtree(location?.path ?? "");
  if (scaivault === undefined || target === undefined || location === undefined || listed === undefined)
    return undefined;
  // Listing is reading: without a right to all of it nothing is listed.
  if (!world.rights.scaivault(sync.metadata.namespace, target.path, "write").ok) return [];
  const known = new Set(pairsOf(subject, listed.paths).pairs.map(({ scaivaultPath }) => scaivaultPath));
  let paths: readonly string[];
  try {
    paths = await scaivault.list(target.path.slice(0, -"**".length), signal);
  } catch {
    return undefined;
  }
  const others = paths.filter((path) => !known.has(path)).slice(0, world.budgets.matches);
  const refs = others.map((path) => scaivaultAddress(target, path, subject, [], "verification"));
  if (refs.length === 0) return [];
  const seen = await scaivault.observations.refresh(refs, signal);
  if (scaivault.observations.reachability.state === "Failing") return undefined;
  return [...seen.values()].flatMap(({ mark }) => copiedFrom(world, subject, location.path, mark) ?? []);
}

/** The source path below `root` that a mark names; undefined when the copy is not this object's. */
function copiedFrom(world: World, subject: Subject, root: string, mark: TargetObservation["mark"]): string | undefined {
  if (mark.state !== "Valid" || !ownerMatches(world.ring, mark.mark.owner, selfOf(world, subject))) return undefined;
  const path = sourcePathOf(mark.mark.source);
  if (path === undefined || belowSubtree(`${root}/**`, path) === undefined) return undefined;
  return mark.mark.source === sourceIDFor(world, subject, path) ? path : undefined;
}
