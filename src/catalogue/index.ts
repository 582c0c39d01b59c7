export { Observations, type Reachability } from "./observations.ts";
export { StorePoller, type StorePollerOptions } from "./poller.ts";
export { datedVersion, type ResolvedVersion, resolveVersion } from "./resolve.ts";
export { nextTick, stableOffset } from "./schedule.ts";
export { isStoreWide } from "./store-wide.ts";
export type { Demand, KnownFact, PolledEvent, StoreState } from "./types.ts";
