/**
 * This version over the state that each release left, as after a restore of cluster and ScaiVault from a backup: it believes
 * every mark, writes to no target and reads no value.
 *
 * `UPGRADE_RECORD=0.1.0` writes the file anew, with that release's own operator.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { condition, type Harness } from "../support/operator.ts";
import { copyAll, goldenHarness, readGolden, record, restore } from "./golden.ts";
import { runRelease } from "./releases.ts";
import { noValueReads, targetWrites, valueReads } from "./scenario.ts";

const releases = ["0.1.0"] as const;
const recorded = process.env["UPGRADE_RECORD"];
let op: Harness<"team">;
afterAll(() => op?.stop());

describe.runIf(recorded !== undefined)("recording", () => {
  it.each(releases.filter((name) => name === recorded))("%s", async (release) => {
    op = await goldenHarness();
    const running = await runRelease(op, release);
    try {
      await copyAll(op);
      await record(op, release);
    } finally {
      await running.stop();
    }
  });
});

describe.skipIf(recorded !== undefined).each(releases)("state of %s", (release) => {
  const golden = readGolden(release);
  let ns: string;
  beforeAll(async () => {
    op = await goldenHarness();
    ns = op.ns.team;
    await restore(op, golden);
  });

  it("is taken over as it is", async () => {
    const stored = () => golden.scaivault.map(({ path }) => op.scaivault.server.admin.peek(path));
    const before = { secrets: await op.cluster.list("Secret", ns), stored: stored() };
    await op.mark();
    await op.start();
    for (const { metadata } of golden.syncs) await op.ready(ns, metadata.name);
    await op.interval();
    await op.interval();
    const seen = await op.seen();
    expect(targetWrites(seen)).toEqual([]);
    expect(valueReads(seen)).toEqual(noValueReads);
    expect({ secrets: await op.cluster.list("Secret", ns), stored: stored() }).toEqual(before);
    // What people see did not change either: the same reason, since the same moment.
    for (const { metadata, status } of golden.syncs) {
      const now = condition(await op.cluster.sync(ns, metadata.name), "Ready");
      const then = status?.conditions?.find(({ type }) => type === "Ready");
      const told = (one: typeof now) => [metadata.name, one?.reason, one?.lastTransitionTime];
      expect(told(now)).toEqual(told(then));
    }
  });

  it("has marks that still prove what is ours: a hand edit is mended, and a policy Delete counts", async () => {
    await op.cluster.patch("Secret", ns, "both", { stringData: { password: "edited by hand" } });
    const mended = async () => (await op.cluster.secretData(ns, "both"))?.["password"] === "golden-both-password";
    await op.eventually("the hand edit is mended", mended);
    await op.cluster.delete("SecretSync", ns, "kept");
    const copies = async () => [
      await op.cluster.get("Secret", ns, "kept"),
      op.stored(`golden/${ns}/kept`)?.deleted ?? true,
    ];
    const gone = async () => JSON.stringify(await copies()) === "[null,true]";
    await op.eventually("its copies are gone", gone, { virtualMs: 90_000 });
  });
});
