import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { VirtualClock } from "../time/clock.ts";
import { KubeClient } from "./client.ts";
import { Reflector, stripMeta, type ReflectorOptions, type ReflectorProblem } from "./reflector.ts";
import { Store } from "./store.ts";
import { FakeApiServer, ThingApi, refuse, until, type Thing } from "./testing/fake-api-server.ts";
import { KubeTransport } from "./transport.ts";

const things = { group: "", version: "v1", plural: "things", namespaced: true, kind: "Thing" };

let server: FakeApiServer;
let api: ThingApi;
let transport: KubeTransport;
let clock: VirtualClock;
let reflector: Reflector<Thing> | undefined;
let problems: ReflectorProblem[];

beforeEach(async () => {
  server = await FakeApiServer.start();
  api = new ThingApi(server);
  clock = new VirtualClock();
  transport = new KubeTransport({ config: { server: server.url }, clock, userAgent: "test", random: () => 0 });
  problems = [];
});

afterEach(async () => {
  await reflector?.stop();
  reflector = undefined;
  await transport.close();
  await server.close();
});

function build(options: Partial<ReflectorOptions<Thing>> = {}) {
  const log: string[] = [];
  const store = new Store<Thing>({ onHandlerError: () => log.push("handler error") });
  store.subscribe({
    add: (o) => log.push(`add ${o.metadata.name} ${o.spec?.color}`),
    update: (o) => log.push(`update ${o.metadata.name} ${o.spec?.color}`),
    delete: (o) => log.push(`delete ${o.metadata.name} ${o.metadata.uid}`),
  });
  reflector = new Reflector<Thing>({
    client: new KubeClient(transport, { fieldManager: "test" }),
    clock,
    resource: things,
    store,
    random: () => 0,
    onProblem: (problem) => problems.push(problem),
    ...options,
  });
  return { reflector, store, log };
}

/** Starts and waits until the first watch is open. */
async function started(options: Partial<ReflectorOptions<Thing>> = {}) {
  const built = build(options);
  built.reflector.start();
  await until("an open watch", () => api.open.size === 1);
  return built;
}

const code = (): (string | number)[] => problems.map((problem) => problem.code);

describe("Reflector", () => {
  it("lists the newest in pages, then watches from there with bookmarks", async () => {
    for (let i = 0; i < 5; i++) api.put(`t${i}`, "red");
    const { store, reflector, log } = await started({ pageSize: 2, labelSelector: "a=b" });
    expect(store.size).toBe(5);
    expect(reflector.hasSynced).toBe(true);
    expect(
      api.lists.map((q) => [q.get("limit"), q.get("resourceVersion"), q.get("continue"), q.get("labelSelector")]),
    ).toEqual([
      ["2", null, null, "a=b"],
      ["2", null, "2@105", "a=b"],
      ["2", null, "4@105", "a=b"],
    ]);
    const watch = api.watches[0];
    expect(watch?.get("resourceVersion")).toBe("105");
    expect(watch?.get("allowWatchBookmarks")).toBe("true");
    expect(watch?.get("labelSelector")).toBe("a=b");
    expect(Number(watch?.get("timeoutSeconds"))).toBeGreaterThanOrEqual(300);
    api.put("t0", "blue");
    api.delete("t1");
    api.put("new", "green");
    await until("events", () => log.length === 8);
    expect(log.slice(5)).toEqual(["update t0 blue", "delete t1 uid-t1", "add new green"]);
    expect(problems).toEqual([]);
  });

  it("asks for metadata only on list and watch", async () => {
    await started({ metadataOnly: true, strip: stripMeta });
    expect(server.requests.map((r) => r.headers.accept)).toEqual([
      "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io",
      "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io",
    ]);
  });

  it("goes on from the last version after a reset, without a list", async () => {
    const { log } = await started();
    api.put("a", "red");
    await until("a", () => log.length === 1);
    server.cut();
    await until("the watch to be gone", () => api.open.size === 0);
    api.put("b", "red");
    await clock.advance(500);
    await until("b", () => log.length === 2);
    expect(api.lists).toHaveLength(1);
    expect(api.watches[1]?.get("resourceVersion")).toBe("101");
  });

  it("goes on from a bookmark's version when the server ends the watch", async () => {
    await started();
    api.bookmark();
    api.bookmark();
    api.endWatches();
    await until("second watch", () => api.watches.length === 2);
    expect(api.watches[1]?.get("resourceVersion")).toBe("102");
    expect(problems).toEqual([]);
  });

  it.each(["as an answer", "as an event"])("lists anew after 410 %s and reports what vanished", async (how) => {
    const { log } = await started();
    api.put("a", "red");
    await until("a", () => log.length === 1);
    api.things.delete("a");
    api.version = 200;
    if (how === "as an answer") {
      api.compactedTo = 200;
      server.cut();
    } else {
      const status = { kind: "Status", code: 410, reason: "Expired", message: "canary-7f3a" };
      api.raw(JSON.stringify({ type: "ERROR", object: status }) + "\n");
    }
    for (let i = 0; i < 20 && log.length < 2; i++) {
      await clock.advance(500);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    await until("the deletion", () => log.length === 2);
    expect(log[1]).toBe("delete a uid-a");
    expect(api.lists).toHaveLength(2);
    expect(api.lists[1]?.get("resourceVersion")).toBeNull();
    expect(code()).toContain("410");
  });

  it("lists anew when versions go backwards (storage restored from a backup)", async () => {
    const { store, log } = await started();
    api.put("a", "red");
    await until("a", () => log.length === 1);
    api.things.clear();
    api.log.length = 0;
    api.version = 50;
    api.put("old", "grey");
    await until("the problem", () => problems.length === 1);
    await clock.advance(500);
    await until("the list", () => store.get("ns/old") !== undefined);
    expect(store.keys()).toEqual(["ns/old"]);
  });

  it("treats delete and create under one name in a gap as delete and add", async () => {
    const { log } = await started();
    api.put("a", "red", "one");
    await until("a", () => log.length === 1);
    api.compactedTo = 1000;
    api.version = 1000;
    server.cut();
    await until("cut", () => api.open.size === 0);
    api.put("a", "blue", "two");
    for (let i = 0; i < 20 && log.length < 3; i++) await clock.advance(1000);
    await until("both events", () => log.length === 3);
    expect(log.slice(1)).toEqual(["delete a one", "add a blue"]);
  });

  it("opens a silent watch anew (half-open connection)", async () => {
    await started({ silenceMs: 60_000 });
    await clock.advance(59_000);
    expect(api.watches).toHaveLength(1);
    await clock.advance(2_000);
    await until("the silence to be noticed", () => problems.length === 1);
    expect(problems[0]).toMatchObject({ phase: "watch", code: "timeout" });
    await clock.advance(500);
    await until("the second watch", () => api.watches.length === 2);
    expect(api.lists).toHaveLength(1);
  });

  it("keeps a watch that speaks, however long it lives", async () => {
    const { reflector } = await started({ silenceMs: 60_000 });
    for (let i = 0; i < 10; i++) {
      await clock.advance(50_000);
      const before = reflector.lastContactMs;
      api.bookmark();
      await until("contact", () => reflector.lastContactMs > before);
    }
    expect(api.watches).toHaveLength(1);
    expect(problems).toEqual([]);
  });

  it.each([
    ["a garbage line", "{not json\n"],
    ["an unknown event type", `{"type":"SURPRISE","object":{"metadata":{"name":"x","resourceVersion":"999"}}}\n`],
    ["an event without object", `{"type":"ADDED"}\n`],
  ])("reconnects after %s and loses nothing", async (_name, text) => {
    const { log } = await started();
    api.put("a", "red");
    await until("a", () => log.length === 1);
    api.raw(text);
    await until("the problem", () => problems.length === 1);
    expect(code()).toEqual(["badResponse"]);
    api.put("b", "red");
    await clock.advance(500);
    await until("b", () => log.length === 2);
    expect(api.watches[1]?.get("resourceVersion")).toBe("101");
  });

  it.each([500, 401, 403, 429])("tries for ever after %i, with growing pauses", async (status) => {
    const { log } = await started();
    let refused = 0;
    api.fault = (request, response) => {
      if (request.query.get("watch") === null) return false;
      refused += 1;
      refuse(response, status, "Whatever");
      return true;
    };
    server.cut();
    await until("the reset", () => problems.length === 1);
    for (let i = 0; i < 12; i++) {
      const before = problems.length;
      await clock.advance(10_000);
      await until("another try", () => problems.length > before);
    }
    expect(problems.at(-1)).toMatchObject({ code: String(status), retryInMs: 10_000 });
    expect(refused).toBeLessThan(25);
    api.fault = undefined;
    api.put("a", "red");
    await clock.advance(10_000);
    await until("recovery", () => log.length === 1);
    expect(api.lists).toHaveLength(1);
  });

  it("waits as long as Retry-After says", async () => {
    await started();
    api.fault = (request, response) => {
      if (request.query.get("watch") === null) return false;
      refuse(response, 429, "TooManyRequests", { headers: { "retry-after": "20" } });
      return true;
    };
    server.cut();
    await until("the reset", () => problems.length === 1);
    await clock.advance(500);
    await until("the refusal", () => problems.length === 2);
    expect(problems[1]).toMatchObject({ code: "429", retryInMs: 20_000 });
    api.fault = undefined;
    await clock.advance(19_000);
    expect(api.open.size).toBe(0);
    await clock.advance(1_000);
    await until("the watch", () => api.open.size === 1);
  });

  it("does not loop hot when the server ends every watch at once", async () => {
    build();
    api.fault = (request, response) => {
      if (request.query.get("watch") === null) return false;
      response.writeHead(200);
      response.end();
      return true;
    };
    reflector?.start();
    await until("the first end", () => problems.length === 1);
    for (let i = 0; i < 60; i++) await clock.advance(1000);
    await until("settled", () => true);
    expect(api.watches.length).toBeLessThan(12);
  });

  it("leaves the store as it is when a list fails half way, and begins the list anew", async () => {
    for (let i = 0; i < 4; i++) api.put(`t${i}`, "red");
    const { store, reflector } = build({ pageSize: 2 });
    let failed = 0;
    api.fault = (request, response) => {
      if (request.query.get("continue") === null || failed > 0) return false;
      failed += 1;
      response.writeHead(200, { "content-length": "5000" });
      response.write('{"items":[');
      setImmediate(() => response.destroy());
      return true;
    };
    reflector.start();
    await until("the failed page", () => failed === 1);
    expect(store.size).toBe(0);
    expect(reflector.hasSynced).toBe(false);
    for (let i = 0; i < 5 && store.size === 0; i++) {
      await clock.advance(500);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    await until("the list", () => store.size === 4);
  });

  it("lists without pages when continue tokens expire", async () => {
    for (let i = 0; i < 4; i++) api.put(`t${i}`, "red");
    const { store, reflector } = build({ pageSize: 2 });
    api.fault = (request, response) => {
      if (request.query.get("continue") === null) return false;
      refuse(response, 410, "Expired");
      return true;
    };
    reflector.start();
    await until("the expiry", () => problems.length === 1);
    await clock.advance(500);
    await until("the list", () => store.size === 4);
    expect(api.lists.at(-1)?.get("limit")).toBeNull();
  });

  it("stops while a list is pending: no watch is opened and the store stays", async () => {
    let release: () => void = () => undefined;
    api.put("a", "red");
    api.fault = (_request, response) => {
      release = () => void response.end(JSON.stringify({ metadata: { resourceVersion: "101" }, items: [] }));
      return true;
    };
    const { reflector, store } = build();
    reflector.start();
    await until("the list", () => api.lists.length === 1);
    await reflector.stop();
    release();
    api.fault = undefined;
    await clock.advance(60_000);
    expect(api.watches).toHaveLength(0);
    expect(store.size).toBe(0);
    expect(clock.pending).toBe(0);
  });

  it("stops while it waits after a failure, and can be started anew", async () => {
    const { reflector, store } = build();
    api.fault = (_request, response) => {
      refuse(response, 500, "InternalError");
      return true;
    };
    reflector.start();
    await until("a failure", () => problems.length === 1);
    await reflector.stop();
    expect(clock.pending).toBe(0);
    const lists = api.lists.length;
    await clock.advance(600_000);
    expect(api.lists).toHaveLength(lists);
    api.fault = undefined;
    api.put("a", "red");
    reflector.start();
    await until("the list", () => store.size === 1);
  });

  it("goes on when a handler throws", async () => {
    const { store, log } = build();
    store.subscribe({
      add: () => {
        throw new Error("broken handler");
      },
    });
    api.put("a", "red");
    reflector?.start();
    await until("an open watch", () => api.open.size === 1);
    api.put("b", "red");
    await until("b", () => store.size === 2);
    expect(log.filter((line) => line === "handler error")).toHaveLength(2);
    expect(problems).toEqual([]);
  });

  it("goes on when strip or the observer of problems throws", async () => {
    api.put("a", "red");
    const broken = (): never => {
      throw new Error("broken");
    };
    const { store } = await started({ strip: broken, onProblem: broken });
    expect(store.get("ns/a")?.spec?.color).toBe("red");
    server.cut();
    await until("the watch to be gone", () => api.open.size === 0);
    api.put("b", "red");
    await clock.advance(500);
    await until("b", () => store.size === 2);
  });

  it("lists again after a while as a safety net", async () => {
    const { store } = await started({ relistMs: 100_000, silenceMs: 50_000 });
    api.put("a", "red");
    await until("a", () => store.size === 1);
    // The watch goes quiet although something changed.
    api.things.delete("a");
    for (let i = 0; i < 12 && store.size === 1; i++) {
      await clock.advance(20_000);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    await until("the deletion", () => store.size === 0);
    expect(api.lists).toHaveLength(2);
  });

  it("takes a burst in order", async () => {
    const { store, log } = await started();
    for (let i = 0; i < 3000; i++) api.put(`t${i % 50}`, `c${i}`);
    await until("all events", () => log.length === 3000);
    expect(store.size).toBe(50);
    expect(log.at(-1)).toBe("update t49 c2999");
  });

  it("synced resolves after the first list and rejects when given up", async () => {
    const { reflector } = build();
    const abort = new AbortController();
    const given = expect(reflector.synced(abort.signal)).rejects.toMatchObject({ kind: "aborted" });
    abort.abort();
    await given;
    const synced = reflector.synced();
    reflector.start();
    await synced;
    expect(reflector.hasSynced).toBe(true);
    await reflector.synced();
  });
});

describe("stripMeta", () => {
  it("drops managedFields and last-applied only", () => {
    const object = {
      metadata: {
        name: "a",
        annotations: { keep: "1", "kubectl.kubernetes.io/last-applied-configuration": "{}" },
        managedFields: [{ manager: "x" }],
      },
      spec: { color: "red" },
    };
    expect(stripMeta(object)).toEqual({
      metadata: { name: "a", annotations: { keep: "1" } },
      spec: { color: "red" },
    });
    expect(stripMeta({ metadata: { name: "a" } })).toEqual({ metadata: { name: "a" } });
  });
});
