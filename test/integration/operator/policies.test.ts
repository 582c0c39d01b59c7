import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Harness, startOperator, sync, verdict } from "../../support/operator.ts";

const MINUTE = 60_000;
const APPROVE = "scaivault.scailabs.ai/approve";
const FINALIZER = "scaivault.scailabs.ai/cleanup";

let op: Harness<"team" | "dying">;
let ns: string;

beforeAll(async () => {
  op = await startOperator({ namespaces: ["team", "dying"] });
  ns = op.ns.team;
  await op.awsBackend(ns);
  // The brake's window after a start is over.
  await op.advance(11 * MINUTE);
});
afterAll(() => op?.stop());

const path = (name: string) => `environments/policies/${name}`;
const both = (name: string, spec: object = {}, namespace = ns) =>
  sync(namespace, name, {
    source: { backendRef: { name: "aws" }, path: `policies/${name}` },
    targets: { scaivault: { path: path(name) }, kubernetesSecret: {} },
    ...spec,
  });
const secret = async (name: string, namespace = ns) => (await op.cluster.secretData(namespace, name))?.["value"];
const stored = (name: string): unknown => {
  const kept = op.stored(path(name));
  return kept === undefined || kept.deleted ? undefined : (JSON.parse(kept.data) as { value?: unknown }).value;
};
async function copied(name: string, spec: object = {}, namespace = ns): Promise<string> {
  const value = op.canaries.value(name);
  await op.aws.put(`policies/${name}`, value);
  await op.cluster.apply(both(name, spec, namespace));
  await op.ready(namespace, name);
  await op.idle();
  return value;
}
const status = async (name: string) => (await op.cluster.sync(ns, name))?.status;
const approve = (name: string, hash: string) =>
  op.cluster.patch("SecretSync", ns, name, { metadata: { annotations: { [APPROVE]: hash } } });
/** Writes of data or marks since `mark`. */
async function written(name: string): Promise<number> {
  const seen = await op.seen();
  const secrets = seen.kubeWrites.filter((entry) => entry.resource === "secrets" && entry.name === name).length;
  const puts = op.scaivault.server.admin
    .requests()
    .filter(({ method, path: at }) => method !== "GET" && method !== "POST" && at.endsWith(path(name))).length;
  return secrets + puts;
}

describe("apply: OnApproval", () => {
  it("writes nothing before its plan's hash is approved, and only that plan", async () => {
    await op.aws.put("policies/approval", "v1");
    await op.mark();
    await op.cluster.apply(both("approval", { apply: "OnApproval" }));
    const waiting = await op.verdict("SecretSync", ns, "approval", "False ApprovalNeeded");
    expect(waiting.status?.plan).toMatchObject({ add: 2, change: 0, delete: 0 });
    const hash = waiting.status?.plan?.hash ?? "";
    expect(hash).not.toBe("");
    expect(await written("approval")).toBe(0);
    await op.mark();
    await op.interval();
    expect([await written("approval"), (await op.seen()).aws.valueReads]).toEqual([0, 0]);
    await approve("approval", "not-the-hash");
    await op.advance(2_000);
    expect(await written("approval")).toBe(0);
    await approve("approval", hash);
    await op.ready(ns, "approval");
    expect([await secret("approval"), stored("approval")]).toEqual(["v1", "v1"]);
    expect((await status("approval"))?.lastHandledApproval).toBe(hash);
    // The old approval says nothing of the next version.
    await op.aws.put("policies/approval", "v2");
    await op.interval();
    const again = await op.verdict("SecretSync", ns, "approval", "False ApprovalNeeded");
    expect(again.status?.plan?.hash).not.toBe(hash);
    expect(again.status?.plan).toMatchObject({ add: 0, change: 2 });
    expect([await secret("approval"), stored("approval")]).toEqual(["v1", "v1"]);
    await approve("approval", again.status?.plan?.hash ?? "");
    await op.ready(ns, "approval");
    expect([await secret("approval"), stored("approval")]).toEqual(["v2", "v2"]);
    expect((await status("approval"))?.plan?.hash ?? "").toBe("");
  });

  it("an approval of a plan is worth nothing after the spec was edited", async () => {
    await op.aws.put("policies/edited", "v1");
    await op.cluster.apply(both("edited", { apply: "OnApproval" }));
    const { status: one } = await op.verdict("SecretSync", ns, "edited", "False ApprovalNeeded");
    const hash = one?.plan?.hash ?? "";
    await op.cluster.apply(
      both("edited", { apply: "OnApproval", targets: { kubernetesSecret: { name: "edited-too" } } }),
    );
    const { status: two } = await op.verdict("SecretSync", ns, "edited", "False ApprovalNeeded");
    expect(two?.plan?.hash).not.toBe(hash);
    await approve("edited", hash);
    await op.advance(2_000);
    expect(await secret("edited-too")).toBeUndefined();
    await op.cluster.delete("SecretSync", ns, "edited");
  });
});

describe("what waits", () => {
  it.each([
    ["for a value that a Secret can hold", "waits-key", "False InvalidKey", '{"bad key":"x"}'],
    ["for people to settle a conflict", "waits-conflict", "False TargetChanged", undefined],
  ])("%s reads no value while neither side moves", async (_what, name, expected, text) => {
    if (text === undefined) {
      await copied(name, { conflictResolution: "manual" });
      await op.advance(2_000);
      op.scaivault.server.admin.write(path(name), { data: { value: "somebody's" } });
      await op.interval();
    } else {
      await op.aws.put(`policies/${name}`, text);
      await op.cluster.apply(both(name));
    }
    await op.verdict("SecretSync", ns, name, expected);
    // What was written just now is looked at once more as it is.
    await op.interval();
    await op.mark();
    for (let times = 0; times < 3; times += 1) await op.interval();
    const seen = await op.seen();
    expect([seen.aws.valueReads, seen.scaivault.valuesRead, seen.scaivault.versionsWritten]).toEqual([0, 0, 0]);
    expect(seen.kubeWrites.filter((entry) => entry.name === name)).toEqual([]);
    await op.verdict("SecretSync", ns, name, expected);
    // Mended, it goes on.
    await op.aws.put(`policies/${name}`, "somebody's");
    await op.interval();
    await op.ready(ns, name);
    expect([await secret(name), stored(name)]).toEqual(["somebody's", "somebody's"]);
  });
});

describe("apply: Never", () => {
  it("observes: says what differs by name and writes nothing", async () => {
    const value = op.canaries.value("observed");
    await op.aws.put("policies/observed", JSON.stringify({ a: value, b: "2", d: "4" }));
    await op.cluster.apply({
      apiVersion: "v1",
      kind: "Secret",
      metadata: { name: "observed", namespace: ns },
      data: { a: Buffer.from(value).toString("base64"), b: "eA==", c: "eA==" },
    });
    op.scaivault.server.admin.write(path("observed"), { data: { a: value, b: "2", d: "4" }, secret_type: "json" });
    await op.mark();
    await op.cluster.apply(both("observed", { apply: "Never" }));
    const object = await op.verdict("SecretSync", ns, "observed", "False Differs");
    const keys = object.status?.targets?.find(({ kind }) => kind === "KubernetesSecret")?.keys;
    expect(keys).toMatchObject({ equal: 1, differs: ["b"], missing: ["d"] });
    expect(await written("observed")).toBe(0);
    await op.interval();
    expect(await written("observed")).toBe(0);
    await op.cluster.apply({
      apiVersion: "v1",
      kind: "Secret",
      metadata: { name: "observed", namespace: ns },
      data: Object.fromEntries(
        Object.entries({ a: value, b: "2", d: "4" }).map(([k, v]) => [k, Buffer.from(v).toString("base64")]),
      ),
    });
    await op.interval();
    await op.interval();
    await op.verdict("SecretSync", ns, "observed", "True Observed");
    expect(await written("observed")).toBe(0);
    const now = await op.cluster.get("Secret", ns, "observed");
    expect(now?.metadata.labels?.["scaivault.scailabs.ai/managed"]).toBeUndefined();
  });

  it("of targets that are not there says so and makes none", async () => {
    await op.aws.put("policies/absent", "x");
    await op.cluster.apply(both("absent", { apply: "Never" }));
    await op.verdict("SecretSync", ns, "absent", "False Differs");
    expect([await secret("absent"), stored("absent")]).toEqual([undefined, undefined]);
  });
});

describe("authority", () => {
  it("moves to ScaiVault only when both sides are equal; then Secrets follow ScaiVault; back only by approval", async () => {
    await copied("flip", { conflictResolution: "manual" });
    // ScaiVault has a value of its own: the flip waits.
    op.scaivault.server.admin.write(path("flip"), { data: { value: "own" } });
    await op.cluster.apply(both("flip", { authority: "ScaiVault", conflictResolution: "manual" }));
    const held = await op.verdict("SecretSync", ns, "flip", "False FlipHeld");
    expect(held.status?.effective?.authority).toBe("Source");
    await op.interval();
    await op.verdict("SecretSync", ns, "flip", "False FlipHeld");
    // Equal again: it goes through by itself.
    await op.aws.put("policies/flip", "own");
    await op.interval();
    const flipped = await op.ready(ns, "flip");
    expect(flipped.status?.effective?.authority).toBe("ScaiVault");
    await op.eventually("the Secret has it", async () => (await secret("flip")) === "own");
    // Now the old store changes nothing, and ScaiVault feeds the Secret.
    await op.cluster.apply(both("flip", { authority: "ScaiVault" }));
    await op.ready(ns, "flip");
    const versions = op.stored(path("flip"))?.version ?? 0;
    await op.aws.put("policies/flip", "late in the old store");
    op.scaivault.server.admin.write(path("flip"), { data: { value: "from ScaiVault" } });
    await op.interval();
    await op.interval();
    await op.eventually("the Secret follows", async () => (await secret("flip")) === "from ScaiVault");
    expect(stored("flip")).toBe("from ScaiVault");
    expect(op.stored(path("flip"))?.version).toBe(versions + 1);
    expect((await op.cluster.sync(ns, "flip"))?.status?.conditions?.find(({ type }) => type === "Ready")?.status).toBe(
      "True",
    );
    // Back: fenced.
    await op.mark();
    await op.cluster.apply(both("flip", { authority: "Source" }));
    const fenced = await op.verdict("SecretSync", ns, "flip", "False AuthorityFenced");
    expect([await secret("flip"), stored("flip")]).toEqual(["from ScaiVault", "from ScaiVault"]);
    expect((await op.seen()).scaivault.versionsWritten).toBe(0);
    await approve("flip", fenced.status?.plan?.hash ?? "");
    await op.ready(ns, "flip");
    expect([await secret("flip"), stored("flip")]).toEqual(["late in the old store", "late in the old store"]);
  });

  it("with ScaiVault and a source that is gone is Retired, and Ready", async () => {
    const value = await copied("retired");
    await op.cluster.apply(both("retired", { authority: "ScaiVault" }));
    await op.eventually("flipped", async () => (await status("retired"))?.effective?.authority === "ScaiVault");
    await op.ready(ns, "retired");
    await op.aws.remove("policies/retired");
    for (let times = 0; times < 3; times += 1) await op.interval();
    const object = await op.cluster.sync(ns, "retired");
    expect(verdict(object).startsWith("True")).toBe(true);
    expect([await secret("retired"), stored("retired")]).toEqual([value, value]);
  });
});

describe("a source that is gone", () => {
  it("is believed after two polls an interval apart; Retain keeps the copies and says so", async () => {
    const value = await copied("kept");
    await op.aws.remove("policies/kept");
    // One poll falls into an interval, and not two.
    await op.advance(300_000);
    await op.verdict("SecretSync", ns, "kept", ["False DeletionUnconfirmed", "Unknown DeletionUnconfirmed"]);
    await op.interval();
    await op.interval();
    await op.verdict("SecretSync", ns, "kept", "True SourceGoneRetained");
    expect([await secret("kept"), stored("kept")]).toEqual([value, value]);
    // It comes back.
    await op.aws.put("policies/kept", "again");
    await op.interval();
    await op.ready(ns, "kept");
    expect([await secret("kept"), stored("kept")]).toEqual(["again", "again"]);
  });

  it("with Delete goes from both targets, after belief and under the brake", async () => {
    await copied("deleted", { deletionPolicy: "Delete" });
    await copied("stays");
    await op.aws.remove("policies/deleted");
    // Two looks an interval apart do not fit into less than an interval, wherever the polls fall.
    await op.advance(290_000);
    expect([await secret("deleted"), stored("deleted")]).not.toContain(undefined);
    await op.interval();
    await op.interval();
    await op.eventually(
      "both are gone",
      async () => (await secret("deleted")) === undefined && stored("deleted") === undefined,
    );
    expect(op.stored(path("deleted"))?.deleted).toBe(true);
    expect(await secret("stays")).toBeDefined();
  });

  it("never deletes because Delete was set after it had gone", async () => {
    const value = await copied("too-late");
    await op.aws.remove("policies/too-late");
    for (let times = 0; times < 3; times += 1) await op.interval();
    await op.verdict("SecretSync", ns, "too-late", "True SourceGoneRetained");
    await op.cluster.apply(both("too-late", { deletionPolicy: "Delete" }));
    await op.advance(2_000);
    for (let times = 0; times < 3; times += 1) await op.interval();
    expect([await secret("too-late"), stored("too-late")]).toEqual([value, value]);
  });

  it("by the dozen is held by the brake, and goes by approval", async () => {
    const names = Array.from({ length: 6 }, (_, at) => `mass-${at}`);
    for (const name of names) await copied(name, { deletionPolicy: "Delete" });
    for (const name of names) await op.aws.remove(`policies/${name}`);
    for (let times = 0; times < 3; times += 1) await op.interval();
    await op.verdict("SecretSync", ns, "mass-0", "False DeletionBraked");
    const left = async () =>
      (await Promise.all(names.map((name) => secret(name)))).filter((value) => value !== undefined).length;
    const held = await left();
    expect(held).toBeGreaterThanOrEqual(5);
    // Time alone frees nothing while it is held.
    for (let times = 0; times < 4; times += 1) await op.interval();
    expect(await left()).toBe(held);
    const object = await op.verdict("SecretSync", ns, "mass-0", "False DeletionBraked");
    expect(object.status?.plan).toMatchObject({ delete: 2 });
    await approve("mass-0", object.status?.plan?.hash ?? "");
    await op.eventually("the approved one is gone", async () => (await secret("mass-0")) === undefined);
    expect(await left()).toBe(held - 1);
    for (const name of names) await op.cluster.delete("SecretSync", ns, name);
  });

  it("with Delete keeps what was changed by others", async () => {
    await copied("touched", { deletionPolicy: "Delete", conflictResolution: "manual" });
    op.scaivault.server.admin.write(path("touched"), { data: { value: "somebody's" } });
    await op.aws.remove("policies/touched");
    for (let times = 0; times < 4; times += 1) await op.interval();
    expect(stored("touched")).toBe("somebody's");
    expect(await secret("touched")).toBeDefined();
    const object = await op.cluster.sync(ns, "touched");
    expect(verdict(object)).toMatch(/False/);
  });

  it("is held in the first ten minutes after a start", async () => {
    await copied("early", { deletionPolicy: "Delete" });
    await op.interval();
    await op.restart();
    await op.ready(ns, "early");
    await op.aws.remove("policies/early");
    await op.cluster.apply(both("early", { deletionPolicy: "Delete", syncInterval: "30s" }));
    for (let times = 0; times < 6; times += 1) await op.advance(35_000);
    await op.verdict("SecretSync", ns, "early", "False DeletionBraked");
    expect(await secret("early")).toBeDefined();
    await op.advance(11 * MINUTE);
    await op.eventually(
      "now it goes",
      async () => (await secret("early")) === undefined && stored("early") === undefined,
    );
  });
});

describe("cleanupPolicy", () => {
  const gone = (name: string, namespace = ns) =>
    op.eventually(`${name} is gone`, async () => (await op.cluster.sync(namespace, name)) === undefined);

  it("Retain leaves copies with their mark, and has no finalizer", async () => {
    const value = await copied("retain");
    expect((await op.cluster.sync(ns, "retain"))?.metadata.finalizers ?? []).toEqual([]);
    await op.cluster.delete("SecretSync", ns, "retain");
    await gone("retain");
    await op.advance(5_000);
    expect([await secret("retain"), stored("retain")]).toEqual([value, value]);
    const kept = await op.cluster.get("Secret", ns, "retain");
    expect(kept?.metadata.annotations?.["scaivault.scailabs.ai/mark"]).toBeDefined();
  });

  it("Release takes label, mark and field ownership off and leaves the data", async () => {
    const value = await copied("release", { cleanupPolicy: "Release" });
    const before = await op.cluster.get("Secret", ns, "release");
    expect((await op.cluster.sync(ns, "release"))?.metadata.finalizers ?? []).toEqual([]);
    await op.cluster.delete("SecretSync", ns, "release");
    await op.eventually("it is released", async () => {
      const now = await op.cluster.get("Secret", ns, "release");
      return now?.metadata.labels?.["scaivault.scailabs.ai/managed"] === undefined;
    });
    const after = await op.cluster.get("Secret", ns, "release");
    expect([after?.metadata.uid, after?.data]).toEqual([before?.metadata.uid, before?.data]);
    expect(after?.metadata.annotations?.["scaivault.scailabs.ai/mark"]).toBeUndefined();
    expect(JSON.stringify(after?.metadata.managedFields ?? [])).not.toContain("f:data");
    expect(stored("release")).toBe(value);
  });

  it("Delete removes both copies, with a finalizer that stands only while it is set", async () => {
    await copied("cleaned", { cleanupPolicy: "Delete" });
    await op.eventually("finalizer", async () =>
      (await op.cluster.sync(ns, "cleaned"))?.metadata.finalizers?.includes(FINALIZER),
    );
    await op.cluster.apply(both("cleaned", { cleanupPolicy: "Retain" }));
    await op.eventually(
      "no finalizer",
      async () => ((await op.cluster.sync(ns, "cleaned"))?.metadata.finalizers ?? []).length === 0,
    );
    await op.cluster.apply(both("cleaned", { cleanupPolicy: "Delete" }));
    await op.eventually("finalizer", async () =>
      (await op.cluster.sync(ns, "cleaned"))?.metadata.finalizers?.includes(FINALIZER),
    );
    await op.ready(ns, "cleaned");
    await op.advance(11 * MINUTE);
    await op.cluster.delete("SecretSync", ns, "cleaned");
    await gone("cleaned");
    await op.eventually(
      "copies are gone",
      async () => (await secret("cleaned")) === undefined && stored("cleaned") === undefined,
    );
  });

  it("Delete removes the old copy when a target is renamed, Retain does not", async () => {
    for (const cleanupPolicy of ["Delete", "Retain"] as const) {
      const name = `renamed-${cleanupPolicy.toLowerCase()}`;
      await copied(name, { cleanupPolicy });
      await op.advance(11 * MINUTE);
      const targets = { scaivault: { path: path(name) }, kubernetesSecret: { name: `${name}-new` } };
      await op.cluster.apply(both(name, { cleanupPolicy, targets }));
      await op.ready(ns, name);
      expect(await secret(`${name}-new`)).toBeDefined();
      await op.advance(2_000);
      if (cleanupPolicy === "Delete")
        await op.eventually("the old one goes", async () => (await secret(name)) === undefined);
      else expect(await secret(name)).toBeDefined();
      await op.cluster.apply(both(name, { cleanupPolicy: "Retain", targets }));
      await op.ready(ns, name);
      await op.cluster.delete("SecretSync", ns, name);
    }
  });

  it("Delete keeps what others changed and lets the object go all the same", async () => {
    await copied("foreign", { cleanupPolicy: "Delete" });
    await op.eventually("finalizer", async () =>
      (await op.cluster.sync(ns, "foreign"))?.metadata.finalizers?.includes(FINALIZER),
    );
    op.scaivault.server.admin.write(path("foreign"), { data: { value: "somebody's" } });
    await op.advance(2_000);
    await op.cluster.delete("SecretSync", ns, "foreign");
    await gone("foreign");
    expect(stored("foreign")).toBe("somebody's");
  });

  it("Delete does not hold up a namespace that is being deleted, and deletes nothing outside it", async () => {
    const dying = op.ns.dying;
    await op.awsBackend(dying);
    const value = await copied("leaving", { cleanupPolicy: "Delete" }, dying);
    await op.eventually("finalizer", async () =>
      (await op.cluster.sync(dying, "leaving"))?.metadata.finalizers?.includes(FINALIZER),
    );
    await op.env.kube.request({ method: "DELETE", path: `/api/v1/namespaces/${dying}` });
    await op.waitFor(
      "the namespace is gone",
      async () => (await op.env.kube.request({ path: `/api/v1/namespaces/${dying}` })).status === 404,
      40_000,
    );
    expect(stored("leaving")).toBe(value);
  });
});
