import { activeSubjects } from "./demand.ts";
import type { StoreHandle } from "./backend-registry.ts";
import { membersOf } from "./members.ts";
import { pairsOf } from "./subject.ts";
import { type ScaiVaultAddress, scaivaultAddress, type World } from "./world.ts";

/**
 * Asks ScaiVault for the metadata of all targets of one store, a hundred a call.
 * @param only keys of the objects that count; all without it
 */
export async function refreshScaiVault(
  world: World,
  store: StoreHandle,
  signal: AbortSignal,
  only?: ReadonlySet<string>,
): Promise<void> {
  const { scaivault } = world;
  if (scaivault === undefined) return;
  const addresses = new Map<string, ScaiVaultAddress>();
  for (const subject of activeSubjects(world, store.backends)) {
    const spec = subject.sync.spec.targets.scaivault;
    if (spec === undefined || subject.location === undefined || only?.has(subject.key) === false) continue;
    for (const pair of pairsOf(subject, membersOf(world, subject) ?? []).pairs) {
      if (pair.scaivaultPath === undefined) continue;
      if (!world.rights.scaivault(subject.sync.metadata.namespace, pair.scaivaultPath, "write").ok) continue;
      const fact = store.poller.fact(pair.ref.path)?.fact;
      const tags = fact?.state === "Present" ? (fact.tags ?? []) : [];
      addresses.set(pair.scaivaultPath, scaivaultAddress(spec, pair.scaivaultPath, subject.sync, tags, "verification"));
    }
  }
  if (addresses.size > 0) await scaivault.observations.refresh([...addresses.values()], signal);
}
