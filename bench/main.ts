/**
 * `npm run bench -- SCENARIO --size N [--backend asm|vault] [--targets kubernetes|scaivault|both] [--json]`: what the operator costs, on real
 * parts. Progress goes to standard error; with `--json` the last line of standard output is one JSON object.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { cpus, totalmem } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { openCluster } from "../local/cluster.ts";
import { startEnvironment, type Environment } from "../local/environment.ts";
import { localFolder, repositoryRoot } from "../local/paths.ts";
import { streamProgress } from "../local/progress.ts";
import { styleFor, table } from "../local/quickstart/report.ts";
import { step } from "../local/quickstart/world.ts";
import { vaultClient } from "../local/vault-client.ts";
import { bundle } from "../scripts/build.ts";
import { parseDuration } from "../src/api/index.ts";
import { run } from "../local/run.ts";
import { startVaultProxy } from "../local/vault-proxy.ts";
import { keptRuns } from "./goals.ts";
import { runScenario, type BenchRun } from "./measure.ts";
import { Outside } from "./outside.ts";
import { resultsFolder, writeReport } from "./report.ts";
import { scenarios, type Scenario } from "./scenarios.ts";
import { asmSource } from "./source-asm.ts";
import { vaultSource } from "./source-vault.ts";
import type { SourceStage } from "./source.ts";
import type { BenchSettings, BenchWorld } from "./world.ts";

interface Options extends BenchSettings {
  readonly scenario: Scenario;
  readonly json: boolean;
  /** Keep the run in bench/results. */
  readonly save: boolean;
}

const usage = [
  "usage: npm run bench -- SCENARIO [--size N] [--backend asm|vault] [--targets kubernetes|scaivault|both]",
  "                        [--interval 30s] [--outage 2m] [--foreign 50000] [--json] [--save]",
  ...scenarios.map(({ name, summary }) => `  ${name.padEnd(12)} ${summary}`),
  "  all          makes all runs that are kept, which takes half an hour with nothing else on the machine, then the report",
  "  report       makes docs/benchmarks.md and its plots from the runs that --save kept in bench/results",
].join("\n");

const text = { type: "string" } as const;

function readOptions(): Options | undefined {
  try {
    const { values, positionals } = parseArgs({
      allowPositionals: true,
      options: {
        size: text,
        backend: { ...text, default: "asm" },
        targets: text,
        interval: text,
        outage: { ...text, default: "2m" },
        foreign: { ...text, default: "50000" },
        json: { type: "boolean", default: false },
        save: { type: "boolean", default: false },
      },
    });
    const scenario = scenarios.find(({ name }) => name === positionals[0]);
    if (scenario === undefined || positionals.length > 1) return undefined;
    const settings = settingsOf(values, scenario.defaults);
    return settings === undefined ? undefined : { ...settings, scenario, json: values.json, save: values.save };
  } catch {
    return undefined;
  }
}

type Texts = Readonly<Record<"size" | "backend" | "targets" | "interval" | "outage" | "foreign", string | undefined>>;

function settingsOf(values: Partial<Texts>, defaults: Partial<BenchSettings>): BenchSettings | undefined {
  const size = Number(values.size ?? defaults.size ?? 100);
  const foreign = Number(values.foreign);
  // 30s is the shortest that the schema allows; a poll costs the same at any interval.
  const interval = values.interval ?? defaults.interval ?? "30s";
  const outageMs = parseDuration(values.outage ?? "");
  const backend = (["asm", "vault"] as const).find((name) => name === values.backend);
  const targets = (["kubernetes", "scaivault", "both"] as const).find(
    (name) => name === (values.targets ?? "kubernetes"),
  );
  const whole = (value: number, most: number): boolean => Number.isInteger(value) && value > 0 && value <= most;
  if (!whole(size, 20_000) || !whole(foreign, 200_000) || parseDuration(interval) === undefined) return undefined;
  if (outageMs === undefined || backend === undefined || targets === undefined) return undefined;
  return { size, backend, interval, targets, outageMs, foreign };
}

/** Limits of the reference server that never bind. */
const noLimits = Object.fromEntries(
  ["read", "write", "delete", "list", "batch_read", "batch_metadata", "audit", "auth", "system"].map((name) => [
    name,
    Infinity,
  ]),
);

const vaultMount = "bench";

async function sourceOf(environment: Environment, backend: BenchSettings["backend"]): Promise<SourceStage> {
  const { asm, vault, authority } = environment;
  if (backend === "asm" && asm !== undefined) return asmSource(asm);
  if (vault === undefined) throw new Error("The store is missing.");
  const proxy = () => startVaultProxy({ target: vault.facts.plainUrl, authority });
  return vaultSource(vault.client, vaultMount, { store: await proxy(), other: await proxy() });
}

function worldOf(
  environment: Environment,
  source: SourceStage,
  { scenario: _scenario, json: _json, save: _save, ...settings }: Options,
  folder: string,
): BenchWorld {
  const { controlPlane, asm, scaivault, facts, binaries } = environment;
  if (controlPlane === undefined || asm === undefined || scaivault === undefined) throw new Error("A part is missing.");
  const program = (name: "kubectl" | "helm"): string => binaries.get(name)?.path ?? name;
  const kubeconfig = controlPlane.facts.adminKubeconfig;
  const namespace = "bench";
  return {
    settings,
    cluster: openCluster({ kubectl: program("kubectl"), helm: program("helm"), kubeconfig }),
    controlPlane: controlPlane.client,
    stores: {
      asm,
      vault: facts.vault === undefined ? undefined : vaultClient(facts.vault),
      scaivault: scaivault.server,
      ca: readFileSync(facts.caFile, "utf8"),
    },
    source,
    outside: new Outside(kubeconfig, namespace),
    release: "scaivault-operator",
    operatorNamespace: "scaivault-operator",
    namespace,
    bundle: join(folder, "app"),
    folder,
    progress: streamProgress(),
    figures: {},
    freshness: [],
  };
}

function show(result: BenchRun): string {
  const rows = Object.entries(result).map(([name, value]) => {
    if (typeof value !== "object" || value === null) return [name, String(value ?? "-")];
    const parts = Object.entries(value as Record<string, number>).map(([kind, count]) => `${kind} ${count}`);
    return [name, parts.join(", ") || "none"];
  });
  return table([["MEASURED", "VALUE"], ...rows], styleFor(process.stdout));
}

/** Keeps a run for the report. */
function keep(run: BenchRun): void {
  const [cpu] = cpus();
  const gib = Math.round(totalmem() / 2 ** 30);
  const day = new Date().toISOString().slice(0, 10);
  const measuredOn = `${day}, ${cpus().length} cores (${cpu?.model.trim() ?? "unknown"}), ${gib} GiB, Node ${process.versions.node}`;
  const name = `${run.scenario}-${run.backend}-${run.scenario === "foreign" ? run.foreign : run.size}.json`;
  writeFileSync(join(resultsFolder, name), `${JSON.stringify({ ...run, measuredOn }, null, 2)}\n`);
}

async function main(options: Options): Promise<number> {
  const interrupted = new Promise<undefined>((resolve) => {
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => resolve(undefined));
  });
  let environment: Environment | undefined;
  let world: BenchWorld | undefined;
  let folder: string | undefined;
  const work = async (): Promise<BenchRun> => {
    const progress = streamProgress();
    const without = options.backend === "asm" ? (["vault"] as const) : [];
    environment = await startEnvironment({ without, progress, scaivault: { limits: noLimits } });
    folder = mkdtempSync(join(localFolder, `run-${process.pid}-bench-`));
    const outfile = join(folder, "app", "operator.mjs");
    await step(progress, "operator bundle", () => bundle({ entry: join(repositoryRoot, "src", "main.ts"), outfile }));
    world = worldOf(environment, await sourceOf(environment, options.backend), options, folder);
    return await runScenario(options.scenario, world);
  };
  try {
    const working = work();
    working.catch(() => undefined);
    const result = await Promise.race([working, interrupted]);
    if (result === undefined) return 130;
    if (options.save) keep(result);
    console.log(options.json ? JSON.stringify(result) : show(result));
    return 0;
  } catch (error) {
    console.error(error instanceof Error ? error.message : "failed");
    const log = world?.operator?.program.logTail(10);
    if (log !== undefined) console.error(`The operator's log ends with:\n${log}`);
    return 1;
  } finally {
    await world?.operator?.stop();
    await world?.outside.stop();
    await world?.source.stop();
    await environment?.stop();
    if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
  }
}

/** Makes all runs that are kept, one after another, each in a process and an environment of its own, and then the report. */
async function all(): Promise<number> {
  let failed = 0;
  for (const line of keptRuns) {
    console.error(`== ${line}`);
    const args = [...process.execArgv, import.meta.filename, ...line.split(" "), "--save", "--json"];
    const { code, stdout, stderr } = await run(process.execPath, args);
    if (code === 0) console.log(stdout.trim().split("\n").at(-1));
    else console.error(stderr.trim().split("\n").slice(-12).join("\n"));
    failed += code === 0 ? 0 : 1;
  }
  await writeReport();
  return failed === 0 ? 0 : 1;
}

if (process.argv[2] === "all") process.exit(await all());
if (process.argv[2] === "report") {
  await writeReport();
  process.exit(0);
}
const options = readOptions();
if (options === undefined) {
  console.error(usage);
  process.exit(2);
}
process.exit(await main(options));
