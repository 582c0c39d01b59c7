// The migration from HashiCorp Vault with this operator, from start to end: a manifest or one command for every curl and script of
// ScaiVault's guide, and the reads that the guide uses to verify.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { backend, credential, sync, VAULT_HOST } from "../support/operator.ts";
import { Program } from "../integration/cli/support.ts";
import { GuideStage, verified } from "./stage.ts";

const quarter = 15 * 60_000;
const hour = 60 * 60_000;
const canonical = "environments/production/billing";
let stage: GuideStage;
let op: GuideStage["op"];
let program: Program;
let mount: string;
const values = { database: "", stripe: "", salesforce: "" };
let consumer = "";

beforeAll(async () => {
  [stage, program] = await Promise.all([GuideStage.open(), Program.build()]);
  ({ op } = stage);
  for (const name of ["database", "stripe", "salesforce"] as const) values[name] = op.canaries.value(name);
  mount = `kv-${stage.ns}`;
  const { vault } = op.env;
  await vault.enableKv(mount, 2);
  await vault.put(mount, "apps/billing/db", { username: "billing", password: values.database, port: 5432 });
  await vault.put(mount, "apps/billing/stripe", { api_key: values.stripe });
  await vault.put(mount, "shared/salesforce", { client_secret: values.salesforce });
  consumer = stage.consumer("sa:billing-prod", "external/hashicorp/**", `${canonical}/*`);
});
afterAll(async () => {
  await op?.stop();
  await op?.env.vault.disableMount(mount);
  await program?.close();
});

const federated = (path: string): string => `external/hashicorp/${path}`;
const hashicorpVault = (more: object = {}) => ({
  address: `https://${VAULT_HOST}`,
  auth: { appRole: { secretRef: { name: "vault-approle" } } },
  ...more,
});
/** The backend with its federation as the page has it. */
const declared = (federation: object = {}, spec: object = {}, name = "vault-prod") =>
  backend(stage.ns, name, {
    type: "hashicorp-vault",
    hashicorpVault: hashicorpVault(),
    federation: {
      mode: "proxy",
      runsIn: "ScaiVault",
      pathMapping: [{ scaivaultPath: "external/hashicorp/**", sourcePath: `${mount}/**` }],
      credentials: { scaivaultPath: "infra/hashicorp/approle", secretRef: { name: "vault-approle" } },
      ...federation,
    },
    ...spec,
  });
/** What Vault itself holds, asked as the guide's script does. */
async function inVault(path: string): Promise<unknown> {
  const answer = (await op.env.vault.request("GET", `${mount}/data/${path}`)).json<{ data: { data: unknown } }>();
  return answer.data.data;
}

describe("from HashiCorp Vault, with the operator", () => {
  it("1 and 2: an AppRole that may only read; an inventory that writes nothing", async () => {
    const { vault } = op.env;
    await vault.writePolicy(
      stage.ns,
      ["data", "metadata"].map((part) => `path "${mount}/${part}/*" { capabilities = ["read", "list"] }`).join("\n"),
    );
    const role = await vault.createAppRole({
      name: stage.ns,
      policies: [stage.ns],
      tokenTtl: "1h",
      tokenMaxTtl: "24h",
    });
    await op.cluster.apply(
      credential(stage.ns, "vault-approle", { role_id: role.roleId, secret_id: role.secretId }),
      backend(stage.ns, "vault-prod", { type: "hashicorp-vault", hashicorpVault: hashicorpVault() }),
      sync(stage.ns, "inventory", {
        source: { backendRef: { name: "vault-prod" }, subtree: `${mount}/**` },
        targets: { scaivault: { path: "environments/inventory/**" } },
        apply: "Never",
      }),
    );
    const { status } = await op.verdict("SecretSync", stage.ns, "inventory", "False Differs");
    expect(status?.counts).toMatchObject({ found: 3 });
    expect(op.scaivault.server.admin.paths()).toEqual([]);
    await op.cluster.delete("SecretSync", stage.ns, "inventory");
  });

  it("3 and 4: a proxy is declared with its login; a read is what Vault holds, and stands in both audit logs", async () => {
    await op.cluster.apply(declared());
    const { status } = await stage.backendReady("vault-prod");
    expect(status?.federation).toMatchObject({ mode: "proxy", connection: "Connected", health: "healthy" });
    await op.idle();
    const since = op.clock.now();
    const mark = op.env.vault.auditMark();
    expect(await stage.read(federated("apps/billing/db"), consumer)).toEqual(await inVault("apps/billing/db"));
    expect(op.env.vault.readAudit({ since: mark, path: `${mount}/data/` })).toMatchObject([
      { operation: "read", path: `${mount}/data/apps/billing/db`, displayName: "approle" },
      { displayName: "root" },
    ]);
    expect(await stage.readers("external/hashicorp/", since)).toMatchObject([
      { identity_id: "sa:billing-prod", secret_path: federated("apps/billing/db") },
    ]);
    expect(op.scaivault.server.admin.paths()).toEqual(["infra/hashicorp/approle"]);
  });

  it("5: the secrets go to their canonical paths and are deeply equal; a later change in Vault follows", async () => {
    await op.cluster.apply(
      stage.move("database", { backend: "vault-prod", path: `${mount}/apps/billing/db` }, `${canonical}/database`),
      stage.move("stripe", { backend: "vault-prod", path: `${mount}/apps/billing/stripe` }, `${canonical}/stripe`),
      sync(stage.ns, "shared", {
        source: { backendRef: { name: "vault-prod" }, subtree: `${mount}/shared/**` },
        targets: { scaivault: { path: "shared/integrations/**" } },
      }),
    );
    for (const name of ["database", "stripe", "shared"]) await op.ready(stage.ns, name);
    expect(await verified(stage, program)).toEqual({ code: 0, stdout: "" });
    expect(await stage.read(`${canonical}/database`, consumer)).toEqual(await inVault("apps/billing/db"));
    expect(await stage.read(`${canonical}/stripe`, consumer)).toEqual(await inVault("apps/billing/stripe"));
    expect(await stage.read("shared/integrations/salesforce")).toEqual(await inVault("shared/salesforce"));
    values.stripe = op.canaries.value("stripe later");
    await op.env.vault.put(mount, "apps/billing/stripe", { api_key: values.stripe });
    await op.interval(quarter);
    await op.ready(stage.ns, "stripe");
    expect(await stage.read(`${canonical}/stripe`, consumer)).toEqual({ api_key: values.stripe });
    expect(await stage.secret("stripe")).toEqual({ api_key: values.stripe });
  });

  it("5: nothing can be copied into what is read through", async () => {
    await op.cluster.apply(
      stage.move("wrong", { backend: "vault-prod", path: `${mount}/shared/salesforce` }, federated("wrong")),
    );
    await op.verdict("SecretSync", stage.ns, "wrong", ["False ReadOnlyPath", "False Claimed"]);
    expect(await stage.read(federated("wrong"), consumer)).toBe(404);
    await op.cluster.delete("SecretSync", stage.ns, "wrong");
  });

  it("6 and 7: the audit logs tell who reads the new path, and who still reads the old one in Vault", async () => {
    await op.advance(1_000);
    const since = op.clock.now();
    const mark = op.env.vault.auditMark();
    await stage.read(`${canonical}/database`, consumer);
    const legacy = await op.env.vault.createToken({ policies: [stage.ns] });
    await op.env.vault.request("GET", `${mount}/data/apps/billing/db`, undefined, { token: legacy });
    expect(await stage.readers(`${canonical}/`, since)).toMatchObject([{ identity_id: "sa:billing-prod" }]);
    expect(await stage.readers("external/hashicorp/", since)).toEqual([]);
    const still = op.env.vault.readAudit({ since: mark, path: `${mount}/data/apps/billing/db` });
    expect(still.map(({ displayName }) => displayName)).toEqual(["token"]);
  });

  it("8, to remove: people delete in Vault; Retain keeps the value in ScaiVault and the Secret", async () => {
    await op.mark();
    await op.env.vault.delete(mount, "apps/billing/stripe");
    for (let times = 0; times < 4; times += 1) await op.interval(quarter);
    await op.verdict("SecretSync", stage.ns, "stripe", "True SourceGoneRetained");
    expect(await stage.read(`${canonical}/stripe`, consumer)).toEqual({ api_key: values.stripe });
    expect(await stage.secret("stripe")).toEqual({ api_key: values.stripe });
    expect(await stage.read(federated("apps/billing/stripe"), consumer)).toBe(404);
    const changes = (await op.seen()).vault.filter(({ operation }) => !["read", "list"].includes(operation));
    expect(changes).toEqual([]);
  });

  it("8, to keep: the authority moves, and Vault stays as a backup that changes nothing", async () => {
    await stage.edit("SecretSync", "database", { authority: "ScaiVault" });
    await stage.flipped("database");
    await op.cluster.apply(
      declared({ mode: "sync", authority: "ScaiVault", conflictResolution: "local_wins" }, { syncInterval: "1h" }),
    );
    await op.eventually("ScaiVault syncs", async () => {
      return (await op.cluster.backend(stage.ns, "vault-prod"))?.status?.federation?.mode === "sync";
    });
    await stage.backendReady("vault-prod");
    const { json } = await stage.api("GET", "/federation/backends");
    expect(json["backends"]).toMatchObject([{ mode: "sync", sync_interval: "1h", conflict_resolution: "local_wins" }]);

    const fresh = { username: "billing", password: op.canaries.value("fresh"), port: 5432 };
    const put = (path: string) => stage.api("PUT", `/secrets/${path}`, { data: fresh, secret_type: "json" });
    expect((await put(`${canonical}/database`)).status).toBeLessThan(300);
    expect((await put(federated("apps/billing/db"))).status).toBeLessThan(300);
    await op.env.vault.put(mount, "apps/billing/db", { username: "old", password: op.canaries.value("old store") });
    await op.interval(hour);
    await op.interval(hour);
    expect(await stage.read(`${canonical}/database`, consumer)).toEqual(fresh);
    expect(await stage.read(federated("apps/billing/db"), consumer)).toEqual(fresh);
    await op.eventually("the Secret follows ScaiVault", async () => {
      return (await stage.secret("database"))?.["password"] === fresh.password;
    });
  });

  it("several Vaults are several backends, each with its own mapping; one of them is copied by the operator", async () => {
    const eu = `${mount}-eu`;
    await op.env.vault.enableKv(eu, 2);
    try {
      const region = op.canaries.value("eu");
      await op.env.vault.put(eu, "apps/db", { password: region });
      await op.env.vault.writePolicy(
        stage.ns,
        [mount, eu].map((name) => `path "${name}/*" { capabilities = ["read", "list"] }`).join("\n"),
      );
      const mapping = (scaivaultPath: string) => ({ pathMapping: [{ scaivaultPath, sourcePath: `${eu}/**` }] });
      // Each backend keeps its login at a path of its own.
      const credentials = { scaivaultPath: "infra/hashicorp/approle-eu", secretRef: { name: "vault-approle" } };
      await op.cluster.apply(
        declared({ ...mapping("external/hashicorp-eu/**"), credentials }, {}, "vault-eu"),
        backend(stage.ns, "vault-eu-copied", {
          type: "hashicorp-vault",
          hashicorpVault: hashicorpVault(),
          federation: { mode: "sync", ...mapping("external/copied-eu/**") },
        }),
      );
      await stage.backendReady("vault-eu");
      await stage.backendReady("vault-eu-copied");
      expect(await stage.read("external/hashicorp-eu/apps/db")).toEqual({ password: region });
      expect(await stage.read("external/copied-eu/apps/db")).toEqual({ password: region });
    } finally {
      await op.env.vault.disableMount(eu);
    }
  });
});
