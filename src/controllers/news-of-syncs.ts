import { SyncError } from "../errors/index.ts";
import { keyOf, type KubeObject } from "../runtime/index.ts";
import { indexes } from "./caches.ts";
import { membersOf } from "./members.ts";
import type { NewsAudience } from "./scaivault-news.ts";
import { mayLook } from "./scaivault-refresh.ts";
import { sourceTagsOf } from "./source-state.ts";
import { pairsOf, resolveSubject } from "./subject.ts";
import { prefixesOf } from "./target-claims.ts";
import { type ScaiVaultAddress, scaivaultAddress, type World } from "./world.ts";

/** SecretSyncs as hearers of ScaiVault's news. */
export function newsOfSyncs(
  world: World,
  actions: {
    /** A target is not as it was known: this object has to be looked at. */
    changed(object: KubeObject): void;
    missed(): void;
  },
): NewsAudience {
  return {
    targets: () => targetsOf(world),
    address: (path) => addressOf(world, objectsFor(world, path), path),
    changed: (path) => objectsFor(world, path).forEach((object) => actions.changed(object)),
    missed: () => actions.missed(),
  };
}

/** Objects that target a ScaiVault path, by itself or as part of a subtree. */
function objectsFor({ caches }: World, path: string): KubeObject[] {
  const named = prefixesOf(path).flatMap((value) => caches.syncs.byIndex(indexes.scaivaultTarget, value));
  return [...new Map(named.map((object) => [keyOf(object), object])).values()];
}

/** The path as the first object that may look at it declares it. */
function addressOf(world: World, objects: readonly KubeObject[], path: string): ScaiVaultAddress | undefined {
  for (const object of objects) {
    const subject = resolveSubject(world, object);
    if (subject instanceof SyncError || subject.refusal !== undefined || subject.effective.suspend) continue;
    const spec = subject.sync.spec.targets.scaivault;
    if (spec === undefined || subject.store === undefined || !mayLook(world, subject.sync.metadata.namespace, path))
      continue;
    const pair = pairsOf(subject, membersOf(world, subject) ?? []).pairs.find((one) => one.scaivaultPath === path);
    if (pair === undefined) continue;
    const tags = sourceTagsOf(subject, pair.ref.path);
    return scaivaultAddress(spec, path, subject, tags, "rotated");
  }
  return undefined;
}

/** What objects target and may look at. */
function targetsOf(world: World): readonly string[] {
  const { syncs } = world.caches;
  const found: string[] = [];
  for (const value of syncs.indexValues(indexes.scaivaultTarget)) {
    const subtree = value.endsWith("/");
    const objects = syncs.byIndex(indexes.scaivaultTarget, value);
    const may = objects.some((object) =>
      subtree ? mayLookBelow(world, object) : mayLook(world, object.metadata.namespace ?? "", value),
    );
    if (may) found.push(subtree ? `${value}**` : value);
  }
  return found;
}

function mayLookBelow(world: World, object: KubeObject): boolean {
  const subject = resolveSubject(world, object);
  if (subject instanceof SyncError || subject.refusal !== undefined) return false;
  const { pairs } = pairsOf(subject, membersOf(world, subject) ?? []);
  return pairs.some(
    ({ scaivaultPath: path }) => path !== undefined && mayLook(world, subject.sync.metadata.namespace, path),
  );
}
