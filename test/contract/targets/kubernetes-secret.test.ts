import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { secretMetadata } from "../../../src/api/index.ts";
import type { RenderedContent, TargetObservation } from "../../../src/ports/target.ts";
import { fieldOwnership, ownsExactly } from "../../../src/runtime/index.ts";
import type { KubernetesSecretRef } from "../../../src/targets/index.ts";
import { testEnvironment } from "../../support/environment.ts";
import {
  content,
  encoded,
  type KubernetesParts,
  MANAGER,
  startKubernetes,
  type StoredSecret,
} from "./kubernetes-support.ts";
import { CANARY, failure, someMark } from "./support.ts";
import { describeSecretTarget } from "./target-contract.ts";

const signal = new AbortController().signal;

function dataText(secret: StoredSecret | undefined): string | undefined {
  if (secret === undefined) return undefined;
  const entries = Object.entries(secret.data ?? {}).map(([key, text]) => [key, Buffer.from(text, "base64").toString()]);
  return JSON.stringify(Object.fromEntries(entries.sort()));
}

describeSecretTarget<KubernetesSecretRef>("Kubernetes Secret", async () => {
  const parts = await startKubernetes();
  const seen = new Map<string, { text: string | undefined; writes: number }>();
  const dataOf = (wanted: RenderedContent): Record<string, string> =>
    Object.fromEntries([...wanted.keys].map(([key, value]) => [key, value.bytes().toString("base64")]));
  return {
    target: parts.target,
    ref: parts.ref,
    content: (value, key = "api_key") => content({ [key]: value, n: "1" }),
    make: async (ref, wanted) => {
      await parts.post("other-tool", { metadata: { name: ref.name }, type: wanted.type, data: dataOf(wanted) });
    },
    change: (ref, wanted) => parts.patch(ref, "kubectl-edit", { data: dataOf(wanted) }),
    copyMark: async (from, to) => {
      const mark = (await parts.get(from))?.metadata.annotations?.[secretMetadata.markAnnotation];
      await parts.patch(to, "kubectl-edit", { metadata: { annotations: { [secretMetadata.markAnnotation]: mark } } });
    },
    stored: async (ref) => dataText(await parts.get(ref)),
    // A Secret has no version: what counts is whether its data became another.
    writes: async (ref) => {
      const text = dataText(await parts.get(ref));
      const last = seen.get(ref.name) ?? { text: undefined, writes: 0 };
      const now = { text, writes: last.writes + (text === last.text ? 0 : 1) };
      seen.set(ref.name, now);
      return now.writes;
    },
    close: parts.close,
  };
});

describe("Kubernetes Secret: what only it does", () => {
  let parts: KubernetesParts;
  beforeAll(async () => {
    parts = await startKubernetes();
  });
  afterAll(async () => parts?.close());

  const settled = (
    ref: KubernetesSecretRef,
    condition: (seen: TargetObservation) => boolean,
  ): Promise<TargetObservation> =>
    expect
      .poll(() => parts.observe(ref), { timeout: 15_000 })
      .toSatisfy(condition)
      .then(() => parts.observe(ref));
  const asMarked = (ref: KubernetesSecretRef): Promise<TargetObservation> =>
    settled(ref, (seen) => seen.content === "AsMarked");
  const write = async (ref: KubernetesSecretRef, wanted: RenderedContent, version = "v1"): Promise<void> => {
    const observed = await parts.observe(ref);
    await parts.target.write(ref, { content: wanted, mark: someMark(version), observed }, signal);
  };
  const expectOurs = async (ref: KubernetesSecretRef, values: Record<string, string>): Promise<void> => {
    const secret = await parts.get(ref);
    expect(secret?.data ?? {}).toEqual(encoded(values));
    const owners = fieldOwnership(secret?.metadata.managedFields, MANAGER);
    expect(ownsExactly(owners, Object.keys(values))).toBe(true);
    expect((await parts.observe(ref)).content).toBe("AsMarked");
  };

  test("the first write is an apply: a key that is dropped later goes", async () => {
    const ref = parts.ref();
    await write(ref, content({ a: CANARY, b: CANARY, "tls.crt": "x" }));
    await expectOurs(ref, { a: CANARY, b: CANARY, "tls.crt": "x" });
    await write(ref, content({ a: CANARY }), "v2");
    await expectOurs(ref, { a: CANARY });
    const secret = await parts.get(ref);
    expect(secret?.metadata.labels).toEqual({ [secretMetadata.managedLabel]: "true" });
    expect(Object.keys(secret?.metadata.annotations ?? {})).toEqual([secretMetadata.markAnnotation]);
    expect(secret?.metadata.ownerReferences).toBeUndefined();
  });

  test("bytes that are no text, empty values and no keys at all", async () => {
    const ref = parts.ref();
    const bytes = Buffer.from([0, 255, 128, 10, 13]);
    await write(ref, content({ bytes, empty: "" }));
    expect((await parts.get(ref))?.data).toEqual({ bytes: bytes.toString("base64"), empty: "" });
    await asMarked(ref);
    await write(ref, content({}), "v2");
    await expectOurs(ref, {});
  });

  test("a look at what is as marked costs no request, one at a foreign name one without data", async () => {
    const ref = parts.ref();
    await write(ref, content({ a: CANARY }));
    await expect.poll(() => parts.store.get(parts.target.key(ref))?.metadata.uid).toBeDefined();
    await asMarked(ref);
    parts.requests.length = 0;
    await Promise.all(Array.from({ length: 100 }, () => parts.observe(ref)));
    expect(parts.requests.filter((request) => request.verb !== "watch")).toEqual([]);
    await parts.observe(parts.ref());
    expect(parts.requests.filter((request) => request.verb === "get")).toHaveLength(1);
  });

  test("a write costs one request, a creation two, and no answer holds data", async () => {
    const { kube } = testEnvironment();
    const ref = parts.ref();
    const since = await kube.auditMark();
    parts.requests.length = 0;
    parts.answers.length = 0;
    await write(ref, content({ a: CANARY }));
    expect(parts.requests.filter((one) => one.verb !== "watch").map((one) => one.verb)).toEqual(["get", "apply"]);
    const observed = await asMarked(ref);
    parts.requests.length = 0;
    await write(ref, content({ a: `${CANARY}-2` }), "v2");
    expect(parts.requests.filter((one) => one.verb !== "watch").map((one) => one.verb)).toEqual(["apply"]);
    await parts.target.mark(ref, { mark: someMark(), observed: await parts.observe(ref) }, signal);
    await parts.target.release(ref, await parts.observe(ref), signal);
    expect(observed.presence).toBe("Present");
    expect(parts.answers.length).toBeGreaterThanOrEqual(5);
    for (const { verb, text } of parts.answers) expect([verb, text.includes('"data":')]).toEqual([verb, false]);
    const audit = await kube.readAudit({ since });
    const ours = JSON.stringify(audit.filter((entry) => JSON.stringify(entry).includes(ref.name)));
    expect(ours).toContain("scaivault-operator/test (eu-1; ");
  });

  test("a creation without a look costs one request; where the name is taken it changes nothing, and the next one looks", async () => {
    const free = parts.ref();
    parts.requests.length = 0;
    expect(parts.target.assume?.(free)).toMatchObject({ presence: "Absent", assumed: true });
    const create = (ref: KubernetesSecretRef): Promise<unknown> => {
      const observed = parts.target.assume?.(ref) as TargetObservation;
      return parts.target.write(ref, { content: content({ a: CANARY }), mark: someMark("v1"), observed }, signal);
    };
    await create(free);
    expect(parts.requests.filter((one) => one.verb !== "watch").map((one) => one.verb)).toEqual(["apply"]);
    await asMarked(free);
    expect(parts.target.assume?.(free)).toMatchObject({ presence: "Present", content: "AsMarked" });
    for (const type of ["Opaque", "example.com/other"]) {
      const taken = parts.ref();
      await parts.post("other-tool", { metadata: { name: taken.name }, type, data: encoded({ a: "theirs" }) });
      const before = await parts.get(taken);
      expect(await failure(create(taken))).toMatchObject({ code: "taken" });
      expect(await parts.get(taken)).toEqual(before);
      expect(parts.target.assume?.(taken)).toBeUndefined();
      expect(await parts.observe(taken)).toMatchObject({ presence: "Present", mark: { state: "None" } });
    }
  });

  test("a Secret that a backup tool brought back with label and mark is ours again", async () => {
    const ref = parts.ref();
    await write(ref, content({ a: CANARY, b: CANARY }));
    await asMarked(ref);
    const { metadata, data } = (await parts.get(ref)) ?? {};
    await parts.drop(ref);
    await settled(ref, (now) => now.presence === "Absent");
    const { labels, annotations } = metadata ?? {};
    await parts.post("velero-server", { metadata: { name: ref.name, labels, annotations }, data });
    const seen = await settled(ref, (now) => now.presence === "Present");
    expect(seen).toMatchObject({ mark: { state: "Valid" }, content: "Changed", otherWriter: "velero-server" });
    await write(ref, content({ a: CANARY }), "v2");
    await expectOurs(ref, { a: CANARY });
  });

  test("a Secret whose managedFields were thrown away is ours again, keys that nobody owned included", async () => {
    const ref = parts.ref();
    await write(ref, content({ a: CANARY, b: CANARY }));
    await asMarked(ref);
    await parts.patch(ref, "somebody", { metadata: { managedFields: [{}] } });
    await settled(ref, (now) => now.content === "Changed");
    await write(ref, content({ a: "2" }), "v2");
    await expectOurs(ref, { a: "2" });
  });

  test("drift by a key that was removed is seen without reading data, and put right", async () => {
    const ref = parts.ref();
    await write(ref, content({ a: CANARY, b: CANARY }));
    await asMarked(ref);
    parts.requests.length = 0;
    await parts.patch(ref, "kubectl-edit", { data: { b: null } });
    const seen = await settled(ref, (now) => now.content === "Changed");
    expect(seen.mark.state).toBe("Valid");
    expect(parts.requests.filter((one) => one.verb === "get")).toEqual([]);
    await write(ref, content({ a: CANARY, b: CANARY }));
    await expectOurs(ref, { a: CANARY, b: CANARY });
  });

  test("drift by an edit and by a new key names the other manager; both go", async () => {
    const ref = parts.ref();
    await write(ref, content({ a: CANARY }));
    await asMarked(ref);
    await parts.patch(ref, "kubectl-edit", { data: encoded({ a: "edited", extra: "x" }) });
    expect(await settled(ref, (now) => now.content === "Changed")).toMatchObject({ otherWriter: "kubectl-edit" });
    await write(ref, content({ a: CANARY }));
    await expectOurs(ref, { a: CANARY });
  });

  test("drift by somebody who writes under our manager's name is seen", async () => {
    const ref = parts.ref();
    await write(ref, content({ a: CANARY }));
    await asMarked(ref);
    await parts.patch(ref, MANAGER, { data: encoded({ a: "as-us" }) });
    expect(await settled(ref, (now) => now.content === "Changed")).toMatchObject({
      otherWriter: `${MANAGER} (Update)`,
    });
    await write(ref, content({ a: CANARY }));
    await expectOurs(ref, { a: CANARY });
  });

  test("a second applier that shares a key is told and loses it again, without force", async () => {
    const ref = parts.ref();
    await write(ref, content({ a: CANARY }));
    await asMarked(ref);
    expect(await parts.apply(ref, "argo", { metadata: { name: ref.name }, data: encoded({ a: CANARY }) })).toBe(200);
    expect(await parts.apply(ref, "argo", { metadata: { name: ref.name }, data: encoded({ a: "argo" }) })).toBe(409);
    expect(await settled(ref, (now) => now.content === "Changed")).toMatchObject({ otherWriter: "argo" });
    await write(ref, content({ a: CANARY }));
    await expectOurs(ref, { a: CANARY });
  });

  test("labels and annotations of people stay and are no drift", async () => {
    const ref = parts.ref();
    await write(ref, content({ a: CANARY }));
    await asMarked(ref);
    await parts.patch(ref, "kubectl-label", { metadata: { labels: { team: "x" }, annotations: { note: "y" } } });
    await expect.poll(() => parts.store.get(parts.target.key(ref))?.metadata.labels?.["team"]).toBe("x");
    expect((await parts.observe(ref)).content).toBe("AsMarked");
    await write(ref, content({ a: "2" }), "v2");
    expect((await parts.get(ref))?.metadata).toMatchObject({ labels: { team: "x" }, annotations: { note: "y" } });
  });

  test("our label taken off by hand is a release: not ours, no repair", async () => {
    const ref = parts.ref();
    await write(ref, content({ a: CANARY }));
    const before = await asMarked(ref);
    await parts.patch(ref, "kubectl-label", { metadata: { labels: { [secretMetadata.managedLabel]: null } } });
    await settled(ref, (now) => now.mark.state === "None");
    const observed = await parts.observe(ref);
    expect(observed).toMatchObject({ presence: "Present", mark: { state: "None" } });
    expect(observed.markLost).toBeUndefined();
    for (const stale of [before, observed]) {
      const request = { content: content({ a: "2" }), mark: someMark(), observed: stale };
      expect((await failure(parts.target.write(ref, request, signal))).reason).toBe("NotOwned");
    }
    expect((await parts.get(ref))?.data).toEqual(encoded({ a: CANARY }));
  });

  test("the mark taken off with the label there is repaired, without a value", async () => {
    const ref = parts.ref();
    await write(ref, content({ a: CANARY }));
    await asMarked(ref);
    const annotations = { [secretMetadata.markAnnotation]: null };
    await parts.patch(ref, "kubectl-annotate", { metadata: { annotations } });
    const observed = await settled(ref, (now) => now.markLost === true);
    expect(observed.mark).toEqual({ state: "None" });
    await parts.target.mark(ref, { mark: someMark(), observed }, signal);
    await expectOurs(ref, { a: CANARY });
  });

  test("a Secret that was deleted and made anew by others is not written", async () => {
    const ref = parts.ref();
    await write(ref, content({ a: CANARY }));
    const observed = await asMarked(ref);
    await parts.drop(ref);
    await parts.post("other-tool", { metadata: { name: ref.name }, data: encoded({ a: "theirs" }) });
    const error = await failure(
      parts.target.write(ref, { content: content({ a: "2" }), mark: someMark(), observed }, signal),
    );
    expect(error.code === "fence" || error.reason === "NotOwned").toBe(true);
    expect((await parts.get(ref))?.data).toEqual(encoded({ a: "theirs" }));
    await parts.drop(ref);
    await settled(ref, (now) => now.presence === "Absent");
  });

  test("what changes in the last moment is neither written over nor deleted nor released", async () => {
    const ref = parts.ref();
    await write(ref, content({ a: CANARY }));
    const edit = (value: string) => (): Promise<void> =>
      parts.patch(ref, "kubectl-edit", { data: encoded({ a: value }) });
    const observed = await asMarked(ref);
    parts.before("apply", edit("one"));
    const request = { content: content({ a: `${CANARY}-2` }), mark: someMark("v2"), observed };
    expect((await failure(parts.target.write(ref, request, signal))).code).toBe("fence");
    expect((await parts.get(ref))?.data).toEqual(encoded({ a: "one" }));
    await settled(ref, (now) => now.content === "Changed");
    await write(ref, content({ a: CANARY }));
    const again = await asMarked(ref);
    parts.before("delete", edit("two"));
    expect((await failure(parts.target.remove(ref, again, signal))).code).toBe("fence");
    expect((await parts.get(ref))?.data).toEqual(encoded({ a: "two" }));
    await settled(ref, (now) => now.content === "Changed");
    await write(ref, content({ a: CANARY }));
    const once = await asMarked(ref);
    parts.before("patch", edit("three"));
    expect((await failure(parts.target.release(ref, once, signal))).code).toBe("fence");
    expect((await parts.get(ref))?.metadata.labels?.[secretMetadata.managedLabel]).toBe("true");
  });

  test("what cannot be written is told without the server's words", async () => {
    const ref = parts.ref();
    await write(ref, content({ a: CANARY }));
    await asMarked(ref);
    const attempt = async (wanted: RenderedContent, to = ref): Promise<string> => {
      const observed = await parts.observe(to);
      return (await failure(parts.target.write(to, { content: wanted, mark: someMark(), observed }, signal))).reason;
    };
    expect(await attempt(content({ a: CANARY }, "example.com/other"))).toBe("ImmutableType");
    expect(await attempt(content({ a: CANARY }, "kubernetes.io/service-account-token"))).toBe("TypeNotAllowed");
    expect(await attempt(content({ "no/slash": CANARY }))).toBe("InvalidKey");
    expect(await attempt(content({ a: "x".repeat(1024 * 1024 + 1) }))).toBe("ValueTooLarge");
    expect(await attempt(content({ a: CANARY }, "kubernetes.io/tls"), parts.ref())).toBe("WriteRefused");
    await parts.patch(ref, "kubectl-edit", { immutable: true });
    expect(await attempt(content({ a: `${CANARY}-2` }))).toBe("WriteRefused");
    const nowhere = { namespace: "no-such-namespace", name: "x" };
    expect(await attempt(content({ a: CANARY }), nowhere)).toBe("WriteRefused");
  });

  test("a Secret of exactly 1 MiB is kept", async () => {
    const ref = parts.ref();
    await write(ref, content({ a: "x".repeat(1024 * 1024) }));
    expect((await asMarked(ref)).presence).toBe("Present");
  });

  test("a namespace that is being deleted is told as that", async () => {
    const { kube } = testEnvironment();
    const other = await startKubernetes();
    try {
      await kube.apply(`/api/v1/namespaces/${other.namespace}/configmaps/holds`, {
        apiVersion: "v1",
        kind: "ConfigMap",
        metadata: { name: "holds", finalizers: ["example.com/hold"] },
      });
      await kube.request({ method: "DELETE", path: `/api/v1/namespaces/${other.namespace}` });
      const ref = other.ref();
      const attempt = async (): Promise<string> => {
        const observed = await other.observe(ref);
        const request = { content: content({ a: CANARY }), mark: someMark(), observed };
        return observed.presence === "Unknown"
          ? (observed.failure?.reason ?? "")
          : (await failure(other.target.write(ref, request, signal))).reason;
      };
      // The controller manager takes the Role away in the same breath; both answers are true.
      expect(["NamespaceTerminating", "WriteRefused"]).toContain(await attempt());
    } finally {
      await kube.apply(`/api/v1/namespaces/${other.namespace}/configmaps/holds`, {
        apiVersion: "v1",
        kind: "ConfigMap",
        metadata: { name: "holds", finalizers: [] },
      });
      await other.close();
    }
  });

  test("a missing right is named", async () => {
    const other = await startKubernetes("get list watch");
    const ref = other.ref();
    const observed = await other.observe(ref);
    const error = await failure(
      other.target.write(ref, { content: content({ a: CANARY }), mark: someMark(), observed }, signal),
    );
    expect([error.reason, error.right]).toEqual(["WriteRefused", "secrets: patch"]);
    await other.close();
  });

  test("a read drops the values of keys that are not wanted", async () => {
    const ref = parts.ref();
    await parts.post("other-tool", { metadata: { name: ref.name }, data: encoded({ a: CANARY, foreign: CANARY }) });
    const read = await parts.target.read({ ...ref, keys: new Set(["a", "missing"]) }, signal);
    expect([...(read?.keys ?? [])].map(([key, value]) => [key, value.text()])).toEqual([
      ["a", CANARY],
      ["foreign", ""],
    ]);
  });
});
