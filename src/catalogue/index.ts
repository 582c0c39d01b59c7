export { Observations, type Reachability } from "./observations.ts";
export {
  type Demand,
  isStoreWide,
  type KnownFact,
  type PolledEvent,
  StorePoller,
  type StorePollerOptions,
  type StoreState,
} from "./poller.ts";
export { datedVersion, type ResolvedVersion, resolveVersion } from "./resolve.ts";
export { nextTick, stableOffset } from "./schedule.ts";
