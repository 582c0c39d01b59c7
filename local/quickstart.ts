/**
 * `npm run quickstart -- [--once] [--context NAME] [--without vault] [--json]`: secrets from AWS Secrets Manager and Vault
 * arrive in ScaiVault and in Kubernetes Secrets, on this machine, with nothing to set up by hand.
 */
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { basename, delimiter, dirname, join } from "node:path";
import { parseArgs } from "node:util";
import { bundle } from "../scripts/build.ts";
import { ensureBinaries } from "./binaries.ts";
import { openCluster, type Cluster } from "./cluster.ts";
import { startEnvironment, type Environment, type Part } from "./environment.ts";
import { localFolder, repositoryRoot } from "./paths.ts";
import { streamProgress, type Progress } from "./progress.ts";
import { flowTable, nextSteps, rotationText, styleFor } from "./quickstart/report.ts";
import { newRun, removeFromCluster, runQuickstart, type Run } from "./quickstart/run.ts";
import { QuickstartFailed, step, type Stores, type World } from "./quickstart/world.ts";
import { vaultClient } from "./vault-client.ts";

interface Options {
  readonly once: boolean;
  readonly context: string | undefined;
  readonly withoutVault: boolean;
  readonly json: boolean;
}

const usage = "usage: npm run quickstart -- [--once] [--context NAME] [--without vault] [--json]";

function readOptions(): Options | undefined {
  try {
    const { values } = parseArgs({
      options: {
        once: { type: "boolean", default: false },
        context: { type: "string" },
        without: { type: "string", multiple: true, default: [] },
        json: { type: "boolean", default: false },
      },
    });
    const without = values.without.flatMap((value) => value.split(","));
    if (without.some((part) => part !== "vault")) return undefined;
    return { once: values.once, context: values.context, withoutVault: without.length > 0, json: values.json };
  } catch {
    return undefined;
  }
}

/** Everything that was started, so that one place ends it. */
interface Session {
  environment?: Environment;
  world?: World;
  readonly run: Run;
}

const lastLog = join(localFolder, "quickstart-operator.log");
const release = "scaivault-operator";
const entry = join(repositoryRoot, "src", "main.ts");

async function openWorld(options: Options, progress: Progress, session: Session): Promise<World> {
  const without: Part[] = [
    ...(options.withoutVault ? (["vault"] as const) : []),
    ...(options.context === undefined ? [] : (["control-plane"] as const)),
  ];
  const environment = (session.environment = await startEnvironment({ without, progress }));
  const cluster = await clusterOf(options, environment, progress);
  const { asm, scaivault, facts } = environment;
  if (asm === undefined || scaivault === undefined) throw new Error("The environment lacks a store.");
  const stores: Stores = {
    asm,
    vault: facts.vault === undefined ? undefined : vaultClient(facts.vault),
    scaivault: scaivault.server,
    ca: readFileSync(facts.caFile, "utf8"),
  };
  const folder = mkdtempSync(join(localFolder, `run-${process.pid}-operator-`));
  const app = join(folder, "app");
  await step(progress, "operator bundle", () => bundle({ entry, outfile: join(app, "operator.mjs") }));
  return (session.world = {
    cluster,
    stores,
    release,
    operatorNamespace: namespaceFor(options),
    examples: join(repositoryRoot, "examples", "quickstart"),
    bundle: app,
    folder,
    progress,
  });
}

async function clusterOf(options: Options, environment: Environment, progress: Progress): Promise<Cluster> {
  const binaries = await ensureBinaries(["kubectl", "helm"], { progress });
  const path = (name: "kubectl" | "helm"): string => binaries.get(name)?.path ?? name;
  const programs = { kubectl: path("kubectl"), helm: path("helm") };
  const local = environment.facts.controlPlane;
  if (local !== undefined) return openCluster({ ...programs, kubeconfig: local.adminKubeconfig });
  const cluster = openCluster({ ...programs, ...(options.context === undefined ? {} : { context: options.context }) });
  await refuseOtherOperator(cluster);
  return cluster;
}

/** In a cluster that stays, not the namespace that an install by the book has. */
const namespaceFor = ({ context }: Options): string =>
  context === undefined ? "scaivault-operator" : "scaivault-quickstart";

/** Two operators without a common key would work on the same objects. */
async function refuseOtherOperator(cluster: Cluster): Promise<void> {
  const template = '{range .items[*]}{.metadata.namespace}/{.metadata.name}{"\\n"}{end}';
  const label = "app.kubernetes.io/name=scaivault-operator";
  const found = await cluster.kubectl(["get", "deployments", "-A", "-l", label, "-o", `jsonpath=${template}`]);
  const others = found.split("\n").filter((name) => name !== "" && !name.startsWith("scaivault-quickstart/"));
  if (others.length === 0) return;
  throw new QuickstartFailed(
    `The cluster already has an operator: ${others.join(", ")}. Both would work on the same objects.`,
    "Use another cluster, or the local control plane (leave --context out).",
  );
}

async function end({ environment, world, run }: Session, options: Options): Promise<void> {
  run.seeded?.close();
  await run.operator?.stop();
  if (world !== undefined && options.context !== undefined) {
    await step(world.progress, `removing what was made in ${options.context}`, () => removeFromCluster(world, run));
  }
  await environment?.stop();
  if (world !== undefined) rmSync(world.folder, { recursive: true, force: true });
}

/** The log outlives the run's folder, so that a failure can be looked into. @returns its path */
function keepLog({ run }: Session): string | undefined {
  const log = run.operator?.program.logFile;
  if (log === undefined) return undefined;
  try {
    mkdirSync(localFolder, { recursive: true });
    copyFileSync(log, lastLog);
    return lastLog;
  } catch {
    return undefined;
  }
}

function printFailure(error: unknown, log: string | undefined): void {
  const style = styleFor(process.stderr);
  const message = error instanceof Error ? error.message : "failed";
  console.error(`\n${style.bad("The quickstart did not come to its end.")}\n${message}`);
  if (error instanceof QuickstartFailed && error.hint !== undefined) console.error(`What to do: ${error.hint}`);
  if (log !== undefined) console.error(`The operator's log: ${log}`);
}

/** Resolves at Ctrl-C, or when the operator ended by itself. */
async function untilStopped(interrupted: Promise<void>, session: Session): Promise<number> {
  const { promise: ended, resolve } = Promise.withResolvers<"ended">();
  const look = setInterval(() => void (session.run.operator?.program.running === false && resolve("ended")), 1_000);
  const why = await Promise.race([interrupted.then(() => "interrupted" as const), ended]);
  clearInterval(look);
  if (why === "interrupted") return 0;
  printFailure(new QuickstartFailed("The operator ended by itself."), keepLog(session));
  return 1;
}

async function main(options: Options): Promise<number> {
  const progress = streamProgress();
  const session: Session = { run: newRun() };
  const interrupted = new Promise<void>((resolve) => {
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => resolve());
  });
  const style = styleFor(process.stdout);
  progress.note(
    "Everything runs on this machine: no account is needed, nothing leaves it. The first time binaries are built, which takes about twenty minutes.",
  );
  const work = (async () => {
    const world = await openWorld(options, progress, session);
    return await runQuickstart(world, session.run, { mayExist: options.context === undefined });
  })();
  try {
    const outcome = await Promise.race([work, interrupted.then(() => undefined)]);
    if (outcome === undefined) {
      // What is being started right now ends with this process.
      work.catch(() => undefined);
      return 130;
    }
    const kubeconfig = session.environment?.facts.controlPlane?.adminKubeconfig;
    if (options.json) console.log(JSON.stringify({ ...outcome, ...(kubeconfig === undefined ? {} : { kubeconfig }) }));
    else console.log(`\n${flowTable(outcome.flows, style)}\n\n${rotationText(outcome.rotation, style)}`);
    if (options.once) return 0;
    if (!options.json)
      console.log(`\n${nextSteps(kubectlText(options, session), kubeconfig, style)}\n\nCtrl-C ends everything.`);
    return await untilStopped(interrupted, session);
  } catch (error) {
    printFailure(error, keepLog(session));
    return 1;
  } finally {
    await end(session, options);
  }
}

/** kubectl as people can type it: the one that is used may not be on their PATH. */
function kubectlText(options: Options, { world }: Session): string {
  const used = world?.cluster.options.kubectl ?? "kubectl";
  const onPath = (process.env["PATH"] ?? "").split(delimiter).includes(dirname(used));
  const kubectl = onPath ? basename(used) : used;
  return options.context === undefined ? kubectl : `${kubectl} --context ${options.context}`;
}

const options = readOptions();
if (options === undefined) {
  console.error(usage);
  process.exit(2);
}
main(options).then(
  (code) => process.exit(code),
  (error: unknown) => {
    printFailure(error, undefined);
    process.exit(1);
  },
);
