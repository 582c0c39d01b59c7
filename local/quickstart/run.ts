/** The quickstart's steps in their order, from empty stores to a rotated value. */
import type { Replica } from "../deployment.ts";
import { installChart, makeNamespace, prepareOperator, startOperator } from "./chart.ts";
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
}

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
  const seeded = (run.seeded = await step(progress, "secrets and logins in the stores", () =>
    seedStores(world.stores),
  ));
  const manifests = (run.manifests = readExamples(world));
  const operator = await step(progress, `helm install ${world.release}`, async () => {
    await makeNamespace(world, world.operatorNamespace, options.mayExist);
    await makeNamespace(world, namespace, options.mayExist);
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

/** Takes away what a run made in a cluster that stays: objects, release, namespaces. CRDs stay, as helm leaves them. */
export async function removeFromCluster(world: World): Promise<void> {
  const { cluster, release, operatorNamespace } = world;
  const gone = ["--ignore-not-found", "--timeout=60s"];
  await cluster
    .kubectl(["-n", namespace, "delete", "secretsyncs,federationbackends", "--all", ...gone])
    .catch(() => "");
  await cluster.helm(["uninstall", release, "-n", operatorNamespace, "--ignore-not-found"]).catch(() => "");
  await cluster.kubectl(["delete", "namespace", namespace, operatorNamespace, ...gone]).catch(() => "");
}
