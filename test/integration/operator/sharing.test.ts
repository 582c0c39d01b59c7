import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  backend,
  condition,
  credential,
  type Harness,
  REGION,
  startOperator,
  sync,
  VAULT_HOST,
} from "../../support/operator.ts";

const MINUTE = 60_000;
const MARK = "scaivault.scailabs.ai/mark";
const MANAGED = "scaivault.scailabs.ai/managed";

let op: Harness<"platform" | "billing" | "shop" | "nobody">;

beforeAll(async () => {
  op = await startOperator({
    namespaces: ["platform", "billing", "shop", "nobody"],
    tenancy: (ns) => [
      {
        namespaces: [ns.platform, ns.billing, ns.shop],
        scaivault: { read: ["environments/{namespace}/**"], write: ["environments/{namespace}/**"] },
      },
      { namespaces: [ns.platform], endpoints: [VAULT_HOST], ambientIdentity: false },
    ],
  });
  const { platform, billing, shop } = op.ns;
  await op.awsBackend(platform, "aws", {
    grants: [
      { name: "teams", namespaces: { names: [billing] }, read: ["prod/{namespace}/**"] },
      { name: "shared", namespaces: { names: [billing, shop] }, read: ["shared/*"] },
    ],
  });
  await op.awsBackend(billing);
});
afterAll(() => op?.stop());

const from = (namespace: string, path: string) => ({ backendRef: { name: "aws", namespace }, path });
const copy = (namespace: string, name: string, source: object, more: object = {}) =>
  sync(namespace, name, {
    source,
    targets: { scaivault: { path: `environments/${namespace}/${name}` }, kubernetesSecret: {} },
    ...more,
  });
const secret = async (namespace: string, name: string) => (await op.cluster.secretData(namespace, name))?.["value"];
const named = (paths: readonly { path: string }[], part: string) => paths.filter(({ path }) => path.includes(part));

describe("grants across namespaces", () => {
  it("let read what they name, and nothing else reaches the store", async () => {
    const { platform, billing, shop } = op.ns;
    await op.aws.put(`prod/${billing}/db`, "granted");
    await op.aws.put(`prod/${shop}/db`, "not granted");
    await op.aws.put("shared/ca", "shared");
    await op.mark();
    await op.cluster.apply(
      copy(billing, "own", from(platform, `prod/${billing}/db`)),
      copy(shop, "ca", from(platform, "shared/ca")),
      copy(shop, "own", from(platform, `prod/${shop}/db`)),
      copy(shop, "other", from(platform, `prod/${billing}/db`)),
      copy(
        shop,
        "arn",
        from(platform, `arn:aws:secretsmanager:${REGION}:111122223333:secret:prod/${billing}/db-AbCdEf`),
      ),
    );
    await op.ready(billing, "own");
    await op.ready(shop, "ca");
    for (const name of ["own", "other", "arn"]) {
      const refused = await op.verdict("SecretSync", shop, name, "False NotGranted");
      expect(condition(refused, "Ready")?.message).toContain("grants");
      expect(await secret(shop, name)).toBeUndefined();
    }
    await op.interval();
    const asked = op.aws.calls().flatMap(({ secretIds }) => secretIds);
    expect(asked.filter((id) => id.includes(`prod/${shop}`))).toEqual([]);
    expect(op.aws.calls().filter(({ secretIds }) => secretIds.some((id) => id.includes("arn:")))).toEqual([]);
  });

  it("that are taken back stop the copying and delete nothing", async () => {
    const { platform, billing } = op.ns;
    await op.aws.put("shared/revoked", "v1");
    await op.cluster.apply(copy(billing, "revoked", from(platform, "shared/revoked")));
    await op.ready(billing, "revoked");
    const grants = [{ name: "teams", namespaces: { names: [billing] }, read: ["prod/{namespace}/**"] }];
    await op.awsBackend(platform, "aws", { grants });
    await op.verdict("SecretSync", billing, "revoked", "False NotGranted");
    await op.aws.put("shared/revoked", "v2");
    await op.mark();
    await op.interval();
    expect(await secret(billing, "revoked")).toBe("v1");
    expect((await op.seen()).aws.valueReads).toBe(0);
    await op.cluster.delete("SecretSync", billing, "revoked");
  });
});

describe("tenancy", () => {
  it("refuses ScaiVault paths outside a namespace's rights, and ScaiVault hears nothing of it", async () => {
    const { billing, shop } = op.ns;
    await op.aws.put("mine", "evil");
    op.scaivault.server.admin.write(`environments/${shop}/victim`, { data: { value: "theirs" } });
    await op.mark();
    const targets = (path: string) => ({ targets: { scaivault: { path }, kubernetesSecret: {} } });
    await op.cluster.apply(
      copy(billing, "squat", { backendRef: { name: "aws" }, path: "mine" }, targets(`environments/${shop}/victim`)),
      copy(billing, "poison", { backendRef: { name: "aws" }, path: "mine" }, targets("shared/config")),
      sync(billing, "tree", {
        source: { backendRef: { name: "aws" }, subtree: "mine/**" },
        targets: { scaivault: { path: "environments/**" } },
      }),
    );
    for (const name of ["squat", "poison"]) await op.verdict("SecretSync", billing, name, "False NotGranted");
    await op.interval();
    const { scaivault } = await op.seen();
    expect(named(scaivault.paths, "victim")).toEqual([]);
    expect(named(scaivault.paths, "shared/config")).toEqual([]);
    expect(scaivault.versionsWritten).toBe(0);
    expect(op.stored(`environments/${shop}/victim`)?.data).toContain("theirs");
    // A subtree of no secrets is no harm, one of any must not get through.
    await op.aws.put("mine/x", "evil");
    await op.interval();
    expect((await op.seen()).scaivault.versionsWritten).toBe(0);
    await op.verdict("SecretSync", billing, "tree", "False NotGranted");
    // Declaring everything, and first, keeps nobody from what is his.
    await op.awsBackend(shop);
    await op.cluster.apply(copy(shop, "mine", { backendRef: { name: "aws" }, path: "mine" }));
    await op.ready(shop, "mine");
    await op.cluster.delete("SecretSync", shop, "mine");
    for (const name of ["squat", "poison", "tree"]) await op.cluster.delete("SecretSync", billing, name);
  });

  it("gives a namespace without an entry nothing", async () => {
    const { nobody } = op.ns;
    await op.aws.put("any", "x");
    await op.awsBackend(nobody);
    await op.cluster.apply(copy(nobody, "any", { backendRef: { name: "aws" }, path: "any" }));
    const object = await op.verdict("SecretSync", nobody, "any", "False NotGranted");
    expect(condition(object, "Ready")?.message).toContain("tenancy.scaivault.write");
    expect(named(op.scaivault.server.admin.counters().paths, `${nobody}/`)).toEqual([]);
    // Its own Secrets from its own store need no right in ScaiVault.
    await op.cluster.apply(
      sync(nobody, "plain", {
        source: { backendRef: { name: "aws" }, path: "any" },
        targets: { kubernetesSecret: {} },
      }),
    );
    await op.ready(nobody, "plain");
  });

  it("keeps the operator's own identity to itself", async () => {
    const { billing, nobody } = op.ns;
    const ambient = { type: "aws-secrets-manager", awsSecretsManager: { region: REGION, auth: { operator: {} } } };
    await op.mark();
    for (const namespace of [billing, nobody]) {
      await op.cluster.apply(backend(namespace, "ambient", ambient));
      const object = await op.verdict("FederationBackend", namespace, "ambient", "False NotGranted");
      expect(condition(object, "Ready")?.message).toContain("tenancy.ambientIdentity");
    }
    expect(op.aws.counts().total).toBe(0);
  });

  it("sends credentials to listed hosts only, and reads no Secret that was not released", async () => {
    const { billing, platform } = op.ns;
    const vault = (secretRef: string, address = `https://${VAULT_HOST}`) => ({
      type: "hashicorp-vault",
      hashicorpVault: { address, auth: { token: { secretRef: { name: secretRef } } } },
    });
    const password = op.canaries.value("database password");
    await op.cluster.apply(credential(platform, "db", { token: password }, false));
    await op.cluster.apply(credential(platform, "released", { token: password }));
    await op.mark();
    await op.cluster.apply(
      backend(billing, "evil", vault("aws-key")),
      backend(platform, "unreleased", vault("db")),
      backend(platform, "missing", vault("nothing")),
      backend(platform, "elsewhere", vault("released", "https://evil.example.com")),
      backend(platform, "metadata", vault("released", "https://169.254.169.254")),
      backend(platform, "apiserver", vault("released", "https://kubernetes.default.svc")),
    );
    await op.verdict("FederationBackend", billing, "evil", ["False EndpointNotAllowed", "False CredentialInvalid"]);
    await op.verdict("FederationBackend", platform, "unreleased", "False CredentialNotReleased");
    await op.verdict("FederationBackend", platform, "missing", "False CredentialNotFound");
    for (const name of ["elsewhere", "metadata", "apiserver"])
      await op.verdict("FederationBackend", platform, name, "False EndpointNotAllowed");
    const seen = await op.seen();
    expect(seen.vault).toEqual([]);
    // Only metadata of the Secret that was not released: its uri says what was asked for, its user agent who asked.
    expect(
      seen.kube.filter(({ name, verb, resource }) => resource === "secrets" && name === "db" && verb === "get").length,
    ).toBeLessThanOrEqual(2);
  });

  it("tells another namespace's tenants nothing of a backend that is not ready", async () => {
    const { platform, billing } = op.ns;
    await op.cluster.apply(
      backend(platform, "broken", {
        type: "aws-secrets-manager",
        awsSecretsManager: { region: REGION, auth: { secretRef: { name: "secret-name-of-platform" } } },
        grants: [{ name: "all", namespaces: { names: [billing] }, read: ["**"] }],
      }),
    );
    await op.cluster.apply(copy(billing, "broken", { backendRef: { name: "broken", namespace: platform }, path: "x" }));
    const object = await op.verdict("SecretSync", billing, "broken", "False BackendNotReady");
    expect(JSON.stringify(object.status)).not.toContain("secret-name-of-platform");
    const own = await op.verdict("FederationBackend", platform, "broken", "False CredentialNotFound");
    expect(JSON.stringify(own.status)).toContain("secret-name-of-platform");
  });
});

describe("one target, two objects", () => {
  it("the first has it, the second is Claimed, and gets it without a write of data when the first is gone", async () => {
    const { billing } = op.ns;
    await op.aws.put("one", "same value");
    const source = { backendRef: { name: "aws" }, path: "one" };
    const targets = { scaivault: { path: `environments/${billing}/claimed` }, kubernetesSecret: { name: "claimed" } };
    await op.cluster.apply(copy(billing, "first", source, { targets }));
    await op.ready(billing, "first");
    await op.cluster.apply(copy(billing, "second", source, { targets }));
    const second = await op.verdict("SecretSync", billing, "second", ["False Claimed", "False Conflict"]);
    expect(condition(second, "Ready")?.message).toContain("first");
    const before = await op.cluster.get("Secret", billing, "claimed");
    expect(before?.metadata.annotations?.[MARK]).toContain("/first");
    await op.mark();
    await op.cluster.delete("SecretSync", billing, "first");
    await op.ready(billing, "second");
    const after = await op.cluster.get("Secret", billing, "claimed");
    expect([after?.metadata.uid, after?.data]).toEqual([before?.metadata.uid, before?.data]);
    expect(after?.metadata.annotations?.[MARK]).toContain("/second");
    expect((await op.seen()).scaivault.versionsWritten).toBe(0);
    expect(op.stored(`environments/${billing}/claimed`)?.version).toBe(1);
  });

  it("of two namespaces says so without names", async () => {
    const { platform, billing } = op.ns;
    // Both may write below their own name only, so the overlap is made by a right that is given to both.
    op.file = {
      ...op.file,
      tenancy: [
        {
          namespaces: [platform, billing, op.ns.shop],
          scaivault: { read: ["environments/**"], write: ["environments/**"] },
        },
        { namespaces: [platform], endpoints: [VAULT_HOST] },
      ],
    };
    await op.restart();
    await op.aws.put("both", "x");
    const targets = { targets: { scaivault: { path: "environments/both/x" } } };
    await op.cluster.apply(
      copy(platform, "very-secret-project", { backendRef: { name: "aws" }, path: "both" }, targets),
    );
    await op.ready(platform, "very-secret-project");
    await op.cluster.apply(copy(billing, "late", { backendRef: { name: "aws" }, path: "both" }, targets));
    const late = await op.verdict("SecretSync", billing, "late", ["False Claimed", "False Conflict", "False NotOwned"]);
    expect(JSON.stringify(late.status)).not.toContain("very-secret-project");
    expect(JSON.stringify(late.status)).not.toContain(platform);
    expect(condition(late, "Ready")?.message).toMatch(/other-[0-9a-z]+/);
    // The other namespace's object goes: its copy is not free for this one.
    await op.cluster.delete("SecretSync", platform, "very-secret-project");
    await op.interval();
    await op.verdict("SecretSync", billing, "late", ["False Claimed", "False Conflict", "False NotOwned"]);
    await op.cluster.delete("SecretSync", billing, "late");
  });

  it("leaves alone what is not ours, and takes it over only when it is equal", async () => {
    const { billing } = op.ns;
    await op.aws.put("adopt", "the value");
    const foreign = (value: string) =>
      op.cluster.kube.request({
        method: "POST",
        path: `/api/v1/namespaces/${billing}/secrets?fieldManager=external-secrets`,
        body: { apiVersion: "v1", kind: "Secret", metadata: { name: "adopt" }, stringData: { value } },
      });
    await foreign("another value");
    op.scaivault.server.admin.write(`environments/${billing}/adopt`, { data: { value: "the value" } });
    const source = { backendRef: { name: "aws" }, path: "adopt" };
    await op.mark();
    await op.cluster.apply(copy(billing, "adopt", source));
    const refused = await op.verdict("SecretSync", billing, "adopt", "False NotOwned");
    expect(refused.status?.targets?.map(({ state }) => state)).not.toContain("InSync");
    await op.cluster.apply(copy(billing, "adopt", source, { adopt: "IfEqual" }));
    await op.verdict("SecretSync", billing, "adopt", "False AdoptDiffers");
    expect(await secret(billing, "adopt")).toBe("another value");
    await op.cluster.patch(
      "Secret",
      billing,
      "adopt",
      { data: { value: Buffer.from("the value").toString("base64") } },
      "external-secrets",
    );
    const before = await op.cluster.get("Secret", billing, "adopt");
    await op.interval();
    await op.interval();
    await op.ready(billing, "adopt");
    const after = await op.cluster.get("Secret", billing, "adopt");
    expect([after?.metadata.uid, after?.data]).toEqual([before?.metadata.uid, before?.data]);
    expect(after?.metadata.labels?.[MANAGED]).toBe("true");
    expect((await op.seen()).scaivault.versionsWritten).toBe(0);
    // Now it is ours: a new value is written.
    await op.aws.put("adopt", "next value");
    await op.interval();
    await op.ready(billing, "adopt");
    expect(await secret(billing, "adopt")).toBe("next value");
  });

  it("takes over what differs once its owner consents and the plan is approved, never while a controller owns it", async () => {
    const { billing } = op.ns;
    await op.aws.put("over", "the value");
    const ownerReferences = [
      {
        apiVersion: "argoproj.io/v1alpha1",
        kind: "Application",
        name: "app",
        uid: "11111111-2222-3333-4444-555555555555",
        controller: true,
      },
    ];
    await op.cluster.kube.request({
      method: "POST",
      path: `/api/v1/namespaces/${billing}/secrets?fieldManager=somebody`,
      body: {
        apiVersion: "v1",
        kind: "Secret",
        metadata: { name: "over", labels: { team: "x" }, ownerReferences },
        stringData: { value: "another value", more: "theirs" },
      },
    });
    op.scaivault.server.admin.write(`environments/${billing}/over`, { data: { value: "in ScaiVault" } });
    const made = await op.cluster.get("Secret", billing, "over");
    const patch = (metadata: object) => op.cluster.patch("Secret", billing, "over", { metadata }, "somebody");
    const source = { backendRef: { name: "aws" }, path: "over" };
    const scaivault = { path: `environments/${billing}/over`, maxVersions: 5 };
    const wanted = (targets: object) => copy(billing, "over", source, { adopt: "WithApproval", targets });
    await op.cluster.apply(wanted({ kubernetesSecret: {} }));
    await op.verdict("SecretSync", billing, "over", "False AdoptRefused");
    await patch({ ownerReferences: null });
    await op.interval();
    const refused = await op.verdict("SecretSync", billing, "over", "False AdoptDiffers");
    expect(condition(refused, "Ready")?.message).toContain("scaivault.scailabs.ai/adopt");
    await patch({ annotations: { "scaivault.scailabs.ai/adopt": "another-object" } });
    await op.interval();
    await op.verdict("SecretSync", billing, "over", "False AdoptDiffers");
    await patch({ annotations: { "scaivault.scailabs.ai/adopt": "over" } });
    await op.cluster.apply(wanted({ scaivault, kubernetesSecret: {} }));
    await op.interval();
    const shown = await op.verdict("SecretSync", billing, "over", "True ApprovalNeeded", { type: "ApprovalNeeded" });
    await op.eventually("both wait", async () => {
      const { status } = (await op.cluster.sync(billing, "over")) ?? shown;
      return status?.plan?.change === 2;
    });
    expect(await secret(billing, "over")).toBe("another value");
    expect(op.stored(`environments/${billing}/over`)?.version).toBe(1);
    const hash = (await op.cluster.sync(billing, "over"))?.status?.plan?.hash;
    await op.cluster.patch("SecretSync", billing, "over", {
      metadata: { annotations: { "scaivault.scailabs.ai/approve": hash } },
    });
    await op.eventually("taken over", async () => (await secret(billing, "over")) === "the value");
    await op.ready(billing, "over");
    const after = await op.cluster.get("Secret", billing, "over");
    expect(after?.metadata.uid).toBe(made?.metadata.uid);
    expect(Object.keys(after?.data ?? {})).toEqual(["value"]);
    expect(after?.metadata.labels).toMatchObject({ team: "x", [MANAGED]: "true" });
    expect(op.stored(`environments/${billing}/over`)?.version).toBe(2);
    await op.aws.put("over", "next value");
    await op.interval();
    await op.eventually("kept equal", async () => (await secret(billing, "over")) === "next value");
  });

  it("an ESO Secret is observed, refused, adopted, handed back and updated by ESO again, bytes and uid unchanged", async () => {
    const { billing } = op.ns;
    const eso = {
      apiVersion: "external-secrets.io/v1",
      kind: "ExternalSecret",
      name: "db",
      uid: "11111111-2222-3333-4444-555555555555",
    };
    const labels = { "reconcile.external-secrets.io/managed": "true" };
    const stringData = { password: op.canaries.value("eso") };
    await op.aws.put("eso", JSON.stringify(stringData));
    const collection = `/api/v1/namespaces/${billing}/secrets`;
    await op.env.kube.request({
      method: "POST",
      path: `${collection}?fieldManager=external-secrets`,
      body: {
        apiVersion: "v1",
        kind: "Secret",
        metadata: { name: "db", labels, ownerReferences: [{ ...eso, controller: true, blockOwnerDeletion: false }] },
        stringData,
      },
    });
    const made = await op.cluster.get("Secret", billing, "db");
    const same = async () => {
      const now = await op.cluster.get("Secret", billing, "db");
      expect([now?.metadata.uid, now?.data]).toEqual([made?.metadata.uid, made?.data]);
      return now;
    };
    const manifest = (spec: object) =>
      sync(billing, "db", {
        source: { backendRef: { name: "aws" }, path: "eso" },
        targets: { kubernetesSecret: {} },
        ...spec,
      });
    await op.cluster.apply(manifest({ apply: "Never" }));
    await op.verdict("SecretSync", billing, "db", "True Observed");
    await op.cluster.apply(manifest({ adopt: "IfEqual", cleanupPolicy: "Release" }));
    await op.verdict("SecretSync", billing, "db", "False AdoptRefused");
    expect((await same())?.metadata.labels?.[MANAGED]).toBeUndefined();
    // ESO lets go: an update without the reference.
    const held = await op.cluster.get("Secret", billing, "db");
    const { managedFields: _fields, ownerReferences: _references, ...metadata } = held?.metadata ?? ({} as never);
    const put = (body: object) =>
      op.env.kube.request({ method: "PUT", path: `${collection}/db?fieldManager=external-secrets`, body });
    expect((await put({ ...held, metadata })).status).toBe(200);
    await op.interval();
    await op.interval();
    await op.ready(billing, "db");
    expect((await same())?.metadata.labels?.[MANAGED]).toBe("true");
    await op.cluster.delete("SecretSync", billing, "db");
    await op.eventually(
      "handed back",
      async () => (await op.cluster.get("Secret", billing, "db"))?.metadata.labels?.[MANAGED] === undefined,
    );
    const back = await same();
    const { managedFields: _more, ...clean } = back?.metadata ?? ({} as never);
    const updated = await put({
      ...back,
      metadata: clean,
      data: { password: Buffer.from("by eso").toString("base64") },
    });
    expect(updated.status).toBe(200);
    await op.advance(MINUTE);
    expect((await op.cluster.secretData(billing, "db"))?.["password"]).toBe("by eso");
  });
});

describe("budgets", () => {
  it("objects above a namespace's budget are refused, those that worked go on", async () => {
    const { shop } = op.ns;
    await op.awsBackend(shop);
    for (const { metadata } of await op.cluster.list("SecretSync", shop))
      await op.cluster.delete("SecretSync", shop, metadata.name);
    op.file = { ...op.file, budgets: { objects: 2, matches: 3 } };
    await op.restart();
    const source = { backendRef: { name: "aws" }, path: "budget" };
    await op.aws.put("budget", "x");
    for (const name of ["b-1", "b-2", "b-3"]) {
      await op.cluster.apply(copy(shop, name, source));
      await op.verdict("SecretSync", shop, name, ["True InSync", "False BudgetExceeded"]);
    }
    const all = await Promise.all(["b-1", "b-2", "b-3"].map((name) => op.cluster.sync(shop, name)));
    expect(all.map((one) => condition(one, "Ready")?.reason).sort()).toEqual(["BudgetExceeded", "InSync", "InSync"]);
    await op.cluster.delete("SecretSync", shop, "b-1");
    // Whoever was refused is looked at with the next poll.
    await op.interval();
    await op.ready(shop, "b-2");
    await op.ready(shop, "b-3");
    await op.cluster.delete("SecretSync", shop, "b-3");
    for (const name of ["a", "b", "c", "d"]) await op.aws.put(`wide/${name}`, "x");
    await op.cluster.apply(
      sync(shop, "wide", {
        source: { backendRef: { name: "aws" }, subtree: "wide/**" },
        targets: { kubernetesSecret: { nameTemplate: "wide-{path}" } },
      }),
    );
    await op.verdict("SecretSync", shop, "wide", "False TooManyMatches");
    expect(await op.cluster.get("Secret", shop, "wide-a")).toBeUndefined();
  });
});
