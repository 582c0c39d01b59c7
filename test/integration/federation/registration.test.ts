import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { condition, type Harness, startOperator, VAULT_HOST, verdict } from "../../support/operator.ts";
import { FederationStage } from "./stage.ts";

let op: Harness<"team">;
let ns: string;
let stage: FederationStage;

beforeAll(async () => {
  op = await startOperator({
    namespaces: ["team"],
    federation: true,
    // People look more often than ScaiVault allows; the operator keeps to its own 20 a minute all the same.
    scaivault: { limits: { federation: Infinity } },
    tenancy: (names) => [
      {
        namespaces: [names.team],
        scaivault: { read: ["external/**"], write: ["external/**", "infra/team/*"], credentials: ["infra/team/*"] },
        endpoints: [VAULT_HOST],
        federation: true,
      },
    ],
  });
  ns = op.ns.team;
  stage = await FederationStage.prepare(op as Harness<string>, ns, "infra/team");
});
afterAll(async () => {
  await op?.stop();
  await stage?.close();
});
afterEach(() => stage.clear());

describe("a proxy of Vault", () => {
  it("is registered after its credentials, and reads what Vault holds at that moment", async () => {
    const [first, second] = [op.canaries.value("first"), op.canaries.value("second")];
    await op.env.vault.put(stage.mount, "live/db", { password: first });
    await op.mark();
    await stage.applyVault("live");
    const { status } = await stage.ready("live");
    const one = await stage.only();
    expect(one).toMatchObject({
      name: `k8s_${op.config().cluster.name}_${ns}_live`,
      mode: "proxy",
      config: {
        endpoint: `https://${VAULT_HOST}`,
        auth_method: "approle",
        auth_config_path: "infra/team/live",
        tls_verify: true,
      },
      path_mapping: { "external/live/**": `${stage.mount}/data/live/**` },
    });
    expect(status?.federation).toMatchObject({
      id: one.id,
      name: one.name,
      mode: "proxy",
      connection: "Connected",
      health: "healthy",
    });
    expect(status?.effective?.federation).toEqual({ mode: "proxy", runsIn: "ScaiVault" });
    expect(await stage.read("external/live/db")).toEqual({ password: first });
    await op.env.vault.put(stage.mount, "live/db", { password: second });
    expect(await stage.read("external/live/db")).toEqual({ password: second });
    // Credentials first, in the order that ScaiVault saw.
    const order = op.scaivault.server.admin
      .requests()
      .filter(({ method, path }) => method === "PUT" || (method === "POST" && !path.includes("batch")))
      .map(({ method, path }) => `${method} ${path}`);
    expect(order).toEqual(["PUT /v1/secrets/infra/team/live", "POST /v1/federation/backends"]);
    const metadata = JSON.stringify(op.scaivault.server.admin.peek("infra/team/live")?.metadata);
    expect(metadata).toContain(VAULT_HOST);
    expect(metadata).toContain("scaivault_operator_proof");
  });

  it("costs a listing and a look a minute when nothing changes, and no write anywhere", async () => {
    await stage.applyVault("quiet");
    await stage.ready("quiet");
    await op.advance(120_000);
    await op.mark();
    await op.advance(600_000);
    const { scaivault, kubeWrites } = await op.seen();
    expect(kubeWrites).toEqual([]);
    expect(scaivault.versionsWritten).toBe(0);
    const calls = op.scaivault.server.admin.requests();
    expect(calls.every(({ method }) => method === "GET")).toBe(true);
    expect(calls.length).toBeLessThanOrEqual(24);
  });
});

describe("what others do to a registration", () => {
  it("is put right, and given up as Conflict when they do not stop", async () => {
    await stage.applyVault("drift");
    await stage.ready("drift");
    const { id } = await stage.only();
    for (let round = 0; round < 3; round += 1) {
      const changed = await stage.backends("PATCH", `/${id}`, {
        path_mapping: { "external/elsewhere/**": `${stage.mount}/data/drift/**` },
      });
      expect(changed.status).toBe(200);
      await op.eventually(
        "the mapping is put right",
        async () => JSON.stringify((await stage.only()).path_mapping).includes("external/drift"),
        { virtualMs: 120_000 },
      );
    }
    await stage.backends("PATCH", `/${id}`, {
      path_mapping: { "external/elsewhere/**": `${stage.mount}/data/drift/**` },
    });
    const held = await op.verdict("FederationBackend", ns, "drift", "False Conflict", { virtualMs: 120_000 });
    expect(condition(held, "Ready")?.message).toContain("path_mapping");
    await op.mark();
    await op.advance(300_000);
    expect(op.scaivault.server.admin.requests().filter(({ method }) => method === "PATCH")).toEqual([]);
  });

  it("that took it away is made good", async () => {
    await stage.applyVault("gone");
    await stage.ready("gone");
    const before = await stage.only();
    await stage.backends("DELETE", `/${before.id}`);
    await op.eventually("it is registered again", async () => (await stage.registered()).length === 1, {
      virtualMs: 200_000,
    });
    const { status } = await stage.ready("gone");
    expect(status?.federation?.id).toBe((await stage.only()).id);
    expect(status?.federation?.id).not.toBe(before.id);
  });
});

describe("a registration of our name that is not recorded as ours", () => {
  const name = () => `k8s_${op.config().cluster.name}_${ns}_found`;
  async function foreign(more: object): Promise<void> {
    const { roleId, secretId } = stage.login;
    await stage.write("infra/team/found", { role_id: roleId, secret_id: secretId }, { allowed_hosts: [VAULT_HOST] });
    const made = await stage.backends("POST", "", {
      name: name(),
      type: "hashicorp-vault",
      config: {
        endpoint: `https://${VAULT_HOST}`,
        auth_method: "approle",
        auth_config_path: "infra/team/found",
        tls_verify: true,
      },
      path_mapping: { "external/found/**": `${stage.mount}/data/found/**` },
      mode: "proxy",
      ...more,
    });
    expect(made.status).toBe(201);
  }
  const person = { scaivaultPath: "infra/team/found" };

  it("is left alone, and adopted when that is asked for and both are equal", async () => {
    await foreign({});
    const { id } = await stage.only();
    await stage.applyVault("found", { credentials: person });
    await op.verdict("FederationBackend", ns, "found", "False NotOwned");
    await op.mark();
    await op.cluster.patch("FederationBackend", ns, "found", { spec: { federation: { adopt: "IfEqual" } } });
    const { status } = await stage.ready("found");
    expect(status?.federation?.id).toBe(id);
    expect(op.scaivault.server.admin.requests().filter(({ method }) => method !== "GET")).toEqual([]);
  });

  it("is not adopted when it differs, and says where", async () => {
    await foreign({ mode: "sync", sync_interval: "1h" });
    await stage.applyVault("found", { credentials: person, adopt: "IfEqual" });
    const refused = await op.verdict("FederationBackend", ns, "found", "False AdoptDiffers");
    expect(condition(refused, "Ready")?.message).toContain("mode");
    expect((await stage.only()).mode).toBe("sync");
  });
});

describe("a sync of AWS", () => {
  it("copies by interval, mirrors counts, and syncs now when that is asked for", async () => {
    const [first, second] = [op.canaries.value("aws first"), op.canaries.value("aws second")];
    await op.aws.put("copies/stripe", JSON.stringify({ api_key: first }));
    await stage.applyAws("copies");
    const { status } = await stage.ready("copies");
    expect(await stage.read("external/copies/stripe")).toEqual({ api_key: first });
    expect(status?.federation).toMatchObject({ mode: "sync", counts: { found: 1, inSync: 1, conflicts: 0 } });
    const before = status?.federation?.lastSyncTime;
    expect(before).toBeDefined();
    await op.aws.put("copies/stripe", JSON.stringify({ api_key: second }));
    await op.cluster.patch("FederationBackend", ns, "copies", {
      metadata: { annotations: { "scaivault.scailabs.ai/sync-requested-at": "now-1" } },
    });
    await op.eventually(
      "the request is echoed",
      async () => (await op.cluster.backend(ns, "copies"))?.status?.lastHandledSyncRequest === "now-1",
      { virtualMs: 60_000 },
    );
    expect(await stage.read("external/copies/stripe")).toEqual({ api_key: second });
    const after = (await op.cluster.backend(ns, "copies"))?.status?.federation?.lastSyncTime;
    expect(Date.parse(after ?? "")).toBeGreaterThan(Date.parse(before ?? ""));
    const syncs = op.scaivault.server.admin.requests().filter(({ path }) => path.endsWith("/sync"));
    expect(syncs).toHaveLength(1);
  });

  it("shows conflicts by path, version and time, and nothing of their values", async () => {
    const [theirs, ours] = [op.canaries.value("theirs"), op.canaries.value("ours")];
    await op.aws.put("fought/db", JSON.stringify({ password: theirs }));
    await stage.applyAws("fought", { conflictResolution: "manual" });
    await stage.ready("fought");
    await stage.write("external/fought/db", { password: ours });
    const newer = { password: op.canaries.value("newer") };
    await op.aws.put("fought/db", JSON.stringify(newer));
    await op.advance(360_000);
    const held = await op.verdict("FederationBackend", ns, "fought", "False BothChanged", { virtualMs: 120_000 });
    expect(verdict(held, "Conflict")).toBe("True BothChanged");
    expect(held.status?.federation?.counts?.conflicts).toBe(1);
    expect(held.status?.problems?.[0]).toMatchObject({ path: "external/fought/db", reason: "BothChanged" });
    expect(held.status?.problems?.[0]?.message).toMatch(/^ScaiVault v2 and fought\/db have different values, seen 20/);
    await stage.write("external/fought/db", newer);
    await op.advance(360_000);
    await op.verdict("FederationBackend", ns, "fought", "True InSync", { virtualMs: 120_000 });
  });
});

describe("an edit", () => {
  it("changes only what differs, and a move to proxy last", async () => {
    await op.aws.put("moved/db", "{}");
    await stage.applyAws("moved");
    await stage.ready("moved");
    await op.mark();
    await op.cluster.patch("FederationBackend", ns, "moved", { spec: { syncInterval: "10m" } });
    await op.eventually("the interval is changed", async () => (await stage.only()).sync_interval === "10m");
    await op.cluster.patch("FederationBackend", ns, "moved", {
      spec: {
        syncInterval: null,
        federation: {
          mode: "proxy",
          conflictResolution: null,
          pathMapping: [{ scaivaultPath: "external/moved-on/**", sourcePath: "moved/**" }],
        },
      },
    });
    await op.eventually("it is a proxy", async () => (await stage.only()).mode === "proxy", { virtualMs: 60_000 });
    await stage.ready("moved");
    expect(await stage.read("external/moved-on/db")).toEqual({});
    const patches = op.scaivault.server.admin.requests().filter(({ method }) => method === "PATCH");
    expect(patches).toHaveLength(3);
  });

  it("to the operator, from a proxy too, ends with copies that are the operator's, and with no registration", async () => {
    const value = op.canaries.value("moved over");
    await op.env.vault.put(stage.mount, "over/db", { password: value });
    const pathMapping = [{ scaivaultPath: "external/over/**", sourcePath: `${stage.mount}/over/**` }];
    await op.cluster.apply(stage.vaultLogin("over"));
    await op.vaultBackend(ns, "over", [stage.mount], {
      syncInterval: undefined,
      federation: { mode: "proxy", runsIn: "ScaiVault", pathMapping, credentials: stage.credentials("over") },
    });
    await stage.ready("over");
    expect(await stage.read("external/over/db")).toEqual({ password: value });
    await op.cluster.patch("FederationBackend", ns, "over", {
      spec: {
        syncInterval: "5m",
        federation: { mode: "sync", runsIn: "Operator", adopt: "IfEqual", credentials: null },
      },
    });
    await op.eventually("the registration is gone", async () => (await stage.registered()).length === 0, {
      virtualMs: 120_000,
    });
    // Between the two nobody misses it.
    expect(await stage.read("external/over/db")).toEqual({ password: value });
    for (let turn = 0; turn < 3; turn += 1) await op.interval();
    const { status } = await stage.ready("over");
    expect(status?.federation?.id).toBeUndefined();
    expect(status?.federation?.counts).toMatchObject({ found: 1, inSync: 1 });
    expect(op.stored("external/over/db")?.version).toBe(1);
    expect(JSON.stringify(op.scaivault.server.admin.peek("external/over/db")?.metadata)).toContain("proof");
  });

  it("from the operator to a sync by ScaiVault and back loses and writes nothing", async () => {
    const value = op.canaries.value("to and fro");
    await op.env.vault.put(stage.mount, "fro/db", { password: value });
    const pathMapping = [{ scaivaultPath: "external/fro/**", sourcePath: `${stage.mount}/fro/**` }];
    await op.cluster.apply(stage.vaultLogin("fro"));
    await op.vaultBackend(ns, "fro", [stage.mount], { federation: { mode: "sync", pathMapping } });
    await stage.ready("fro");
    expect(op.stored("external/fro/db")?.version).toBe(1);
    const patch = (federation: object) => op.cluster.patch("FederationBackend", ns, "fro", { spec: { federation } });
    await patch({ runsIn: "ScaiVault", credentials: stage.credentials("fro") });
    await op.advance(60_000);
    const there = await stage.ready("fro");
    expect(there.status?.federation?.mode).toBe("sync");
    expect(await stage.read("external/fro/db")).toEqual({ password: value });
    await patch({ runsIn: "Operator", credentials: null, adopt: "IfEqual" });
    await op.eventually("the registration is gone", async () => (await stage.registered()).length === 0, {
      virtualMs: 120_000,
    });
    for (let turn = 0; turn < 3; turn += 1) await op.interval();
    await stage.ready("fro");
    expect(await stage.read("external/fro/db")).toEqual({ password: value });
    expect(op.stored("external/fro/db")?.version).toBe(1);
  });
});
