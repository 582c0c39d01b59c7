/** The brakes on the real parts: a mass change and a mass deletion are held, listed, and released one by one. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { condition, type Harness, each, startOperator, type SyncThing, verdict } from "../support/operator.ts";
import { copies, copyOf, during, expectCopies } from "./support.ts";

let op: Harness<"many" | "few">;
beforeAll(async () => {
  op = await startOperator({ namespaces: ["many", "few"] });
});
afterAll(() => op?.stop());

const numbers = (count: number) => Array.from({ length: count }, (_, at) => at);
const approve = (ns: string, name: string, hash: string) =>
  op.cluster.patch("SecretSync", ns, name, {
    metadata: { annotations: { "scaivault.scailabs.ai/approve": hash } },
  });

async function all(ns: string): Promise<SyncThing[]> {
  return op.cluster.list<SyncThing>("SecretSync", ns);
}

describe("a mass change", () => {
  const COUNT = 24;
  const values: string[] = [];

  it("of more than half and at least twenty values is held before the first is written, and nothing is read", async () => {
    const ns = op.ns.many;
    await op.awsBackend(ns);
    await each(numbers(COUNT), 6, async (at) => {
      values[at] = op.canaries.value(`first ${at}`);
      await op.aws.put(`many/${at}`, JSON.stringify({ password: values[at] }));
      await op.cluster.apply(copyOf(ns, `s-${at}`, { backend: "aws", path: `many/${at}` }));
    });
    await op.eventually("all copied", async () => (await all(ns)).every((one) => verdict(one) === "True InSync"));
    await op.interval();
    await op.mark();
    await each(numbers(COUNT), 6, async (at) => {
      await op.aws.put(`many/${at}`, JSON.stringify({ password: op.canaries.value(`second ${at}`) }));
    });
    await op.interval();
    await op.eventually("all held", async () =>
      (await all(ns)).every(
        (one) => verdict(one) === "False ManyChanges" && verdict(one, "ChangeHeld") === "True ManyChanges",
      ),
    );
    const seen = await op.seen();
    expect(seen.aws.valueReads).toBe(0);
    expect(seen.scaivault.versionsWritten).toBe(0);
    expect(seen.kubeWrites.filter(({ resource }) => resource === "secrets")).toHaveLength(0);
    for (const at of numbers(COUNT)) await expectCopies(op, ns, `s-${at}`, { password: values[at] ?? "" });
  });

  it("stays held, without writes, also after a restart", async () => {
    const ns = op.ns.many;
    const seen = await during(op, 12);
    expect(seen.aws.valueReads + seen.scaivault.versionsWritten).toBe(0);
    expect(seen.kubeWrites.filter(({ name }) => name.startsWith("s-"))).toHaveLength(0);
    await op.restart();
    const again = await during(op, 12);
    expect(again.aws.valueReads + again.scaivault.versionsWritten).toBe(0);
    expect((await all(ns)).map((one) => verdict(one))).toEqual(numbers(COUNT).map(() => "False ManyChanges"));
  });

  it("is released by approvals, each for the plan that it names", async () => {
    const ns = op.ns.many;
    const hash = (await op.cluster.sync(ns, "s-3"))?.status?.plan?.hash ?? "";
    expect(hash).not.toBe("");
    // The approval of another plan does nothing.
    await approve(ns, "s-4", hash);
    await approve(ns, "s-3", hash);
    await op.ready(ns, "s-3");
    await op.interval();
    expect(verdict(await op.cluster.sync(ns, "s-4"))).toBe("False ManyChanges");
    expect((await copies(op, ns, "s-3")).secret?.["password"]).not.toBe(values[3]);
    await expectCopies(op, ns, "s-4", { password: values[4] ?? "" });
    for (const one of await all(ns)) {
      if (one.status?.plan?.hash !== undefined) await approve(ns, one.metadata.name, one.status.plan.hash);
    }
    await op.eventually("all released", async () => (await all(ns)).every((one) => verdict(one) === "True InSync"));
    for (const at of numbers(COUNT)) {
      const { secret, scaivault } = await copies(op, ns, `s-${at}`);
      expect(secret?.["password"]).not.toBe(values[at]);
      expect(scaivault).toEqual(secret);
    }
  });
});

describe("a deletion", () => {
  const spec = { deletionPolicy: "Delete", syncInterval: "1m" };
  const minute = { syncInterval: "1m" };
  const values: string[] = [];

  it("is held for ten minutes after a start, then done by itself", async () => {
    const ns = op.ns.few;
    await op.awsBackend(ns, "aws", minute);
    await each(numbers(12), 6, async (at) => {
      values[at] = op.canaries.value(`kept ${at}`);
      await op.aws.put(`few/${at}`, JSON.stringify({ password: values[at] }));
      await op.cluster.apply(copyOf(ns, `d-${at}`, { backend: "aws", path: `few/${at}` }, spec));
    });
    await op.eventually("all copied", async () => (await all(ns)).every((one) => verdict(one) === "True InSync"));
    await op.restart();
    await op.aws.remove("few/0");
    for (let passed = 0; passed < 4; passed += 1) await op.advance(60_000);
    const held = await op.verdict("SecretSync", ns, "d-0", "False DeletionBraked");
    expect(verdict(held, "DeletionHeld")).toBe("True DeletionBraked");
    await expectCopies(op, ns, "d-0", { password: values[0] ?? "" });
    for (let passed = 0; passed < 9; passed += 1) await op.advance(60_000);
    await op.eventually("removed", async () => (await op.cluster.secretData(ns, "d-0")) === undefined);
    expect((await copies(op, ns, "d-0")).scaivault).toBeUndefined();
    for (const at of numbers(12).slice(1)) await expectCopies(op, ns, `d-${at}`, { password: values[at] ?? "" });
  });

  it("of several at once is held, and each is released by its own approval", async () => {
    const ns = op.ns.few;
    for (let passed = 0; passed < 12; passed += 1) await op.advance(60_000);
    await op.mark();
    for (const at of [1, 2, 3]) await op.aws.remove(`few/${at}`);
    for (let passed = 0; passed < 5; passed += 1) await op.advance(60_000);
    for (const at of [1, 2, 3]) {
      const held = await op.verdict("SecretSync", ns, `d-${at}`, "False DeletionBraked");
      expect(condition(held, "DeletionHeld")?.status).toBe("True");
      expect(held.status?.plan?.delete).toBeGreaterThan(0);
      await expectCopies(op, ns, `d-${at}`, { password: values[at] ?? "" });
    }
    const seen = await during(op, 15);
    expect(seen.scaivault.byRoute["DELETE /v1/secrets/{path}"] ?? 0).toBe(0);
    expect(seen.kubeWrites.filter(({ verb }) => verb === "delete")).toHaveLength(0);
    expect(seen.kubeWrites.filter(({ name }) => name.startsWith("d-"))).toHaveLength(0);
    await approve(ns, "d-2", (await op.cluster.sync(ns, "d-2"))?.status?.plan?.hash ?? "");
    await op.eventually("removed", async () => (await op.cluster.secretData(ns, "d-2")) === undefined);
    expect((await copies(op, ns, "d-2")).scaivault).toBeUndefined();
    await op.interval(60_000);
    for (const at of [1, 3]) await expectCopies(op, ns, `d-${at}`, { password: values[at] ?? "" });
  });

  it("that was never confirmed is none: the secrets come back and everything goes on", async () => {
    const ns = op.ns.few;
    for (const at of [1, 3]) await op.aws.put(`few/${at}`, JSON.stringify({ password: values[at] }));
    await op.interval(60_000);
    for (const at of [1, 3]) {
      await op.ready(ns, `d-${at}`);
      await expectCopies(op, ns, `d-${at}`, { password: values[at] ?? "" });
    }
  });
});
