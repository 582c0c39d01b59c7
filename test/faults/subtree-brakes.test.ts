/** The brakes inside one subtree: what one look would delete is held before the first of it goes. */
import { afterAll, beforeAll, expect, it } from "vitest";
import { type Harness, startOperator, sync, verdict } from "../support/operator.ts";

let op: Harness<"tree">;
beforeAll(async () => {
  op = await startOperator({ namespaces: ["tree"] });
});
afterAll(() => op?.stop());

const NAMES = ["a", "b", "c", "d", "e", "f"];

it("six secrets of a subtree that go at once are all held, and go by one approval of the whole plan", async () => {
  const ns = op.ns.tree;
  for (const name of NAMES)
    await op.aws.put(`prod/tree/${name}`, JSON.stringify({ password: op.canaries.value(name) }));
  await op.awsBackend(ns);
  await op.cluster.apply(
    sync(ns, "tree", {
      source: { backendRef: { name: "aws" }, subtree: "prod/tree/**" },
      targets: { scaivault: { path: "team/tree/**" }, kubernetesSecret: { nameTemplate: "t-{path}" } },
      deletionPolicy: "Delete",
    }),
  );
  await op.ready(ns, "tree");
  // Past the window after the start, in which nothing is deleted anyway.
  await op.interval(660_000);
  for (const name of NAMES) await op.aws.remove(`prod/tree/${name}`);
  for (let looks = 0; looks < 4; looks += 1) await op.interval();
  const held = await op.verdict("SecretSync", ns, "tree", "False DeletionBraked");
  expect(verdict(held, "DeletionHeld")).toBe("True DeletionBraked");
  expect((await op.cluster.list("Secret", ns)).filter((one) => one.metadata.name.startsWith("t-"))).toHaveLength(6);
  for (const name of NAMES) expect(op.stored(`team/tree/${name}`)?.deleted).toBe(false);
  const { hash, delete: count } = held.status?.plan ?? {};
  expect(count).toBe(12);
  await op.cluster.patch("SecretSync", ns, "tree", {
    metadata: { annotations: { "scaivault.scailabs.ai/approve": hash } },
  });
  await op.eventually(
    "all gone",
    async () =>
      NAMES.every((name) => op.stored(`team/tree/${name}`)?.deleted === true) &&
      (await op.cluster.list("Secret", ns)).every((one) => !one.metadata.name.startsWith("t-")),
  );
});
