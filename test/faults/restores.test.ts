/**
 * What comes back from the past rolls nothing back: a cluster that was away for hours, an etcd restored from an old backup, a
 * ScaiVault restored from an old backup. On a control plane of this file's own, whose etcd is stopped and put back.
 */
import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { ensureBinaries } from "../../local/binaries.ts";
import { type ControlPlane, controlPlaneBinaries, startControlPlane } from "../../local/control-plane.ts";
import { testEnvironment } from "../support/environment.ts";
import { Harness, verdict } from "../support/operator.ts";
import { below, copies, copyOf, expectCopies } from "./support.ts";

const MINUTE = 60_000;
const HOURS = 5 * 60 * MINUTE;
let folder: string;
let plane: ControlPlane;
let op: Harness<"team">;
let other: Harness<"team">;
let ns: string;
let running = false;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "restored-cluster-"));
  const binaries = await ensureBinaries(controlPlaneBinaries());
  const shared = testEnvironment();
  plane = await startControlPlane({ folder, binaries, authority: shared.authority });
  const env = { ...shared, kube: plane.client };
  op = await Harness.prepare({ namespaces: ["team"], env });
  ns = op.ns.team;
  await op.awsBackend(ns);
  other = await Harness.prepare({ namespaces: ["team"], env, fleet: op as Harness<string> });
  await other.awsBackend(other.ns.team);
}, 300_000);
afterAll(async () => {
  await other?.stop();
  await op?.stop();
  await plane?.stop();
  rmSync(folder, { recursive: true, force: true });
});
beforeEach(up);
afterEach(() => other.end());

/** The operator runs, as most tests begin. */
async function up(): Promise<void> {
  if (running) return;
  await op.start();
  running = true;
}
async function down(): Promise<void> {
  await op.end();
  running = false;
}

const flipped = { authority: "ScaiVault", conflictResolution: "local_wins" };
const source = (name: string) => ({ backend: "aws", path: `prod/${name}` });
const vaultPath = (name: string) => `${below}/${ns}/${name}`;
const rotate = async (name: string, label: string): Promise<string> => {
  const value = op.canaries.value(label);
  await op.aws.put(`prod/${name}`, JSON.stringify({ token: value }));
  return value;
};
/** Somebody else writes in ScaiVault. */
const writeByHand = (name: string, label: string): string => {
  const token = op.canaries.value(label);
  op.scaivault.server.admin.write(vaultPath(name), { data: { token } });
  return token;
};
async function copied(name: string, spec: object = {}): Promise<string> {
  const value = await rotate(name, `${name} first`);
  await op.cluster.apply(copyOf(ns, name, source(name)));
  await op.ready(ns, name);
  if (Object.keys(spec).length > 0) {
    await op.cluster.apply(copyOf(ns, name, source(name), spec));
    await op.ready(ns, name, { virtualMs: MINUTE });
  }
  await expectCopies(op, ns, name, { token: value });
  return value;
}
/** Versions that a path has in ScaiVault, oldest first, as people read them. */
const versions = (name: string): readonly number[] =>
  [...(op.scaivault.server.admin.peek(vaultPath(name))?.versions ?? [])].sort((a, b) => a - b);
const settled = async () => {
  for (let n = 0; n < 4; n += 1) await op.interval();
};
/** Writes to ScaiVault and Secrets of one further interval. */
async function writesAtRest(): Promise<readonly string[]> {
  await op.mark();
  await op.interval();
  const { scaivault, kubeWrites } = await op.seen();
  const routes = Object.keys(scaivault.byRoute).filter((route) => /^(?:PUT|PATCH|DELETE)/.test(route));
  return [
    ...routes,
    ...kubeWrites
      .filter(
        ({ subresource, resource }) =>
          resource.endsWith("secrets") || (subresource === "status" && resource.includes("secretsyncs")),
      )
      .map(({ resource, name }) => `${resource} ${name}`),
  ];
}

describe("a cluster that was away for hours", () => {
  it("while the source was rotated and a person wrote in ScaiVault: the newest of the source, each write of theirs a version", async () => {
    await copied("away");
    await down();
    await rotate("away", "rotated once");
    const theirs = writeByHand("away", "by a person");
    const newest = await rotate("away", "rotated twice");
    await op.clock.advance(HOURS);
    await up();
    await settled();
    await op.ready(ns, "away");
    await expectCopies(op, ns, "away", { token: newest });
    const answer = fetchVersion(vaultPath("away"), 2);
    expect(answer).toEqual({ token: theirs });
    expect(versions("away")).toEqual([1, 2, 3]);
    expect(await writesAtRest()).toEqual([]);
  });

  it("while another cluster that keeps the path wrote a newer value: it writes nothing over it, and its Secret comes forward", async () => {
    const theirs = copyOf(other.ns.team, "shared", source("shared"), {
      targets: { scaivault: { path: vaultPath("shared") }, kubernetesSecret: {} },
    });
    await rotate("shared", "shared first");
    await other.start();
    await other.cluster.apply(theirs);
    await other.ready(other.ns.team, "shared", { virtualMs: MINUTE });
    await op.cluster.apply(copyOf(ns, "shared", source("shared")));
    await op.ready(ns, "shared", { virtualMs: MINUTE });
    await down();
    const newest = await rotate("shared", "of the other cluster");
    await other.interval();
    await other.ready(other.ns.team, "shared");
    expect(versions("shared")).toEqual([1, 2]);
    await op.clock.advance(HOURS);
    await op.mark();
    await up();
    await settled();
    await op.ready(ns, "shared");
    await expectCopies(op, ns, "shared", { token: newest });
    expect(versions("shared")).toEqual([1, 2]);
    expect((await op.seen()).scaivault.versionsWritten).toBe(0);
  });
});

describe("an etcd that was restored from an old backup", () => {
  const data = () => join(folder, "etcd");
  const backup = () => join(folder, "etcd-backup");
  /** Ends API server and etcd, does something to the data, starts both. */
  async function offline(work: () => void): Promise<void> {
    await plane.controllerManager.stop();
    await plane.apiserver.stop();
    await plane.etcd.stop();
    work();
    await plane.etcd.start();
    await plane.apiserver.start();
    await plane.controllerManager.start();
  }

  it("brings old Secrets forward, rolls nothing back in ScaiVault, and keeps to the flip that it forgot", async () => {
    await copied("behind");
    await copied("edited");
    await copied("turned");
    await down();
    await offline(() => cpSync(data(), backup(), { recursive: true }));
    await up();
    // A week goes by.
    const behind = await rotate("behind", "behind second");
    await op.interval();
    const edited = writeByHand("edited", "kept by people");
    await op.cluster.apply(copyOf(ns, "edited", source("edited"), { conflictResolution: "manual" }));
    await op.cluster.apply(copyOf(ns, "turned", source("turned"), flipped));
    await op.ready(ns, "turned", { virtualMs: MINUTE });
    const turned = writeByHand("turned", "after the flip");
    await op.interval();
    await op.eventually(
      "the Secret follows",
      async () => (await op.cluster.secretData(ns, "turned"))?.["token"] === turned,
      { virtualMs: MINUTE },
    );
    await down();
    const late = await rotate("turned", "late in the old store");
    await offline(() => {
      rmSync(data(), { recursive: true });
      cpSync(backup(), data(), { recursive: true });
    });
    const before = { behind: versions("behind"), turned: versions("turned") };
    expect((await copies(op, ns, "behind")).secret).not.toEqual({ token: behind });
    await up();
    await settled();
    // The Secret with the old value and its old mark comes forward; ScaiVault held that value already.
    await op.ready(ns, "behind");
    await expectCopies(op, ns, "behind", { token: behind });
    expect(versions("behind")).toEqual(before.behind);
    // The spec says Source again, the mark in ScaiVault knows better.
    const fenced = await op.verdict("SecretSync", ns, "turned", "False AuthorityFenced");
    expect(verdict(fenced, "ApprovalNeeded")).toBe("True AuthorityFenced");
    expect(versions("turned")).toEqual(before.turned);
    expect((await copies(op, ns, "turned")).scaivault).toEqual({ token: turned });
    expect((await copies(op, ns, "turned")).secret).not.toEqual({ token: late });
    // Without the decision that etcd forgot, what people wrote is written over by policy, and stays readable.
    await op.ready(ns, "edited");
    expect(fetchVersion(vaultPath("edited"), 2)).toEqual({ token: edited });
    expect(await writesAtRest()).toEqual([]);
    await op.cluster.apply(copyOf(ns, "turned", source("turned"), flipped));
    await op.verdict("SecretSync", ns, "turned", ["True InSync", "True SourceChanged"], { virtualMs: MINUTE });
    await expectCopies(op, ns, "turned", { token: turned });
  }, 240_000);
});

describe("a ScaiVault that was restored from an old backup", () => {
  it("is held by the process that knew better and brought forward by the next, where the source is the authority; Secrets keep the newest value", async () => {
    await copied("forward");
    const backup = op.scaivault.server.admin.backup();
    await rotate("forward", "forward second");
    await op.interval();
    const newest = await rotate("forward", "forward third");
    await op.interval();
    await op.ready(ns, "forward");
    expect(versions("forward")).toEqual([1, 2, 3]);
    await op.scaivault.server.admin.restore(backup);
    const secret = await op.cluster.get("Secret", ns, "forward");
    await settled();
    // The process that wrote the newer mark sees an older one in its own name: it writes nothing until it is started anew.
    await op.verdict("SecretSync", ns, "forward", "False AnotherWriter");
    expect((await op.cluster.get("Secret", ns, "forward"))?.metadata).toEqual(secret?.metadata);
    expect(await writesAtRest()).toEqual([]);
    await op.restart();
    await settled();
    await op.ready(ns, "forward");
    await expectCopies(op, ns, "forward", { token: newest });
    expect(versions("forward")).toEqual([1, 2]);
    expect(await writesAtRest()).toEqual([]);
  });

  it("does not roll Secrets back where it is the authority: VersionWentBack until approved", async () => {
    const first = await copied("held", flipped);
    const backup = op.scaivault.server.admin.backup();
    const newest = writeByHand("held", "held newest");
    await op.interval();
    await op.eventually(
      "the Secret follows",
      async () => (await op.cluster.secretData(ns, "held"))?.["token"] === newest,
      { virtualMs: MINUTE },
    );
    await op.scaivault.server.admin.restore(backup);
    await settled();
    const held = await op.verdict("SecretSync", ns, "held", "False VersionWentBack");
    expect(verdict(held, "ChangeHeld")).toBe("True VersionWentBack");
    expect(await copies(op, ns, "held")).toMatchObject({ scaivault: { token: first }, secret: { token: newest } });
    expect(await writesAtRest()).toEqual([]);
    await op.restart();
    await settled();
    await op.verdict("SecretSync", ns, "held", "False VersionWentBack");
    expect((await copies(op, ns, "held")).secret).toEqual({ token: newest });
    const hash = held.status?.plan?.hash ?? "";
    await op.cluster.patch("SecretSync", ns, "held", {
      metadata: { annotations: { "scaivault.scailabs.ai/approve": hash } },
    });
    await op.verdict("SecretSync", ns, "held", ["True InSync", "True SourceChanged"], { virtualMs: 10 * MINUTE });
    await expectCopies(op, ns, "held", { token: first });
  });
});

describe("a tree", () => {
  const path = "external/tree/app/db";
  const stored = () => JSON.parse(op.stored(path)?.data ?? "null") as unknown;

  beforeAll(async () => {
    await op.aws.put("tree/app/db", JSON.stringify({ token: op.canaries.value("tree first") }));
    await op.awsBackend(ns, "tree", {
      federation: { mode: "sync", pathMapping: [{ scaivaultPath: "external/tree/**", sourcePath: "tree/**" }] },
    });
    await op.verdict("FederationBackend", ns, "tree", "True InSync", { virtualMs: MINUTE });
  });

  it("of a restored ScaiVault is held by the process that knew better, and brought forward by the next", async () => {
    const backup = op.scaivault.server.admin.backup();
    const newest = op.canaries.value("tree second");
    await op.aws.put("tree/app/db", JSON.stringify({ token: newest }));
    await op.interval();
    await op.eventually("copied", () => Promise.resolve(op.stored(path)?.version === 2), { virtualMs: MINUTE });
    await op.scaivault.server.admin.restore(backup);
    await settled();
    await op.verdict("FederationBackend", ns, "tree", "False AnotherWriter");
    expect(op.stored(path)?.version).toBe(1);
    await op.restart();
    await settled();
    await op.verdict("FederationBackend", ns, "tree", "True InSync", { virtualMs: MINUTE });
    expect([stored(), op.stored(path)?.version]).toEqual([{ token: newest }, 2]);
    expect(await writesAtRest()).toEqual([]);
  });

  it("paused for hours: what people wrote stays a version, the source's newest is the current one", async () => {
    await down();
    const theirs = op.canaries.value("tree by hand");
    op.scaivault.server.admin.write(path, { data: { token: theirs } });
    const newest = op.canaries.value("tree third");
    await op.aws.put("tree/app/db", JSON.stringify({ token: newest }));
    await op.clock.advance(HOURS);
    await up();
    await op.eventually("copied", () => Promise.resolve(op.stored(path)?.data.includes(newest) === true), {
      virtualMs: MINUTE,
    });
    expect(fetchVersion(path, 3)).toEqual({ token: theirs });
    expect(op.stored(path)?.version).toBe(4);
  });
});

/** A version as people read it. */
function fetchVersion(path: string, version: number): unknown {
  const { content } = JSON.parse(op.scaivault.server.admin.backup()) as {
    content: { secrets: { record: { path: string }; versions: { version: number; data: string }[] }[] };
  };
  const found = content.secrets.find(({ record }) => record.path === path);
  const data = found?.versions.find((one) => one.version === version)?.data;
  return data === undefined ? undefined : (JSON.parse(data) as unknown);
}
