/** Who may register what, which credentials go where, and what becomes of a registration when its object goes. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { condition, type Harness, startOperator, sync, VAULT_HOST } from "../../support/operator.ts";
import { FederationStage } from "./stage.ts";

let op: Harness<"team" | "shop" | "gone">;
let stage: FederationStage;
let shop: FederationStage;
/** A namespace that is deleted on the way. */
let gone: FederationStage;

beforeAll(async () => {
  op = await startOperator({
    namespaces: ["team", "shop", "gone"],
    federation: true,
    scaivault: { limits: { federation: Infinity } },
    tenancy: (names) => [
      {
        namespaces: [names.team],
        scaivault: { read: ["external/**"], write: ["external/**", "infra/team/*"], credentials: ["infra/team/*"] },
        endpoints: [VAULT_HOST, "other.example.com", "kubernetes.default.svc"],
        federation: true,
      },
      {
        namespaces: [names.shop],
        scaivault: { write: ["external/**", "infra/shop/*"], credentials: ["infra/shop/*"] },
        endpoints: [VAULT_HOST],
      },
      {
        namespaces: [names.gone],
        scaivault: { write: ["external/**", "infra/gone/*"], credentials: ["infra/gone/*"] },
        federation: true,
      },
    ],
  });
  stage = await FederationStage.prepare(op as Harness<string>, op.ns.team, "infra/team");
  shop = await FederationStage.prepare(op as Harness<string>, op.ns.shop, "infra/shop");
  gone = await FederationStage.prepare(op as Harness<string>, op.ns.gone, "infra/gone");
});
afterAll(async () => {
  await op?.stop();
  await stage?.close();
  await shop?.close();
  await gone?.close();
});
afterEach(async () => {
  op.scaivault.server.admin.clearFaults();
  await stage.clear();
  await shop.clear();
});

const message = async (name: string, of = stage): Promise<string> =>
  condition(await op.cluster.backend(of.ns, name), "Ready")?.message ?? "";

describe("without a right nothing is asked of ScaiVault", () => {
  it("for a namespace without tenancy.federation", async () => {
    await op.mark();
    await shop.applyVault("denied");
    await shop.refused("denied", "NotGranted");
    expect(await message("denied", shop)).toContain("tenancy.federation");
    expect(op.scaivault.server.admin.requests()).toEqual([]);
  });

  it.each([
    ["a mapping", { pathMapping: [{ scaivaultPath: "shared/**", sourcePath: "kv/**" }] }, "tenancy.scaivault.write"],
    ["a credential path", { credentials: { scaivaultPath: "infra/shop/root" } }, "tenancy.scaivault.credentials"],
  ])("for %s that the namespace may not use", async (_what, federation, factor) => {
    await op.mark();
    await stage.applyVault("beyond", federation);
    await stage.refused("beyond", "NotGranted");
    expect(await message("beyond")).toContain(factor);
    expect(op.scaivault.server.admin.requests()).toEqual([]);
  });

  it.each([
    ["that is not listed", "https://vault.evil.example.com:8200"],
    ["of the link-local network", "https://169.254.169.254"],
    ["of the cluster's own API server", "https://kubernetes.default.svc"],
  ])("for an address %s", async (_what, address) => {
    await op.mark();
    await stage.applyVault("away", {}, { hashicorpVault: { address } });
    await stage.refused("away", "EndpointNotAllowed");
    expect(op.scaivault.server.admin.requests()).toEqual([]);
  });

  it("and a backend of Vault without credentials is refused", async () => {
    await op.cluster.apply(stage.vault("bare", { credentials: undefined }));
    await stage.refused("bare", "InvalidSpec");
    expect(await stage.registered()).toEqual([]);
  });
});

describe("credentials at a ScaiVault path", () => {
  const person = { scaivaultPath: "infra/team/person" };
  const put = (metadata?: object) =>
    stage.write("infra/team/person", { role_id: stage.login.roleId, secret_id: stage.login.secretId }, metadata);

  it("are used only for hosts that their metadata allow, checked again before each change", async () => {
    await put();
    await stage.applyVault("hosts", { credentials: person });
    await stage.refused("hosts", "CredentialNotAllowedHere");
    await put({ allowed_hosts: ["vault.other.example.com"] });
    await op.advance(70_000);
    await stage.refused("hosts", "CredentialNotAllowedHere");
    expect(await stage.registered()).toEqual([]);
    await put({ allowed_hosts: `vault.other.example.com ${VAULT_HOST}` });
    await op.eventually("it is registered", async () => (await stage.registered()).length === 1, { virtualMs: 90_000 });
    await stage.ready("hosts");
    // Their owner takes the host off; the address that ScaiVault has stays, and none is sent there anew.
    await put({ allowed_hosts: [] });
    await op.mark();
    await op.cluster.patch("FederationBackend", stage.ns, "hosts", {
      spec: { hashicorpVault: { address: "https://other.example.com" } },
    });
    await stage.refused("hosts", "CredentialNotAllowedHere");
    expect((await stage.only()).config["endpoint"]).toBe(`https://${VAULT_HOST}`);
    expect(stage.federationCalls().filter((one) => !one.startsWith("GET"))).toEqual([]);
  });

  it("are refused where nothing is there", async () => {
    await stage.applyVault("nothing", { credentials: { scaivaultPath: "infra/team/nothing" } });
    await stage.refused("nothing", "CredentialNotFound");
  });

  it("of another's are not written over, and not of another object's", async () => {
    await stage.write("infra/team/taken", { role_id: "theirs", secret_id: "theirs" });
    await stage.applyVault("taken");
    await stage.refused("taken", "NotOwned");
    expect(op.stored("infra/team/taken")?.version).toBe(1);
    await stage.applyVault("first");
    await stage.ready("first");
    await op.cluster.apply(
      stage.vaultLogin("second"),
      stage.vault("second", {
        credentials: { ...person, scaivaultPath: "infra/team/first", secretRef: { name: "second-login" } },
      }),
    );
    await stage.refused("second", "Claimed");
    expect(op.stored("infra/team/first")?.version).toBe(1);
  });

  it("are written anew when the Secret is rotated, and put right when another writes over them", async () => {
    await op.env.vault.put(stage.mount, "rotated/db", { user: "u" });
    await stage.applyVault("rotated");
    await stage.ready("rotated");
    const login = await op.env.vault.createAppRole({ name: `${stage.ns}-2`, policies: [stage.ns] });
    await op.cluster.apply(stage.vaultLogin("rotated", login));
    await op.eventually("the new login stands there", async () => op.stored("infra/team/rotated")?.version === 2);
    expect(JSON.parse(op.stored("infra/team/rotated")?.data ?? "")).toEqual({
      role_id: login.roleId,
      secret_id: login.secretId,
    });
    await stage.write("infra/team/rotated", { role_id: "x", secret_id: "y" });
    await op.advance(960_000);
    const roleId = () => (JSON.parse(op.stored("infra/team/rotated")?.data ?? "{}") as { role_id?: string }).role_id;
    await op.eventually("it is put right", () => Promise.resolve(roleId() === login.roleId), { virtualMs: 120_000 });
    expect(await stage.read("external/rotated/db")).toEqual({ user: "u" });
  });

  it("that are no credentials never get to ScaiVault", async () => {
    await op.cluster.apply(stage.vault("empty"), {
      ...stage.vaultLogin("empty"),
      stringData: { role_id: "only" },
    });
    await stage.refused("empty", "CredentialInvalid");
    expect(op.stored("infra/team/empty")).toBeUndefined();
  });
});

describe("when the object goes", () => {
  it("its registration goes with cleanupPolicy Delete, and the copies stay", async () => {
    await op.aws.put("clean/db", '{"user":"u"}');
    await stage.applyAws("clean", { cleanupPolicy: "Delete" });
    await stage.ready("clean");
    expect((await op.cluster.backend(stage.ns, "clean"))?.metadata.finalizers).toEqual([
      "scaivault.scailabs.ai/cleanup",
    ]);
    await op.cluster.delete("FederationBackend", stage.ns, "clean");
    await op.eventually("it is gone", async () => (await op.cluster.backend(stage.ns, "clean")) === undefined);
    expect(await stage.registered()).toEqual([]);
    expect(await stage.read("external/clean/db")).toEqual({ user: "u" });
  });

  it("its registration stays with Retain, and is the object's again by adoption when it comes back", async () => {
    await stage.applyVault("kept");
    await stage.ready("kept");
    const { id } = await stage.only();
    expect((await op.cluster.backend(stage.ns, "kept"))?.metadata.finalizers).toBeUndefined();
    await op.cluster.delete("FederationBackend", stage.ns, "kept");
    await op.advance(70_000);
    expect((await stage.only()).id).toBe(id);
    expect(op.lines.join("")).toContain("registration stays");
    await stage.applyVault("kept", { adopt: "IfEqual" });
    expect((await stage.ready("kept")).status?.federation?.id).toBe(id);
  });

  it("one that is not the operator's is never removed", async () => {
    await stage.applyVault("others", { cleanupPolicy: "Delete" });
    await stage.ready("others");
    const { id } = await stage.only();
    await stage.backends("PATCH", `/${id}`, { name: "renamed-by-another" });
    await op.cluster.delete("FederationBackend", stage.ns, "others");
    await op.eventually("it is gone", async () => (await op.cluster.backend(stage.ns, "others")) === undefined);
    expect((await stage.only()).name).toBe("renamed-by-another");
  });

  it("waits for ScaiVault", async () => {
    await stage.applyVault("down", { cleanupPolicy: "Delete" });
    await stage.ready("down");
    op.scaivault.server.admin.inject({ action: { kind: "body", status: 503, text: "{}" } });
    await op.cluster.delete("FederationBackend", stage.ns, "down");
    await op.advance(40_000);
    expect(await op.cluster.backend(stage.ns, "down")).toBeDefined();
    op.scaivault.server.admin.clearFaults();
    await op.eventually("it is gone", async () => (await op.cluster.backend(stage.ns, "down")) === undefined, {
      virtualMs: 90_000,
    });
    expect(await stage.registered()).toEqual([]);
  });

  it("does not hang in a namespace that is being deleted, whose registration and copies stay", async () => {
    await op.aws.put("dying/db", '{"user":"u"}');
    await gone.applyAws("dying", { cleanupPolicy: "Delete" });
    await gone.ready("dying");
    const { id } = await gone.only();
    await op.mark();
    // Nobody answers, and nobody is asked.
    op.scaivault.server.admin.inject({ action: { kind: "body", status: 503, text: "{}" } });
    await op.env.kube.request({ method: "DELETE", path: `/api/v1/namespaces/${gone.ns}` });
    await op.cluster.delete("FederationBackend", gone.ns, "dying");
    await op.eventually("it is gone", async () => (await op.cluster.backend(gone.ns, "dying")) === undefined);
    op.scaivault.server.admin.clearFaults();
    const writes = op.scaivault.server.admin.requests().filter(({ method }) => method !== "GET");
    expect(writes.filter(({ path }) => !path.includes("batch"))).toEqual([]);
    expect((await gone.only()).id).toBe(id);
    expect(await gone.read("external/dying/db")).toEqual({ user: "u" });
  });
});

describe("SecretSyncs beside it", () => {
  it("cannot read through a backend without auth: BackendNotReadable", async () => {
    await stage.applyVault("login");
    await stage.ready("login");
    const source = { backendRef: { name: "login" }, path: `${stage.mount}/login/db` };
    await op.cluster.apply(sync(stage.ns, "through", { source, targets: { kubernetesSecret: {} } }));
    await op.verdict("SecretSync", stage.ns, "through", "False BackendNotReadable");
  });

  it("cannot write below its proxied mapping: ReadOnlyPath, and the Secret that is there is kept", async () => {
    await op.aws.put("plain/db", '{"user":"u"}');
    await op.awsBackend(stage.ns, "plain");
    const source = { backendRef: { name: "plain" }, path: "plain/db" };
    const targets = { kubernetesSecret: {}, scaivault: { path: "external/front/db" } };
    await op.cluster.apply(sync(stage.ns, "below", { source, targets }));
    await op.ready(stage.ns, "below");
    // The SecretSync is the older of the two: what takes no copies is nobody's to claim all the same.
    await stage.applyVault("front");
    await stage.ready("front");
    await op.interval();
    await op.verdict("SecretSync", stage.ns, "below", "False ReadOnlyPath", { virtualMs: 60_000 });
    expect(await op.cluster.secretData(stage.ns, "below")).toEqual({ user: "u" });
    await op.cluster.delete("SecretSync", stage.ns, "below");
  });
});
