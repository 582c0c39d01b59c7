/** What the operator is to cost at most, as data: the run that shows it, the figure, and the test that asserts it small. */

/** One run as it is kept in `bench/results`. */
export interface KeptRun {
  readonly scenario: string;
  readonly backend: string;
  readonly size: number;
  readonly seconds: number;
  readonly cpuSeconds: number;
  readonly [figure: string]: unknown;
}

/** A goal. */
export interface Goal {
  readonly what: string;
  /** File of the run, without `.json`. */
  readonly run: string;
  readonly measured: (run: KeptRun) => string;
  readonly met: (run: KeptRun) => boolean;
  /** Name of the test in `test/examples/bench.test.ts` that asserts the counts at small size. */
  readonly test: string;
}

const number = (run: KeptRun, figure: string): number => Number(run[figure]);
/** CPU seconds a minute. */
export const cpuPerMinute = ({ cpuSeconds, seconds }: KeptRun): number =>
  Math.round(((cpuSeconds * 60) / seconds) * 100) / 100;
const counted = (run: KeptRun, figure: string, kind: string): number =>
  Number((run[figure] as Readonly<Record<string, number>>)[kind] ?? 0);

/** All goals. */
export const goals: readonly Goal[] = [
  {
    what: "cold, 1,000 secrets of AWS to Kubernetes Secrets: at most 1.5 times the floor",
    run: "cold-asm-1000",
    measured: (run) => `${number(run, "floorRatio")} (${run.seconds} s, floor ${number(run, "floorSeconds")} s)`,
    met: (run) => number(run, "floorRatio") <= 1.5,
    test: "cold",
  },
  {
    what: "cold, 1,000: at most 3 CPU seconds of the operator",
    run: "cold-asm-1000",
    measured: (run) => `${run.cpuSeconds} s`,
    met: (run) => run.cpuSeconds <= 3,
    test: "cold",
  },
  {
    what: "steady, 1,000: at most 150 MB",
    run: "steady-asm-1000",
    measured: (run) => `${number(run, "peakRssMB")} MB at most`,
    met: (run) => number(run, "peakRssMB") <= 150,
    test: "steady",
  },
  {
    what: "steady, 1,000: at most 0.5 CPU seconds a minute",
    run: "steady-asm-1000",
    measured: (run) => `${cpuPerMinute(run)} s, polled each ${String(run["interval"])}`,
    met: (run) => cpuPerMinute(run) <= 0.5,
    test: "steady",
  },
  {
    what: "steady, 10,000: at most 105 list calls a poll",
    run: "steady-asm-10000",
    measured: (run) => String(counted(run, "sourceCalls", "ListSecrets")),
    met: (run) => counted(run, "sourceCalls", "ListSecrets") <= 105,
    test: "steady",
  },
  {
    what: "steady, 10,000: at most 300 MB",
    run: "steady-asm-10000",
    measured: (run) => `${number(run, "peakRssMB")} MB at most`,
    met: (run) => number(run, "peakRssMB") <= 300,
    test: "steady",
  },
  {
    what: "a hand edit is repaired within a second, whatever waits",
    run: "drift-asm-1000",
    measured: (run) =>
      `${number(run, "repairMaxMs")} ms at most, median ${number(run, "repairP50Ms")} ms (${number(run, "editsDuringBacklog")} of ${number(run, "edits")} edits during a backlog)`,
    met: (run) => number(run, "repairMaxMs") <= 1000,
    test: "drift",
  },
  {
    what: "outage of two minutes: at most 6 calls a minute to the store",
    run: "outage-asm-1000",
    measured: (run) => `${number(run, "outageCallsPerMinute")}`,
    met: (run) => number(run, "outageCallsPerMinute") <= 6,
    test: "outage",
  },
  {
    what: "outage: one status write for the backend, none for its 1,000 objects",
    run: "outage-asm-1000",
    measured: (run) => `${number(run, "outageBackendStatusWrites")} and ${number(run, "outageSyncStatusWrites")}`,
    met: (run) => number(run, "outageBackendStatusWrites") === 1 && number(run, "outageSyncStatusWrites") === 0,
    test: "outage",
  },
  {
    what: "one hung store of two costs the other nothing: changes arrive as fast as before",
    run: "hang-asm-1000",
    measured: (run) =>
      `${number(run, "hangRatioP50")} times at the median, ${number(run, "hangRatioP99")} at the 99th percentile`,
    met: (run) => number(run, "hangRatioP50") <= 1.2,
    test: "hang",
  },
  {
    what: "30 % of calls throttled: at most 1.5 times as long",
    run: "throttle-asm-1000",
    measured: (run) =>
      `${number(run, "throttleRatio")} (${number(run, "throttledSeconds")} s, else ${number(run, "unthrottledSeconds")} s)`,
    met: (run) => number(run, "throttleRatio") <= 1.5,
    test: "throttle",
  },
  {
    what: "50,000 Secrets of others: at most 10 MB",
    run: "foreign-asm-50000",
    measured: (run) => `${number(run, "foreignMB")} MB`,
    met: (run) => number(run, "foreignMB") <= 10,
    test: "foreign",
  },
];

/** The command lines of the runs that are kept, in the order in which `npm run bench -- all` makes them. */
export const keptRuns: readonly string[] = [
  "cold --size 1000",
  "throttle --size 1000",
  "hang --size 1000",
  "drift --size 1000",
  // The others were measured with a look each minute.
  "steady --size 1000 --interval 60s",
  "propagation --size 1000 --interval 60s",
  "restart --size 1000",
  "outage --size 1000",
  "foreign",
  "steady --size 10000",
  "cold --size 200 --backend vault",
  "steady --size 200 --backend vault",
  "propagation --size 200 --backend vault",
  "restart --size 200 --backend vault",
];
