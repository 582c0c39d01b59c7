import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Harness, startOperator } from "../../support/operator.ts";

let op: Harness<"platform">;
let ns: string;

beforeEach(async () => {
  op = await startOperator({ namespaces: ["platform"] });
  ns = op.ns.platform;
});
afterEach(async () => op?.stop());

const FINALIZER = "scaivault.scailabs.ai/cleanup";
const external = { scaivaultPath: "external/aws/**", sourcePath: "prod/**" };
const tree = (federation: object = {}) => ({ federation: { mode: "sync", pathMapping: [external], ...federation } });
const fill = async (count: number, prefix = "prod") => {
  for (let at = 0; at < count; at += 1) await op.aws.put(`${prefix}/s${at}`, op.canaries.value(`${prefix} ${at}`));
};
const ready = (wanted: string | readonly string[] = "True InSync") =>
  op.verdict("FederationBackend", ns, "aws", wanted, { virtualMs: 60_000 });
const held = (type: string, reason: string) =>
  op.verdict("FederationBackend", ns, "aws", `True ${reason}`, { type, virtualMs: 60_000 });
const get = async () => (await op.cluster.backend(ns, "aws"))?.status;
const change = (patch: object) => op.cluster.patch("FederationBackend", ns, "aws", { spec: { federation: patch } });
const approve = async () => {
  const hash = (await get())?.plan?.hash ?? "";
  expect(hash).not.toBe("");
  await op.cluster.patch("FederationBackend", ns, "aws", {
    metadata: { annotations: { "scaivault.scailabs.ai/approve": hash } },
  });
  return hash;
};
const copies = () => op.scaivault.server.admin.paths().filter((path) => op.stored(path)?.deleted === false);
const intervals = async (count: number) => {
  for (let at = 0; at < count; at += 1) await op.interval();
};

describe("a secret that goes at the source", () => {
  it("leaves its copy with Retain, and is Ready", async () => {
    await fill(3);
    await op.awsBackend(ns, "aws", tree());
    await ready();
    await op.aws.remove("prod/s1");
    await intervals(4);
    await ready();
    expect(copies()).toContain("external/aws/s1");
  });

  it("takes its copy along with Delete, once it is believed gone, and is not spoken of any more", async () => {
    await fill(20);
    await op.awsBackend(ns, "aws", tree({ deletionPolicy: "Delete" }));
    await ready();
    await intervals(3);
    await op.aws.remove("prod/s1");
    await op.interval();
    expect(copies()).toContain("external/aws/s1");
    await intervals(4);
    expect(copies()).not.toContain("external/aws/s1");
    expect(copies()).toHaveLength(19);
    await op.eventually("it is forgotten", async () => (await get())?.federation?.counts?.found === 19, {
      virtualMs: 600_000,
    });
    // Back again, the path is still retained in ScaiVault.
    await op.aws.put("prod/s1", op.canaries.value("back"));
    await op.interval();
    const found = await ready("False TargetSoftDeleted");
    expect(found.status?.problems?.map(({ path, reason }) => `${path} ${reason}`)).toEqual([
      "external/aws/s1 TargetSoftDeleted",
    ]);
  });

  it("is held by the brake with many others, all of them, until people approve", async () => {
    await fill(20);
    await op.awsBackend(ns, "aws", tree({ deletionPolicy: "Delete" }));
    await ready();
    await intervals(3);
    for (let at = 0; at < 6; at += 1) await op.aws.remove(`prod/s${at}`);
    await intervals(6);
    expect(copies()).toHaveLength(20);
    const found = await held("DeletionHeld", "DeletionBraked");
    expect(found.status?.federation?.counts).toMatchObject({ found: 20, inSync: 14, held: 6 });
    expect(found.status?.plan).toMatchObject({ add: 0, change: 0, delete: 6 });
    const hash = await approve();
    await op.eventually("they are gone", () => Promise.resolve(copies().length === 14));
    await op.eventually("the approval is noted", async () => (await get())?.lastHandledApproval === hash);
    await intervals(2);
    await ready();
  });

  it("is asked for by name after a restart that fell between", async () => {
    await fill(20);
    await op.awsBackend(ns, "aws", tree({ deletionPolicy: "Delete" }));
    await ready();
    await op.end();
    await op.aws.remove("prod/s7");
    await op.start();
    await intervals(6);
    await op.eventually("its copy is gone", () => Promise.resolve(copies().length === 19), { virtualMs: 900_000 });
    expect(copies()).not.toContain("external/aws/s7");
  });
});

describe("many values that change at once", () => {
  it("are all held, and go on by one approval", async () => {
    await fill(40);
    await op.awsBackend(ns, "aws", tree());
    await ready();
    const versions = () => copies().map((path) => op.stored(path)?.version);
    for (let at = 0; at < 30; at += 1) await op.aws.put(`prod/s${at}`, op.canaries.value(`new ${at}`));
    await op.interval();
    const found = await held("ChangeHeld", "ManyChanges");
    expect(versions().every((version) => version === 1)).toBe(true);
    expect(found.status?.plan).toMatchObject({ add: 0, change: 30, delete: 0 });
    await approve();
    await op.eventually("all are written", () => Promise.resolve(versions().filter((one) => one === 2).length === 30));
    await ready();
  });
});

describe("apply", () => {
  it("OnApproval writes nothing before the plan is approved, and then all of it", async () => {
    await fill(3);
    await op.awsBackend(ns, "aws", tree({ apply: "OnApproval" }));
    const found = await held("ApprovalNeeded", "ApprovalNeeded");
    expect(found.status?.plan).toMatchObject({ add: 3, change: 0, delete: 0 });
    expect(copies()).toEqual([]);
    await approve();
    await op.eventually("all are there", () => Promise.resolve(copies().length === 3));
    await ready();
  });

  it("Never compares and writes nothing", async () => {
    await fill(2);
    await op.awsBackend(ns, "aws", tree({ apply: "Never" }));
    await ready("False Differs");
    await intervals(2);
    expect(copies()).toEqual([]);
  });
});

describe("what goes from the spec", () => {
  it("leaves its copies with Retain; the backend has no finalizer", async () => {
    await fill(2);
    await fill(2, "dev");
    const dev = { scaivaultPath: "external/dev/**", sourcePath: "dev/**" };
    await op.awsBackend(ns, "aws", tree({ pathMapping: [external, dev] }));
    await ready();
    await change({ pathMapping: [external] });
    await intervals(3);
    expect(copies()).toHaveLength(4);
    const { federation, effective } = (await get()) ?? {};
    expect(federation?.copies).toEqual(["external/aws/**", "external/dev/**"]);
    expect(effective?.notes).toContain(
      "copies that no mapping names any more stay, cleanupPolicy is Retain: external/dev/s0, external/dev/s1",
    );
    await op.cluster.delete("FederationBackend", ns, "aws");
    await op.eventually("the object is gone", async () => (await op.cluster.backend(ns, "aws")) === undefined);
    expect(copies()).toHaveLength(4);
  });

  it("takes the copies of a mapping along with Delete, under the brake, also after a restart", async () => {
    await fill(30);
    await op.aws.put("dev/one", op.canaries.value("dev"));
    const dev = { scaivaultPath: "external/dev/**", sourcePath: "dev/**" };
    await op.awsBackend(ns, "aws", tree({ cleanupPolicy: "Delete", pathMapping: [external, dev] }));
    const found = await ready();
    expect(found.metadata.finalizers).toEqual([FINALIZER]);
    await op.end();
    await change({ pathMapping: [external] });
    await op.start();
    await intervals(5);
    await op.eventually("its copy is gone", () => Promise.resolve(op.stored("external/dev/one")?.deleted === true), {
      virtualMs: 900_000,
    });
    expect(copies()).toHaveLength(30);
    await op.eventually("status forgets it", async () => (await get())?.federation?.copies?.length === 1, {
      virtualMs: 600_000,
    });
  });

  it("names copies of a mapping that are more than the brake lets through, until people approve", async () => {
    await fill(30);
    await fill(6, "dev");
    const dev = { scaivaultPath: "external/dev/**", sourcePath: "dev/**" };
    await op.awsBackend(ns, "aws", tree({ cleanupPolicy: "Delete", pathMapping: [external, dev] }));
    await ready();
    await intervals(3);
    await change({ pathMapping: [external] });
    await intervals(3);
    const found = await held("DeletionHeld", "DeletionBraked");
    expect(copies()).toHaveLength(36);
    expect(found.status?.plan).toMatchObject({ add: 0, change: 0, delete: 6 });
    const names = Array.from({ length: 6 }, (_, at) => `external/dev/s${at} DeletionBraked`);
    expect(found.status?.problems?.map(({ path, reason }) => `${path} ${reason}`)).toEqual(names);
    // Nor does a restart forget them.
    await op.end();
    await op.start();
    await intervals(4);
    await held("DeletionHeld", "DeletionBraked");
    expect(copies()).toHaveLength(36);
    await approve();
    await op.eventually("they are gone", () => Promise.resolve(copies().length === 30), { virtualMs: 600_000 });
    await op.eventually("status forgets them", async () => (await get())?.federation?.copies?.length === 1, {
      virtualMs: 600_000,
    });
    await ready();
  });

  it("says where the copies of a federation that was taken out stay, also with Delete", async () => {
    await fill(2);
    await op.awsBackend(ns, "aws", tree({ cleanupPolicy: "Delete" }));
    await ready();
    await op.cluster.patch("FederationBackend", ns, "aws", { spec: { federation: null } });
    const note = "federation was taken out of the spec; its copies stay, with their marks, below external/aws/**";
    await op.eventually("status says so", async () => (await get())?.effective?.notes?.includes(note), {
      virtualMs: 600_000,
    });
    const status = await get();
    expect(status?.federation).toEqual({ copies: ["external/aws/**"] });
    expect(copies()).toHaveLength(2);
  });

  it("as a whole is held by the brake when the backend is deleted: the object goes, the copies stay", async () => {
    await fill(6);
    await op.awsBackend(ns, "aws", tree({ cleanupPolicy: "Delete" }));
    await ready();
    await intervals(3);
    await op.cluster.delete("FederationBackend", ns, "aws");
    await op.eventually("the object is gone", async () => (await op.cluster.backend(ns, "aws")) === undefined);
    expect(copies()).toHaveLength(6);
  });

  it("as a whole goes when it is one secret", async () => {
    await fill(1);
    await op.awsBackend(ns, "aws", tree({ cleanupPolicy: "Delete" }));
    await ready();
    await intervals(3);
    await op.cluster.delete("FederationBackend", ns, "aws");
    await op.eventually("the object is gone", async () => (await op.cluster.backend(ns, "aws")) === undefined);
    expect(copies()).toEqual([]);
  });
});

describe("others in ScaiVault", () => {
  const write = (path: string, value: string) => op.scaivault.server.admin.write(path, { data: { value } });
  it("who change a copy are written over, their version kept", async () => {
    await fill(2);
    await op.awsBackend(ns, "aws", tree());
    await ready();
    write("external/aws/s0", "by hand");
    await op.interval();
    await op.eventually("written over", () => Promise.resolve(op.stored("external/aws/s0")?.version === 3));
    await ready();
  });

  it("who change a copy right after it was written are seen by a sync that somebody asks for then", async () => {
    await fill(2);
    await op.awsBackend(ns, "aws", tree());
    await ready();
    write("external/aws/s0", "by hand");
    await op.cluster.patch("FederationBackend", ns, "aws", {
      metadata: { annotations: { "scaivault.scailabs.ai/sync-requested-at": "now" } },
    });
    await op.eventually("written over", () => Promise.resolve(op.stored("external/aws/s0")?.version === 3));
  });

  it("who change a copy win with manual: a conflict by name, until people decide", async () => {
    await fill(2);
    await op.awsBackend(ns, "aws", tree({ conflictResolution: "manual" }));
    await ready();
    write("external/aws/s0", "by hand");
    await op.interval();
    const found = await op.verdict("FederationBackend", ns, "aws", "True TargetChanged", {
      type: "Conflict",
      virtualMs: 600_000,
    });
    expect(found.status?.federation?.counts).toMatchObject({ found: 2, inSync: 1, conflicts: 1 });
    expect(op.stored("external/aws/s0")?.version).toBe(2);
  });

  it.each([
    ["keepSource", 3],
    ["keepScaiVault", 2],
  ] as const)("are answered by the annotation for one secret alone: %s", async (side, version) => {
    await fill(2);
    await op.awsBackend(ns, "aws", tree({ conflictResolution: "manual" }));
    await ready();
    write("external/aws/s0", "by hand");
    write("external/aws/s1", "by hand, too");
    await op.interval();
    await op.eventually("both are conflicts", async () => (await get())?.federation?.counts?.conflicts === 2, {
      virtualMs: 600_000,
    });
    const shown = (await get())?.problems?.find(({ path }) => path === "external/aws/s0");
    const hash = shown?.conflict?.[side] ?? "";
    expect(hash).not.toBe("");
    await op.cluster.patch("FederationBackend", ns, "aws", {
      metadata: { annotations: { "scaivault.scailabs.ai/approve": hash } },
    });
    await op.eventually("one is settled", async () => (await get())?.federation?.counts?.conflicts === 1);
    expect((await get())?.lastHandledApproval).toBe(hash);
    await op.interval();
    expect(op.stored("external/aws/s0")?.version).toBe(version);
    expect(op.stored("external/aws/s1")?.version).toBe(2);
    const { problems = [] } = (await get()) ?? {};
    expect(problems.filter(({ conflict }) => conflict).map(({ path }) => path)).toEqual(["external/aws/s1"]);
  });

  it("who were there before keep what is theirs; adopt takes equal content over without a version", async () => {
    await op.aws.put("prod/equal", "the same text");
    await op.aws.put("prod/other", "ours");
    write("external/aws/equal", "the same text");
    write("external/aws/other", "theirs");
    await op.awsBackend(ns, "aws", tree());
    const found = await ready("False NotOwned");
    expect(found.status?.problems?.map(({ path, reason }) => `${path} ${reason}`)).toEqual([
      "external/aws/equal NotOwned",
      "external/aws/other NotOwned",
    ]);
    await change({ adopt: "IfEqual" });
    await ready("False AdoptDiffers");
    await op.interval();
    expect((await get())?.problems?.map(({ path }) => path)).toEqual(["external/aws/other"]);
    expect([op.stored("external/aws/equal")?.version, op.stored("external/aws/other")?.version]).toEqual([1, 1]);
  });
});

describe("adopt: WithApproval", () => {
  const write = (path: string, value: string) => op.scaivault.server.admin.write(path, { data: { value } });
  it("shows a plan first, writes over what differs when that is approved, and keeps the old content as a version", async () => {
    await op.aws.put("prod/equal", "the same text");
    await op.aws.put("prod/other", op.canaries.value("ours"));
    await op.aws.put("prod/late", op.canaries.value("ours, too"));
    write("external/aws/equal", "the same text");
    write("external/aws/other", "theirs");
    write("external/aws/late", "theirs, too");
    await op.awsBackend(ns, "aws", tree({ adopt: "WithApproval", maxVersions: 10 }));
    const found = await held("ApprovalNeeded", "ApprovalNeeded");
    expect(found.status?.plan).toMatchObject({ add: 0, change: 2, delete: 0 });
    const versions = () => ["equal", "other", "late"].map((name) => op.stored(`external/aws/${name}`)?.version);
    await intervals(2);
    expect(versions()).toEqual([1, 1, 1]);
    // An approval is for what stood there when it was shown.
    const hash = (await get())?.plan?.hash ?? "";
    write("external/aws/late", "theirs, changed");
    await op.interval();
    await op.eventually("another plan", async () => ![hash, "", undefined].includes((await get())?.plan?.hash));
    await op.cluster.patch("FederationBackend", ns, "aws", {
      metadata: { annotations: { "scaivault.scailabs.ai/approve": hash } },
    });
    await intervals(1);
    expect(versions()).toEqual([1, 1, 2]);
    await approve();
    await op.eventually("written over", () => Promise.resolve(versions().join() === "1,2,3"));
    await ready();
    expect(op.scaivault.server.admin.peek("external/aws/other")?.versions.toSorted()).toEqual([1, 2]);
    // From now on it is ours.
    await op.aws.put("prod/other", op.canaries.value("rotated"));
    await op.interval();
    await op.eventually("kept equal", () => Promise.resolve(versions().join() === "1,3,3"));
  });
});

describe("suspend", () => {
  it("stops all work; the copies stay", async () => {
    await fill(2);
    await op.awsBackend(ns, "aws", tree());
    await ready();
    await op.cluster.patch("FederationBackend", ns, "aws", { spec: { suspend: true } });
    await ready("Unknown Suspended");
    await op.aws.put("prod/s0", op.canaries.value("while suspended"));
    await op.mark();
    await intervals(2);
    expect((await op.seen()).aws.total).toBe(0);
    expect(op.stored("external/aws/s0")?.version).toBe(1);
    await op.cluster.patch("FederationBackend", ns, "aws", { spec: { suspend: false } });
    await op.eventually("it goes on", () => Promise.resolve(op.stored("external/aws/s0")?.version === 2));
  });
});
