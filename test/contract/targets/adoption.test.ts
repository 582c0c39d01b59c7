import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { secretMetadata } from "../../../src/api/index.ts";
import type { TargetObservation } from "../../../src/ports/target.ts";
import { fieldOwnership, ownsExactly } from "../../../src/runtime/index.ts";
import type { KubernetesSecretRef } from "../../../src/targets/index.ts";
import {
  content,
  encoded,
  type KubernetesParts,
  MANAGER,
  startKubernetes,
  type StoredSecret,
} from "./kubernetes-support.ts";
import { CANARY, failure, someMark } from "./support.ts";

const signal = new AbortController().signal;
const ESO = "external-secrets";
const values = { api_key: `${CANARY}-1`, "tls.key": `${CANARY}-2` };

/** A Secret as External Secrets Operator makes it: POST, controller reference, its labels and annotations. */
function esoSecret(name: string): Record<string, unknown> {
  return {
    metadata: {
      name,
      labels: {
        "reconcile.external-secrets.io/managed": "true",
        "reconcile.external-secrets.io/created-by": "abc",
        team: "x",
      },
      annotations: { "reconcile.external-secrets.io/data-hash": "0123", note: "kept" },
      ownerReferences: [
        {
          apiVersion: "external-secrets.io/v1",
          kind: "ExternalSecret",
          name: "stripe",
          uid: "11111111-2222-3333-4444-555555555555",
          controller: true,
          blockOwnerDeletion: true,
        },
      ],
    },
    type: "Opaque",
    data: encoded(values),
  };
}

describe("a Secret of External Secrets Operator changes hands and back", () => {
  let parts: KubernetesParts;
  beforeAll(async () => {
    parts = await startKubernetes();
  });
  afterAll(async () => parts?.close());

  const adopt = (ref: KubernetesSecretRef, observed: TargetObservation, wanted = content(values)) =>
    parts.target.adopt(ref, { content: wanted, mark: someMark(), observed }, signal);
  const settled = (
    ref: KubernetesSecretRef,
    condition: (seen: TargetObservation) => boolean,
  ): Promise<TargetObservation> =>
    expect
      .poll(() => parts.observe(ref), { timeout: 15_000 })
      .toSatisfy(condition)
      .then(() => parts.observe(ref));
  /** What ESO does when it lets go: an update without the ownerReference. */
  const orphan = async (ref: KubernetesSecretRef): Promise<StoredSecret> => {
    const secret = await parts.get(ref);
    if (secret === undefined) throw new Error("gone");
    const { ownerReferences: _gone, managedFields: _fields, ...metadata } = secret.metadata;
    return parts.put(ESO, { ...secret, metadata });
  };

  test("observed, refused, adopted, changed by us, handed back, updated by it: one uid, one set of bytes", async () => {
    const ref = parts.ref("stripe");
    const made = await parts.post(ESO, esoSecret(ref.name));

    // Observed: who owns it is told, nothing is read but metadata.
    parts.requests.length = 0;
    const owned = await parts.observe(ref);
    expect(owned).toMatchObject({
      mark: { state: "None" },
      controllerOwner: "ExternalSecret/stripe",
      otherWriter: ESO,
    });
    const read = await parts.target.read({ ...ref, keys: new Set(Object.keys(values)) }, signal);
    expect(read?.keys.get("api_key")?.text()).toBe(values.api_key);

    // Refused while the reference is there.
    const refused = await failure(adopt(ref, owned));
    expect([refused.reason, refused.message]).toEqual([
      "AdoptRefused",
      "ExternalSecret/stripe still owns Secret stripe",
    ]);
    await orphan(ref);

    // Refused while bytes, type or keys differ.
    const free = await parts.observe(ref);
    expect(free.controllerOwner).toBeUndefined();
    for (const wanted of [
      content({ ...values, api_key: "x" }),
      content({ ...values, more: "x" }),
      content({ api_key: values.api_key }),
      content(values, "example.com/other"),
    ]) {
      expect((await failure(adopt(ref, free, wanted))).reason).toBe("AdoptDiffers");
    }
    expect((await parts.get(ref))?.metadata.labels?.["reconcile.external-secrets.io/managed"]).toBe("true");

    // Adopted: label, mark and ownership are ours, the tool's labels are gone, the people's stay, the data is the same.
    await adopt(ref, free);
    const adopted = await parts.get(ref);
    expect(adopted?.metadata.uid).toBe(made.metadata.uid);
    expect(adopted?.data).toEqual(made.data);
    expect(adopted?.metadata.labels).toEqual({ team: "x", [secretMetadata.managedLabel]: "true" });
    expect(Object.keys(adopted?.metadata.annotations ?? {}).sort()).toEqual(["note", secretMetadata.markAnnotation]);
    expect(ownsExactly(fieldOwnership(adopted?.metadata.managedFields, MANAGER), Object.keys(values))).toBe(true);
    await settled(ref, (seen) => seen.content === "AsMarked");

    // From now on a dropped key goes and a changed one is written without force; then back to the bytes of before.
    const observed = await parts.observe(ref);
    const once = { content: content({ api_key: "rotated" }), mark: someMark("v2"), observed };
    await parts.target.write(ref, once, signal);
    expect((await parts.get(ref))?.data).toEqual(encoded({ api_key: "rotated" }));
    const again = { content: content(values), mark: someMark("v3"), observed: await parts.observe(ref) };
    await parts.target.write(ref, again, signal);

    // Handed back: nothing of ours is left, nobody owns the data.
    const ours = await settled(ref, (seen) => seen.content === "AsMarked");
    await parts.target.release(ref, ours, signal);
    const released = await parts.get(ref);
    expect(released?.metadata.uid).toBe(made.metadata.uid);
    expect(released?.data).toEqual(made.data);
    expect(released?.metadata.labels).toEqual({ team: "x" });
    expect(released?.metadata.annotations).toEqual({ note: "kept" });
    const owners = fieldOwnership(released?.metadata.managedFields, MANAGER);
    expect([owners.applied, owners.foreign.size]).toEqual([false, 0]);
    expect(await parts.observe(ref)).toMatchObject({ presence: "Present", mark: { state: "None" } });

    // ESO's manager takes it by update as it always did, and drops a key.
    const back = { ...(released as StoredSecret), data: encoded({ api_key: "eso again" }) };
    const { managedFields: _fields, ...metadata } = back.metadata;
    await parts.put(ESO, { ...back, metadata });
    const final = await parts.get(ref);
    expect(final?.metadata.uid).toBe(made.metadata.uid);
    expect(final?.data).toEqual(encoded({ api_key: "eso again" }));
    expect(await parts.observe(ref)).toMatchObject({ mark: { state: "None" }, otherWriter: ESO });
  });

  test("after a hand-back a tool that applies needs no force either", async () => {
    const ref = parts.ref();
    await parts.post(ESO, { metadata: { name: ref.name }, data: encoded(values) });
    await adopt(ref, await parts.observe(ref));
    const ours = await settled(ref, (seen) => seen.content === "AsMarked");
    await parts.target.release(ref, ours, signal);
    const applied = { metadata: { name: ref.name }, data: encoded({ api_key: "by apply" }) };
    expect(await parts.apply(ref, "flux", applied)).toBe(200);
    expect((await parts.get(ref))?.data?.["api_key"]).toBe(encoded({ x: "by apply" })["x"]);
  });

  test("a Secret of two managers is taken over whole", async () => {
    const ref = parts.ref();
    await parts.post(ESO, { metadata: { name: ref.name }, data: encoded({ a: CANARY }) });
    expect(await parts.apply(ref, "argo", { metadata: { name: ref.name }, data: encoded({ b: CANARY }) })).toBe(200);
    await adopt(ref, await parts.observe(ref), content({ a: CANARY, b: CANARY }));
    const observed = await settled(ref, (seen) => seen.content === "AsMarked");
    await parts.target.write(ref, { content: content({ b: "2" }), mark: someMark("v2"), observed }, signal);
    expect((await parts.get(ref))?.data).toEqual(encoded({ b: "2" }));
  });

  test("what changes between look and adoption is not adopted", async () => {
    const ref = parts.ref();
    await parts.post(ESO, { metadata: { name: ref.name }, data: encoded(values) });
    const observed = await parts.observe(ref);
    await parts.drop(ref);
    await parts.post(ESO, { metadata: { name: ref.name }, data: encoded(values) });
    expect((await failure(adopt(ref, observed))).code).toBe("fence");
    expect((await parts.get(ref))?.metadata.labels).toBeUndefined();
  });

  test("what is edited between the comparison and the patch is not adopted", async () => {
    const ref = parts.ref();
    await parts.post(ESO, { metadata: { name: ref.name }, data: encoded(values) });
    const observed = await parts.observe(ref);
    parts.before("patch", () => parts.patch(ref, ESO, { data: encoded({ api_key: "newer" }) }));
    expect((await failure(adopt(ref, observed))).code).toBe("fence");
    const secret = await parts.get(ref);
    expect(secret?.data).toEqual(encoded({ ...values, api_key: "newer" }));
    expect(secret?.metadata.labels).toBeUndefined();
    expect(await parts.observe(ref)).toMatchObject({ mark: { state: "None" }, otherWriter: ESO });
  });

  test("adoption carries no value to the API server", async () => {
    const ref = parts.ref();
    await parts.post(ESO, { metadata: { name: ref.name }, data: encoded(values) });
    const observed = await parts.observe(ref);
    parts.requests.length = 0;
    await adopt(ref, observed);
    expect(parts.requests.filter((one) => one.verb !== "watch").map((one) => one.verb)).toEqual([
      "get",
      "patch",
      "patch",
    ]);
  });
});
