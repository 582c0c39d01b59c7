/**
 * The floor: what the API server takes for the same writes when nobody thinks in between. A bare loop of one server-side
 * apply of a Secret and one of a SecretSync's status for each object, over one connection pool, with the bodies that the
 * operator sent.
 */
import { randomUUID } from "node:crypto";
import { Pool } from "undici";
import type { ControlPlaneClient } from "../local/control-plane-client.ts";
import { readFileSync } from "node:fs";
import { API_VERSION, fieldManagers } from "../src/api/index.ts";
import { ownResources } from "../src/controllers/caches.ts";
import { accept, type KubeClient, type KubeObject, pathOf, resources } from "../src/runtime/index.ts";
import { systemClock } from "../src/time/clock.ts";
import { each } from "./each.ts";

/** What the loop took. */
export interface Floor {
  readonly seconds: number;
  /** Processor time of the loop's own process. */
  readonly cpuSeconds: number;
  readonly writes: number;
}

interface Copied extends KubeObject {
  readonly type?: string;
  readonly data?: object;
  readonly spec?: object | undefined;
  readonly status?: object;
}

interface Write {
  readonly path: string;
  readonly body: string;
}

const query = (manager: string, force: boolean): string =>
  `?fieldManager=${encodeURIComponent(manager)}${force ? "&force=true" : ""}`;

function secretWrite(secret: Copied, namespace: string): Write {
  const { name, labels, annotations } = secret.metadata;
  return {
    path: pathOf(resources.secrets, { namespace, name }) + query(fieldManagers.secrets, false),
    body: JSON.stringify({
      apiVersion: "v1",
      kind: "Secret",
      metadata: { name, namespace, labels, annotations, resourceVersion: "1" },
      type: secret.type,
      data: secret.data,
    }),
  };
}

function statusWrite(sync: Copied, uid: string | undefined, namespace: string): Write {
  const { name } = sync.metadata;
  const path = pathOf(ownResources.syncs, { namespace, name, subresource: "status" });
  const metadata = { name, namespace, uid };
  return {
    path: path + query(fieldManagers.status, true),
    body: JSON.stringify({ apiVersion: API_VERSION, kind: "SecretSync", metadata, status: sync.status }),
  };
}

/** The same SecretSyncs without status, in a namespace of their own. @returns the two writes for each */
async function prepare(client: KubeClient, from: string, into: string, width: number): Promise<[Write, Write][]> {
  await client.create(resources.namespaces, { metadata: { name: into } });
  const secrets = new Map(
    (await client.list<Copied>(resources.secrets, { namespace: from })).items.map((one) => [one.metadata.name, one]),
  );
  const syncs = (await client.list<Copied>(ownResources.syncs, { namespace: from })).items;
  const pairs: [Write, Write][] = [];
  await each(syncs.length, width, async (index) => {
    const sync = syncs[index] as Copied;
    const { name } = sync.metadata;
    const secret = secrets.get(name);
    if (secret === undefined) throw new Error(`SecretSync ${name} has no Secret: the floor needs both.`);
    const object = {
      apiVersion: API_VERSION,
      kind: "SecretSync",
      metadata: { name, namespace: into },
      spec: sync.spec,
    };
    const made = await client.create<Copied>(ownResources.syncs, object);
    pairs.push([secretWrite(secret, into), statusWrite(sync, made.metadata.uid, into)]);
  });
  return pairs;
}

/**
 * Measures the floor for all SecretSyncs of a namespace. No operator may run meanwhile.
 * @param width objects at a time, as many as the operator has workers; one connection each
 */
export async function measureFloor(
  controlPlane: ControlPlaneClient,
  client: KubeClient,
  namespace: string,
  width: number,
): Promise<Floor> {
  const into = `${namespace}-floor-${randomUUID().slice(0, 4)}`;
  const pairs = await prepare(client, namespace, into, 16);
  const { url, caFile, adminCertFile, adminKeyFile } = controlPlane.facts;
  const files = { ca: caFile, cert: adminCertFile, key: adminKeyFile };
  const connect = Object.fromEntries(Object.entries(files).map(([name, file]) => [name, readFileSync(file, "utf8")]));
  const pool = new Pool(url, { connections: width, pipelining: 1, connect });
  const headers = { "content-type": "application/apply-patch+yaml", accept: accept.metadata };
  const send = async ({ path, body }: Write): Promise<void> => {
    const answer = await pool.request({ method: "PATCH", path, headers, body });
    const text = await answer.body.text();
    if (answer.statusCode >= 300) throw new Error(`The floor was refused: ${answer.statusCode} ${text.slice(0, 200)}`);
  };
  try {
    const cpuFrom = process.cpuUsage();
    const started = systemClock.monotonic();
    await each(pairs.length, width, async (index) => {
      for (const write of pairs[index] ?? []) await send(write);
    });
    const seconds = (systemClock.monotonic() - started) / 1000;
    const { user, system } = process.cpuUsage(cpuFrom);
    return { seconds, cpuSeconds: (user + system) / 1e6, writes: pairs.length * 2 };
  } finally {
    await pool.close();
    await client.delete(resources.namespaces, { name: into });
  }
}
