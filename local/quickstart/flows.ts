/** What went where: read from the stores and the cluster, never from what was intended. */
import type { Manifest } from "./examples.ts";
import type { Seed } from "./stores.ts";
import { namespace, QuickstartFailed, type World } from "./world.ts";

/** One secret on its way. There are no values in it. */
export interface Flow {
  readonly sync: string;
  readonly store: Seed["store"];
  readonly source: { readonly path: string; readonly version: string };
  readonly scaivault: { readonly path: string; readonly version: number } | undefined;
  readonly secret: { readonly name: string; readonly keys: readonly string[] } | undefined;
}

/** The secrets that a manifest is about, with the path below its subtree (`undefined` for a single one). */
function selected(manifest: Manifest, seeds: readonly Seed[]): { seed: Seed; below: string | undefined }[] {
  const { path, subtree } = manifest.spec.source ?? {};
  if (path !== undefined) return seeds.filter((seed) => seed.path === path).map((seed) => ({ seed, below: undefined }));
  const base = (subtree ?? "").replace(/\*\*$/, "");
  const inside = seeds.filter((seed) => base !== "" && seed.path.startsWith(base));
  return inside.map((seed) => ({ seed, below: seed.path.slice(base.length) }));
}

/** Where a manifest puts a secret. */
function places(manifest: Manifest, below: string | undefined) {
  const { scaivault, kubernetesSecret } = manifest.spec.targets ?? {};
  const template = kubernetesSecret?.nameTemplate ?? "{path}";
  const name =
    below === undefined
      ? (kubernetesSecret?.name ?? manifest.metadata.name)
      : template.replaceAll("{path}", below.replaceAll("/", "-")).replaceAll("{name}", below.split("/").at(-1) ?? "");
  return {
    scaivault: scaivault?.path.replace(/\*\*$/, below ?? "**"),
    secret: kubernetesSecret === undefined ? undefined : name,
  };
}

/** The data of a Secret of the examples' namespace, decoded. */
export async function secretData({ cluster }: World, name: string): Promise<Record<string, string> | undefined> {
  const found = await cluster.find<{ data?: Record<string, string> }>(
    `/api/v1/namespaces/${namespace}/secrets/${name}`,
  );
  if (found === undefined) return undefined;
  const decoded = Object.entries(found.data ?? {}).map(([key, text]) => [key, Buffer.from(text, "base64").toString()]);
  return Object.fromEntries(decoded) as Record<string, string>;
}

/** Whether ScaiVault holds exactly what the source holds. */
export function sameInScaiVault(world: World, path: string, seed: Seed): boolean {
  const stored = world.stores.scaivault.admin.peek(path);
  if (stored === undefined || stored.deleted) return false;
  const data = JSON.parse(stored.data) as Record<string, unknown>;
  const keys = Object.keys(seed.data);
  return Object.keys(data).length === keys.length && keys.every((key) => data[key] === seed.data[key]);
}

/**
 * Looks at both targets of every secret and compares them with the source.
 * @throws QuickstartFailed when a target is missing or differs
 */
export async function readFlows(world: World, manifests: readonly Manifest[], seeds: readonly Seed[]): Promise<Flow[]> {
  const flows: Flow[] = [];
  for (const manifest of manifests.filter(({ kind }) => kind === "SecretSync")) {
    for (const { seed, below } of selected(manifest, seeds)) flows.push(await readFlow(world, manifest, seed, below));
  }
  return flows;
}

async function readFlow(world: World, manifest: Manifest, seed: Seed, below: string | undefined): Promise<Flow> {
  const where = places(manifest, below);
  let scaivault: Flow["scaivault"];
  let secret: Flow["secret"];
  if (where.scaivault !== undefined) {
    if (!sameInScaiVault(world, where.scaivault, seed))
      throw new QuickstartFailed(`ScaiVault's ${where.scaivault} does not hold what ${seed.path} holds.`);
    scaivault = { path: where.scaivault, version: world.stores.scaivault.admin.peek(where.scaivault)?.version ?? 0 };
  }
  if (where.secret !== undefined) {
    const data = await secretData(world, where.secret);
    const known = new Set(Object.values(seed.data));
    if (data === undefined || Object.values(data).some((value) => !known.has(value)))
      throw new QuickstartFailed(`Secret ${where.secret} does not hold what ${seed.path} holds.`);
    secret = { name: where.secret, keys: Object.keys(data).toSorted() };
  }
  return {
    sync: manifest.metadata.name,
    store: seed.store,
    source: { path: seed.path, version: seed.version },
    scaivault,
    secret,
  };
}
