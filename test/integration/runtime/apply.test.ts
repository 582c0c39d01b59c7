import { inspect } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  addFinalizer,
  appliedFields,
  applyExisting,
  applyNew,
  fieldOwnership,
  ownsExactly,
  removeFinalizer,
  resources,
  type KubeClient,
  type KubeTransport,
} from "../../../src/runtime/index.ts";
import { testEnvironment } from "../../support/environment.ts";
import { base64, connect, ownNamespace, type SecretObject } from "./support.ts";

const manager = "scaivault-operator";
let client: KubeClient;
let transport: KubeTransport;
let namespace: string;

beforeAll(async () => {
  ({ client, transport } = connect(manager));
  namespace = await ownNamespace();
});

afterAll(() => transport.close());

function secret(name: string, data: Record<string, string>): SecretObject {
  const encoded = Object.fromEntries(Object.entries(data).map(([key, value]) => [key, base64(value)]));
  return { metadata: { namespace, name, labels: { "example.com/managed": "true" } }, type: "Opaque", data: encoded };
}

async function created(name: string, data: Record<string, string>): Promise<string> {
  const result = await applyNew(client, resources.secrets, secret(name, data));
  if (!result.created) throw new Error("it existed");
  return result.metadata.metadata.uid ?? "";
}

const stored = (name: string): Promise<SecretObject> =>
  client.get<SecretObject>(resources.secrets, { namespace, name });
const ownership = async (name: string) =>
  fieldOwnership((await client.getMetadata(resources.secrets, { namespace, name })).metadata.managedFields, manager);

/** Writes as somebody else, by merge patch (an Update entry). */
async function writeAs(other: string, name: string, patch: unknown): Promise<void> {
  const answer = await testEnvironment().kube.request({
    method: "PATCH",
    path: `/api/v1/namespaces/${namespace}/secrets/${name}?fieldManager=${other}`,
    contentType: "application/merge-patch+json",
    body: patch,
  });
  expect(answer.status).toBe(200);
}

describe("first write", () => {
  it("creates with exactly our keys and answers metadata without data", async () => {
    const result = await applyNew(client, resources.secrets, secret("new", { a: "1", b: "2" }));
    expect(result.created).toBe(true);
    if (!result.created) return;
    expect(result.metadata.kind).toBe("PartialObjectMetadata");
    expect(result.metadata).not.toHaveProperty("data");
    const owners = fieldOwnership(result.metadata.metadata.managedFields, manager);
    expect(ownsExactly(owners, ["a", "b"])).toBe(true);
    expect(appliedFields(result.metadata.metadata.managedFields, manager)).toEqual(
      expect.arrayContaining([["data", "a"], ["data", "b"], ["metadata", "labels", "example.com/managed"], ["type"]]),
    );
  });

  it("is refused when something with that name exists, ours or not, and changes nothing", async () => {
    await testEnvironment().kube.request({
      method: "POST",
      path: `/api/v1/namespaces/${namespace}/secrets`,
      body: { apiVersion: "v1", kind: "Secret", metadata: { name: "foreign" }, data: { theirs: base64("x") } },
    });
    const before = await stored("foreign");
    expect(await applyNew(client, resources.secrets, secret("foreign", { ours: "1" }))).toEqual({ created: false });
    expect(await applyNew(client, resources.secrets, secret("foreign", { ours: "1" }), { force: true })).toEqual({
      created: false,
    });
    expect(await stored("foreign")).toEqual(before);
    await created("twice", { a: "1" });
    expect(await applyNew(client, resources.secrets, secret("twice", { a: "1" }))).toEqual({ created: false });
  });

  it("stores nothing in a dry run", async () => {
    const result = await applyNew(client, resources.secrets, secret("dry", { a: "1" }), { dryRun: true });
    expect(result.created).toBe(true);
    expect(await client.find(resources.secrets, { namespace, name: "dry" })).toBeUndefined();
  });
});

describe("later writes", () => {
  it("change, add and drop our keys", async () => {
    const uid = await created("later", { a: "1", b: "2" });
    const result = await applyExisting(client, resources.secrets, secret("later", { a: "9", c: "3" }), uid);
    expect(result.updated).toBe(true);
    expect((await stored("later")).data).toEqual({ a: base64("9"), c: base64("3") });
    expect(ownsExactly(await ownership("later"), ["a", "c"])).toBe(true);
  });

  it("of equal content change nothing, not even the resource version", async () => {
    const uid = await created("equal", { a: "1" });
    const before = await stored("equal");
    const result = await applyExisting(client, resources.secrets, secret("equal", { a: "1" }), uid);
    expect(result).toMatchObject({
      updated: true,
      metadata: { metadata: { resourceVersion: before.metadata.resourceVersion } },
    });
  });

  it("do not bring back an object that is gone", async () => {
    const uid = await created("gone", { a: "1" });
    await client.delete(resources.secrets, { namespace, name: "gone" }, { uid });
    expect(await applyExisting(client, resources.secrets, secret("gone", { a: "2" }), uid)).toEqual({ updated: false });
    expect(await client.find(resources.secrets, { namespace, name: "gone" })).toBeUndefined();
  });

  it("do not touch an object that took the name", async () => {
    const uid = await created("replaced", { a: "1" });
    await client.delete(resources.secrets, { namespace, name: "replaced" }, { uid });
    await created("replaced", { other: "x" });
    const before = await stored("replaced");
    expect(await applyExisting(client, resources.secrets, secret("replaced", { a: "2" }), uid)).toEqual({
      updated: false,
    });
    expect(await stored("replaced")).toEqual(before);
  });

  it("are refused in another state of the object when they name one", async () => {
    const uid = await created("locked", { a: "1" });
    const old = (await stored("locked")).metadata.resourceVersion;
    const first = await applyExisting(client, resources.secrets, secret("locked", { a: "2" }), uid, {
      resourceVersion: old,
    });
    expect(first.updated).toBe(true);
    const stale = { resourceVersion: old, force: true };
    expect(await applyExisting(client, resources.secrets, secret("locked", { a: "3" }), uid, stale)).toEqual({
      updated: false,
    });
    expect((await stored("locked")).data).toEqual({ a: base64("2") });
    await client.delete(resources.secrets, { namespace, name: "locked" });
    expect(await applyExisting(client, resources.secrets, secret("locked", { a: "3" }), uid, stale)).toEqual({
      updated: false,
    });
    expect(await client.find(resources.secrets, { namespace, name: "locked" })).toBeUndefined();
  });

  it("tell a conflict of owners from an object that is gone", async () => {
    const uid = await created("contested", { a: "1" });
    await writeAs("kubectl-edit", "contested", { data: { a: base64("edited") } });
    const failure: unknown = await applyExisting(client, resources.secrets, secret("contested", { a: "2" }), uid).catch(
      (error: unknown) => error,
    );
    expect(failure).toMatchObject({ code: 409, fields: [{ field: ".data.a", reason: "FieldManagerConflict" }] });
    const forced = await applyExisting(client, resources.secrets, secret("contested", { a: "2" }), uid, {
      force: true,
    });
    expect(forced.updated).toBe(true);
    expect((await stored("contested")).data).toEqual({ a: base64("2") });
    expect(ownsExactly(await ownership("contested"), ["a"])).toBe(true);
  });
});

describe("drift, seen from metadata alone", () => {
  it("an edited key moves to its editor", async () => {
    await created("edited", { a: "1", b: "2" });
    await writeAs("kubectl-edit", "edited", { data: { a: base64("x") } });
    const owners = await ownership("edited");
    expect(owners.ours).toEqual(new Set(["b"]));
    expect(owners.foreign).toEqual(new Map([["kubectl-edit", new Set(["a"])]]));
    expect(ownsExactly(owners, ["a", "b"])).toBe(false);
  });

  it("an added key has a foreign owner", async () => {
    await created("added", { a: "1" });
    await writeAs("somebody", "added", { data: { z: base64("x") } });
    expect((await ownership("added")).foreign).toEqual(new Map([["somebody", new Set(["z"])]]));
  });

  it("a removed key leaves our entry", async () => {
    await created("removed", { a: "1", b: "2" });
    await writeAs("somebody", "removed", { data: { a: null } });
    expect((await ownership("removed")).ours).toEqual(new Set(["b"]));
  });

  it("a write under our name shows as Update", async () => {
    await created("forged", { a: "1" });
    await writeAs(manager, "forged", { data: { a: base64("x") } });
    const owners = await ownership("forged");
    expect(owners.writtenAsUs).toBe(true);
    expect(ownsExactly(owners, ["a"])).toBe(false);
  });

  it("repair by a forced apply makes everything ours again, foreign keys apart", async () => {
    const uid = await created("repaired", { a: "1" });
    await writeAs(manager, "repaired", { data: { a: base64("x"), added: base64("y") } });
    await writeAs("somebody", "repaired", { data: { z: base64("x") } });
    await applyExisting(client, resources.secrets, secret("repaired", { a: "1" }), uid, { force: true });
    const owners = await ownership("repaired");
    expect(owners.ours).toEqual(new Set(["a"]));
    expect([...owners.foreign.keys()]).toEqual(["somebody"]);
    expect((await stored("repaired")).data?.["a"]).toBe(base64("1"));
  });
});

describe("deletion", () => {
  it("holds to uid and resource version", async () => {
    const uid = await created("doomed", { a: "1" });
    const { resourceVersion } = (await stored("doomed")).metadata;
    const name = { namespace, name: "doomed" };
    await expect(
      client.delete(resources.secrets, name, { uid: "00000000-0000-0000-0000-000000000000" }),
    ).rejects.toMatchObject({
      code: 409,
    });
    await expect(client.delete(resources.secrets, name, { uid, resourceVersion: "1" })).rejects.toMatchObject({
      code: 409,
    });
    expect(
      await client.delete(resources.secrets, name, {
        uid,
        ...(resourceVersion === undefined ? {} : { resourceVersion }),
      }),
    ).toBe("deleted");
    expect(await client.delete(resources.secrets, name, { uid })).toBe("absent");
  });
});

describe("refusals", () => {
  it("carry nothing of what the server quotes", async () => {
    const canary = "canary-41c9";
    const broken = { metadata: { namespace, name: "broken" }, data: { a: `${canary} not base64` } };
    const text = await testEnvironment().kube.request({
      method: "PATCH",
      path: `/api/v1/namespaces/${namespace}/secrets/broken?fieldManager=x`,
      contentType: "application/apply-patch+yaml",
      body: { apiVersion: "v1", kind: "Secret", metadata: { name: "broken" }, data: { a: 4711 } },
    });
    expect(text.text).toContain("4711");
    const objects = [broken, { ...broken, data: { [`bad key ${canary}`]: "" } }, { ...broken, data: { a: 4711 } }];
    for (const object of objects) {
      const failure: unknown = await client.apply(resources.secrets, object).catch((error: unknown) => error);
      expect(failure).toMatchObject({ name: "ApiStatusError" });
      const shown = inspect(failure, { depth: 10, showHidden: true }).replaceAll(/at .*\n/g, "");
      expect(shown).not.toContain("4711");
      expect(shown.includes(`${canary} not`)).toBe(false);
    }
  });
});

describe("finalizers", () => {
  const ours = "example.com/ours";
  const theirs = "example.com/theirs";

  it("are added and removed beside those of others, also when ours is based on an old state", async () => {
    await created("final", { a: "1" });
    const name = { namespace, name: "final" };
    const old = await client.getMetadata(resources.secrets, name);
    await addFinalizer(client, resources.secrets, old, theirs);
    const both = await addFinalizer(client, resources.secrets, old, ours);
    expect(both?.metadata.finalizers).toEqual([theirs, ours]);
    const again = await addFinalizer(client, resources.secrets, both ?? old, ours);
    expect(again?.metadata.resourceVersion).toBe(both?.metadata.resourceVersion);
    expect(
      (
        await removeFinalizer(
          client,
          resources.secrets,
          { ...old, metadata: { ...old.metadata, finalizers: [ours] } },
          ours,
        )
      )?.metadata.finalizers,
    ).toEqual([theirs]);
    await client.delete(resources.secrets, name);
    const dying = await client.getMetadata(resources.secrets, name);
    expect(await addFinalizer(client, resources.secrets, dying, ours)).toBeUndefined();
    expect(await addFinalizer(client, resources.secrets, old, ours)).toBeUndefined();
    await removeFinalizer(client, resources.secrets, dying, theirs);
    expect(await client.find(resources.secrets, name)).toBeUndefined();
    expect(await removeFinalizer(client, resources.secrets, dying, theirs)).toBeUndefined();
  });
});

describe("discovery", () => {
  it("names the types of a group and tells one that is not served", async () => {
    const leases = await client.groupDiscovery("coordination.k8s.io", "v1");
    expect(leases?.find((one) => one.name === "leases")).toMatchObject({ kind: "Lease", namespaced: true });
    expect(leases?.find((one) => one.name === "leases")?.verbs).toContain("create");
    expect(await client.groupDiscovery("nobody.example.com", "v1")).toBeUndefined();
  });
});
