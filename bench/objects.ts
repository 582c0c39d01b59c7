/** The objects of a scenario: backends with their logins, and SecretSyncs. */
import { API_VERSION } from "../src/api/index.ts";
import { ownResources } from "../src/controllers/caches.ts";
import type { KubeObject } from "../src/runtime/index.ts";
import { each } from "./each.ts";
import type { Identity } from "./source.ts";
import { type BenchWorld, nameOf, scaivaultFolder } from "./world.ts";

function syncOf(world: BenchWorld, index: number, backend: string): KubeObject {
  const { namespace, settings, source } = world;
  const name = nameOf(index);
  const targets = {
    ...(settings.targets === "kubernetes" ? {} : { scaivault: { path: `${scaivaultFolder(namespace)}/${name}` } }),
    ...(settings.targets === "scaivault" ? {} : { kubernetesSecret: {} }),
  };
  const spec = { source: { backendRef: { name: backend }, path: `${source.prefix}/${name}` }, targets };
  const sync = { apiVersion: API_VERSION, kind: "SecretSync", metadata: { name, namespace }, spec };
  return sync;
}

/** Makes SecretSyncs `from` to `to - 1` that read from a backend. */
export async function createSyncs(
  world: BenchWorld,
  from: number,
  to: number,
  backend: string,
  update: (text: string) => void = () => undefined,
): Promise<void> {
  await each(to - from, 16, async (index) => {
    if (index % 100 === 0) update(String(index));
    await world.outside.client.create(ownResources.syncs, syncOf(world, from + index, backend));
  });
}

/** Makes a backend of a store identity; its login Secret `login-IDENTITY` is made with it. */
export async function createBackend(world: BenchWorld, name: string, identity: Identity): Promise<void> {
  const { cluster, namespace, settings, source } = world;
  const labels = { "scaivault.scailabs.ai/credential": "true" };
  const secretName = `login-${identity}`;
  const secret = { apiVersion: "v1", kind: "Secret", metadata: { name: secretName, namespace, labels } };
  const there = await cluster.find(`/api/v1/namespaces/${namespace}/secrets/${secretName}`);
  const { spec, login } = await source.backend(identity, secretName);
  await cluster.apply([
    // A second login would be another identity.
    ...(there === undefined ? [{ ...secret, stringData: login }] : []),
    {
      apiVersion: API_VERSION,
      kind: "FederationBackend",
      metadata: { name, namespace },
      spec: { ...spec, syncInterval: settings.interval },
    },
  ]);
}
