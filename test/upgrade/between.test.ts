/**
 * The real 0.1.0, then this version, then 0.1.0 again, over the same stores: after the first copies nobody writes to a
 * target, and nobody reads a value.
 */
import { randomBytes } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Program } from "../../local/process.ts";
import { Harness, pathTo, sync } from "../support/operator.ts";
import { runRelease, type Which } from "./releases.ts";
import { awsSyncs, fillAws, flipped, noValueReads, targetWrites, valueReads } from "./scenario.ts";

/** Everything here runs on the machine's time. */
const real = { virtualMs: 0, timeoutMs: 60_000 };
const mounts = { v1: `kv1-${randomBytes(3).toString("hex")}`, v2: `kv2-${randomBytes(3).toString("hex")}` };
let op: Harness<"team">;
let ns: string;
let running: Program | undefined;
let objects: string[];

beforeAll(async () => {
  op = await Harness.prepare({ namespaces: ["team"] });
  ns = op.ns.team;
  await op.env.vault.enableKv(mounts.v1, 1);
  await op.env.vault.enableKv(mounts.v2, 2);
  for (const mount of Object.values(mounts)) await op.env.vault.put(mount, "app/db", { user: "app", password: mount });
  await fillAws(op);
  await op.awsBackend(ns);
  await op.vaultBackend(ns, "vault", Object.values(mounts));
});
afterAll(async () => {
  await running?.stop();
  await op?.stop();
  for (const mount of Object.values(mounts)) await op.env.vault.disableMount(mount);
});

const fromVault = (name: string, mount: string) =>
  sync(ns, name, {
    source: { backendRef: { name: "vault" }, path: `${mount}/app/db` },
    targets: { scaivault: { path: `golden/${ns}/${name}` }, kubernetesSecret: {} },
  });

/** What every target holds: bytes, marks and versions; who the Secret is, and which revision of it. */
async function everything(): Promise<unknown> {
  const secrets = (await op.cluster.list("Secret", ns)).map(({ metadata, type, data }) => ({
    name: metadata.name,
    uid: metadata.uid,
    resourceVersion: metadata.resourceVersion,
    annotations: metadata.annotations,
    type,
    data,
  }));
  const { admin } = op.scaivault.server;
  return { secrets, scaivault: admin.paths().map((path) => admin.peek(path)) };
}

/** Lets the running operator look at every store and every object once more. */
async function lookAtAll(): Promise<void> {
  const at = new Date().toISOString();
  const annotations = { "scaivault.scailabs.ai/sync-requested-at": at };
  for (const name of ["aws", "vault"])
    await op.cluster.patch("FederationBackend", ns, name, { metadata: { annotations } });
  for (const name of objects) await op.cluster.patch("SecretSync", ns, name, { metadata: { annotations } });
  for (const name of objects) {
    await op.waitFor(
      `${name} was looked at`,
      async () => (await op.cluster.sync(ns, name))?.status?.lastHandledSyncRequest === at,
      real.timeoutMs,
    );
    await op.ready(ns, name, real);
  }
}

/** Another release takes over. */
async function takesOver(which: Which): Promise<void> {
  await running?.stop();
  running = undefined;
  await op.mark();
  running = await runRelease(op, which);
  await lookAtAll();
}

describe("0.1.0, this version, and 0.1.0 again", () => {
  let copied: unknown;

  it("0.1.0 makes the copies", async () => {
    running = await runRelease(op, "0.1.0");
    const wanted = [...awsSyncs(ns), fromVault("vault-one", mounts.v1), fromVault("vault-two", mounts.v2)];
    objects = wanted.map(({ metadata }) => metadata.name);
    await op.cluster.apply(...wanted);
    for (const name of objects) await op.ready(ns, name, real);
    await op.cluster.apply(flipped(ns));
    await op.waitFor(
      "authority is in ScaiVault",
      async () => (await op.cluster.sync(ns, "flipped"))?.status?.effective?.authority === "ScaiVault",
      real.timeoutMs,
    );
    await op.ready(ns, "flipped", real);
    copied = await everything();
    expect((copied as { secrets: unknown[] }).secrets.length).toBeGreaterThan(10);
  });

  it.each(["current", "0.1.0"] as const)("%s takes over: no write to a target, no value read", async (which) => {
    await takesOver(which);
    const seen = await op.seen();
    expect(targetWrites(seen)).toEqual([]);
    expect(valueReads(seen, mounts.v2)).toEqual(noValueReads);
    expect(await everything()).toEqual(copied);
    // The stores were asked, and by this release.
    expect(seen.aws.total).toBeGreaterThan(0);
    const agents = new Set(seen.kube.map(({ userAgent }) => userAgent.split(" ")[0]));
    expect([...agents].every((agent) => agent?.startsWith("scaivault-operator/") === true)).toBe(true);
    expect(agents.has("scaivault-operator/0.1.0")).toBe(which === "0.1.0");
  });

  it("what the releases said of the objects is the same for people: Ready, since the same moment", async () => {
    const answer = await op.env.kube.request({ path: pathTo("SecretSync", ns) });
    const { items } = answer.json<{ items: { status: { conditions: { type: string; status: string }[] } }[] }>();
    expect(items.every(({ status }) => status.conditions[0]?.status === "True")).toBe(true);
  });
});
