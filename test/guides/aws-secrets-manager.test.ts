// The migration from AWS Secrets Manager with this operator, from start to end: a manifest or one command for every curl of ScaiVault's
// guide, and the reads that the guide uses to verify.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { backend, credential, operatorKey, REGION, sync } from "../support/operator.ts";
import { Program } from "../integration/cli/support.ts";
import { GuideStage, verified } from "./stage.ts";

const quarter = 15 * 60_000;
const canonical = "environments/production/billing";
let stage: GuideStage;
let op: GuideStage["op"];
let program: Program;
const values: Record<"stripe" | "database" | "salesforce" | "rotated", string> = {
  stripe: "",
  database: "",
  salesforce: "",
  rotated: "",
};
let checkout = "";

beforeAll(async () => {
  [stage, program] = await Promise.all([GuideStage.open(), Program.build()]);
  ({ op } = stage);
  for (const name of Object.keys(values) as (keyof typeof values)[]) values[name] = op.canaries.value(name);
  await op.aws.put("prod/billing/stripe", JSON.stringify({ api_key: values.stripe, account: "acct" }));
  await op.aws.tag("prod/billing/stripe", { environment: "production" });
  await op.aws.put("prod/billing/database", JSON.stringify({ username: "billing", password: values.database }));
  await op.aws.put("prod/reporting/salesforce", JSON.stringify({ client_secret: values.salesforce }));
  await op.aws.put("staging/billing/stripe", "{}");
  checkout = stage.consumer("sa:checkout", "external/aws/**", "environments/production/**", "shared/**");
});
afterAll(async () => {
  await op?.stop();
  await program?.close();
});

const federated = (path: string): string => `external/aws/${path}`;
/** The backend with its federation as the page has it. */
const declared = (federation: object = {}, spec: object = {}) =>
  backend(stage.ns, "aws-prod", {
    type: "aws-secrets-manager",
    awsSecretsManager: { region: REGION, auth: { secretRef: { name: "aws-reader" } } },
    syncInterval: "15m",
    federation: {
      mode: "sync",
      runsIn: "ScaiVault",
      pathMapping: [{ scaivaultPath: "external/aws/**", sourcePath: "prod/**" }],
      credentials: { scaivaultPath: "infra/aws/sm-reader", secretRef: { name: "aws-reader" } },
      ...federation,
    },
    ...spec,
  });

describe("from AWS Secrets Manager, with the operator", () => {
  it("1 inventory: a SecretSync with apply: Never counts what is there, and writes nothing", async () => {
    const { accessKeyId, secretAccessKey } = operatorKey;
    await op.cluster.apply(
      credential(stage.ns, "aws-reader", { access_key_id: accessKeyId, secret_access_key: secretAccessKey }),
      backend(stage.ns, "aws-prod", {
        type: "aws-secrets-manager",
        awsSecretsManager: { region: REGION, auth: { secretRef: { name: "aws-reader" } } },
        syncInterval: "15m",
      }),
      sync(stage.ns, "inventory", {
        source: { backendRef: { name: "aws-prod" }, subtree: "prod/**" },
        targets: { scaivault: { path: "environments/inventory/**" } },
        apply: "Never",
      }),
    );
    const { status } = await op.verdict("SecretSync", stage.ns, "inventory", "False Differs");
    expect(status?.counts).toMatchObject({ found: 3 });
    expect(op.scaivault.server.admin.paths()).toEqual([]);
    await op.cluster.delete("SecretSync", stage.ns, "inventory");
  });

  it("3 and 4: login and backend are declared, ScaiVault copies prod/, and a read costs AWS nothing", async () => {
    await op.cluster.apply(declared());
    const { status } = await stage.backendReady("aws-prod");
    expect(status?.federation).toMatchObject({
      mode: "sync",
      connection: "Connected",
      counts: { found: 3, inSync: 3 },
    });
    const before = op.asm.calls().length;
    expect(await stage.read(federated("billing/stripe"), checkout)).toEqual({
      api_key: values.stripe,
      account: "acct",
    });
    expect(op.asm.calls().length).toBe(before);
    expect(op.scaivault.server.admin.paths()).toEqual([
      federated("billing/database"),
      federated("billing/stripe"),
      federated("reporting/salesforce"),
      "infra/aws/sm-reader",
    ]);
  });

  it("5: one secret goes to its canonical path, deeply equal, with tags, owner and ten versions", async () => {
    await op.cluster.apply(
      stage.move("stripe", { backend: "aws-prod", path: "prod/billing/stripe" }, `${canonical}/stripe`),
    );
    await op.ready(stage.ns, "stripe");
    expect(await stage.read(`${canonical}/stripe`, checkout)).toEqual(
      await stage.read(federated("billing/stripe"), checkout),
    );
    const { json } = await stage.api("GET", `/secrets/${canonical}/stripe/metadata`);
    expect(json["metadata"]).toMatchObject({ owner: "team:billing", tags: expect.arrayContaining(["migrated"]) });
    for (let round = 1; round <= 12; round += 1) {
      await op.aws.put("prod/billing/stripe", JSON.stringify({ api_key: values.stripe, account: `acct ${round}` }));
      await op.interval(quarter);
      await op.ready(stage.ns, "stripe");
    }
    const versions = (await stage.api("GET", `/secrets/${canonical}/stripe/versions`)).json["versions"];
    expect(versions).toHaveLength(10);
  });

  it("5: the batch goes by one manifest each, and a subtree by one for all", async () => {
    await op.cluster.apply(
      stage.move("database", { backend: "aws-prod", path: "prod/billing/database" }, `${canonical}/database`),
      stage.move(
        "salesforce",
        { backend: "aws-prod", path: "prod/reporting/salesforce" },
        "shared/integrations/salesforce/oauth",
      ),
      sync(stage.ns, "reporting", {
        source: { backendRef: { name: "aws-prod" }, subtree: "prod/reporting/**" },
        targets: { scaivault: { path: "environments/production/reporting/**" } },
      }),
    );
    for (const name of ["database", "salesforce", "reporting"]) await op.ready(stage.ns, name);
    expect(await verified(stage, program)).toEqual({ code: 0, stdout: "" });
    expect(await stage.read(`${canonical}/database`)).toEqual(await stage.read(federated("billing/database")));
    const salesforce = { client_secret: values.salesforce };
    expect(await stage.read("shared/integrations/salesforce/oauth")).toEqual(salesforce);
    expect(await stage.read("environments/production/reporting/salesforce")).toEqual(salesforce);
  });

  it("6: consumers get a Kubernetes Secret", async () => {
    expect(await stage.secret("database")).toEqual({ username: "billing", password: values.database });
  });

  it("7 B: a rotation in AWS arrives in ScaiVault, at both paths, and in the Secret within an interval", async () => {
    const rotated = { username: "billing", password: values.rotated };
    await op.aws.put("prod/billing/database", JSON.stringify(rotated));
    await op.interval(quarter);
    await op.ready(stage.ns, "database");
    expect(await stage.read(`${canonical}/database`)).toEqual(rotated);
    expect(await stage.read(federated("billing/database"))).toEqual(rotated);
    expect(await stage.secret("database")).toEqual(rotated);
    const { json } = await stage.api("GET", `/secrets/${canonical}/database?version=1`);
    expect(json["data"]).toEqual({ username: "billing", password: values.database });
  });

  it("7 A: the authority moves, and ScaiVault's own rotation feeds the Secret; AWS changes nothing any more", async () => {
    await stage.edit("SecretSync", "stripe", { authority: "ScaiVault" });
    await stage.flipped("stripe");
    const fields = [{ name: "api_key", generator: "random", config: { length: 24 } }];
    const made = await stage.api("POST", "/secret-policies", { name: "stripe", fields, policy_type: "api_key" });
    const policy = await stage.api("POST", "/rotation/policies", {
      name: "monthly",
      interval: "30d",
      grace_period: "48h",
      auto_generate: true,
      secret_policy_id: made.json["id"],
    });
    const id = String(policy.json["id"]);
    const assigned = await stage.api("POST", `/rotation/policies/${id}/secrets`, {
      secret_path: `${canonical}/stripe`,
    });
    expect([made.status, policy.status, assigned.status]).toEqual([201, 201, 201]);
    const old = await stage.secret("stripe");
    expect((await stage.api("POST", `/rotation/policies/${id}/rotate`)).status).toBe(200);
    const now = (await stage.read(`${canonical}/stripe`)) as Record<string, string>;
    expect(now["api_key"]).not.toBe(old?.["api_key"]);
    await op.interval(quarter);
    await op.eventually("the Secret has the generated value", async () => {
      return (await stage.secret("stripe"))?.["api_key"] === now["api_key"];
    });
    await op.aws.put("prod/billing/stripe", JSON.stringify({ api_key: op.canaries.value("late"), account: "late" }));
    await op.interval(quarter);
    await op.interval(quarter);
    expect(await stage.read(`${canonical}/stripe`)).toEqual(now);
    expect(await stage.secret("stripe")).toEqual(now);
    // Ready all the same: that the old store was changed once more is told.
    await op.verdict("SecretSync", stage.ns, "stripe", "True SourceChanged");
  });

  it("8: the audit log shows consumers of the old paths, and none of the operator's own reads", async () => {
    await op.advance(1_000);
    const busy = op.clock.now();
    await stage.read(federated("billing/stripe"), checkout);
    await op.advance(1_000);
    const quiet = op.clock.now();
    await stage.read(`${canonical}/stripe`, checkout);
    await op.interval(quarter);
    expect(await stage.readers("external/aws/", busy)).toMatchObject([
      { identity_id: "sa:checkout", secret_path: federated("billing/stripe") },
    ]);
    expect(await stage.readers("external/aws/", quiet)).toEqual([]);
  });

  it("8: people delete in AWS with a recovery window; nothing is lost in ScaiVault or the cluster", async () => {
    const kept = {
      stripe: await stage.read(`${canonical}/stripe`),
      database: await stage.read(`${canonical}/database`),
      secrets: [await stage.secret("stripe"), await stage.secret("database")],
    };
    await op.mark();
    await op.aws.schedule("prod/billing/stripe");
    await op.aws.schedule("prod/billing/database");
    for (let times = 0; times < 4; times += 1) await op.interval(quarter);
    await op.verdict("SecretSync", stage.ns, "database", ["True SourceGoneRetained", "False SourcePendingDeletion"]);
    await op.verdict("SecretSync", stage.ns, "stripe", ["True InSync", "True Retired"]);
    await op.aws.remove("prod/billing/stripe");
    await op.aws.remove("prod/billing/database");
    for (let times = 0; times < 4; times += 1) await op.interval(quarter);
    expect(await stage.read(`${canonical}/stripe`)).toEqual(kept.stripe);
    expect(await stage.read(`${canonical}/database`)).toEqual(kept.database);
    expect([await stage.secret("stripe"), await stage.secret("database")]).toEqual(kept.secrets);
    // The operator and ScaiVault only read in the old store.
    expect(
      Object.keys((await op.seen()).aws.byAction).filter((action) => !/^(?:List|Describe|Get|Batch)/.test(action)),
    ).toEqual([]);
  });

  it("8: with cleanupPolicy: Delete the registration goes with the backend, and the copies stay", async () => {
    await stage.edit("FederationBackend", "aws-prod", { federation: { cleanupPolicy: "Delete" } });
    await op.idle();
    await op.cluster.delete("FederationBackend", stage.ns, "aws-prod");
    await op.eventually(
      "the registration is gone",
      async () => ((await stage.api("GET", "/federation/backends")).json["backends"] as unknown[]).length === 0,
      { virtualMs: 180_000 },
    );
    expect(await stage.read(federated("reporting/salesforce"))).toEqual({ client_secret: values.salesforce });
    expect(await stage.read("shared/integrations/salesforce/oauth")).toEqual({ client_secret: values.salesforce });
  });
});
