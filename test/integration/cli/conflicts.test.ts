// `conflicts` and `conflicts resolve` as people start them, against a running operator and real parts.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { ConflictsReport } from "../../../src/cli/conflicts-report.ts";
import { Harness, sync, type SyncThing } from "../../support/operator.ts";
import { Program, type Ran } from "./support.ts";

let op: Harness<"team">;
let ns: string;
let program: Program;
let kubeconfig: string;
const texts: string[] = [];

beforeAll(async () => {
  [op, program] = await Promise.all([Harness.prepare({ namespaces: ["team"] }), Program.build()]);
  ns = op.ns.team;
  op.otherTexts.push(() => [["commands", texts.join("\n")]]);
  kubeconfig = await approver();
  await op.start();
  await op.awsBackend(ns);
}, 300_000);
afterAll(async () => {
  await op?.stop();
  await program?.close();
});

/** A login with what the chart's roles for people give: look at both kinds, annotate SecretSyncs, approve. */
async function approver(): Promise<string> {
  const rules = [
    { apiGroups: ["scaivault.scailabs.ai"], resources: ["*"], verbs: ["get", "list"] },
    { apiGroups: ["scaivault.scailabs.ai"], resources: ["secretsyncs"], verbs: ["patch", "approve"] },
  ];
  const subjects = [{ kind: "ServiceAccount", name: "default", namespace: ns }];
  const roleRef = { apiGroup: "rbac.authorization.k8s.io", kind: "Role", name: "approver" };
  for (const more of [
    { kind: "Role", rules },
    { kind: "RoleBinding", roleRef, subjects },
  ]) {
    const object = {
      apiVersion: "rbac.authorization.k8s.io/v1",
      metadata: { name: "approver", namespace: ns },
      ...more,
    };
    expect((await op.env.kube.kubectl(["apply", "-f", "-"], { input: JSON.stringify(object) })).code).toBe(0);
  }
  return op.env.kube.kubeconfigFor(await op.env.kube.serviceAccountToken(ns, "default", 3600), { namespace: ns });
}

/** Runs a command while the operator's clock goes on. */
async function run(...args: readonly string[]): Promise<Ran> {
  const running = program.start(args, { env: { KUBECONFIG: kubeconfig } });
  let ran: Ran | undefined;
  void running.ended.then((ended) => (ran = ended));
  await op.eventually(`${args.join(" ")} to end`, () => Promise.resolve(ran), { virtualMs: 5_000, timeoutMs: 90_000 });
  const ended = await running.ended;
  texts.push(ended.stdout, ended.stderr);
  return ended;
}

async function list(): Promise<ConflictsReport & { code: number | null }> {
  const ran = await run("conflicts", "-o", "json");
  return { ...(JSON.parse(ran.stdout) as ConflictsReport), code: ran.code };
}

const path = (name: string) => `environments/conflicts/${name}`;
const stored = (name: string) => JSON.parse(op.stored(path(name))?.data ?? "null") as unknown;
const secret = (name: string) => op.cluster.secretData(ns, name);
const resolve = (name: string, keep: string, ...more: readonly string[]) =>
  run("conflicts", "resolve", `ssync/${name}`, "--path", path(name), "--keep", keep, ...more);
const hashIn = ({ stdout }: Ran): string => /^hash: (\S+)$/m.exec(stdout)?.[1] ?? "";

const manifest = (name: string, spec: object = {}) =>
  sync(ns, name, {
    source: { backendRef: { name: "aws" }, path: `conflicts/${name}` },
    targets: { scaivault: { path: path(name) }, kubernetesSecret: {} },
    conflictResolution: "manual",
    ...spec,
  });

/** A copy that both sides changed: `old` was held by both, `source` and `scaivault` are held now. */
async function conflict(name: string, spec: object = {}): Promise<Record<"old" | "source" | "scaivault", string>> {
  const values = {
    old: op.canaries.value(`${name} old`),
    source: op.canaries.value(`${name} source`),
    scaivault: op.canaries.value(`${name} scaivault`),
  };
  await op.aws.put(`conflicts/${name}`, JSON.stringify({ v: values.old }));
  await op.cluster.apply(manifest(name, spec));
  await op.ready(ns, name);
  op.scaivault.server.admin.write(path(name), { data: { v: values.scaivault } });
  await op.aws.put(`conflicts/${name}`, JSON.stringify({ v: values.source }));
  await op.interval();
  return values;
}

/** Nothing moves in ScaiVault any more: over polls, and over a restart. */
async function expectSettled(name: string): Promise<SyncThing> {
  const wanted = ["True InSync", "True ScaiVaultKept"];
  const now = await op.verdict("SecretSync", ns, name, wanted);
  const version = op.stored(path(name))?.version;
  const held = stored(name);
  await op.interval();
  await op.restart();
  await op.interval();
  await op.interval();
  await op.verdict("SecretSync", ns, name, wanted);
  expect([op.stored(path(name))?.version, stored(name)]).toEqual([version, held]);
  return now;
}

describe("conflicts", () => {
  it("says so when there is none", async () => {
    await op.aws.put("conflicts/calm", '{"v":"1"}');
    await op.cluster.apply(manifest("calm"));
    await op.ready(ns, "calm");
    expect(await list()).toMatchObject({ code: 0, conflicts: [], more: 0, unknown: [] });
    expect(await run("conflicts")).toMatchObject({ code: 0, stdout: "0 conflicts in 2 objects\n" });
  });

  it("could not tell where the cluster cannot be read, and says why", async () => {
    expect(await run("conflicts", "--all")).toMatchObject({
      code: 2,
      stdout: "cannot list federationbackends in all namespaces: this login may not do it (403)\n",
    });
  });

  it("lists a path that both sides changed, by versions and since when, and keeps the source when told to", async () => {
    const values = await conflict("source");
    await op.verdict("SecretSync", ns, "source", "False BothChanged");
    const seen = await list();
    const [one] = seen.conflicts;
    expect(seen).toMatchObject({ code: 1, more: 0 });
    expect(seen.conflicts).toHaveLength(1);
    expect(one).toMatchObject({
      kind: "SecretSync",
      name: "source",
      path: path("source"),
      reason: "BothChanged",
      scaivault: { base: "1", now: "2" },
      keep: ["source", "scaivault"],
    });
    expect(one?.source?.base).not.toBe(one?.source?.now);
    expect(one?.since).toMatch(/^\d{4}-\d\d-\d\dT/);
    expect(await secret("source")).toEqual({ v: values.old });

    const shown = await resolve("source", "source");
    expect(shown.code).toBe(1);
    expect(shown.stdout).toContain(`write ${path("source")} in ScaiVault from source version`);
    expect(shown.stdout).toContain("version 2 there stays readable");
    expect(stored("source")).toEqual({ v: values.scaivault });

    const done = await resolve("source", "source", "--approve", hashIn(shown));
    expect(done).toMatchObject({ code: 0, stderr: "" });
    expect(done.stdout).toContain("settled: source is kept");
    expect([stored("source"), await secret("source")]).toEqual([{ v: values.source }, { v: values.source }]);
    expect(op.stored(path("source"))?.version).toBe(3);
    await expectSettled("source");
    expect(await list()).toMatchObject({ code: 0, conflicts: [] });
  });

  it("keeps ScaiVault's content without a version (ScaiVaultKept); the next version of the source is written again", async () => {
    const values = await conflict("kept");
    const shown = await resolve("kept", "scaivault");
    expect(shown.stdout).toContain("only its mark is written");
    const done = await resolve("kept", "scaivault", "--approve", hashIn(shown));
    expect(done.code).toBe(0);
    await op.eventually("the Secret to follow", async () => (await secret("kept"))?.["v"] === values.scaivault);
    await op.verdict("SecretSync", ns, "kept", "True ScaiVaultKept");
    expect([stored("kept"), op.stored(path("kept"))?.version]).toEqual([{ v: values.scaivault }, 2]);
    await op.mark();
    const settled = await expectSettled("kept");
    expect(settled.status?.conditions?.find(({ type }) => type === "Ready")?.message).toContain(
      `${path("kept")} keeps version 2 of ScaiVault; source version`,
    );
    expect(await secret("kept")).toEqual({ v: values.scaivault });

    const next = op.canaries.value("kept next");
    await op.aws.put("conflicts/kept", JSON.stringify({ v: next }));
    await op.interval();
    await op.ready(ns, "kept");
    expect([stored("kept"), await secret("kept")]).toEqual([{ v: next }, { v: next }]);
  });

  it("does nothing by the hash of a plan that moved, nor by one that was used", async () => {
    await conflict("moved");
    const shown = await resolve("moved", "source");
    const later = op.canaries.value("moved later");
    op.scaivault.server.admin.write(path("moved"), { data: { v: later } });
    await op.interval();
    const refused = await resolve("moved", "source", "--approve", hashIn(shown));
    expect(refused.code).toBe(1);
    expect(refused.stdout).toContain("not done: --approve names another plan than this one");
    // Also when the annotation is set by hand.
    const annotations = { "scaivault.scailabs.ai/approve": hashIn(shown) };
    await op.cluster.patch("SecretSync", ns, "moved", { metadata: { annotations } });
    await op.interval();
    await op.verdict("SecretSync", ns, "moved", "False BothChanged");
    expect([stored("moved"), op.stored(path("moved"))?.version]).toEqual([{ v: later }, 3]);

    const again = await resolve("moved", "scaivault");
    expect((await resolve("moved", "scaivault", "--approve", hashIn(again))).code).toBe(0);
    // What was kept changes once more: a new question, and the old answer is none.
    op.scaivault.server.admin.write(path("moved"), { data: { v: op.canaries.value("moved last") } });
    await op.interval();
    await op.verdict("SecretSync", ns, "moved", "False TargetChanged");
    const [one] = (await list()).conflicts;
    expect(one).toMatchObject({ reason: "TargetChanged", scaivault: { base: "3", now: "4" } });
  });

  it("settles what was restored three times, and what was deleted in ScaiVault", async () => {
    await op.aws.put("conflicts/fought", '{"v":"right"}');
    await op.cluster.apply(manifest("fought", { conflictResolution: "remote_wins" }));
    await op.ready(ns, "fought");
    for (const value of ["a", "b", "c"]) {
      op.scaivault.server.admin.write(path("fought"), { data: { v: value } });
      await op.interval();
      expect(stored("fought")).toEqual({ v: "right" });
    }
    // The mark counts, not the process.
    await op.restart();
    op.scaivault.server.admin.write(path("fought"), { data: { v: "stubborn" } });
    await op.interval();
    await op.verdict("SecretSync", ns, "fought", "False Conflict");
    await op.interval();
    expect([stored("fought"), op.stored(path("fought"))?.version]).toEqual([{ v: "stubborn" }, 8]);
    const shown = await resolve("fought", "scaivault");
    expect((await resolve("fought", "scaivault", "--approve", hashIn(shown))).code).toBe(0);
    await expectSettled("fought");
    expect(stored("fought")).toEqual({ v: "stubborn" });

    await op.aws.put("conflicts/deleted", '{"v":"1"}');
    await op.cluster.apply(manifest("deleted"));
    await op.ready(ns, "deleted");
    op.scaivault.server.admin.remove(path("deleted"), { permanent: true });
    await op.interval();
    await op.verdict("SecretSync", ns, "deleted", "False TargetChanged");
    // It stays a conflict for as long as nobody decides.
    await op.interval();
    await op.restart();
    await op.interval();
    await op.verdict("SecretSync", ns, "deleted", "False TargetChanged");
    expect(op.stored(path("deleted"))?.deleted ?? true).toBe(true);
    const made = await resolve("deleted", "source");
    expect((await resolve("deleted", "source", "--approve", hashIn(made))).code).toBe(0);
    expect(stored("deleted")).toEqual({ v: "1" });
    await expectSettled("deleted");
  });

  it("refuses wrong usage and what is no conflict in one line", async () => {
    expect((await run("conflicts", "resolve", "stripe", "--path", "x", "--keep", "source")).code).toBe(64);
    expect((await resolve("calm", "both")).code).toBe(64);
    const none = await resolve("calm", "source");
    expect(none.code).toBe(2);
    expect(none.stdout).toContain("its status names no conflict at");
  });
});
