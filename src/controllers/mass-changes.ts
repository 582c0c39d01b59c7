import { resolveVersion } from "../catalogue/index.ts";
import type { StoreHandle } from "./backend-registry.ts";
import { activeSubjects } from "./demand.ts";
import { shownVersion } from "./report.ts";
import type { Subject } from "./subject.ts";
import type { World } from "./world.ts";

/**
 * A poll that shows unusually many changed or vanished secrets at once puts all of them under the brake before the first
 * is written; otherwise the first ones would be through before the brake knew how many follow.
 */
export function holdMassChanges(world: World, store: StoreHandle, changed: ReadonlySet<string>): void {
  if (changed.size === 0) return;
  const byNamespace = new Map<string, { total: number; changes: string[]; deletions: string[] }>();
  for (const subject of activeSubjects(world, store.backends)) {
    const { namespace } = subject.sync.metadata;
    const entry = byNamespace.get(namespace) ?? { total: 0, changes: [], deletions: [] };
    byNamespace.set(namespace, entry);
    entry.total += 1;
    const what =
      subject.location?.kind === "path" && changed.has(subject.location.path) ? movement(subject, store) : undefined;
    if (what === "change") entry.changes.push(`${subject.key} ${subject.location?.path ?? ""}`);
    if (what === "deletion") entry.deletions.push(`${subject.key} ${subject.location?.path ?? ""}`);
  }
  const nowMs = world.clock.now();
  for (const [namespace, { total, changes, deletions }] of byNamespace) {
    const key = { store: store.identityKey, namespace };
    for (const [kind, items] of [
      ["change", changes],
      ["deletion", deletions],
    ] as const) {
      for (const item of items) world.brakes.hold(key, kind, item);
      const [first] = items;
      // Fewer than the brake minds: nothing is held.
      if (first !== undefined && world.brakes.check(key, kind, first, total, nowMs) === "Open")
        for (const item of items) world.brakes.settle(key, item);
    }
  }
}

/** Whether the copied version of a single secret moved, or its source is believed gone under `deletionPolicy: Delete`. */
function movement(subject: Subject, store: StoreHandle): "change" | "deletion" | undefined {
  const { sync, location, effective } = subject;
  const copied = sync.status?.targets?.find((target) => target.sourceVersion !== undefined)?.sourceVersion;
  const known = store.poller.fact(location?.path ?? "");
  if (copied === undefined || known === undefined) return undefined;
  if (known.fact.state === "Gone")
    return known.believedGone && effective.deletionPolicy === "Delete" ? "deletion" : undefined;
  const { stage } = sync.spec.source;
  const resolved = resolveVersion(known.fact, { path: known.fact.path, ...(stage === undefined ? {} : { stage }) });
  if (!resolved.found || sync.spec.source.version !== undefined) return undefined;
  return shownVersion(resolved.version) === copied ? undefined : "change";
}
