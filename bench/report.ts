/** Makes the tables and plots of docs/benchmarks.md from the runs in bench/results. */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { format, resolveConfig } from "prettier";
import { repositoryRoot } from "../local/paths.ts";
import { cpuPerMinute, type Goal, goals, type KeptRun } from "./goals.ts";
import { type Peer, peers } from "./peers.ts";
import { type Bar, barChart, type Chart } from "./svg.ts";

/** Where runs are kept. */
export const resultsFolder = join(repositoryRoot, "bench", "results");
const page = join(repositoryRoot, "docs", "benchmarks.md");
const pictures = join(repositoryRoot, "docs", "images");

/** Runs by file name without `.json`. */
export type Runs = ReadonlyMap<string, KeptRun>;

/** All runs that are kept. */
export function readRuns(): Runs {
  const files = readdirSync(resultsFolder).filter((file) => file.endsWith(".json"));
  return new Map(
    files.sort().map((file) => {
      const run = JSON.parse(readFileSync(join(resultsFolder, file), "utf8")) as KeptRun;
      return [file.slice(0, -".json".length), run];
    }),
  );
}

const row = (cells: readonly (string | number)[]): string => `| ${cells.join(" | ")} |`;
const table = (head: readonly string[], rows: readonly (readonly (string | number)[])[]): string =>
  [row(head), row(head.map(() => "---")), ...rows.map(row)].join("\n");

function goalRow(goal: Goal, runs: Runs): string[] {
  const run = runs.get(goal.run);
  const measured = run === undefined ? "not measured" : goal.measured(run);
  const verdict = run === undefined ? "-" : goal.met(run) ? "yes" : "**no**";
  return [goal.what, measured, verdict, `\`examples/bench\`: ${goal.test}:`];
}

const text = (value: unknown): string => (value === null || value === undefined ? "-" : String(value));
const number = (run: KeptRun, figure: string): number => Number(run[figure]);

/** The figures that every run has. */
function runRow(name: string, run: KeptRun): string[] {
  const calls = Object.entries(run["sourceCalls"] as Readonly<Record<string, number>>);
  const kinds = calls.map(([kind, count]) => `${kind.replace(/^GET sys.*/, "GET sys/…")} ${count}`).join(", ");
  return [
    `\`${name}\``,
    text(run["interval"]),
    text(run.seconds),
    kinds || "none",
    text(run["valueReads"]),
    `${text(run["kubeReads"])} / ${text(run["kubeWritesExceptLeases"])}`,
    text(run["pollTimeWrites"]),
    text(run["etcdRevisions"]),
    text(run.cpuSeconds),
    `${text(run["peakRssMB"])} / ${text(run["rssMB"])}`,
    text((run["eventLoopDelayMs"] as Readonly<Record<string, number>>)["p99"]),
    [run["freshnessP50Ms"], run["freshnessP90Ms"], run["freshnessP99Ms"]].map(text).join(" / "),
  ];
}

function runTable(runs: Runs): string {
  const head = [
    ...["Run", "Interval", "Seconds", "Calls to the store", "Values read", "Kubernetes reads / writes"],
    ...["Poll time writes", "etcd revisions", "CPU s", "MB peak / end", "Event loop p99 ms"],
    "Freshness p50 / p90 / p99 ms",
  ];
  return table(
    head,
    [...runs].map(([name, run]) => runRow(name, run)),
  );
}

const perMinute = (run: KeptRun, figure: string): number => Math.round((number(run, figure) * 60) / run.seconds);
const seconds = (ms: unknown): string => (ms === null || ms === undefined ? "-" : String(Number(ms) / 1000));

/** One line of the comparison: a name, and how ours and a peer's figure are read. */
type Line = readonly [name: string, ours: (runs: Runs) => string | number, peer: (peer: Peer) => number | null];

const of = (runs: Runs, name: string, read: (run: KeptRun) => string | number): string | number => {
  const run = runs.get(name);
  return run === undefined ? "-" : read(run);
};
const kubeOf = (run: KeptRun): number =>
  number(run, "kubeReads") + number(run, "kubeWritesExceptLeases") + number(run, "pollTimeWrites");
const [cold, steady, fresh, drift] = ["cold-asm-1000", "steady-asm-1000", "propagation-asm-1000", "drift-asm-1000"];

const lines: readonly Line[] = [
  ["cold: seconds until all are Ready", (runs) => of(runs, cold, (run) => run.seconds), (peer) => peer.coldSeconds],
  ["cold: CPU seconds", (runs) => of(runs, cold, (run) => run.cpuSeconds), (peer) => peer.coldCpuSeconds],
  ["cold: requests to the API server", (runs) => of(runs, cold, kubeOf), (peer) => peer.coldKubeRequests],
  [
    "steady, a minute: calls to the store",
    (runs) => of(runs, steady, (run) => perMinute(run, "sourceCallsTotal")),
    (peer) => peer.steadyCalls,
  ],
  [
    "steady, a minute: requests to the API server",
    (runs) => of(runs, steady, (run) => Math.round((kubeOf(run) * 60) / run.seconds)),
    (peer) => peer.steadyKubeRequests,
  ],
  [
    "steady, a minute: etcd revisions of the cluster",
    (runs) => of(runs, steady, (run) => perMinute(run, "etcdRevisions")),
    (peer) => peer.steadyRevisions,
  ],
  ["steady, a minute: CPU seconds", (runs) => of(runs, steady, cpuPerMinute), (peer) => peer.steadyCpuSeconds],
  ["memory at most, MiB", (runs) => of(runs, steady, (run) => number(run, "peakRssMB")), (peer) => peer.steadyRssMB],
  [
    "a change at the source until it is in the Secret, median s",
    (runs) => of(runs, fresh, (run) => seconds(run["freshnessP50Ms"])),
    (peer) => peer.freshnessP50Seconds,
  ],
  [
    "the same, at most s",
    (runs) => of(runs, fresh, (run) => seconds(run["freshnessMaxMs"])),
    (peer) => peer.freshnessMaxSeconds,
  ],
  [
    "a hand edit until it is repaired, at most s",
    (runs) => of(runs, drift, (run) => seconds(run["repairMaxMs"])),
    (peer) => peer.repairMaxSeconds,
  ],
];

function peerTable(runs: Runs): string {
  return table(
    ["1,000 secrets", "This operator, AWS", ...peers.map(({ name }) => name)],
    lines.map(([name, ours, theirs]) => [name, ours(runs), ...peers.map((peer) => text(theirs(peer)))]),
  );
}

/** What checks those tables. */
const note = "<!-- tests: bench/report says what the kept runs say -->";

/** The generated parts of the page by name. */
export function partsOf(runs: Runs): ReadonlyMap<string, string> {
  const machine = [...runs.values()][0]?.["measuredOn"];
  return new Map([
    ["machine", machine === undefined ? "Nothing is measured yet." : `Measured on ${text(machine)}.`],
    [
      "goals",
      table(
        ["Goal", "Measured", "Met", "Test"],
        goals.map((goal) => goalRow(goal, runs)),
      ),
    ],
    ["runs", `${note}\n\n${runTable(runs)}`],
    ["peers", `${note}\n\n${peerTable(runs)}`],
    ["plots", [...chartsOf(runs)].map(([file, { title }]) => `![${title}](images/${file})`).join("\n")],
  ]);
}

function lineChart(runs: Runs, title: string, unit: string, name: string, more: readonly Bar[] = []): Chart {
  const line = lines.find(([one]) => one === name) as Line;
  const ours = Number(line[1](runs));
  const theirs = peers.flatMap((peer): Bar[] => {
    const value = line[2](peer);
    return value === null ? [] : [{ label: peer.name, value, kind: "peer" }];
  });
  return { title, unit, bars: [{ label: "this operator", value: ours, kind: "ours" }, ...more, ...theirs] };
}

/** Charts by file name, of the runs that there are. */
function chartsOf(runs: Runs): ReadonlyMap<string, Chart> {
  const charts = new Map<string, Chart>();
  const floorSeconds = Number(runs.get(cold)?.["floorSeconds"]);
  const floor: Bar = { label: "the same writes alone", value: floorSeconds, kind: "floor" };
  if (runs.has(cold)) {
    const title = "Cold: 1,000 secrets until all are Ready";
    charts.set("bench-cold.svg", lineChart(runs, title, "s", "cold: seconds until all are Ready", [floor]));
    charts.set("bench-cold-cpu.svg", lineChart(runs, "Cold: CPU of the operator", "s", "cold: CPU seconds"));
  }
  if (runs.has(steady)) {
    const chart = (title: string, unit: string, name: string): Chart => lineChart(runs, title, unit, name);
    charts.set(
      "bench-steady-calls.svg",
      chart("Steady, 1,000 secrets, a minute: calls to the store", "", "steady, a minute: calls to the store"),
    );
    charts.set(
      "bench-steady-cpu.svg",
      chart("Steady, 1,000 secrets, a minute: CPU of the operator", "s", "steady, a minute: CPU seconds"),
    );
    charts.set("bench-memory.svg", chart("Steady, 1,000 secrets: memory at most", "MiB", "memory at most, MiB"));
  }
  if (runs.has(drift))
    charts.set(
      "bench-drift.svg",
      lineChart(runs, "A hand edit until it is repaired, at most", "s", "a hand edit until it is repaired, at most s"),
    );
  return charts;
}

/** Plots by file name. */
export function plotsOf(runs: Runs): ReadonlyMap<string, string> {
  return new Map([...chartsOf(runs)].map(([file, chart]) => [file, barChart(chart)]));
}

/** Puts the parts between their markers `<!-- bench:NAME -->` and `<!-- /bench:NAME -->`. @throws when a marker is missing */
export function fill(markdown: string, parts: ReadonlyMap<string, string>): string {
  let filled = markdown;
  for (const [name, part] of parts) {
    const [open, close] = [`<!-- bench:${name} -->`, `<!-- /bench:${name} -->`];
    const [from, to] = [filled.indexOf(open), filled.indexOf(close)];
    if (from < 0 || to < from) throw new Error(`The page has no markers ${open} and ${close}.`);
    filled = `${filled.slice(0, from + open.length)}\n\n${part}\n\n${filled.slice(to)}`;
  }
  return filled;
}

/** The page as it must be. */
export async function renderPage(): Promise<string> {
  const filled = fill(readFileSync(page, "utf8"), partsOf(readRuns()));
  return await format(filled, { ...(await resolveConfig(page)), filepath: page });
}

/** Writes page and plots. */
export async function writeReport(): Promise<void> {
  writeFileSync(page, await renderPage());
  mkdirSync(pictures, { recursive: true });
  for (const [file, svg] of plotsOf(readRuns())) writeFileSync(join(pictures, file), svg);
}
