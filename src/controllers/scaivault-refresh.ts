import { activeSubjects } from "./demand.ts";
import type { StoreHandle } from "./backend-registry.ts";
import { membersOf } from "./members.ts";
import { sourceTagsOf } from "./source-state.ts";
import { pairsOf, type Subject } from "./subject.ts";
import { type ScaiVaultAddress, scaivaultAddress, type World } from "./world.ts";

/** Up to so many paths are asked for before bulk looks: what changed must not wait for what did not. */
const FEW = 300;

/** Which objects count, by key (default all), and whether they are looked at because they changed. */
export interface RefreshOptions {
  readonly counts?: (key: string) => boolean;
  readonly changed?: boolean;
}

/** Asks ScaiVault for the metadata of all targets of one store, a hundred a call. */
export async function refreshScaiVault(
  world: World,
  store: StoreHandle,
  signal: AbortSignal,
  { counts = () => true, changed = false }: RefreshOptions = {},
): Promise<void> {
  const { scaivault } = world;
  if (scaivault === undefined) return;
  const addresses = new Map<string, ScaiVaultAddress>();
  for (const subject of activeSubjects(world, store.backends)) {
    if (!counts(subject.key)) continue;
    for (const address of targetsOf(world, store, subject)) addresses.set(address.path, address);
  }
  if (addresses.size === 0) return;
  const lane = changed && addresses.size <= FEW ? "rotated" : "verification";
  const refs = [...addresses.values()].map((address) => ({ ...address, lane }) as const);
  await scaivault.observations.refresh(refs, signal);
}

/** The targets in ScaiVault of one object that may be looked at. */
function* targetsOf(world: World, store: StoreHandle, subject: Subject): Generator<ScaiVaultAddress> {
  const spec = subject.sync.spec.targets.scaivault;
  if (spec === undefined || subject.location === undefined) return;
  for (const { ref, scaivaultPath } of pairsOf(subject, membersOf(world, subject) ?? []).pairs) {
    if (scaivaultPath === undefined || !mayLook(world, subject.sync.metadata.namespace, scaivaultPath)) continue;
    const tags = sourceTagsOf({ store }, ref.path);
    yield scaivaultAddress(spec, scaivaultPath, subject, tags, "verification");
  }
}

/** Who may write a path may look at it; a reader needs no right to write. */
export function mayLook({ rights, scaivault }: World, namespace: string, path: string): boolean {
  if (rights.scaivault(namespace, path, "write").ok) return true;
  return scaivault?.role === "Reader" && rights.scaivault(namespace, path, "read").ok;
}
