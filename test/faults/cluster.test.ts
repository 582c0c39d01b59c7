/**
 * Faults of the cluster, on a control plane of this file's own: kube-apiserver killed, its watches cut, etcd compacted, a
 * namespace and the CRD deleted under objects with a finalizer.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startEnvironment, type Environment } from "../../local/environment.ts";
import { type Relay, startRelay } from "../../local/relay.ts";
import { GROUP } from "../../src/api/index.ts";
import { systemClock } from "../../src/time/clock.ts";
import { testEnvironment } from "../support/environment.ts";
import { type Harness, pathTo, startOperator, verdict } from "../support/operator.ts";
import { copies, copyOf, during, expectCopies } from "./support.ts";

let own: Environment;
let relay: Relay;
let op: Harness<"team" | "dying">;
let ns: string;

beforeAll(async () => {
  own = await startEnvironment({ without: ["vault", "asm", "scaivault"] });
  const shared = testEnvironment();
  const { controlPlane } = own;
  if (controlPlane === undefined) throw new Error("no control plane");
  relay = await startRelay(controlPlane.facts.url);
  op = await startOperator({
    namespaces: ["team", "dying"],
    env: { ...shared, facts: { ...shared.facts, controlPlane: controlPlane.facts }, kube: controlPlane.client },
    apiServer: relay.url,
  });
  ns = op.ns.team;
  await op.awsBackend(ns);
});
afterAll(async () => {
  await op?.stop();
  await relay?.stop();
  await own?.stop();
});

async function copied(name: string, spec: object = {}, namespace = ns): Promise<{ path: string; value: string }> {
  const path = `prod/${name}`;
  const value = op.canaries.value(name);
  await op.aws.put(path, JSON.stringify({ password: value }));
  await op.cluster.apply(copyOf(namespace, name, { backend: "aws", path }, spec));
  await op.ready(namespace, name);
  await expectCopies(op, namespace, name, { password: value });
  return { path, value };
}

/** The reflectors' time is the machine's; objects' is virtual. */
const seconds = (count: number) => ({ timeoutMs: count * 1_000, virtualMs: 600_000 });

const spec = { cleanupPolicy: "Delete" };

describe("what is deleted with cleanupPolicy Delete", () => {
  it("by its namespace: the namespace goes, nothing in ScaiVault is deleted", async () => {
    const dying = op.ns.dying;
    await op.awsBackend(dying);
    await copied("dying", spec, dying);
    expect((await op.cluster.sync(dying, "dying"))?.metadata.finalizers).toHaveLength(1);
    await op.env.kube.request({ method: "DELETE", path: `/api/v1/namespaces/${dying}` });
    await op.eventually(
      "the namespace is gone",
      async () => {
        const { status, text } = await op.env.kube.request({ path: `/api/v1/namespaces/${dying}` });
        if (status !== 404) throw new Error(text);
        return true;
      },
      seconds(60),
    );
    expect((await copies(op, dying, "dying")).scaivault).toBeDefined();
  });
});

describe("kube-apiserver", () => {
  it("killed while a value moves: ScaiVault has it once, the Secret as soon as it is back, nothing runs hot", async () => {
    const { path, value } = await copied("killed");
    await own.programs.kill("kube-apiserver");
    const next = op.canaries.value("meanwhile");
    await op.aws.put(path, JSON.stringify({ password: next }));
    op.asm.resetCounts();
    op.scaivault.server.admin.resetCounters();
    await op.interval();
    for (let passed = 0; passed < 5; passed += 1) await op.advance(60_000);
    const { byAction, valueReads } = op.aws.counts();
    // The Secret's write is tried again with backoff, and each time with the value read anew.
    expect(valueReads).toBeLessThanOrEqual(12);
    expect(byAction["DescribeSecret"] ?? 0).toBeLessThanOrEqual(16);
    expect(op.scaivault.server.admin.counters().versionsWritten).toBeLessThanOrEqual(1);
    await own.programs.start("kube-apiserver");
    expect((await copies(op, ns, "killed")).secret).toEqual({ password: value });
    await op.eventually(
      "the new value",
      async () => (await op.cluster.secretData(ns, "killed"))?.["password"] === next,
      seconds(60),
    );
    await op.ready(ns, "killed", seconds(30));
    await expectCopies(op, ns, "killed", { password: next });
    expect((await copies(op, ns, "killed")).version).toBe(2);
  });

  it("cuts its watches: changes are seen all the same, with few lists", async () => {
    await copied("cut");
    await op.mark();
    relay.cut();
    await copied("after-the-cut");
    await op.cluster.patch("Secret", ns, "cut", { data: { password: Buffer.from("drift").toString("base64") } });
    await op.eventually(
      "drift repaired",
      async () => (await op.cluster.secretData(ns, "cut"))?.["password"] !== "drift",
      seconds(60),
    );
    const seen = await op.seen();
    const lists = seen.kube.filter(({ verb }) => verb === "list");
    expect(lists.length).toBeLessThanOrEqual(12);
  });

  it("lost its history (etcd compacted, 410): what changed while nobody watched is seen", async () => {
    const { value } = await copied("compacted");
    await relay.refuse();
    await op.cluster.delete("Secret", ns, "compacted");
    const late = op.canaries.value("late");
    await op.aws.put("prod/late", JSON.stringify({ password: late }));
    await op.cluster.apply(copyOf(ns, "late", { backend: "aws", path: "prod/late" }));
    await op.env.kube.compact();
    await own.programs.restart("kube-apiserver");
    await op.mark();
    await relay.serve();
    await op.ready(ns, "late", seconds(60));
    await expectCopies(op, ns, "late", { password: late });
    await op.eventually(
      "the Secret is back",
      async () => (await op.cluster.secretData(ns, "compacted"))?.["password"] === value,
      seconds(60),
    );
    expect((await copies(op, ns, "compacted")).version).toBe(1);
    const seen = await op.seen();
    expect(seen.kube.filter(({ verb }) => verb === "list").length).toBeLessThanOrEqual(24);
  });
});

describe("what is deleted with cleanupPolicy Delete, too", () => {
  it("by its CRD: the CRD goes, Secret and ScaiVault keep their bytes, and the watch of what is gone stays calm", async () => {
    const { value } = await copied("crd", spec);
    const crd = `/apis/apiextensions.k8s.io/v1/customresourcedefinitions/secretsyncs.${GROUP}`;
    const manifest = (await op.env.kube.request({ path: crd })).json<{ metadata: object }>();
    await op.env.kube.request({ method: "DELETE", path: crd });
    await op.eventually(
      "the CRD is gone",
      async () => (await op.env.kube.request({ path: crd })).status === 404,
      seconds(60),
    );
    await expectCopies(op, ns, "crd", { password: value });
    await op.mark();
    await systemClock.sleep(3_000);
    expect((await op.seen()).kube.length).toBeLessThanOrEqual(20);
    // Installed again, the same objects are applied again: everything is as before, and nothing is written anew.
    const { name } = manifest.metadata as { name: string };
    await op.env.kube.apply(crd, { ...manifest, metadata: { name } });
    await op.eventually(
      "served",
      async () => (await op.env.kube.request({ path: pathTo("SecretSync", ns) })).status === 200,
    );
    await op.cluster.apply(copyOf(ns, "crd", { backend: "aws", path: "prod/crd" }));
    await op.ready(ns, "crd", seconds(90));
    expect(verdict(await op.cluster.backend(ns, "aws"))).toBe("True InSync");
    await expectCopies(op, ns, "crd", { password: value });
    expect((await copies(op, ns, "crd")).version).toBe(1);
    await during(op, 1);
  });
});
