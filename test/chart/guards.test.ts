// The admission guards and the rights, tried on a real API server with the token of the chart's ServiceAccount alone.
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { loadConfig } from "../../src/config/index.ts";
import { checkCluster } from "../../src/doctor/index.ts";
import { KubeClient, KubeTransport } from "../../src/runtime/index.ts";
import { systemClock } from "../../src/time/clock.ts";
import { chartCluster } from "./cluster.ts";
import { type Answer, type Caller, type Cluster, asServiceAccount, chart, helm, kubectl } from "./support.ts";

const operatorNamespace = "guards-operator";
const team = "guards-team";
const other = "guards-other";
const group = "/apis/scaivault.scailabs.ai/v1alpha1";
const managed = { "scaivault.scailabs.ai/managed": "true" };
const value = (text: string): string => Buffer.from(text).toString("base64");

let cluster: Cluster;
let stop: () => Promise<void>;
let operator: Caller;
let tenant: Caller;
let approver: Caller;

const secretPath = (name: string, namespace = team): string => `/api/v1/namespaces/${namespace}/secrets/${name}`;

function secret(name: string, more: Record<string, unknown> = {}, metadata: Record<string, unknown> = {}): object {
  return { apiVersion: "v1", kind: "Secret", metadata: { name, ...metadata }, ...more };
}

/** Makes a Secret as its owner would, by hand. */
async function foreign(
  name: string,
  more: Record<string, unknown> = {},
  metadata: Record<string, unknown> = {},
  namespace = team,
): Promise<void> {
  await kubectl(cluster, ["-n", namespace, "create", "-f", "-"], JSON.stringify(secret(name, more, metadata)));
}

async function read(
  name: string,
  namespace = team,
): Promise<{ data?: Record<string, string>; metadata: { uid: string; labels?: object } }> {
  return JSON.parse(await kubectl(cluster, ["-n", namespace, "get", "secret", name, "-o", "json"])) as never;
}

/** A SecretSync that the schema of this release takes. */
function secretSync(name: string, annotations: Record<string, string> = {}): object {
  return {
    apiVersion: "scaivault.scailabs.ai/v1alpha1",
    kind: "SecretSync",
    metadata: { name, namespace: team, annotations },
    spec: { source: { backendRef: { name: "aws" }, path: "prod/billing/stripe" }, targets: { kubernetesSecret: {} } },
  };
}

/** Waits until the policy of that name refuses the call. */
async function refuses(policy: string, call: () => Promise<Answer>): Promise<void> {
  await vi.waitFor(async () => expect((await call()).message).toContain(`ValidatingAdmissionPolicy '${policy}.`), {
    timeout: 30_000,
    interval: 200,
  });
}

beforeAll(async () => {
  ({ cluster, stop } = await chartCluster());
  for (const namespace of [team, other]) await kubectl(cluster, ["create", "namespace", namespace]);
  const installed = await helm(
    cluster,
    ["install", "scaivault-operator", chart, "-n", operatorNamespace, "--create-namespace"],
    { cluster: { name: "guards" }, secrets: { delete: true }, guards: { protectedNamespaces: ["kube-system"] } },
  );
  expect(installed.stderr).toBe("");
  operator = await asServiceAccount(cluster, operatorNamespace, "scaivault-operator");
  for (const [name, role] of [
    ["tenant", "scaivault-edit"],
    ["approver", "scaivault-approver"],
  ] as const) {
    await kubectl(cluster, ["-n", team, "create", "serviceaccount", name]);
    await kubectl(cluster, [
      "-n",
      team,
      "create",
      "rolebinding",
      name,
      `--clusterrole=${role}`,
      `--serviceaccount=${team}:${name}`,
    ]);
  }
  tenant = await asServiceAccount(cluster, team, "tenant");
  approver = await asServiceAccount(cluster, team, "approver");
  // A policy takes effect a moment after it is stored: wait until each refuses.
  await refuses("secrets", () => operator.apply(secretPath("probe", "kube-system"), secret("probe"), "&dryRun=All"));
  await refuses("approvals", () =>
    tenant.call("POST", `${group}/namespaces/${team}/secretsyncs?dryRun=All`, {
      body: secretSync("probe", { "scaivault.scailabs.ai/approve": "x" }),
    }),
  );
  await kubectl(cluster, ["create", "-f", "-"], JSON.stringify(secretSync("watched")));
  await refuses("own-kinds", () =>
    operator.call("PATCH", `${group}/namespaces/${team}/secretsyncs/watched?dryRun=All`, {
      body: { spec: { source: { path: "prod/billing/other" } } },
      contentType: "application/merge-patch+json",
    }),
  );
});

afterAll(async () => {
  await Promise.all([operator, tenant, approver].map((caller) => caller?.close()));
  await stop?.();
});

describe("Secrets guard", () => {
  test("a Secret with our label is created, changed and deleted by server-side apply", async () => {
    const made = await operator.apply(
      secretPath("ours"),
      secret("ours", { data: { a: value("1") } }, { labels: managed }),
    );
    expect(made.code).toBe(201);
    const changed = await operator.apply(
      secretPath("ours"),
      secret("ours", { data: { a: value("2") } }, { labels: managed }),
    );
    expect(changed.code).toBe(200);
    const uid = (await read("ours")).metadata.uid;
    const removed = await operator.call("DELETE", secretPath("ours"), {
      body: { apiVersion: "v1", kind: "DeleteOptions", preconditions: { uid } },
    });
    expect(removed.code).toBe(200);
  });

  test("a Secret without our label is not created, not even as a dry run", async () => {
    for (const query of ["", "&dryRun=All"]) {
      const answer = await operator.apply(
        secretPath("unmarked"),
        secret("unmarked", { data: { a: value("1") } }),
        query,
      );
      expect(answer).toMatchObject({
        code: 403,
        message: expect.stringContaining("creates only Secrets that it labels"),
      });
    }
    const posted = await operator.call("POST", `/api/v1/namespaces/${team}/secrets`, {
      body: secret("unmarked", {}, { labels: { "scaivault.scailabs.ai/managed": "false" } }),
    });
    expect(posted.code).toBe(403);
  });

  test("another's Secret is not taken over with other bytes, forced or not, as a dry run or not", async () => {
    await foreign("theirs", { data: { password: value("canary-value") } });
    for (const query of ["", "&force=true", "&dryRun=All", "&force=true&dryRun=All"]) {
      const answer = await operator.apply(
        secretPath("theirs"),
        secret("theirs", { data: { mine: value("x") } }, { labels: managed }),
        query,
      );
      expect(answer.code).toBe(403);
      expect(JSON.stringify(answer.body)).not.toMatch(/canary-value|Y2FuYXJ5/);
    }
    expect((await read("theirs")).data).toEqual({ password: value("canary-value") });
  });

  test("a dry run with nothing in it does not read another's keys (GHSA-fcxq-v2r3-cc8h class)", async () => {
    await foreign("looked-at", { data: { password: value("canary-value") } });
    const answer = await operator.apply(secretPath("looked-at"), secret("looked-at"), "&dryRun=All");
    expect(answer.code).toBe(403);
    expect(JSON.stringify(answer.body)).not.toContain("Y2FuYXJ5");
  });

  test("adopt with equal bytes passes, hand-back passes, differing bytes do not", async () => {
    await foreign("equal", { data: { a: value("1") } });
    const uid = (await read("equal")).metadata.uid;
    const adopted = await operator.apply(
      secretPath("equal"),
      secret("equal", { type: "Opaque", data: { a: value("1") } }, { uid, labels: managed }),
      "&force=true",
    );
    expect(adopted.code).toBe(200);
    const back = await operator.call("PATCH", secretPath("equal"), {
      body: [
        { op: "test", path: "/metadata/uid", value: uid },
        { op: "remove", path: "/metadata/labels/scaivault.scailabs.ai~1managed" },
        { op: "replace", path: "/metadata/managedFields", value: [{}] },
      ],
      contentType: "application/json-patch+json",
    });
    expect(back.code).toBe(200);
    expect(await read("equal")).toMatchObject({ data: { a: value("1") }, metadata: { uid } });

    const differing = await operator.apply(
      secretPath("equal"),
      secret("equal", { data: { a: value("2") } }, { labels: managed }),
      "&force=true",
    );
    expect(differing).toMatchObject({ code: 403, message: expect.stringContaining("takes a Secret over only while") });
    const added = await operator.apply(
      secretPath("equal"),
      secret("equal", { data: { a: value("1"), b: value("2") } }, { labels: managed }),
      "&force=true",
    );
    expect(added.code).toBe(403);
  });

  test("managedFields, label and mark move in one JSON patch while the data stays", async () => {
    await foreign("moved", { data: { a: value("1") } });
    const { metadata } = await read("moved");
    const answer = await operator.call("PATCH", secretPath("moved"), {
      body: [
        { op: "test", path: "/metadata/uid", value: metadata.uid },
        { op: "add", path: "/metadata/labels", value: managed },
        { op: "add", path: "/metadata/annotations", value: { "scaivault.scailabs.ai/mark": "owner=x" } },
        {
          op: "replace",
          path: "/metadata/managedFields",
          value: [
            {
              manager: "scaivault-operator",
              operation: "Apply",
              apiVersion: "v1",
              fieldsType: "FieldsV1",
              fieldsV1: { "f:data": { "f:a": {} } },
            },
          ],
        },
      ],
      contentType: "application/json-patch+json",
    });
    expect(answer.code).toBe(200);
  });

  test("a Secret that a controller owns is not adopted, even with equal bytes", async () => {
    await foreign(
      "controlled",
      { data: { a: value("1") } },
      {
        ownerReferences: [
          {
            apiVersion: "external-secrets.io/v1",
            kind: "ExternalSecret",
            name: "x",
            uid: "0d6d4f1e-0000-4000-8000-000000000000",
            controller: true,
          },
        ],
      },
    );
    const answer = await operator.apply(
      secretPath("controlled"),
      secret("controlled", { data: { a: value("1") } }, { labels: managed }),
      "&force=true",
    );
    expect(answer.code).toBe(403);
  });

  test("the owner's annotation on the Secret allows a take-over with differing bytes", async () => {
    await foreign(
      "consented",
      { data: { a: value("1") } },
      { annotations: { "scaivault.scailabs.ai/adopt": "stripe" } },
    );
    const answer = await operator.apply(
      secretPath("consented"),
      secret("consented", { data: { a: value("2") } }, { labels: managed }),
      "&force=true",
    );
    expect(answer.code).toBe(200);
  });

  test("the label comes off only while the data stays", async () => {
    await operator.apply(secretPath("labelled"), secret("labelled", { data: { a: value("1") } }, { labels: managed }));
    const answer = await operator.call("PATCH", secretPath("labelled"), {
      body: { metadata: { labels: { "scaivault.scailabs.ai/managed": null } }, data: { a: value("2") } },
      contentType: "application/merge-patch+json",
    });
    expect(answer.code).toBe(403);
  });

  test("a Secret can be given back when a controller owns it by now, and with fewer keys, never with other bytes", async () => {
    const owner = {
      apiVersion: "example.com/v1",
      kind: "X",
      name: "x",
      uid: "0d6d4f1e-0000-4000-8000-000000000001",
      controller: true,
    };
    await foreign(
      "given-back",
      { data: { a: value("1"), b: value("2") } },
      { labels: managed, ownerReferences: [owner] },
    );
    const off = { labels: { "scaivault.scailabs.ai/managed": null } };
    const merge = { contentType: "application/merge-patch+json" };
    const changed = await operator.call("PATCH", secretPath("given-back"), {
      body: { metadata: off, data: { a: value("3") } },
      ...merge,
    });
    expect(changed.code).toBe(403);
    const fewer = await operator.call("PATCH", secretPath("given-back"), {
      body: { metadata: off, data: { b: null } },
      ...merge,
    });
    expect(fewer.code).toBe(200);
    expect((await read("given-back")).data).toEqual({ a: value("1") });
  });

  test("a first write with a sentinel version says 409 for what is there, whoever owns it, and changes nothing", async () => {
    await foreign("there", { data: { a: value("1") } });
    const first = secret("there", { data: { a: value("2") } }, { labels: managed, resourceVersion: "1" });
    expect((await operator.apply(secretPath("there"), first)).code).toBe(409);
    expect((await read("there")).data).toEqual({ a: value("1") });
    const absent = secret("absent", { data: { a: value("2") } }, { labels: managed, resourceVersion: "1" });
    expect((await operator.apply(secretPath("absent"), absent)).code).toBe(201);
  });

  test("another's Secret is neither annotated nor deleted", async () => {
    await foreign("kept", { data: { a: value("1") } });
    const annotated = await operator.call("PATCH", secretPath("kept"), {
      body: { metadata: { annotations: { "scaivault.scailabs.ai/adopt": "stripe" } } },
      contentType: "application/merge-patch+json",
    });
    expect(annotated.code).toBe(403);
    for (const query of ["", "?dryRun=All"]) {
      const removed = await operator.call("DELETE", `${secretPath("kept")}${query}`);
      expect(removed).toMatchObject({ code: 403, message: expect.stringContaining("deletes only Secrets labelled") });
    }
    expect((await read("kept")).data).toEqual({ a: value("1") });
  });

  test.each([
    ["kubernetes.io/service-account-token", 403],
    ["bootstrap.kubernetes.io/token", 403],
    ["helm.sh/release.v1", 403],
    ["sh.helm.release.v1", 403],
    ["kubernetes.io/anything-new", 403],
    ["sub.k8s.io/x", 403],
    ["UPPER.example.com/x", 403],
    ["Custom", 403],
    ["Opaque", 201],
    ["istio.io/key-and-cert", 201],
    ["notkubernetes.io/x", 201],
  ])("type %s (GHSA-fq7h-9x26-6j22)", async (type, code) => {
    const name = `type-${type.toLowerCase().replaceAll(/[^a-z0-9]/g, "-")}`;
    const answer = await operator.apply(
      secretPath(name),
      secret(
        name,
        { type, data: { a: value("1") } },
        { labels: managed, annotations: { "kubernetes.io/service-account.name": "tenant" } },
      ),
      "&dryRun=All",
    );
    expect(answer.code).toBe(code);
  });

  test.each(["kube-system", operatorNamespace])("nothing is written in %s", async (namespace) => {
    const answer = await operator.apply(
      secretPath("x", namespace),
      secret("x", { data: { a: value("1") } }, { labels: managed }),
    );
    expect(answer).toMatchObject({
      code: 403,
      message: expect.stringContaining("writes no Secrets in this namespace"),
    });
    const removed = await operator.call("DELETE", secretPath("scaivault-operator-key", namespace));
    expect([403, 404]).toContain(removed.code);
  });

  test("the guard binds the operator alone", async () => {
    await kubectl(cluster, ["-n", "kube-system", "create", "secret", "generic", "by-an-administrator"]);
    await kubectl(cluster, ["-n", "kube-system", "delete", "secret", "by-an-administrator"]);
  });
});

describe("own-kinds guard", () => {
  const path = `${group}/namespaces/${team}/secretsyncs/watched`;
  const merge = { contentType: "application/merge-patch+json" };

  test("finalizers of ours and status change", async () => {
    const added = await operator.call("PATCH", path, {
      body: { metadata: { finalizers: ["scaivault.scailabs.ai/cleanup"] } },
      ...merge,
    });
    expect(added.code).toBe(200);
    const applied = await operator.call("PATCH", `${path}?fieldManager=scaivault-operator-finalizers`, {
      body: {
        apiVersion: "scaivault.scailabs.ai/v1alpha1",
        kind: "SecretSync",
        metadata: { name: "watched", finalizers: ["scaivault.scailabs.ai/cleanup"] },
      },
      contentType: "application/apply-patch+yaml",
    });
    expect(applied.code).toBe(200);
    const status = await operator.call("PATCH", `${path}/status`, {
      body: { status: { observedGeneration: 1 } },
      ...merge,
    });
    expect(status.code).toBe(200);
    const removed = await operator.call("PATCH", path, { body: { metadata: { finalizers: null } }, ...merge });
    expect(removed.code).toBe(200);
  });

  test.each([
    ["spec", { spec: { source: { path: "prod/billing/other" } } }, "does not change a spec"],
    ["labels", { metadata: { labels: { a: "b" } } }, "nothing in metadata but finalizers"],
    [
      "annotations",
      { metadata: { annotations: { "scaivault.scailabs.ai/sync-requested-at": "x" } } },
      "nothing in metadata but finalizers",
    ],
    [
      "owners",
      { metadata: { ownerReferences: [{ apiVersion: "v1", kind: "ConfigMap", name: "x", uid: "u" }] } },
      "nothing in metadata but finalizers",
    ],
    ["another's finalizer", { metadata: { finalizers: ["example.com/x"] } }, "no finalizers but its own"],
  ])("a change of %s is refused", async (_what, body, message) => {
    const answer = await operator.call("PATCH", path, { body, ...merge });
    expect(answer).toMatchObject({ code: 403, message: expect.stringContaining(message) });
  });

  test("creation by apply and deletion are refused", async () => {
    const created = await operator.call("PATCH", `${group}/namespaces/${team}/secretsyncs/new?fieldManager=x`, {
      body: { ...secretSync("new"), metadata: { name: "new" } },
      contentType: "application/apply-patch+yaml",
    });
    expect(created.code).toBe(403);
    expect((await operator.call("DELETE", path)).code).toBe(403);
  });
});

describe("approvals guard", () => {
  test("grants to other namespaces need the verb grant", async () => {
    const url = `${group}/namespaces/${team}/federationbackends`;
    const backend = (name: string, grants?: object[]): object => ({
      apiVersion: "scaivault.scailabs.ai/v1alpha1",
      kind: "FederationBackend",
      metadata: { name, namespace: team },
      spec: {
        type: "aws-secrets-manager",
        awsSecretsManager: { region: "us-east-1", auth: { secretRef: { name: "aws-reader" } } },
        ...(grants === undefined ? {} : { grants }),
      },
    });
    const grants = [{ name: "shop", namespaces: { names: ["shop"] }, read: ["prod/shop/**"] }];
    expect((await tenant.call("POST", url, { body: backend("plain") })).code).toBe(201);
    const granting = await tenant.call("POST", url, { body: backend("granting", grants) });
    expect(granting).toMatchObject({ code: 403, message: expect.stringContaining("needs the verb `grant`") });
    const merge = { contentType: "application/merge-patch+json" };
    expect((await tenant.call("PATCH", `${url}/plain`, { body: { spec: { grants } }, ...merge })).code).toBe(403);
    expect((await approver.call("PATCH", `${url}/plain`, { body: { spec: { grants } }, ...merge })).code).toBe(200);
    expect((await tenant.call("PATCH", `${url}/plain`, { body: { spec: { suspend: true } }, ...merge })).code).toBe(
      200,
    );
    expect((await tenant.call("PATCH", `${url}/plain`, { body: { spec: { grants: null } }, ...merge })).code).toBe(200);
  });

  const path = `${group}/namespaces/${team}/secretsyncs/approved`;
  const approve = (hash: string | null): object => ({
    metadata: { annotations: { "scaivault.scailabs.ai/approve": hash } },
  });
  const merge = { contentType: "application/merge-patch+json" };

  test("scaivault-edit may write objects but not approve; scaivault-approver may", async () => {
    const created = await tenant.call("POST", `${group}/namespaces/${team}/secretsyncs`, {
      body: secretSync("approved"),
    });
    expect(created.code).toBe(201);
    const approvedAtBirth = await tenant.call("POST", `${group}/namespaces/${team}/secretsyncs`, {
      body: secretSync("born-approved", { "scaivault.scailabs.ai/approve": "h1" }),
    });
    expect(approvedAtBirth).toMatchObject({ code: 403, message: expect.stringContaining("needs the verb `approve`") });
    expect((await tenant.call("PATCH", path, { body: approve("h1"), ...merge })).code).toBe(403);
    expect((await approver.call("PATCH", path, { body: approve("h1"), ...merge })).code).toBe(200);
    // What stands may stay and go, but not change.
    expect((await tenant.call("PATCH", path, { body: { metadata: { labels: { a: "b" } } }, ...merge })).code).toBe(200);
    expect((await tenant.call("PATCH", path, { body: approve("h2"), ...merge })).code).toBe(403);
    expect((await tenant.call("PATCH", path, { body: approve(null), ...merge })).code).toBe(200);
  });

  test("neither writes the status", async () => {
    for (const caller of [tenant, approver]) {
      expect((await caller.call("PATCH", `${path}/status`, { body: { status: {} }, ...merge })).code).toBe(403);
    }
  });
});

describe("what the token can not do (CVE-2024-45041)", () => {
  test.each<["GET" | "POST" | "PUT" | "PATCH" | "DELETE", string]>([
    ["GET", `/api/v1/namespaces/${team}/pods`],
    ["GET", "/api/v1/nodes"],
    ["POST", `/api/v1/namespaces/${team}/pods`],
    ["POST", `/api/v1/namespaces/${team}/serviceaccounts/tenant/token`],
    ["POST", `/api/v1/namespaces/${operatorNamespace}/serviceaccounts/scaivault-operator/token`],
    ["GET", `/apis/rbac.authorization.k8s.io/v1/clusterroles`],
    ["POST", `/apis/rbac.authorization.k8s.io/v1/namespaces/${team}/rolebindings`],
    ["GET", "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies"],
    [
      "DELETE",
      `/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies/secrets.scaivault-operator.${operatorNamespace}`,
    ],
    ["GET", `/api/v1/namespaces/${team}/configmaps`],
    ["PUT", `/api/v1/namespaces/${team}/secrets/theirs`],
    ["DELETE", `/api/v1/namespaces/${team}/secrets`],
    ["DELETE", `${group}/namespaces/${team}/secretsyncs`],
    ["POST", `${group}/namespaces/${team}/secretsyncs`],
    ["GET", `/apis/coordination.k8s.io/v1/namespaces/${operatorNamespace}/leases`],
    ["GET", `/apis/coordination.k8s.io/v1/namespaces/${operatorNamespace}/leases/another`],
    ["GET", "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/scaivault-operator"],
    ["DELETE", `/apis/coordination.k8s.io/v1/namespaces/${operatorNamespace}/leases/scaivault-operator`],
    ["GET", "/apis/apps/v1/deployments"],
    ["PATCH", `/apis/apps/v1/namespaces/${operatorNamespace}/deployments/scaivault-operator`],
    ["GET", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"],
  ])("%s %s", async (method, path) => {
    const answer = await operator.call(
      method,
      path,
      method === "GET" || method === "DELETE"
        ? {}
        : { body: {}, ...(method === "PATCH" ? { contentType: "application/merge-patch+json" } : {}) },
    );
    expect(answer.code).toBe(403);
    expect(answer.message).toContain("cannot");
  });

  test("what it can: its Lease, our kinds, Secrets as metadata, events, a namespace", async () => {
    const lease = `/apis/coordination.k8s.io/v1/namespaces/${operatorNamespace}/leases`;
    const made = await operator.call("POST", lease, {
      body: { apiVersion: "coordination.k8s.io/v1", kind: "Lease", metadata: { name: "scaivault-operator" }, spec: {} },
    });
    expect([201, 409]).toContain(made.code);
    expect((await operator.call("GET", `${lease}/scaivault-operator`)).code).toBe(200);
    for (const path of [
      `${group}/secretsyncs`,
      `${group}/federationbackends`,
      "/api/v1/secrets?labelSelector=scaivault.scailabs.ai/managed%3Dtrue",
      `/api/v1/namespaces/${other}`,
      group,
    ]) {
      // Young CRDs answer 429 until their watch cache stands.
      await vi.waitFor(async () => expect((await operator.call("GET", path)).code).toBe(200), {
        timeout: 20_000,
        interval: 200,
      });
    }
  });

  test("asking for metadata alone brings no data; the right itself would", async () => {
    await foreign("metadata-only", { data: { password: value("canary-value") } }, { labels: managed });
    const accept = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io";
    const list = await operator.call("GET", `/api/v1/namespaces/${team}/secrets`, { accept });
    expect(JSON.stringify(list.body)).not.toContain("Y2FuYXJ5");
    // SECURITY.md says so: RBAC cannot limit a token to metadata.
    const whole = await operator.call("GET", `/api/v1/namespaces/${team}/secrets`);
    expect(JSON.stringify(whole.body)).toContain("Y2FuYXJ5");
  });

  test("doctor finds all rights and kinds, and that the guards refuse", async () => {
    const transport = new KubeTransport({ config: operator.login, clock: systemClock, userAgent: "test" });
    const client = new KubeClient(transport, { fieldManager: "scaivault-operator" });
    const text = JSON.stringify({
      cluster: { name: "guards" },
      operatorNamespace,
      marks: { keyFiles: ["/key"] },
    });
    const loaded = loadConfig({ file: "test", text }, {});
    if (!loaded.ok) throw new Error("not valid");
    const parts = { client, clock: systemClock, syncs: [], tell: () => undefined };
    const checks = await checkCluster(loaded.config, parts, new AbortController().signal);
    expect(checks.map(({ step, outcome, message }) => `${step} ${outcome}${outcome === "Ok" ? "" : message}`)).toEqual(
      ["api-server", "identity", "clock", "kinds", "rights", "guards"].map((step) => `${step} Ok`),
    );
    await transport.close();
  });
});
