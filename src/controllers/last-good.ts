import type { Subject } from "./subject.ts";
import type { World } from "./world.ts";

/** When source and ScaiVault last answered, ms since the epoch: the earlier of the two counts. */
export function lastGoodMs(world: World, subject: Subject | undefined): number | undefined {
  const { clock } = world;
  const goodMs = lastAnswerMs(world, subject);
  // Set on or back meanwhile, the wall clock of then would not tell how long ago it was.
  return goodMs === undefined ? undefined : clock.now() - (clock.monotonic() - goodMs);
}

/** The same by the monotonic clock. */
function lastAnswerMs(world: World, subject: Subject | undefined): number | undefined {
  const poller = subject?.store?.poller;
  // A process that never saw the store counts from when it found it failing.
  const source = poller?.lastGoodMs ?? (poller?.state.state === "Failing" ? poller.state.sinceMs : undefined);
  const { scaivault } = world;
  if (scaivault === undefined || subject?.sync.spec.targets.scaivault === undefined) return source;
  const { reachability } = scaivault.observations;
  if (reachability.state !== "Failing") return source;
  return Math.min(source ?? reachability.sinceMs, reachability.sinceMs);
}
