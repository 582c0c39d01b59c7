/**
 * `npm run bench -- SCENARIO --size N [--backend asm|vault] [--interval 30s] [--json]`: what the operator costs, on real
 * parts. Progress goes to standard error; with `--json` the last line of standard output is one JSON object.
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
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
import { runScenario, type BenchResult } from "./measure.ts";
import { scenarios, type Scenario } from "./scenarios.ts";
import { PollWatch, type BenchSettings, type BenchWorld } from "./world.ts";

interface Options extends BenchSettings {
  readonly scenario: Scenario;
  readonly json: boolean;
}

const usage = [
  "usage: npm run bench -- SCENARIO [--size N] [--backend asm|vault] [--interval 30s] [--json]",
  ...scenarios.map(({ name, summary }) => `  ${name.padEnd(12)} ${summary}`),
].join("\n");

function readOptions(): Options | undefined {
  try {
    const { values, positionals } = parseArgs({
      allowPositionals: true,
      options: {
        size: { type: "string", default: "100" },
        backend: { type: "string", default: "asm" },
        // The shortest that the schema allows; a poll costs the same at any interval.
        interval: { type: "string", default: "30s" },
        json: { type: "boolean", default: false },
      },
    });
    const scenario = scenarios.find(({ name }) => name === positionals[0]);
    const size = Number(values.size);
    const { backend, interval, json } = values;
    const sound = Number.isInteger(size) && size > 0 && size <= 20_000 && parseDuration(interval) !== undefined;
    if (scenario === undefined || positionals.length > 1 || !sound) return undefined;
    if (backend !== "asm" && backend !== "vault") return undefined;
    return { scenario, size, backend, interval, json };
  } catch {
    return undefined;
  }
}

/** Limits of the reference server that never bind. */
const noLimits = Object.fromEntries(
  ["read", "write", "delete", "list", "batch_read", "batch_metadata", "audit", "auth", "system"].map((name) => [
    name,
    Infinity,
  ]),
);

function worldOf(environment: Environment, options: Options, folder: string): BenchWorld {
  const { controlPlane, asm, scaivault, facts, binaries } = environment;
  if (controlPlane === undefined || asm === undefined || scaivault === undefined) throw new Error("A part is missing.");
  const program = (name: "kubectl" | "helm"): string => binaries.get(name)?.path ?? name;
  const { size, backend, interval } = options;
  return {
    settings: { size, backend, interval },
    cluster: openCluster({
      kubectl: program("kubectl"),
      helm: program("helm"),
      kubeconfig: controlPlane.facts.adminKubeconfig,
    }),
    controlPlane: controlPlane.client,
    stores: {
      asm,
      vault: facts.vault === undefined ? undefined : vaultClient(facts.vault),
      scaivault: scaivault.server,
      ca: readFileSync(facts.caFile, "utf8"),
    },
    release: "scaivault-operator",
    operatorNamespace: "scaivault-operator",
    namespace: "bench",
    vaultMount: "bench",
    bundle: join(folder, "app"),
    folder,
    progress: streamProgress(),
    polls: new PollWatch(),
  };
}

function show(result: BenchResult): string {
  const rows = Object.entries(result).map(([name, value]) => {
    if (typeof value !== "object") return [name, String(value)];
    const parts = Object.entries(value as Record<string, number>).map(([kind, count]) => `${kind} ${count}`);
    return [name, parts.join(", ") || "none"];
  });
  return table([["MEASURED", "VALUE"], ...rows], styleFor(process.stdout));
}

async function main(options: Options): Promise<number> {
  const interrupted = new Promise<undefined>((resolve) => {
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => resolve(undefined));
  });
  let environment: Environment | undefined;
  let world: BenchWorld | undefined;
  let folder: string | undefined;
  const work = async (): Promise<BenchResult> => {
    const progress = streamProgress();
    const without = options.backend === "asm" ? (["vault"] as const) : [];
    environment = await startEnvironment({ without, progress, scaivault: { limits: noLimits } });
    folder = mkdtempSync(join(localFolder, `run-${process.pid}-bench-`));
    const outfile = join(folder, "app", "operator.mjs");
    await step(progress, "operator bundle", () => bundle({ entry: join(repositoryRoot, "src", "main.ts"), outfile }));
    world = worldOf(environment, options, folder);
    return await runScenario(options.scenario, world);
  };
  try {
    const working = work();
    working.catch(() => undefined);
    const result = await Promise.race([working, interrupted]);
    if (result === undefined) return 130;
    console.log(options.json ? JSON.stringify(result) : show(result));
    return 0;
  } catch (error) {
    console.error(error instanceof Error ? error.message : "failed");
    const log = world?.operator?.program.logTail(10);
    if (log !== undefined) console.error(`The operator's log ends with:\n${log}`);
    return 1;
  } finally {
    world?.polls.stop();
    await world?.operator?.stop();
    await environment?.stop();
    if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
  }
}

const options = readOptions();
if (options === undefined) {
  console.error(usage);
  process.exit(2);
}
process.exit(await main(options));
