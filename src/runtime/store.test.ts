import { describe, expect, it } from "vitest";
import { Store } from "./store.ts";
import type { KubeObject } from "./types.ts";

interface Thing extends KubeObject {
  readonly color: string;
}

function thing(name: string, color: string, version = "1", uid = `uid-${name}`): Thing {
  return { metadata: { namespace: "ns", name, uid, resourceVersion: version }, color };
}

function build() {
  const log: string[] = [];
  const errors: unknown[] = [];
  const store = new Store<Thing>({
    indexers: { color: (o) => [o.color] },
    onHandlerError: (error) => errors.push(error),
  });
  const unsubscribe = store.subscribe({
    add: (o) => log.push(`add ${o.metadata.name} ${o.color}`),
    update: (o, old) => log.push(`update ${o.metadata.name} ${old.color}>${o.color}`),
    delete: (o) => log.push(`delete ${o.metadata.name} ${o.metadata.uid}`),
  });
  return { store, log, errors, unsubscribe };
}

describe("Store", () => {
  it("keeps indexes in step with its objects", () => {
    const { store } = build();
    store.upsert(thing("a", "red"));
    store.upsert(thing("b", "red"));
    store.upsert(thing("a", "blue", "2"));
    expect(store.byIndex("color", "red").map((o) => o.metadata.name)).toEqual(["b"]);
    store.remove("ns/b");
    expect(store.byIndex("color", "red")).toEqual([]);
    expect(store.indexValues("color")).toEqual(["blue"]);
    expect([store.countByIndex("color", "blue"), store.countByIndex("color", "red")]).toEqual([1, 0]);
    expect(() => store.byIndex("nope", "x")).toThrow("no index");
  });

  it("leaves indexes alone while the generation stands, and says so before the handlers", () => {
    const log: string[] = [];
    const indexed: string[] = [];
    const store = new Store<Thing>({
      indexers: { color: (o) => (indexed.push(o.metadata.name), [o.color]) },
      sameSpec: (now, old) => log.push(`same ${old.metadata.resourceVersion} ${now.metadata.resourceVersion}`),
    });
    store.subscribe({ update: (o) => log.push(`update ${o.metadata.resourceVersion}`) });
    const at = (color: string, resourceVersion: string, generation: number): Thing => {
      const one = thing("a", color, resourceVersion);
      return { ...one, metadata: { ...one.metadata, generation } };
    };
    store.upsert(at("red", "1", 1));
    store.upsert(at("red", "2", 1));
    expect(indexed).toEqual(["a"]);
    expect(log).toEqual(["same 1 2", "update 2"]);
    store.upsert(at("blue", "3", 2));
    expect(store.byIndex("color", "blue").map((o) => o.metadata.resourceVersion)).toEqual(["3"]);
    expect(log).toEqual(["same 1 2", "update 2", "update 3"]);
  });

  it("counts comings and goings, not changes", () => {
    const { store } = build();
    store.upsert(thing("a", "red"));
    expect(store.membership).toBe(1);
    store.upsert(thing("a", "blue", "2"));
    expect(store.membership).toBe(1);
    store.upsert(thing("a", "blue", "3", "another"));
    store.remove("ns/a");
    expect(store.membership).toBe(4);
  });

  it("tells handlers of differences only", () => {
    const { store, log } = build();
    store.upsert(thing("a", "red"));
    store.upsert(thing("a", "red"));
    store.replace([thing("a", "blue", "2"), thing("b", "red")]);
    store.replace([thing("b", "red")]);
    expect(log).toEqual(["add a red", "update a red>blue", "add b red", "delete a uid-a"]);
    expect(store.keys()).toEqual(["ns/b"]);
  });

  it("reports an object under the same name with another uid as delete and add", () => {
    const { store, log } = build();
    store.upsert(thing("a", "red", "1", "one"));
    store.replace([thing("a", "green", "9", "two")]);
    expect(log).toEqual(["add a red", "delete a one", "add a green"]);
  });

  it("tells a late subscriber of what is there, and an unsubscribed one nothing", () => {
    const { store, log, unsubscribe } = build();
    store.upsert(thing("a", "red"));
    unsubscribe();
    store.upsert(thing("b", "red"));
    expect(log).toEqual(["add a red"]);
    const seen: string[] = [];
    store.subscribe({ add: (o) => seen.push(o.metadata.name) });
    expect(seen).toEqual(["a", "b"]);
  });

  it("replaces one namespace and leaves the others", () => {
    const { store } = build();
    store.upsert(thing("a", "red"));
    store.upsert({ ...thing("b", "red"), metadata: { namespace: "other", name: "b", uid: "b" } });
    store.replace([thing("c", "red")], "ns");
    expect(store.keys()).toEqual(["other/b", "ns/c"]);
  });

  it("goes on when a handler throws", () => {
    const { store, log, errors } = build();
    store.subscribe({
      add: () => {
        throw new Error("broken");
      },
    });
    store.upsert(thing("a", "red"));
    store.upsert(thing("b", "red"));
    expect(errors).toHaveLength(2);
    expect(store.size).toBe(2);
    expect(log).toEqual(["add a red", "add b red"]);
  });
});
