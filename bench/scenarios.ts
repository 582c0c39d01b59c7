/**
 * What can be measured, as data: phases that set the stage, and phases during which everything is counted. A phase is a name
 * out of {@link phaseNames}; what it does stands in phases.ts.
 */

/** The phases that there are. */
export const phaseNames = ["seed", "install", "declare", "start", "ready", "poll", "restart"] as const;
/** One step of a scenario. */
export type PhaseName = (typeof phaseNames)[number];

/** One thing that is measured. */
export interface Scenario {
  readonly name: string;
  /** One line for `--help` and the report. */
  readonly summary: string;
  /** Before the counters start. */
  readonly arrange: readonly PhaseName[];
  /** While they run. */
  readonly measure: readonly PhaseName[];
}

/** All scenarios. */
export const scenarios: readonly Scenario[] = [
  {
    name: "steady",
    summary: "nothing changes: from the end of one poll to the end of the next",
    // Two polls: what the first copies left behind (counts of the backend) is settled by then.
    arrange: ["seed", "install", "start", "declare", "ready", "poll", "poll"],
    measure: ["poll"],
  },
  {
    name: "restart",
    summary: "nothing changes, but the operator ends and starts again: until its first poll has ended",
    arrange: ["seed", "install", "start", "declare", "ready", "poll"],
    measure: ["restart", "poll"],
  },
];
