import type { Mark } from "../model/index.ts";
import { sourceStateOf, sourceTagsOf } from "./source-state.ts";
import { brakeItem, type BrakeItem, holdTogether } from "./sync-brakes.ts";
import type { TreeMemory } from "./tree-memory.ts";
import { type ScaiVaultAddress, scaivaultAddress, type World } from "./world.ts";

/** Up to so many paths are asked for before bulk looks: what changed must not wait for what did not. */
const FEW = 300;

/** A secret of a tree in ScaiVault, as it is declared; undefined when it is none. */
export function addressOf({ tree: { subject }, members }: TreeMemory, path: string): ScaiVaultAddress | undefined {
  const spec = subject.sync.spec.targets.scaivault;
  const source = members.get(path);
  if (spec === undefined || source === undefined) return undefined;
  const tags = sourceTagsOf(subject, source);
  return scaivaultAddress(spec, path, subject, tags, "verification");
}

/** Asks ScaiVault for the metadata of some paths of a tree, a hundred a call. What it may not look at it does not. */
export async function lookAt(
  world: World,
  memory: TreeMemory,
  paths: Iterable<string>,
  options: { readonly changed: boolean },
  signal: AbortSignal,
): Promise<void> {
  const { scaivault } = world;
  if (scaivault === undefined) return;
  const refs = [...paths].flatMap((path) => addressOf(memory, path) ?? []);
  if (refs.length === 0) return;
  const lane = options.changed && refs.length <= FEW ? "rotated" : "verification";
  await scaivault.observations.refresh(
    // What is remembered of a write of a moment ago would hide what others did since.
    refs.map((ref) => ({ ...ref, lane, fresh: true }) as const),
    signal,
  );
}

/**
 * Unusually many changed or vanished secrets of one poll go under the brake together, before the first of them is written:
 * otherwise the first ones would be through before the brake knew how many follow.
 */
export function holdMassOf(world: World, memory: TreeMemory, paths: Iterable<string>): void {
  const { subject, federation } = memory.tree;
  const changes: BrakeItem[] = [];
  const deletions: BrakeItem[] = [];
  for (const path of paths) {
    const source = memory.members.get(path);
    const mark = followedMark(world, memory, path);
    if (source === undefined || mark === undefined) continue;
    const pair = { ref: { path: source }, scaivaultPath: path, secretName: undefined };
    const state = sourceStateOf({ ...subject, location: { kind: "path", path: source } }, pair);
    if (state?.state === "Present" && state.version !== mark.version) changes.push(brakeItem(subject, source));
    if (state?.state === "Gone" && state.believed && federation.deletionPolicy === "Delete")
      deletions.push(brakeItem(subject, source));
  }
  if (changes.length > 1) holdTogether(world, "change", changes);
  if (deletions.length > 1) holdTogether(world, "deletion", deletions);
}

/** The mark of a copy of this tree that follows its source, as it was seen last. */
function followedMark(world: World, { tree: { subject } }: TreeMemory, path: string): Mark | undefined {
  const mark = world.scaivault?.observations.last({ path })?.mark;
  if (mark?.state !== "Valid" || mark.mark.owner !== subject.owner) return undefined;
  return mark.mark.authority === "Source" ? mark.mark : undefined;
}
