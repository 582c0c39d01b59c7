/** The oldest supported Kubernetes, built from its Go module: CRDs with CEL, the chart with its guards, and the operator. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ensureBinaries } from "../../local/binaries.ts";
import { type ControlPlane, controlPlaneBinaries, startControlPlane } from "../../local/control-plane.ts";
import { oldestKubernetes } from "../../local/recipes.ts";
import { asServiceAccount, at, chart, type Cluster, helm, kubectl } from "../chart/support.ts";
import { copyOf, expectCopies } from "../faults/support.ts";
import { testEnvironment } from "../support/environment.ts";
import { Harness, sync } from "../support/operator.ts";

/** Where tests keep the operator's account; the chart's guards bind to it. */
const operatorNamespace = "operator-tests";
let folder: string;
let plane: ControlPlane;
let cluster: Cluster;
let op: Harness<"team">;
let ns: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "oldest-kubernetes-"));
  const binaries = await ensureBinaries(controlPlaneBinaries("oldest"));
  const shared = testEnvironment();
  plane = await startControlPlane({ folder, binaries, authority: shared.authority, kubernetes: "oldest" });
  const { adminKubeconfig: kubeconfig, kubectl: kubectlPath } = plane.facts;
  cluster = { kubeconfig, kubectlPath, helm: binaries.get("helm")?.path ?? "" };
  // The controller that checks the guards' types, with the rights that it has by itself in a cluster.
  const controller = "system:controller:validatingadmissionpolicy-status-controller";
  const user = "--user=system:kube-controller-manager";
  await kubectl(cluster, ["create", "clusterrolebinding", "policy-status", `--clusterrole=${controller}`, user]);
  const installed = await helm(
    cluster,
    ["install", "scaivault-operator", chart, "-n", operatorNamespace, "--create-namespace"],
    { cluster: { name: "oldest" }, secrets: { delete: true } },
  );
  expect([installed.code, installed.stderr]).toEqual([0, ""]);
  op = await Harness.prepare({ namespaces: ["team"], env: { ...shared, kube: plane.client } });
  ns = op.ns.team;
  await op.awsBackend(ns);
  await op.start();
  // `npm test` has built the binaries by then; a run of this file alone may have to.
}, 1_500_000);
afterAll(async () => {
  await op?.stop();
  await plane?.stop();
  rmSync(folder, { recursive: true, force: true });
});

describe(`Kubernetes ${oldestKubernetes}`, () => {
  it("is what runs, and is what the chart asks for", async () => {
    const answer = await op.env.kube.request({ path: "/version" });
    expect(answer.json<{ gitVersion: string }>().gitVersion).toBe(`v${oldestKubernetes}`);
    const shown = await helm(cluster, ["show", "chart", chart]);
    expect(shown.stdout).toContain(`kubeVersion: '>=${oldestKubernetes.replace(/\.\d+$/, ".0")}-0'`);
  });

  it("takes the CRDs with their rules", async () => {
    const bad = sync(ns, "bad", {
      source: { backendRef: { name: "aws" }, path: "a", subtree: "a/**" },
      targets: { kubernetesSecret: {} },
      syncInterval: "7x",
    });
    await expect(op.cluster.apply(bad)).rejects.toThrow(/syncInterval/);
    await op.cluster.apply(copyOf(ns, "fresh", { backend: "nothing", path: "x" }, { suspend: true }));
    await op.verdict("SecretSync", ns, "fresh", "Unknown Suspended");
    await op.cluster.delete("SecretSync", ns, "fresh");
  });

  it("finds no fault in the guards, and holds the operator to them", async () => {
    const policies = async (): Promise<object[]> =>
      (
        JSON.parse(await kubectl(cluster, ["get", "validatingadmissionpolicies", "-o", "json"])) as {
          items: object[];
        }
      ).items;
    await expect
      .poll(async () => (await policies()).map((one) => at(one, "status.observedGeneration") !== undefined), {
        timeout: 30_000,
      })
      .toEqual([true, true, true]);
    for (const one of await policies()) expect(at(one, "status.typeChecking.expressionWarnings") ?? []).toEqual([]);
    const caller = await asServiceAccount(cluster, operatorNamespace, "scaivault-operator");
    const metadata = { name: "unmarked", namespace: ns };
    const refused = await caller.apply(`/api/v1/namespaces/${ns}/secrets/unmarked`, {
      apiVersion: "v1",
      kind: "Secret",
      metadata,
      stringData: { a: "b" },
    });
    await caller.close();
    expect(refused.message).toContain("ValidatingAdmissionPolicy 'secrets.");
  });

  it("copies, mends a hand edit, and deletes what is ours", async () => {
    const value = op.canaries.value("oldest");
    await op.aws.put("prod/app", JSON.stringify({ password: value }));
    await op.cluster.apply(copyOf(ns, "app", { backend: "aws", path: "prod/app" }, { cleanupPolicy: "Delete" }));
    await op.ready(ns, "app");
    await expectCopies(op, ns, "app", { password: value });
    await op.cluster.patch("Secret", ns, "app", { stringData: { password: "edited by hand" } });
    await op.eventually(
      "the edit is mended",
      async () => (await op.cluster.secretData(ns, "app"))?.["password"] === value,
    );
    // Past the start-up window of the brake on deletions.
    await op.interval();
    await op.interval();
    await op.cluster.delete("SecretSync", ns, "app");
    await op.eventually("the copy is gone", async () => (await op.cluster.get("Secret", ns, "app")) === undefined);
  });
});
