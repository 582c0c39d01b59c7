import { randomBytes } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  EventRecorder,
  KubeClient,
  KubeTransport,
  isForbidden,
  isUnauthorized,
  loadClusterConfig,
  resources,
  type KubeObject,
} from "../../../src/runtime/index.ts";
import { systemClock } from "../../../src/time/clock.ts";
import { testEnvironment } from "../../support/environment.ts";
import { connect, ownNamespace, until } from "./support.ts";

interface EventObject extends KubeObject {
  readonly note: string;
  readonly reason: string;
  readonly series?: { readonly count: number };
  readonly reportingController: string;
}

let admin: ReturnType<typeof connect>;
let namespace: string;

beforeAll(async () => {
  admin = connect();
  namespace = await ownNamespace();
});

afterAll(() => admin.transport.close());

describe("events on a real API server", () => {
  it("are accepted, and repetitions become a series", async () => {
    const recorder = new EventRecorder({
      client: admin.client,
      clock: systemClock,
      controller: "example.com/operator",
      instance: "pod-1",
    });
    const regarding = await admin.client.getMetadata(resources.namespaces, { name: namespace });
    const object = {
      ...regarding,
      apiVersion: "v1",
      kind: "Namespace",
      metadata: { ...regarding.metadata, namespace },
    };
    const note = `repeated\u0007 ${"x".repeat(3000)}`;
    const input = { regarding: object, type: "Warning", reason: "TestReason", action: "Testing", note } as const;
    for (let i = 0; i < 5; i++) recorder.record(input);
    recorder.record({ ...input, note: "another" });
    const stored = async () => (await admin.client.list<EventObject>(resources.events, { namespace })).items;
    await until("a series", async () => (await stored()).some((event) => event.series !== undefined));
    await recorder.stop();
    const events = (await stored()).filter((event) => event.reason === "TestReason");
    expect(recorder.dropped).toBe(0);
    expect(events).toHaveLength(2);
    expect(events.find((event) => event.series !== undefined)).toMatchObject({
      reportingController: "example.com/operator",
    });
    expect(events.find((event) => event.series !== undefined)?.note).toMatch(/^repeated\\u\{7\} x+\.\.\.$/);
  });
});

describe("a ServiceAccount's own token and rights", () => {
  it("may what its Role says and no more; a dead token is told apart", async () => {
    const { kube } = testEnvironment();
    const rbac = `/apis/rbac.authorization.k8s.io/v1/namespaces/${namespace}`;
    await kube.apply(`${rbac}/roles/reader`, {
      apiVersion: "rbac.authorization.k8s.io/v1",
      kind: "Role",
      metadata: { name: "reader" },
      rules: [{ apiGroups: [""], resources: ["configmaps"], verbs: ["get", "patch", "create"] }],
    });
    await kube.apply(`${rbac}/rolebindings/reader`, {
      apiVersion: "rbac.authorization.k8s.io/v1",
      kind: "RoleBinding",
      metadata: { name: "reader" },
      roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "Role", name: "reader" },
      subjects: [{ kind: "ServiceAccount", name: "default", namespace }],
    });
    const open = (token: string): KubeClient => {
      const config = loadClusterConfig({ kubeconfig: kube.kubeconfigFor(token) });
      return new KubeClient(new KubeTransport({ config, clock: systemClock, userAgent: "sa" }), { fieldManager: "sa" });
    };
    const client = open(await kube.serviceAccountToken(namespace, "default", 600));
    const map = { metadata: { namespace, name: "own" } };
    await until("the Role to count", async () => {
      try {
        await client.apply(resources.configMaps, map);
        return true;
      } catch (error) {
        if (!isForbidden(error)) throw error;
        return false;
      }
    });
    const refusal: unknown = await client.list(resources.secrets, { namespace }).catch((error: unknown) => error);
    expect(isForbidden(refusal)).toBe(true);
    const dead: unknown = await open("not-a-token")
      .get(resources.configMaps, map.metadata)
      .catch((error: unknown) => error);
    expect(isUnauthorized(dead)).toBe(true);
    await client.transport.close();
  });
});

describe("connections", () => {
  it("a thousand calls and a watch need at most 17", async () => {
    const userAgent = `connections-${randomBytes(4).toString("hex")}`;
    const connections = new Set<string>();
    const transport = new KubeTransport({
      config: loadClusterConfig({ kubeconfig: testEnvironment().kube.facts.adminKubeconfig }),
      clock: systemClock,
      userAgent,
    });
    const client = new KubeClient(transport, { fieldManager: "x" });
    await client.watch(resources.namespaces, {
      resourceVersion: "0",
      timeoutSeconds: 60,
    });
    const mine = (): number => {
      const sockets = process.report.getReport() as {
        libuv?: { type: string; localEndpoint?: { port: number }; remoteEndpoint?: { port: number } }[];
      };
      const port = Number(new URL(testEnvironment().kube.facts.url).port);
      const open = (sockets.libuv ?? []).filter(
        (handle) => handle.type === "tcp" && handle.remoteEndpoint?.port === port,
      );
      for (const handle of open) connections.add(String(handle.localEndpoint?.port));
      return open.length;
    };
    const before = mine();
    for (let round = 0; round < 5; round++) {
      await Promise.all(
        Array.from({ length: 200 }, () => client.getMetadata(resources.namespaces, { name: namespace })),
      );
      mine();
    }
    expect(before).toBeGreaterThan(0);
    expect(connections.size).toBeLessThanOrEqual(17 + before);
    await transport.close();
  });
});
