import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import {
  Reflector,
  Store,
  keyOf,
  resources,
  type KubeClient,
  type KubeTransport,
  type ReflectorProblem,
  type RequestObservation,
} from "../../../src/runtime/index.ts";
import { systemClock, VirtualClock, type Clock } from "../../../src/time/clock.ts";
import { testEnvironment } from "../../support/environment.ts";
import { base64, connect, ownNamespace, until, type SecretObject } from "./support.ts";

let client: KubeClient;
let transport: KubeTransport;
let seen: RequestObservation[];
let namespace: string;
let reflector: Reflector<SecretObject> | undefined;
let problems: ReflectorProblem[];

beforeAll(async () => {
  ({ client, transport, seen } = connect());
  namespace = await ownNamespace();
});

afterEach(async () => {
  await reflector?.stop();
  reflector = undefined;
});

afterAll(() => transport.close());

const canary = base64("canary-90b1");

function put(name: string, value: string, labels: Record<string, string> = { watched: "yes" }): Promise<unknown> {
  return testEnvironment().kube.apply(`/api/v1/namespaces/${namespace}/secrets/${name}`, {
    apiVersion: "v1",
    kind: "Secret",
    metadata: { name, labels },
    data: { value: base64(value), canary },
  });
}

async function remove(name: string): Promise<void> {
  await testEnvironment().kube.request({ method: "DELETE", path: `/api/v1/namespaces/${namespace}/secrets/${name}` });
}

async function start(options: { silenceMs?: number; pageSize?: number; clock?: Clock } = {}) {
  problems = [];
  const log: string[] = [];
  const store = new Store<SecretObject>();
  store.subscribe({
    add: (o) => log.push(`add ${o.metadata.name}`),
    update: (o) => log.push(`update ${o.metadata.name}`),
    delete: (o) => log.push(`delete ${o.metadata.name}`),
  });
  reflector = new Reflector<SecretObject>({
    client,
    clock: systemClock,
    resource: resources.secrets,
    namespace,
    labelSelector: "watched=yes",
    metadataOnly: true,
    store,
    onProblem: (problem) => problems.push(problem),
    ...options,
  });
  reflector.start();
  await reflector.synced();
  return { reflector, store, log };
}

describe("a metadata-only watch on a real API server", () => {
  it("carries no data on the wire, in list or watch, and sees changes and deletions", async () => {
    await put("a", "1");
    await put("unwatched", "1", {});
    const { store, log } = await start();
    await put("b", "1");
    await put("a", "2");
    await remove("b");
    await until("the deletion", () => log.includes("delete b"));
    expect(log).toEqual(["add a", "add b", "update a", "delete b"]);
    expect(store.keys()).toEqual([`${namespace}/a`]);
    expect(JSON.stringify(store.list())).not.toContain(canary);
    expect(store.list()[0]).not.toHaveProperty("data");
    expect(store.list()[0]?.metadata.managedFields?.[0]?.fieldsV1).toBeDefined();
    const { body } = await client.watch(resources.secrets, {
      namespace,
      labelSelector: "watched=yes",
      resourceVersion: "0",
      timeoutSeconds: 1,
      metadataOnly: true,
    });
    let wire = "";
    for await (const chunk of body) wire += Buffer.from(chunk).toString();
    expect(wire).toContain('"name":"a"');
    expect(wire).not.toContain(canary);
  });

  it("lists in pages without gaps", async () => {
    for (let i = 0; i < 12; i++) await put(`page-${i}`, "x");
    const { store } = await start({ pageSize: 5 });
    expect(store.keys().filter((key) => key.includes("/page-"))).toHaveLength(12);
    const paged = await client.list<SecretObject>(resources.secrets, {
      namespace,
      labelSelector: "watched=yes",
      limit: 5,
      metadataOnly: true,
    });
    expect(new Set(paged.items.map((item) => keyOf(item)))).toEqual(new Set(store.keys()));
    for (let i = 0; i < 12; i++) await remove(`page-${i}`);
  });

  it("survives kill -9 of the API server and a restart, and misses nothing", async () => {
    await put("kept", "1");
    const { store, log } = await start();
    const { programs } = testEnvironment().remote;
    await programs.kill("kube-apiserver");
    await until("the loss to be noticed", () => problems.length > 0);
    const before = seen.length;
    await programs.start("kube-apiserver");
    await put("kept", "2");
    await put("after", "1");
    await until("both changes", () => log.includes("add after") && log.includes("update kept"), 60_000);
    expect(store.get(`${namespace}/after`)).toBeDefined();
    // No storm: a handful of tries, not hundreds.
    expect(seen.length - before).toBeLessThan(30);
    await remove("after");
    await until("the deletion", () => log.includes("delete after"));
  });

  it("notices a server that is stopped without closing connections, and goes on after it", async () => {
    const { log } = await start({ silenceMs: 3000 });
    const { programs } = testEnvironment().remote;
    await programs.pause("kube-apiserver");
    try {
      await until("the silence to be noticed", () => problems.some((problem) => problem.code === "timeout"));
    } finally {
      await programs.resume("kube-apiserver");
    }
    await put("resumed", "1");
    await until("the change", () => log.includes("add resumed"), 60_000);
    await remove("resumed");
  });

  it("lists anew after compaction (410) and reports what happened meanwhile", async () => {
    await put("victim", "1");
    const { reflector, store, log } = await start();
    expect(store.get(`${namespace}/victim`)).toBeDefined();
    const { programs } = testEnvironment().remote;
    await reflector.stop();
    // The same reflector keeps its store; another, new one would not know of the deletion.
    await remove("victim");
    await put("newcomer", "1");
    await testEnvironment().kube.compact();
    await programs.restart("kube-apiserver");
    reflector.start();
    await until("the differences", () => log.includes("delete victim") && log.includes("add newcomer"), 60_000);
    await remove("newcomer");
  });

  it("is told 410 when its version was compacted away while it was cut off, and finds out what happened", async () => {
    await put("old", "1");
    // On a clock that stands still the reflector does not come back before we say so.
    const clock = new VirtualClock();
    const { store, log } = await start({ clock });
    const { programs } = testEnvironment().remote;
    await programs.kill("kube-apiserver");
    await until("the loss", () => problems.length === 1);
    await programs.start("kube-apiserver");
    await remove("old");
    await put("fresh", "1");
    await testEnvironment().kube.compact();
    await programs.restart("kube-apiserver");
    for (let i = 0; i < 100 && store.get(`${namespace}/fresh`) === undefined; i++) {
      await clock.advance(1000);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    expect(problems.map((problem) => problem.code)).toContain("410");
    expect(log.slice(-2)).toEqual(["delete old", "add fresh"]);
    await remove("fresh");
  });
});
