// The operator's own writer of Secrets, with the chart's token, rights and guards: everything it does passes, and nothing more.
import { afterAll, beforeAll, expect, test } from "vitest";
import { SecretValue } from "../../src/model/index.ts";
import type { RenderedContent, TargetObservation } from "../../src/ports/target.ts";
import {
  KubeClient,
  KubeTransport,
  loadClusterConfig,
  type PartialObjectMetadata,
  Store,
} from "../../src/runtime/index.ts";
import { createKubernetesSecretTarget, type KubernetesSecretRef } from "../../src/targets/index.ts";
import { systemClock } from "../../src/time/clock.ts";
import { objectPayload, someMark, testSeal } from "../contract/targets/support.ts";
import { chartCluster } from "./cluster.ts";
import { type Cluster, chart, helm, kubectl } from "./support.ts";

const team = "target-team";
const signal = new AbortController().signal;
let cluster: Cluster;
let stop: () => Promise<void>;
let transport: KubeTransport;
let target: ReturnType<typeof createKubernetesSecretTarget>;

const ref = (name: string): KubernetesSecretRef => ({ namespace: team, name });

function content(values: Record<string, string>): RenderedContent {
  return {
    keys: new Map(Object.entries(values).map(([key, text]) => [key, SecretValue.fromText(text)])),
    payload: objectPayload(JSON.stringify(values)),
    type: "Opaque",
  };
}

async function observed(name: string): Promise<TargetObservation> {
  const found = (await target.observe([ref(name)], signal)).get(`${team}/${name}`);
  if (found === undefined) throw new Error("no observation");
  return found;
}

async function write(name: string, values: Record<string, string>): Promise<void> {
  await target.write(ref(name), { content: content(values), mark: someMark(), observed: await observed(name) }, signal);
}

async function stored(
  name: string,
): Promise<{ data?: Record<string, string>; metadata: { labels?: Record<string, string>; annotations?: object } }> {
  return JSON.parse(await kubectl(cluster, ["-n", team, "get", "secret", name, "-o", "json"])) as never;
}

const base64 = (text: string): string => Buffer.from(text).toString("base64");

beforeAll(async () => {
  ({ cluster, stop } = await chartCluster());
  await kubectl(cluster, ["create", "namespace", team]);
  const installed = await helm(
    cluster,
    ["install", "scaivault-operator", chart, "-n", "target-operator", "--create-namespace"],
    {
      cluster: { name: "target" },
      secrets: { delete: true },
    },
  );
  expect(installed.code).toBe(0);
  const token = await kubectl(cluster, ["-n", "target-operator", "create", "token", "scaivault-operator"]);
  const { cert: _cert, key: _key, ...config } = loadClusterConfig({ kubeconfig: cluster.kubeconfig });
  transport = new KubeTransport({
    config: { ...config, token: { text: token.trim() } },
    clock: systemClock,
    userAgent: "test",
  });
  target = createKubernetesSecretTarget({
    client: new KubeClient(transport, { fieldManager: "scaivault-operator" }),
    store: new Store<PartialObjectMetadata>(),
    seal: testSeal(),
    clock: systemClock,
    cluster: "eu-1",
  });
});

afterAll(async () => {
  await transport?.close();
  await stop?.();
});

test("create, change, drop a key, mark, delete", async () => {
  await write("ours", { a: "1", b: "2" });
  await write("ours", { a: "3" });
  expect((await stored("ours")).data).toEqual({ a: base64("3") });
  await target.mark(ref("ours"), { mark: someMark("v2"), observed: await observed("ours") }, signal);
  await target.remove(ref("ours"), await observed("ours"), signal);
  expect((await observed("ours")).presence).toBe("Absent");
});

test("what somebody else changed in ours is taken back", async () => {
  await write("drifted", { a: "1" });
  await kubectl(cluster, [
    "-n",
    team,
    "patch",
    "secret",
    "drifted",
    "--type=merge",
    "-p",
    JSON.stringify({ data: { a: base64("x"), foreign: base64("y") } }),
  ]);
  await write("drifted", { a: "1" });
  expect((await stored("drifted")).data).toEqual({ a: base64("1") });
});

test("adopt with equal bytes and give back", async () => {
  await kubectl(cluster, ["-n", team, "create", "secret", "generic", "theirs", "--from-literal=a=1"]);
  await target.adopt(
    ref("theirs"),
    { content: content({ a: "1" }), mark: someMark(), observed: await observed("theirs") },
    signal,
  );
  expect((await stored("theirs")).metadata.labels).toEqual({ "scaivault.scailabs.ai/managed": "true" });
  await target.release(ref("theirs"), await observed("theirs"), signal);
  const after = await stored("theirs");
  expect(after.data).toEqual({ a: base64("1") });
  expect(after.metadata.labels ?? {}).toEqual({});
});

test("another's Secret is refused before the guard has to", async () => {
  await kubectl(cluster, ["-n", team, "create", "secret", "generic", "foreign", "--from-literal=a=1"]);
  await expect(write("foreign", { a: "2" })).rejects.toMatchObject({ reason: "NotOwned" });
  expect((await stored("foreign")).data).toEqual({ a: base64("1") });
});
