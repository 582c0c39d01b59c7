/** State as a release left it: taken from real parts into a file, and put back into real parts. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { waitFor } from "../../local/process.ts";
import { secretMetadata, API_VERSION } from "../../src/api/index.ts";
import { testEnvironment } from "../support/environment.ts";
import { Harness, type Kind, type KubeThing, type Manifest, pathTo, type SyncThing } from "../support/operator.ts";
import { awsSyncs, fillAws, flipped } from "./scenario.ts";

/** Marks are bound to cluster, namespace and key, so golden state has its own. */
export const goldenID = "golden";
/** Made up for these files; 32 bytes in Base64. */
const goldenKey = Buffer.from("a key of golden files, no secret", "utf8").toString("base64");

export interface Golden {
  readonly release: string;
  /** Key of the marks, as the file that the operator reads. */
  readonly key: string;
  readonly backends: readonly SyncThing[];
  readonly syncs: readonly SyncThing[];
  /** As applied by the operator's field manager. */
  readonly secrets: readonly Manifest[];
  readonly scaivault: readonly {
    readonly path: string;
    readonly version: number;
    readonly secretType: string;
    /** Source text of the data. */
    readonly data: string;
    readonly metadata: Readonly<Record<string, unknown>>;
  }[];
}

const fileOf = (release: string): string => join(import.meta.dirname, release, "golden.json");

export const readGolden = (release: string): Golden => JSON.parse(readFileSync(fileOf(release), "utf8")) as Golden;

/** An empty harness whose marks are those of golden files. */
export async function goldenHarness(): Promise<Harness<"team">> {
  // The name is always the same, and the namespace of a run before may still be going.
  const { kube } = testEnvironment();
  const path = `/api/v1/namespaces/team-${goldenID}`;
  if (!(await waitFor(async () => (await kube.request({ path })).status === 404, 60_000)))
    throw new Error(`${path} is still there`);
  const op = await Harness.prepare({ namespaces: ["team"], id: goldenID });
  writeFileSync(join(op.folder, "mark-key"), goldenKey);
  await fillAws(op);
  return op;
}

/** The release's own operator has copied everything: writes the file. */
export async function record(op: Harness<"team">, release: string): Promise<void> {
  const ns = op.ns.team;
  const marked = (await op.cluster.list("Secret", ns)).filter(
    ({ metadata }) => metadata.annotations?.[secretMetadata.markAnnotation] !== undefined,
  );
  const { admin } = op.scaivault.server;
  const golden: Golden = {
    release,
    key: goldenKey,
    backends: (await op.cluster.list<SyncThing>("FederationBackend", ns)).map((thing) =>
      stored(thing, "FederationBackend"),
    ),
    syncs: (await op.cluster.list<SyncThing>("SecretSync", ns)).map((thing) => stored(thing, "SecretSync")),
    secrets: marked.map(({ metadata: { name, labels = {}, annotations = {} }, type = "", data = {} }) => ({
      apiVersion: "v1",
      kind: "Secret" as const,
      metadata: { name, namespace: ns, labels, annotations },
      type,
      data,
    })),
    scaivault: admin.paths().flatMap((path) => {
      const found = admin.peek(path);
      if (found === undefined) return [];
      const { version, secretType, data, metadata } = found;
      return [{ path, version, secretType, data, metadata }];
    }),
  };
  writeFileSync(fileOf(release), `${JSON.stringify(golden, null, 2)}\n`);
}

/** What a backup of an object has: no uid, no managed fields. */
function stored(thing: SyncThing, kind: Kind): SyncThing {
  const { name, namespace = "", finalizers } = thing.metadata;
  const metadata = { name, namespace, ...(finalizers === undefined ? {} : { finalizers }) };
  return { apiVersion: API_VERSION, kind, metadata, spec: thing.spec, status: thing.status } as unknown as SyncThing;
}

/** Puts golden state into the stores, as if the release had just been stopped. */
export async function restore(op: Harness<"team">, golden: Golden): Promise<void> {
  const ns = op.ns.team;
  for (const { path, data, secretType, metadata } of golden.scaivault) {
    const rest = JSON.stringify({ secret_type: secretType, metadata }).slice(1);
    op.scaivault.server.admin.writeText(path, `{"data":${data},${rest}`);
  }
  for (const secret of golden.secrets)
    await op.env.kube.apply(pathTo("Secret", ns, secret.metadata.name), secret, "scaivault-operator");
  await op.awsBackend(ns);
  for (const thing of [...golden.backends, ...golden.syncs]) {
    const { status, ...object } = thing as SyncThing & KubeThing;
    const path = pathTo(object.kind as Kind, ns, object.metadata.name);
    await op.env.kube.apply(path, object);
    const { apiVersion, kind, metadata } = object;
    const { name, namespace } = metadata;
    const body = { apiVersion, kind, metadata: { name, namespace }, status };
    await op.env.kube.apply(`${path}/status`, body, "scaivault-operator-status");
  }
}

/** The scenario's objects, with the authority of one moved to ScaiVault. */
export async function copyAll(op: Harness<"team">): Promise<void> {
  const ns = op.ns.team;
  const real = { virtualMs: 0, timeoutMs: 60_000 };
  await op.awsBackend(ns);
  const objects = awsSyncs(ns);
  await op.cluster.apply(...objects);
  for (const { metadata } of objects) await op.ready(ns, metadata.name, real);
  await op.cluster.apply(flipped(ns));
  const moved = async () => (await op.cluster.sync(ns, "flipped"))?.status?.effective?.authority === "ScaiVault";
  await op.waitFor("authority is in ScaiVault", moved, real.timeoutMs);
  await op.ready(ns, "flipped", real);
}
