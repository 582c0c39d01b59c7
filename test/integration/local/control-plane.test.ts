import { request } from "node:https";
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { countAudit } from "../../../local/audit.ts";
import { waitFor } from "../../../local/process.ts";
import { testEnvironment, type TestEnvironment } from "../../support/environment.ts";

const group = "local-test.example.com";
const crd = {
  apiVersion: "apiextensions.k8s.io/v1",
  kind: "CustomResourceDefinition",
  metadata: { name: `widgets.${group}` },
  spec: {
    group,
    scope: "Namespaced",
    names: { plural: "widgets", singular: "widget", kind: "Widget" },
    versions: [
      {
        name: "v1",
        served: true,
        storage: true,
        schema: {
          openAPIV3Schema: {
            type: "object",
            properties: {
              spec: {
                type: "object",
                properties: { size: { type: "integer" } },
                "x-kubernetes-validations": [{ rule: "self.size < 10", message: "size must be below 10" }],
              },
            },
          },
        },
      },
    ],
  },
};

describe("the control plane", () => {
  let env: TestEnvironment;
  const namespace = "local-control-plane";
  beforeAll(async () => {
    env = testEnvironment();
    await env.kube.ensureNamespace(namespace);
  });
  afterAll(async () => {
    await env.kube.kubectl(["delete", "crd", `widgets.${group}`, "--ignore-not-found"]);
    await env.kube.kubectl(["delete", "namespace", namespace, "--ignore-not-found", "--wait=false"]);
  });

  it("is the pinned version", async () => {
    const version = (await env.kube.request({ path: "/version" })).json<{ major: string; minor: string }>();
    expect(version).toMatchObject({ major: "1", minor: "35" });
  });

  it("takes a CRD with CEL and an object of it, and refuses what the rule refuses", async () => {
    const applied = await env.kube.kubectl(["apply", "-f", "-"], { input: JSON.stringify(crd) });
    expect(applied.stderr).toBe("");
    await env.kube.kubectl(["wait", "--for=condition=Established", `crd/widgets.${group}`, "--timeout=30s"]);
    const path = (name: string): string => `/apis/${group}/v1/namespaces/${namespace}/widgets/${name}`;
    const widget = (name: string, size: number): object => ({
      apiVersion: `${group}/v1`,
      kind: "Widget",
      metadata: { name },
      spec: { size },
    });
    await env.kube.apply(path("good"), widget("good", 3));
    await expect(env.kube.apply(path("bad"), widget("bad", 30))).rejects.toThrow("size must be below 10");
  });

  it("knows ServiceAccounts by their tokens and gives them no rights but their own", async () => {
    const token = await env.kube.serviceAccountToken(namespace, "default", 600);
    const kubeconfig = env.kube.kubeconfigFor(token, { namespace });
    const mark = await env.kube.auditMark();
    const refused = await env.kube.kubectl(["get", "secrets"], { kubeconfig });
    expect(refused.stderr).toContain(
      `User "system:serviceaccount:${namespace}:default" cannot list resource "secrets"`,
    );
    const seen = await env.kube.readAudit({
      since: mark,
      user: `system:serviceaccount:${namespace}:default`,
      resource: "secrets",
    });
    expect(seen).toMatchObject([{ verb: "list", namespace, code: 403 }]);
  });

  it("collects what belongs to a deleted owner, and finishes deleted namespaces", async () => {
    const name = `${namespace}-short`;
    await env.kube.ensureNamespace(name);
    const maps = `/api/v1/namespaces/${name}/configmaps`;
    const owner = await env.kube.apply(`${maps}/owner`, {
      apiVersion: "v1",
      kind: "ConfigMap",
      metadata: { name: "owner" },
    });
    const { uid } = owner["metadata"] as { uid: string };
    const ownerReferences = [{ apiVersion: "v1", kind: "ConfigMap", name: "owner", uid }];
    await env.kube.apply(`${maps}/owned`, {
      apiVersion: "v1",
      kind: "ConfigMap",
      metadata: { name: "owned", ownerReferences },
    });
    await env.kube.request({ method: "DELETE", path: `${maps}/owner` });
    const gone =
      (path: string): (() => Promise<boolean>) =>
      async () =>
        (await env.kube.request({ path })).status === 404;
    expect(await waitFor(gone(`${maps}/owned`), 30_000)).toBe(true);
    await env.kube.request({ method: "DELETE", path: `/api/v1/namespaces/${name}` });
    expect(await waitFor(gone(`/api/v1/namespaces/${name}`), 30_000)).toBe(true);
  });

  it("counts requests by user, verb and resource in the audit log", async () => {
    const mark = await env.kube.auditMark();
    const secret = {
      apiVersion: "v1",
      kind: "Secret",
      metadata: { name: "counted" },
      stringData: { key: "canary-in-no-audit-line" },
    };
    const path = `/api/v1/namespaces/${namespace}/secrets/counted`;
    await env.kube.apply(path, secret);
    await env.kube.request({ path });
    await env.kube.request({ path });
    const entries = await env.kube.readAudit({ since: mark, user: "local-admin", namespace });
    expect(countAudit(entries)).toEqual({ "patch secrets": 1, "get secrets": 2 });
    expect(readFileSync(env.kube.facts.auditFile, "utf8")).not.toContain("canary-in-no-audit-line");
  });

  it("keeps its data over SIGKILL and restart, on the same address", async () => {
    const path = `/api/v1/namespaces/${namespace}/configmaps/kept`;
    await env.kube.apply(path, { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "kept" }, data: { a: "1" } });
    const before = await env.remote.programs.pid("kube-apiserver");
    await env.remote.programs.kill("kube-apiserver");
    await expect(env.kube.request({ path })).rejects.toMatchObject({ code: "ECONNREFUSED" });
    await env.remote.programs.start("kube-apiserver");
    expect(await env.remote.programs.pid("kube-apiserver")).not.toBe(before);
    const kept = (await env.kube.request({ path })).json();
    expect(kept["data"]).toEqual({ a: "1" });
  });

  it("answers 410 to a watch from before a compaction", async () => {
    const path = `/api/v1/namespaces/${namespace}/configmaps`;
    const apply = (value: string): Promise<Record<string, unknown>> =>
      env.kube.apply(`${path}/old`, {
        apiVersion: "v1",
        kind: "ConfigMap",
        metadata: { name: "old" },
        data: { value },
      });
    const first = await apply("1");
    const { resourceVersion } = first["metadata"] as { resourceVersion: string };
    await apply("2");
    const revision = await env.kube.compact();
    expect(revision).toBeGreaterThan(Number(resourceVersion));
    await env.remote.programs.restart("kube-apiserver");
    const event = await firstWatchEvent(env, `${path}?watch=1&resourceVersion=${resourceVersion}`);
    expect(event).toMatchObject({ type: "ERROR", object: { code: 410, reason: "Expired" } });
  });
});

function firstWatchEvent(env: TestEnvironment, path: string): Promise<unknown> {
  const { facts, ca } = env.kube;
  const identity = { cert: readFileSync(facts.adminCertFile), key: readFileSync(facts.adminKeyFile) };
  return new Promise((resolve, reject) => {
    const outgoing = request(`${facts.url}${path}`, { ca, ...identity, agent: false, timeout: 10_000 }, (answer) => {
      answer.setEncoding("utf8").once("data", (text: string) => {
        outgoing.destroy();
        resolve(JSON.parse(text.split("\n")[0] ?? ""));
      });
    });
    outgoing.on("error", reject);
    outgoing.on("timeout", () => outgoing.destroy(new Error("no event")));
    outgoing.end();
  });
}
