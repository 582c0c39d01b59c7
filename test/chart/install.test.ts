// The chart's life on a real API server: install, upgrade, uninstall, install again.
import { cpSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { chartCluster } from "./cluster.ts";
import { type Cluster, asServiceAccount, at, chart, helm, kubectl, one, render, run } from "./support.ts";

const namespace = "life-operator";
const release = ["scaivault-operator", "-n", namespace];
const values = { cluster: { name: "life" } };
let cluster: Cluster;
let stop: () => Promise<void>;
let work: string;

beforeAll(async () => {
  ({ cluster, stop } = await chartCluster());
  // The controllers that check the guards' types and gather aggregated roles, with the rights that they have by themselves.
  for (const role of ["validatingadmissionpolicy-status-controller", "clusterrole-aggregation-controller"]) {
    const name = `system:controller:${role}`;
    await kubectl(cluster, [
      "create",
      "clusterrolebinding",
      role,
      `--clusterrole=${name}`,
      "--user=system:kube-controller-manager",
    ]);
  }
  work = mkdtempSync(join(tmpdir(), "scaivault-chart-copy-"));
});

afterAll(async () => {
  rmSync(work, { recursive: true, force: true });
  await stop?.();
});

async function get(...args: string[]): Promise<Record<string, unknown>> {
  return JSON.parse(await kubectl(cluster, ["get", ...args, "-o", "json"])) as Record<string, unknown>;
}

async function markKey(): Promise<{ uid: unknown; data: unknown }> {
  const secret = await get("-n", namespace, "secret", "scaivault-operator-key");
  return { uid: at(secret, "metadata.uid"), data: secret["data"] };
}

/** Helm must succeed; its error text is the failure's message. */
async function ok(args: readonly string[], more: object = values): Promise<string> {
  const ran = await helm(cluster, args, args[0] === "uninstall" || args[0] === "rollback" ? undefined : more);
  expect(ran.stderr.replaceAll(/^.*(?:resource policy|kept due).*$/gm, "").trim()).toBe("");
  expect(ran.code).toBe(0);
  return ran.stdout;
}

/** A copy of the chart whose SecretSync has one more optional status field, as a later release may. */
function laterChart(): string {
  const copy = join(work, "later");
  rmSync(copy, { recursive: true, force: true });
  cpSync(chart, copy, { recursive: true });
  const folder = join(copy, "files", "crds");
  for (const name of readdirSync(folder)) {
    const text = readFileSync(join(folder, name), "utf8");
    writeFileSync(
      join(folder, name),
      text
        .replace(/^( +)subresources:$/m, "$1# later\n$1subresources:")
        .replace(
          /shortNames:\n/,
          "shortNames:\n      - later$$\n".replace("$$", name.includes("secretsyncs") ? "s" : "b"),
        ),
    );
  }
  return copy;
}

async function shortNames(): Promise<string[]> {
  return at(await get("crd", "secretsyncs.scaivault.scailabs.ai"), "spec.names.shortNames") as string[];
}

describe("life of a release", () => {
  let key: { uid: unknown; data: unknown };

  test("install", async () => {
    const notes = await ok(["install", ...release, chart, "--create-namespace"]);
    expect(notes).toContain('as cluster "life"');
    expect(notes).toContain("WARNING: the NetworkPolicy lets the operator reach no store");
    expect(notes).not.toContain("WARNING: the admission guards are off");
    expect(notes).toContain("bear a finalizer");
    await kubectl(cluster, ["wait", "--for=condition=Established", "crd", "--all", "--timeout=30s"]);
    key = await markKey();
    const [encoded] = Object.values(key.data as Record<string, string>);
    const text = Buffer.from(encoded ?? "", "base64").toString();
    expect(text).toMatch(/^[A-Z0-9+/]{43}=$/i);
    expect(Buffer.from(text, "base64")).toHaveLength(32);
  });

  test("the API server finds no fault in the types of the guards' expressions", async () => {
    await expect
      .poll(
        async () => {
          const policies = (await get("validatingadmissionpolicies"))["items"] as object[];
          return policies.map((policy) => at(policy, "status.observedGeneration") !== undefined);
        },
        { timeout: 30_000 },
      )
      .toEqual([true, true, true]);
    const policies = (await get("validatingadmissionpolicies"))["items"] as object[];
    expect(policies.map((policy) => at(policy, "status.typeChecking.expressionWarnings") ?? [])).toEqual([[], [], []]);
  });

  test("the built-in roles gain ours: view reads, admin writes, edit neither", async () => {
    const verbs = async (role: string): Promise<string[]> => {
      const { rules } = (await get("clusterrole", role)) as { rules: { resources?: string[]; verbs: string[] }[] };
      return [
        ...new Set(rules.filter(({ resources }) => resources?.includes("secretsyncs")).flatMap((rule) => rule.verbs)),
      ].toSorted();
    };
    await expect.poll(() => verbs("view"), { timeout: 20_000 }).toEqual(["get", "list", "watch"]);
    await expect
      .poll(() => verbs("admin"), { timeout: 20_000 })
      .toEqual(["create", "delete", "get", "list", "patch", "update", "watch"]);
    expect(await verbs("edit")).toEqual(["get", "list", "watch"]);
  });

  test("an object of each kind", async () => {
    await kubectl(cluster, ["create", "namespace", "life-team"]);
    await kubectl(
      cluster,
      ["-n", "life-team", "create", "-f", "-"],
      JSON.stringify({
        apiVersion: "scaivault.scailabs.ai/v1alpha1",
        kind: "SecretSync",
        metadata: { name: "stripe" },
        spec: {
          source: { backendRef: { name: "aws" }, path: "prod/billing/stripe" },
          targets: { kubernetesSecret: {} },
        },
      }),
    );
  });

  test("an upgrade changes nothing that did not change, the key least of all", async () => {
    const before = await get("-n", namespace, "deployment", "scaivault-operator");
    await ok(["upgrade", ...release, chart]);
    expect(await markKey()).toEqual(key);
    const after = await get("-n", namespace, "deployment", "scaivault-operator");
    expect(at(after, "metadata.generation")).toBe(at(before, "metadata.generation"));
  });

  test("an upgrade brings a changed CRD, a rollback takes it back", async () => {
    expect(await shortNames()).toEqual(["ssync"]);
    await ok(["upgrade", ...release, laterChart()]);
    expect(await shortNames()).toContain("laters");
    await ok(["rollback", ...release]);
    expect(await shortNames()).toEqual(["ssync"]);
    expect(await markKey()).toEqual(key);
  });

  test("a rendering without a cluster makes a new key, and the API server refuses it", async () => {
    const rendered = await run(
      cluster.helm,
      ["template", ...release, chart, "--kube-version", "1.35.4", "-s", "templates/mark-key.yaml", "-f", "-"],
      JSON.stringify(values),
    );
    expect(rendered.code).toBe(0);
    for (const how of [["apply"], ["apply", "--server-side", "--force-conflicts"], ["replace"]]) {
      const applied = await run(
        cluster.kubectlPath,
        ["--kubeconfig", cluster.kubeconfig, ...how, "-f", "-"],
        rendered.stdout,
      );
      expect(applied.code).not.toBe(0);
      expect(applied.stderr).toContain("immutable");
    }
    expect(await markKey()).toEqual(key);
  });

  test("uninstall leaves CRDs, objects and the key, and nothing that holds a right", async () => {
    await ok(["uninstall", ...release]);
    expect(await get("-n", "life-team", "secretsync", "stripe")).toMatchObject({
      spec: { source: { path: "prod/billing/stripe" } },
    });
    expect((await get("crd"))["items"]).toHaveLength(2);
    expect(await markKey()).toEqual(key);
    const left = await kubectl(cluster, [
      "get",
      "clusterroles,clusterrolebindings,roles,rolebindings,deployments,serviceaccounts,configmaps,validatingadmissionpolicies,validatingadmissionpolicybindings,networkpolicies",
      "-A",
      "-l",
      "app.kubernetes.io/instance=scaivault-operator",
      "-o",
      "name",
    ]);
    expect(left).toBe("");
  });

  test("installed again it takes up the same key, CRDs and objects", async () => {
    await ok(["install", ...release, chart]);
    expect(await markKey()).toEqual(key);
    expect(await get("-n", "life-team", "secretsync", "stripe")).toBeTruthy();
    await ok(["uninstall", ...release]);
  });

  test("a release of another name uses the key that is there and does not claim it", async () => {
    const args = [
      "second",
      "-n",
      namespace,
      chart,
      "--set",
      "fullnameOverride=scaivault-operator",
      "--set",
      "crds.install=false",
    ];
    await ok(["install", ...args]);
    expect(await markKey()).toEqual(key);
    await ok(["uninstall", "second", "-n", namespace]);
    expect(await markKey()).toEqual(key);
  });
});

describe("what the API server makes of it", () => {
  const everything = {
    ...values,
    config: { scaivault: { url: "https://scaivault.scailabs.ai" } },
    scaivault: { auth: { method: "tokenExchange", audience: "scaivault" } },
    secrets: { delete: true },
    credentialNamespaces: [{ namespace: "life-all", secretNames: ["a"], configMapNames: ["b"] }],
    extraCa: { secretName: "ca" },
    proxy: { existingSecret: "proxy" },
    aws: { webIdentity: { roleArn: "arn:aws:iam::111122223333:role/operator", region: "us-east-1" } },
    networkPolicy: {
      egress: {
        stores: [
          {
            to: [{ ipBlock: { cidr: "10.20.0.0/16" } }, { podSelector: { matchLabels: { app: "vault" } } }],
            ports: [8200],
          },
        ],
        publicHttps: { enabled: true },
        podIdentity: true,
        instanceMetadata: true,
      },
    },
  };

  test("every object is valid with every value on, and the pod passes the restricted Pod Security Standard", async () => {
    await kubectl(cluster, ["create", "namespace", "life-all"]);
    await kubectl(cluster, ["label", "namespace", "life-all", "pod-security.kubernetes.io/enforce=restricted"]);
    const objects = await render(cluster.helm, everything, "life-all");
    for (const object of objects) {
      await kubectl(
        cluster,
        ["apply", "--server-side", "--dry-run=server", "--validate=strict", "--force-conflicts", "-f", "-"],
        JSON.stringify(object),
      );
    }
    const deployment = one(objects, "Deployment");
    const { serviceAccountName: _, ...spec } = at(deployment, "spec.template.spec") as Record<string, unknown>;
    const pod = { apiVersion: "v1", kind: "Pod", metadata: { name: "operator", namespace: "life-all" }, spec };
    await kubectl(cluster, ["create", "--dry-run=server", "--validate=strict", "-f", "-"], JSON.stringify(pod));
    const root = structuredClone(pod) as typeof pod & { spec: { containers: { securityContext: object }[] } };
    for (const container of root.spec.containers) container.securityContext = {};
    await expect(kubectl(cluster, ["create", "--dry-run=server", "-f", "-"], JSON.stringify(root))).rejects.toThrow(
      "violates PodSecurity",
    );
  });
});

describe("namespaced install", () => {
  test("the token sees the listed namespaces and no other", async () => {
    await kubectl(cluster, ["create", "namespace", "life-billing"]);
    await ok(["install", "scaivault-operator", "-n", "life-roles", chart, "--create-namespace"], {
      ...values,
      watchNamespaces: ["life-billing"],
      crds: { install: false },
      people: { install: false },
    });
    const operator = await asServiceAccount(cluster, "life-roles", "scaivault-operator");
    try {
      const code = async (path: string): Promise<number> => (await operator.call("GET", path)).code;
      expect(await code("/api/v1/namespaces/life-billing/secrets")).toBe(200);
      expect(await code("/api/v1/namespaces/life-billing")).toBe(200);
      expect(await code("/apis/scaivault.scailabs.ai/v1alpha1/namespaces/life-billing/secretsyncs")).toBe(200);
      for (const path of [
        "/api/v1/secrets",
        "/api/v1/namespaces",
        "/api/v1/namespaces/life-team",
        "/api/v1/namespaces/life-team/secrets",
        "/api/v1/namespaces/life-roles/secrets",
        "/api/v1/namespaces/life-roles/secrets/scaivault-operator-key",
        "/apis/scaivault.scailabs.ai/v1alpha1/secretsyncs",
      ]) {
        expect([path, await code(path)]).toEqual([path, 403]);
      }
    } finally {
      await operator.close();
    }
  });
});
