import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { backend, condition, type Harness, REGION, startOperator, sync } from "../../support/operator.ts";

let op: Harness<"platform" | "team">;

const mapping = (scaivaultPath: string, sourcePath: string, more: object = {}) => ({
  scaivaultPath,
  sourcePath,
  ...more,
});
const tree = (...pathMapping: readonly object[]) => ({ federation: { mode: "sync", pathMapping } });
const copy = (ns: string, name: string, path: string, source = "own/x") =>
  sync(ns, name, { source: { backendRef: { name: "login" }, path: source }, targets: { scaivault: { path } } });
const ready = (ns: string, name: string, wanted = "True InSync") =>
  op.verdict("FederationBackend", ns, name, wanted, { virtualMs: 60_000 });

beforeAll(async () => {
  op = await startOperator({
    namespaces: ["platform", "team"],
    tenancy: (ns) => [
      { namespaces: [ns.platform], scaivault: { read: ["**"], write: ["shared/**", "proxied/**"] } },
      { namespaces: [ns.team], scaivault: { read: ["**"], write: ["shared/team/**", "proxied/**"] } },
    ],
  });
  await op.aws.put("prod/a", "a1");
  await op.aws.put("prod/team/b", "b2");
  await op.aws.put("own/x", "x3");
  await op.awsBackend(op.ns.team, "login");
});
afterAll(async () => op?.stop());

describe("rights to a tree", () => {
  it("come from the operator's configuration, for all of it: without, nothing is written and nothing is listed", async () => {
    await op.awsBackend(op.ns.team, "wide", tree(mapping("shared/**", "prod/**")));
    const found = await ready(op.ns.team, "wide", "False NotGranted");
    expect(condition(found, "Ready")?.message).toContain("shared/** in ScaiVault (tenancy.scaivault.write)");
    await op.interval();
    expect(op.scaivault.server.admin.paths().filter((path) => path.startsWith("shared/"))).toEqual([]);
    await op.cluster.delete("FederationBackend", op.ns.team, "wide");
  });
});

describe("two objects that want one path", () => {
  it("the older keeps it: a SecretSync below another object's tree says Claimed, and by an opaque id", async () => {
    await op.awsBackend(op.ns.platform, "aws", tree(mapping("shared/**", "prod/**", { exclude: ["prod/free/**"] })));
    await ready(op.ns.platform, "aws");
    await op.cluster.apply(copy(op.ns.team, "inside", "shared/team/b"), copy(op.ns.team, "beside", "shared/team/new"));
    const inside = await op.verdict("SecretSync", op.ns.team, "inside", "False Claimed");
    expect(condition(inside, "Ready")?.message).toMatch(/claimed by other-[0-9a-f]{12}/);
    expect(JSON.stringify(inside.status)).not.toContain(op.ns.platform);
    await op.verdict("SecretSync", op.ns.team, "beside", "False Claimed");
    expect(JSON.parse(op.stored("shared/team/b")?.data ?? "")).toEqual({ value: "b2" });
    await ready(op.ns.platform, "aws");
  });

  it("what the tree's mapping excludes is free", async () => {
    await op.cluster.patch("FederationBackend", op.ns.platform, "aws", {
      spec: tree(mapping("shared/**", "prod/**", { exclude: ["prod/team/new"] })),
    });
    await op.interval();
    await op.ready(op.ns.team, "beside");
    expect(JSON.parse(op.stored("shared/team/new")?.data ?? "")).toEqual({ value: "x3" });
  });

  it("a tree that comes later leaves the path of a SecretSync to it, and says so", async () => {
    await op.cluster.apply(copy(op.ns.team, "first", "shared/team/first"));
    await op.cluster.delete("FederationBackend", op.ns.platform, "aws");
    await op.ready(op.ns.team, "first");
    await op.aws.put("late/team/first", "late");
    await op.aws.put("late/other", "late");
    await op.awsBackend(op.ns.platform, "late", tree(mapping("shared/**", "late/**")));
    const found = await ready(op.ns.platform, "late", "False Claimed");
    expect(found.status?.problems?.map(({ path, reason }) => `${path} ${reason}`)).toEqual([
      "shared/team/first Claimed",
    ]);
    expect(found.status?.federation?.counts).toMatchObject({ found: 2, inSync: 1, conflicts: 1 });
    expect(JSON.parse(op.stored("shared/team/first")?.data ?? "")).toEqual({ value: "x3" });
    await op.cluster.delete("FederationBackend", op.ns.platform, "late");
  });
});

describe("below a federation in mode proxy", () => {
  it("nothing is written: ReadOnlyPath", async () => {
    await op.cluster.apply(
      backend(op.ns.platform, "proxy", {
        type: "aws-secrets-manager",
        awsSecretsManager: { region: REGION },
        federation: { mode: "proxy", runsIn: "ScaiVault", pathMapping: [mapping("proxied/**", "prod/**")] },
      }),
      copy(op.ns.team, "proxied", "proxied/x"),
    );
    const found = await op.verdict("SecretSync", op.ns.team, "proxied", "False ReadOnlyPath");
    expect(condition(found, "Ready")?.message).toContain("takes no copies");
    expect(op.stored("proxied/x")).toBeUndefined();
  });
});
