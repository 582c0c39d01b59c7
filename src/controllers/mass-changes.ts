import { resolveVersion } from "../catalogue/index.ts";
import type { BrakeKind } from "../decide/index.ts";
import type { StoreHandle } from "./backend-registry.ts";
import { activeSubjects } from "./demand.ts";
import { shownVersion } from "./report.ts";
import type { Subject } from "./subject.ts";
import { type BrakeItem, brakeItem, holdTogether } from "./sync-brakes.ts";
import type { World } from "./world.ts";

/**
 * A poll that shows unusually many changed or vanished secrets at once puts all of them under the brake before the first
 * is written; otherwise the first ones would be through before the brake knew how many follow.
 */
export function holdMassChanges(world: World, store: StoreHandle, changed: ReadonlySet<string>): void {
  if (changed.size === 0) return;
  const moved: Record<BrakeKind, BrakeItem[]> = { change: [], deletion: [] };
  for (const subject of activeSubjects(world, store.backends)) {
    const { location } = subject;
    if (location?.kind !== "path" || !changed.has(location.path)) continue;
    const what = movement(subject, location.path, store);
    if (what !== undefined) moved[what].push(brakeItem(subject, location.path));
  }
  for (const kind of ["change", "deletion"] as const) holdTogether(world, kind, moved[kind]);
}

/** Whether the copied version of a single secret moved, or its source is believed gone under `deletionPolicy: Delete`. */
function movement({ sync, effective }: Subject, path: string, store: StoreHandle): BrakeKind | undefined {
  const copied = sync.status?.targets?.find((target) => target.sourceVersion !== undefined)?.sourceVersion;
  const known = store.poller.fact(path);
  if (copied === undefined || known === undefined) return undefined;
  if (known.fact.state === "Gone")
    return known.believedGone && effective.deletionPolicy === "Delete" ? "deletion" : undefined;
  const { stage } = sync.spec.source;
  const resolved = resolveVersion(known.fact, { path: known.fact.path, ...(stage === undefined ? {} : { stage }) });
  if (!resolved.found || sync.spec.source.version !== undefined) return undefined;
  return shownVersion(resolved.version) === copied ? undefined : "change";
}
