/** The quickstart's steps in their order, from empty stores to a rotated value. */
import type { Replica } from "../deployment.ts";
import { installChart, isOurs, makeNamespace, prepareOperator, startOperator } from "./chart.ts";
import { applyExamples, makeCredentials, readExamples, waitReady, type Manifest } from "./examples.ts";
import { readFlows, type Flow } from "./flows.ts";
import { rotate, type Rotation } from "./rotation.ts";
import { seedStores, type Seeded } from "./stores.ts";
import { namespace, step, type World } from "./world.ts";

/** What the run found. */
export interface Outcome {
  readonly flows: readonly Flow[];
  readonly rotation: Rotation;
}

/** A run under way; `operator` is there as soon as it is prepared, also when a later step fails. */
export interface Run {
  operator?: Replica;
  seeded?: Seeded;
  manifests?: readonly Manifest[];
  /** Namespaces that this run made, or an earlier one that did not come to its end. */
  readonly namespaces: string[];
  /** The chart is (being) installed. */
  installing?: boolean;
}

/** A run that has done nothing yet. */
export const newRun = (): Run => ({ namespaces: [] });

/** What may already be there. */
export interface RunOptions {
  /** Namespaces that the quickstart did not make may be used: the cluster is its own. */
  readonly mayExist: boolean;
}

/**
 * Does all of it. The operator runs on afterwards: the caller ends `run.operator`.
 * @param run filled as it goes
 * @throws QuickstartFailed, ProgramFailed, CommandFailed
 */
export async function runQuickstart(world: World, run: Run, options: RunOptions): Promise<Outcome> {
  const { progress } = world;
  for (const name of [world.operatorNamespace, namespace])
    if (await makeNamespace(world.cluster, name, options.mayExist)) run.namespaces.push(name);
  const seeded = (run.seeded = await step(progress, "secrets and logins in the stores", () =>
    seedStores(world.stores, world.rights),
  ));
  const manifests = (run.manifests = readExamples(world));
  const operator = await step(progress, `helm install ${world.release}`, async () => {
    run.installing = true;
    await installChart(world, seeded.logins);
    return (run.operator = await prepareOperator(world));
  });
  await step(progress, "operator, with the chart's ServiceAccount", () => startOperator(world, operator));
  await step(progress, `kubectl apply, ${manifests.length} objects`, async (say) => {
    await makeCredentials(world, seeded.logins);
    await applyExamples(world, manifests);
    await waitReady(world, manifests, say);
  });
  const flows = await readFlows(world, manifests, seeded.seeds);
  const rotation = await step(progress, "rotation of one value", () => rotate(world, seeded));
  return { flows, rotation };
}

/**
 * Takes away what a run made in a cluster that stays: objects, release, namespaces. Namespaces of others are left alone with
 * all that is in them, and so are CRDs, as with every `helm uninstall`.
 */
export async function removeFromCluster(world: World, run: Run): Promise<void> {
  const { cluster, release, operatorNamespace } = world;
  const gone = ["--ignore-not-found", "--timeout=60s"];
  const own: string[] = [];
  for (const name of run.namespaces) if ((await isOurs(cluster, name)) === true) own.push(name);
  if (own.includes(namespace))
    await cluster
      .kubectl(["-n", namespace, "delete", "secretsyncs,federationbackends", "--all", ...gone])
      .catch(() => "");
  if (run.installing === true)
    await cluster.helm(["uninstall", release, "-n", operatorNamespace, "--ignore-not-found"]).catch(() => "");
  if (own.length > 0) await cluster.kubectl(["delete", "namespace", ...own, ...gone]).catch(() => "");
}
