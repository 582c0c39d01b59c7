/**
 * What can be measured, as data: phases that set the stage, and phases during which everything is counted. A phase is a name
 * out of {@link phaseNames}; what it does stands in phases.ts and trials.ts.
 */
import type { BenchSettings } from "./world.ts";

/** The phases that there are. */
export const phaseNames = [
  "seed",
  "install",
  "declare",
  "start",
  "ready",
  "settled",
  "poll",
  "restart",
  "floor",
  "changes",
  "declareLater",
  "driftUnderLoad",
  "outage",
  "restore",
  "restoreThrottled",
  "declareOther",
  "changesAlone",
  "changesBesideHang",
  "memoryWithout",
  "memoryWith",
  "createForeign",
] as const;
/** One step of a scenario. */
export type PhaseName = (typeof phaseNames)[number];

/** One thing that is measured. */
export interface Scenario {
  readonly name: string;
  /** One line for `--help` and the report. */
  readonly summary: string;
  /** What the command line may leave out. */
  readonly defaults: Partial<BenchSettings>;
  /** Before the counters start. */
  readonly arrange: readonly PhaseName[];
  /** While they run. */
  readonly measure: readonly PhaseName[];
  /** After they were read: what the figures are compared with. */
  readonly compare?: readonly PhaseName[];
  /** Further fields of the result: one figure divided by another. */
  readonly ratios?: Readonly<Record<string, readonly [above: string, below: string]>>;
}

const declared: readonly PhaseName[] = ["seed", "install", "declare"];
const copied: readonly PhaseName[] = [...declared, "start", "ready", "settled"];

/** All scenarios. */
export const scenarios: readonly Scenario[] = [
  {
    name: "cold",
    summary: "nothing is copied yet: from the Lease until all SecretSyncs are Ready; beside it the same writes alone",
    defaults: {},
    arrange: declared,
    measure: ["start", "ready"],
    compare: ["floor"],
    ratios: { floorRatio: ["seconds", "floorSeconds"] },
  },
  {
    name: "steady",
    summary: "nothing changes: from the end of one poll to the end of the next",
    defaults: {},
    // The first poll after the copies may find that little is due, and ask in another way.
    arrange: [...copied, "poll", "poll"],
    measure: ["poll"],
  },
  {
    name: "propagation",
    summary: "a quarter of the secrets (at most 250) change at the source, spread over an interval: until all arrived",
    defaults: {},
    arrange: [...copied, "poll"],
    measure: ["changes"],
  },
  {
    name: "drift",
    summary: "20 Secrets are edited by hand while as many SecretSyncs as --size come new to the same store",
    defaults: {},
    arrange: [...copied, "declareLater"],
    measure: ["driftUnderLoad"],
  },
  {
    name: "restart",
    summary: "nothing changes, but the operator ends and starts again: until its first poll has ended",
    defaults: {},
    arrange: [...copied, "poll"],
    measure: ["restart", "poll"],
  },
  {
    name: "outage",
    summary: "each call to the store fails for two minutes, then it is back",
    // Three of these are the time after which SecretSyncs say `Stale`: longer than the outage.
    defaults: { interval: "5m" },
    arrange: copied,
    measure: ["outage"],
  },
  {
    name: "hang",
    summary: "changes of one store arrive while another hangs with all its workers in it; beside it the same without",
    defaults: { interval: "5m" },
    arrange: [...copied, "declareOther", "changesAlone"],
    measure: ["changesBesideHang"],
    ratios: { hangRatioP50: ["besideHangP50Ms", "aloneP50Ms"], hangRatioP99: ["besideHangP99Ms", "aloneP99Ms"] },
  },
  {
    name: "throttle",
    summary: "all Secrets are lost and restored while 30 % of calls are throttled; beside it the same without",
    defaults: { interval: "5m" },
    arrange: [...copied, "restore"],
    measure: ["restoreThrottled"],
    ratios: { throttleRatio: ["throttledSeconds", "unthrottledSeconds"] },
  },
  {
    name: "foreign",
    summary: "50,000 Secrets that are not ours: memory after a start without and with them",
    defaults: { size: 100 },
    arrange: [...copied, "restart", "poll", "memoryWithout", "createForeign"],
    measure: ["restart", "poll", "memoryWith"],
  },
];
