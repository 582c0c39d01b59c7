/** What the phases of scenarios do. */
import { randomBytes } from "node:crypto";
import { CreateSecretCommand, SecretsManagerClient } from "@aws-sdk/client-secrets-manager";
import { installChart, operatorConfig, prepareOperator, startOperator } from "../local/quickstart/chart.ts";
import { step, type World } from "../local/quickstart/world.ts";
import { parseDuration } from "../src/api/index.ts";
import type { PhaseName } from "./scenarios.ts";
import { backendName, type BenchWorld } from "./world.ts";

/** Name of the secret in the store; the same for the SecretSync. */
const nameOf = (index: number): string => `secret-${String(index).padStart(5, "0")}`;
const folder = "prod/bench";
const scaivaultPath = (world: BenchWorld): string => `environments/bench/${world.namespace}`;

/** Does `work` for each number below `size`, `width` at a time. */
async function each(size: number, width: number, work: (index: number) => Promise<void>): Promise<void> {
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < size) await work(next++);
  };
  await Promise.all(Array.from({ length: width }, worker));
}

function say(world: BenchWorld, name: string, work: (update: (text: string) => void) => Promise<void>): Promise<void> {
  return step(world.progress, name, work);
}

const value = (): { username: string; password: string } => ({
  username: "bench",
  password: `local-${randomBytes(16).toString("hex")}`,
});

async function seed(world: BenchWorld): Promise<void> {
  const { size, backend } = world.settings;
  await say(world, `${size} secrets in the store`, async (update) => {
    const shown = (index: number): void => void (index % 100 === 0 && update(String(index)));
    if (backend === "vault") {
      const { vault } = world.stores;
      if (vault === undefined) throw new Error("There is no Vault in this environment.");
      await vault.enableKv(world.vaultMount, 2);
      await each(size, 8, async (index) => {
        shown(index);
        await vault.put(world.vaultMount, `${folder}/${nameOf(index)}`, value());
      });
      return;
    }
    const client = new SecretsManagerClient({
      region: "us-east-1",
      endpoint: world.stores.asm.url,
      credentials: { accessKeyId: "AKIALOCALSEEDER00000", secretAccessKey: "local" },
    });
    await each(size, 8, async (index) => {
      shown(index);
      const SecretString = JSON.stringify(value());
      await client.send(new CreateSecretCommand({ Name: `${folder}/${nameOf(index)}`, SecretString }));
    });
    client.destroy();
  });
}

/** The quickstart's world, for its chart functions. */
function chartWorld(world: BenchWorld): World {
  const { namespace, settings, stores } = world;
  const tenant = { namespace, paths: [`${scaivaultPath(world)}/**`] };
  return {
    ...world,
    examples: "",
    values: {
      cluster: { name: "bench" },
      config: { ...operatorConfig(stores, tenant), budgets: { objects: Math.max(1000, settings.size) } },
      credentialNamespaces: [{ namespace, secretNames: ["login"], configMapNames: ["vault-ca"] }],
    },
  };
}

async function install(world: BenchWorld): Promise<void> {
  const { cluster, namespace, operatorNamespace, stores } = world;
  await say(world, "helm install", async () => {
    const namespaces = [operatorNamespace, namespace].map((name) => ({
      apiVersion: "v1",
      kind: "Namespace",
      metadata: { name },
    }));
    await cluster.apply(namespaces);
    const scaivault = stores.scaivault.admin.createClient({
      identity: `sa:${namespace}`,
      scopes: ["secrets:read", "secrets:list", "secrets:write"],
      rules: [{ path_pattern: `${scaivaultPath(world)}/**`, permissions: ["read", "list", "write"] }],
    });
    await installChart(chartWorld(world), { scaivault });
  });
}

/** The backend with its login. */
async function backendObjects(world: BenchWorld): Promise<object[]> {
  const { namespace, settings, stores, vaultMount } = world;
  const labels = { "scaivault.scailabs.ai/credential": "true" };
  const made = (spec: object, stringData: object): object[] => [
    { apiVersion: "v1", kind: "Secret", metadata: { name: "login", namespace, labels }, stringData },
    {
      apiVersion: "scaivault.scailabs.ai/v1alpha1",
      kind: "FederationBackend",
      metadata: { name: backendName, namespace },
      spec: { ...spec, syncInterval: settings.interval },
    },
  ];
  const secretRef = { name: "login" };
  if (settings.backend === "asm")
    return made(
      { type: "aws-secrets-manager", awsSecretsManager: { region: "us-east-1", auth: { secretRef } } },
      { access_key_id: "AKIALOCALBENCH000000", secret_access_key: "local" },
    );
  const vault = stores.vault as NonNullable<typeof stores.vault>;
  await vault.writePolicy(
    vaultMount,
    `path "${vaultMount}/data/*" { capabilities = ["read"] }\npath "${vaultMount}/metadata/*" { capabilities = ["read", "list"] }`,
  );
  const role = await vault.createAppRole({ name: vaultMount, policies: [vaultMount] });
  const hashicorpVault = {
    address: "https://vault.internal:8200",
    caRef: { kind: "ConfigMap", name: "vault-ca", key: "ca.crt" },
    auth: { appRole: { secretRef } },
  };
  return [
    {
      apiVersion: "v1",
      kind: "ConfigMap",
      metadata: { name: "vault-ca", namespace, labels },
      data: { "ca.crt": stores.ca },
    },
    ...made({ type: "hashicorp-vault", hashicorpVault }, { role_id: role.roleId, secret_id: role.secretId }),
  ];
}

async function declare(world: BenchWorld): Promise<void> {
  const { cluster, namespace, settings, vaultMount } = world;
  const prefix = settings.backend === "vault" ? `${vaultMount}/${folder}` : folder;
  const objects = Array.from({ length: settings.size }, (_, index) => ({
    apiVersion: "scaivault.scailabs.ai/v1alpha1",
    kind: "SecretSync",
    metadata: { name: nameOf(index), namespace },
    spec: {
      source: { backendRef: { name: backendName }, path: `${prefix}/${nameOf(index)}` },
      targets: { scaivault: { path: `${scaivaultPath(world)}/${nameOf(index)}` }, kubernetesSecret: {} },
    },
  }));
  await say(world, `kubectl apply, ${settings.size} SecretSyncs`, async (update) => {
    await cluster.apply(await backendObjects(world));
    world.polls.follow(cluster, namespace);
    const chunk = 200;
    for (let at = 0; at < objects.length; at += chunk) {
      update(String(at));
      await cluster.apply(objects.slice(at, at + chunk));
    }
  });
}

async function start(world: BenchWorld): Promise<void> {
  await say(world, "operator, with the chart's ServiceAccount", async () => {
    const operator = (world.operator = await prepareOperator(chartWorld(world)));
    await startOperator(chartWorld(world), operator);
  });
}

/** Waits until each SecretSync is Ready at its generation. The first copy is bound by ScaiVault's write limit. */
async function ready(world: BenchWorld): Promise<void> {
  const { cluster, namespace, settings } = world;
  const template = '{.metadata.name}|{.status.conditions[?(@.type=="Ready")].status}';
  const resource = "secretsyncs.scaivault.scailabs.ai";
  const stop = new AbortController();
  await say(world, "first copies", async (update) => {
    const done = new Set<string>();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const look = (line: string): void => {
      const [name = "", status] = line.split("|");
      if (status === "True") done.add(name);
      else done.delete(name);
      update(`${done.size} of ${settings.size} Ready`);
      if (done.size === settings.size) resolve();
    };
    cluster.follow({ namespace, resource, template }, look, stop.signal);
    // 100 writes a minute, and as long again.
    const limitMs = 180_000 + settings.size * 1_200;
    const late = setTimeout(() => reject(new Error(`Only ${done.size} of ${settings.size} became Ready.`)), limitMs);
    await promise.finally(() => {
      clearTimeout(late);
      stop.abort();
    });
  });
}

async function poll(world: BenchWorld): Promise<void> {
  const intervalMs = parseDuration(world.settings.interval) ?? 0;
  await say(world, "end of a poll", () => world.polls.next(intervalMs * 2 + 60_000));
}

/** Ends the operator in order and starts it again, with the same files. */
async function restart(world: BenchWorld): Promise<void> {
  await say(world, "restart of the operator", async () => {
    await world.operator?.stop();
    await world.operator?.start();
  });
}

/** Phases by name. */
export const phases: Readonly<Record<PhaseName, (world: BenchWorld) => Promise<void>>> = {
  seed,
  install,
  declare,
  start,
  ready,
  poll,
  restart,
};
