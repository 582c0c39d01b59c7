import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { condition, type Harness, startOperator } from "../../support/operator.ts";

let op: Harness<"platform">;
let ns: string;
let kv: string;

beforeAll(async () => {
  op = await startOperator({ namespaces: ["platform"] });
  ns = op.ns.platform;
  kv = `kv-${ns}`;
  await op.env.vault.enableKv(kv, 2);
});
afterAll(async () => {
  await op?.stop();
  await op?.env.vault.disableMount(kv);
});

const ready = (name: string, reason: string | readonly string[] = "True InSync") =>
  op.verdict("FederationBackend", ns, name, reason, { virtualMs: 60_000 });
const data = (path: string): unknown => JSON.parse(op.stored(path)?.data ?? "null") as unknown;
const counts = async (name: string) => (await op.cluster.backend(ns, name))?.status?.federation?.counts;
const messages = async (name: string) =>
  (await op.cluster.backend(ns, name))?.status?.problems?.map(
    ({ path, reason, message }) => `${path} ${reason}: ${message}`,
  );

describe("a tree of AWS Secrets Manager", () => {
  beforeAll(async () => {
    await op.aws.put("prod/billing/stripe", JSON.stringify({ api_key: op.canaries.value("stripe") }));
    await op.aws.put("prod/billing/db", JSON.stringify({ password: op.canaries.value("db"), port: 5432 }));
    await op.aws.put("prod/plain", op.canaries.value("plain"));
    await op.aws.put("prod/binary", Buffer.from([0, 255, 1, 2, 128]));
    await op.aws.put("prod/sandbox/x", "left out");
    await op.aws.put("other/y", "elsewhere");
    await op.aws.tag("prod/plain", { team: "billing", stage: "prod", "aws-note": "x" });
    await op.awsBackend(ns, "aws", {
      federation: {
        mode: "sync",
        pathMapping: [
          { scaivaultPath: "external/aws/**", sourcePath: "prod/**", exclude: ["prod/sandbox/**"] },
          { scaivaultPath: "single/y", sourcePath: "other/y" },
        ],
        owner: "team:platform",
        tags: [
          { from: "team", as: "value" },
          { from: "aws-*", as: "Drop" },
        ],
      },
    });
    await ready("aws");
  });

  it("is copied whole, every kind of value, and status counts it", async () => {
    expect(await counts("aws")).toEqual({ found: 5, inSync: 5, failed: 0, conflicts: 0, held: 0 });
    const found = await op.cluster.backend(ns, "aws");
    expect(condition(found, "Ready")?.message).toBe("5 of 5 in sync");
    expect(found?.status?.federation?.copies).toEqual(["external/aws/**", "single/y"]);
    expect(found?.status?.effective?.federation).toEqual({
      mode: "sync",
      runsIn: "Operator",
      authority: "Source",
      conflictResolution: "remote_wins",
    });
    expect(data("external/aws/billing/db")).toMatchObject({ port: 5432 });
    expect(data("external/aws/binary")).toEqual({ value_base64: Buffer.from([0, 255, 1, 2, 128]).toString("base64") });
    expect(data("external/aws/plain")).toHaveProperty("value");
    expect(data("single/y")).toEqual({ value: "elsewhere" });
    expect(op.stored("external/aws/sandbox/x")).toBeUndefined();
  });

  it("carries owner and the declared form of tags", () => {
    const { metadata } = op.scaivault.server.admin.peek("external/aws/plain") ?? {};
    expect(metadata).toMatchObject({ owner: "team:platform" });
    expect(JSON.stringify(metadata)).toContain('"billing"');
    expect(JSON.stringify(metadata)).toContain("stage=prod");
    expect(JSON.stringify(metadata)).not.toContain("aws-note");
  });

  it("costs nothing when nothing changed, nor after a restart: no value, no write, one look at ScaiVault", async () => {
    await op.mark();
    await op.interval();
    const steady = await op.seen();
    expect(steady.aws.valueReads).toBe(0);
    expect(steady.scaivault.versionsWritten).toBe(0);
    const before = (await op.cluster.backend(ns, "aws"))?.status?.conditions;
    await op.end();
    await op.mark();
    await op.start();
    await op.interval();
    const again = await op.seen();
    expect(again.aws.valueReads).toBe(0);
    expect(again.scaivault.versionsWritten).toBe(0);
    expect((await op.cluster.backend(ns, "aws"))?.status?.conditions).toEqual(before);
  });

  it("takes up rotated, new and changed-by-others values, each with one version", async () => {
    await op.aws.put("prod/billing/stripe", JSON.stringify({ api_key: op.canaries.value("rotated") }));
    await op.aws.put("prod/new", op.canaries.value("new"));
    const before = op.stored("external/aws/billing/stripe")?.version ?? 0;
    await op.interval();
    await op.eventually("both are there", async () => {
      expect(op.stored("external/aws/billing/stripe")?.version).toBe(before + 1);
      expect(op.stored("external/aws/new")?.version).toBe(1);
      expect(await counts("aws")).toMatchObject({ found: 6, inSync: 6 });
      return true;
    });
  });

  it("goes on after a sync request without waiting for the interval", async () => {
    await op.aws.put("prod/asked", op.canaries.value("asked"));
    await op.cluster.patch("FederationBackend", ns, "aws", {
      metadata: { annotations: { "scaivault.scailabs.ai/sync-requested-at": "now-1" } },
    });
    await op.eventually("it is copied", () => Promise.resolve(op.stored("external/aws/asked") !== undefined));
  });
});

describe("a tree of Vault KV v2", () => {
  it("is copied, with names by LowerDash; collisions are problems that name both, and neither is written", async () => {
    await op.env.vault.put(kv, "app/API Key", { token: op.canaries.value("kv api") });
    await op.env.vault.put(kv, "app/Db", { token: "1" });
    await op.env.vault.put(kv, "app/db", { token: "2" });
    await op.env.vault.put(kv, "a/b/c/d/e/f/g/h/i", { token: "deep" });
    await op.vaultBackend(ns, "vault", [kv], {
      federation: {
        mode: "sync",
        naming: "LowerDash",
        pathMapping: [{ scaivaultPath: "external/vault/**", sourcePath: `${kv}/**` }],
      },
    });
    await ready("vault", "False Partial");
    expect(await messages("vault")).toEqual([
      expect.stringMatching(new RegExp(`^${kv}/a/b/c/d/e/f/g/h/i InvalidPath: .*at most 10 levels`)),
      `${kv}/app/Db NameCollision: ${kv}/app/Db and ${kv}/app/db would all be the ScaiVault path external/vault/app/db`,
      `${kv}/app/db NameCollision: ${kv}/app/Db and ${kv}/app/db would all be the ScaiVault path external/vault/app/db`,
    ]);
    expect(data("external/vault/app/api-key")).toHaveProperty("token");
    expect(op.stored("external/vault/app/db")).toBeUndefined();
    expect(await counts("vault")).toEqual({ found: 4, inSync: 1, failed: 3, conflicts: 0, held: 0 });
  });

  it("copies what no longer collides", async () => {
    await op.env.vault.destroy(kv, "app/Db");
    // One poll no longer lists it; two more, an interval apart, say that it is gone.
    for (let poll = 0; poll < 4; poll += 1) await op.interval();
    await op.eventually("the other is copied", async () => {
      expect(data("external/vault/app/db")).toEqual({ token: "2" });
      expect(await counts("vault")).toMatchObject({ found: 3, inSync: 2, failed: 1 });
      return true;
    });
  });
});
