/**
 * `npm run local -- [--without PART]... [--kubernetes newest|oldest] [start | stop | status]`: the local environment by itself.
 *
 * `start` (the default) stays in the foreground until Ctrl-C.
 */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { parseArgs } from "node:util";
import { kubernetesChoices, type KubernetesChoice } from "./control-plane.ts";
import { parts, startEnvironment, type EnvironmentFacts, type HarnessObjects, type Part } from "./environment.ts";
import { isAlive } from "./lock.ts";
import { factsFile } from "./paths.ts";
import { waitFor } from "./process.ts";
import { streamProgress } from "./progress.ts";
import { remoteObjects } from "./remote.ts";

const usage = `usage: npm run local -- [--without ${parts.join("|")}]... [--kubernetes ${kubernetesChoices.join("|")}] [start|stop|status]`;

function readFacts(): EnvironmentFacts | undefined {
  try {
    const facts = JSON.parse(readFileSync(factsFile, "utf8")) as EnvironmentFacts;
    return isAlive(facts.pid) ? facts : undefined;
  } catch {
    return undefined;
  }
}

function describe(facts: EnvironmentFacts): string {
  const lines = [`authority   ${facts.caFile}`];
  const { controlPlane, vault, asm, scaivault } = facts;
  if (controlPlane !== undefined)
    lines.push(`kubernetes  ${controlPlane.url}`, `kubeconfig  ${controlPlane.adminKubeconfig}`);
  if (vault !== undefined) lines.push(`vault       ${vault.url}`);
  if (asm !== undefined) lines.push(`aws         ${asm.url} (account ${asm.account})`);
  if (scaivault !== undefined) lines.push(`scaivault   ${scaivault.url}`);
  lines.push(`tokens      ${factsFile}`);
  return lines.join("\n");
}

function signalled(): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => resolve());
  });
}

async function start(without: readonly Part[], kubernetes: KubernetesChoice): Promise<number> {
  const running = readFacts();
  if (running !== undefined) {
    console.error(`An environment runs already (process ${running.pid}):\n${describe(running)}`);
    return 1;
  }
  const interrupted = signalled();
  let up = false;
  // During the start Ctrl-C ends this process; what it started ends with it.
  void interrupted.then(() => up || process.exit(130));
  const environment = await startEnvironment({ without, kubernetes, progress: streamProgress() });
  up = true;
  mkdirSync(dirname(factsFile), { recursive: true });
  writeFileSync(factsFile, `${JSON.stringify(environment.facts, null, 2)}\n`, { mode: 0o600 });
  console.log(`${describe(environment.facts)}\n\nCtrl-C ends it.`);
  try {
    await Promise.race([interrupted, environment.stopRequested]);
  } finally {
    rmSync(factsFile, { force: true });
    await environment.stop();
  }
  return 0;
}

async function stop(): Promise<number> {
  const facts = readFacts();
  if (facts === undefined) {
    console.log("No environment runs.");
    return 0;
  }
  await remoteObjects<HarnessObjects>(facts.harness).environment.stop();
  const gone = await waitFor(() => Promise.resolve(!isAlive(facts.pid)), 30_000);
  console.log(gone ? "Stopped." : `Process ${facts.pid} is still ending.`);
  return gone ? 0 : 1;
}

function status(): number {
  const facts = readFacts();
  console.log(facts === undefined ? "No environment runs." : describe(facts));
  return facts === undefined ? 1 : 0;
}

async function main(): Promise<number> {
  let command: string;
  let without: string[];
  let kubernetes: string;
  try {
    const parsed = parseArgs({
      allowPositionals: true,
      options: {
        without: { type: "string", multiple: true, default: [] },
        kubernetes: { type: "string", default: "newest" },
      },
    });
    without = parsed.values.without.flatMap((value) => value.split(","));
    kubernetes = parsed.values.kubernetes;
    if (!(kubernetesChoices as readonly string[]).includes(kubernetes)) throw new Error("kubernetes");
    command = parsed.positionals[0] ?? "start";
    if (parsed.positionals.length > 1 || !["start", "stop", "status"].includes(command)) throw new Error("command");
    if (without.some((name) => !(parts as readonly string[]).includes(name))) throw new Error("part");
  } catch {
    console.error(usage);
    return 2;
  }
  if (command === "stop") return stop();
  if (command === "status") return status();
  return start(without as Part[], kubernetes as KubernetesChoice);
}

main().then(
  (code) => process.exit(code),
  (error: unknown) => {
    console.error(error instanceof Error ? error.message : "failed");
    process.exit(1);
  },
);
