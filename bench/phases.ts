/** What the phases of scenarios do that set the stage, and the plain ones that are measured. */
import { installChart, operatorConfig, prepareOperator } from "../local/quickstart/chart.ts";
import type { World } from "../local/quickstart/world.ts";
import { parseDuration } from "../src/api/index.ts";
import { measureFloor } from "./floor.ts";
import { createBackend, createSyncs } from "./objects.ts";
import { backendName } from "./outside.ts";
import { round } from "./percentiles.ts";
import type { PhaseName } from "./scenarios.ts";
import { scaivaultLatencyMs } from "./source.ts";
import { trials } from "./trials.ts";
import { type BenchWorld, say, scaivaultFolder, startProcess, width } from "./world.ts";

async function seed(world: BenchWorld): Promise<void> {
  const { settings, source } = world;
  await say(world, `${settings.size} secrets in the store`, (update) => source.seed(0, settings.size, update));
}

/** The quickstart's world, for its chart functions. */
function chartWorld(world: BenchWorld): World {
  const { namespace, settings, stores, source } = world;
  const paths = [`${scaivaultFolder(namespace)}/**`];
  const base = operatorConfig(stores, { namespace, paths });
  const config = {
    ...base,
    tenancy: [
      { namespaces: [namespace], scaivault: { read: paths, write: paths }, endpoints: Object.keys(source.endpoints) },
    ],
    endpointOverrides: { ...(base["endpointOverrides"] as object), ...source.endpoints },
    budgets: { objects: Math.max(1000, settings.size * 3) },
  };
  return {
    ...world,
    examples: "",
    values: {
      cluster: { name: "bench" },
      ...(world.shared === true ? { watchNamespaces: [namespace] } : {}),
      config,
      credentialNamespaces: [{ namespace, secretNames: ["login-store", "login-other"] }],
    },
  };
}

async function install(world: BenchWorld): Promise<void> {
  const { cluster, namespace, operatorNamespace, stores, source } = world;
  await say(world, "helm install", async () => {
    const namespaces = [operatorNamespace, namespace].map((name) => ({
      apiVersion: "v1",
      kind: "Namespace",
      metadata: { name },
    }));
    await cluster.apply(namespaces);
    const pattern = { path_pattern: `${scaivaultFolder(namespace)}/**` };
    const scaivault = stores.scaivault.admin.createClient({
      identity: `sa:${namespace}`,
      scopes: ["secrets:read", "secrets:list", "secrets:write"],
      rules: [{ ...pattern, permissions: ["read", "list", "write"] }],
    });
    await installChart(chartWorld(world), { scaivault });
    source.slow();
    stores.scaivault.admin.inject({ action: { kind: "latency", ms: scaivaultLatencyMs } });
    world.operator = await prepareOperator(chartWorld(world));
    await world.outside.start();
  });
}

async function declare(world: BenchWorld): Promise<void> {
  await say(world, `${world.settings.size} SecretSyncs`, async (update) => {
    await createBackend(world, backendName, "store");
    await createSyncs(world, 0, world.settings.size, backendName, update);
  });
}

async function start(world: BenchWorld): Promise<void> {
  world.outside.polls.mark();
  await say(world, "operator, with the chart's ServiceAccount", () => startProcess(world));
}

/** Waits until each SecretSync is Ready at its generation. */
async function ready(world: BenchWorld): Promise<void> {
  const { outside, settings } = world;
  await say(world, "first copies", async (update) => {
    const done = (): boolean => {
      update(`${outside.inSync} of ${settings.size} Ready`);
      return outside.inSync >= settings.size;
    };
    // ScaiVault takes 100 writes a minute; and as long again.
    const eachMs = settings.targets === "kubernetes" ? 60 : 1_200;
    const late = (): string => `Only ${outside.inSync} of ${settings.size} became Ready.`;
    await outside.until(done, 180_000 + settings.size * eachMs, late);
  });
  outside.polls.mark();
}

/** The backend's status counts everybody as in sync: nothing of the first copies is left to be written. */
async function settled(world: BenchWorld): Promise<void> {
  const { outside, settings } = world;
  const done = (): boolean => outside.counts(backendName).inSync >= settings.size;
  await say(world, "counts of the backend", () => outside.until(done, 60_000, () => "The counts did not settle."));
}

/** The first poll that ends after the phase before it began (`ready`, `restart`), after the poll before, or after counting began. */
async function poll(world: BenchWorld): Promise<void> {
  const intervalMs = parseDuration(world.settings.interval) ?? 0;
  await say(world, "end of a poll", () => world.outside.polls.ended(intervalMs * 2 + 60_000));
}

/** Ends the operator in order and starts it again, with the same files. */
async function restart(world: BenchWorld): Promise<void> {
  // Its first poll may end before it is seen to be up.
  world.outside.polls.mark();
  await say(world, "restart of the operator", async () => {
    await world.operator?.stop();
    await startProcess(world);
  });
}

/** Ends the operator and does the same writes without it. */
async function floor(world: BenchWorld): Promise<void> {
  await say(world, "the same writes without an operator", async () => {
    await world.operator?.stop();
    const { controlPlane, outside, namespace, figures } = world;
    const { seconds, cpuSeconds, writes } = await measureFloor(controlPlane, outside.client, namespace, width);
    Object.assign(figures, {
      floorSeconds: round(seconds),
      floorCpuSeconds: round(cpuSeconds),
      floorWrites: writes,
    });
  });
}

/** Phases by name. */
export const phases: Readonly<Record<PhaseName, (world: BenchWorld) => Promise<void>>> = {
  seed,
  install,
  declare,
  start,
  ready,
  settled,
  poll,
  restart,
  floor,
  ...trials,
};
