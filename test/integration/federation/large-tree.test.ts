import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { each, type Harness, startOperator } from "../../support/operator.ts";

/** Ten thousand secrets below one backend, with ScaiVault's own limits. Time is virtual. */
const SIZE = 10_000;
const MINUTE = 60_000;
const many = 10_000_000;

let op: Harness<"platform">;
let ns: string;

const name = (at: number): string => `prod/team-${at % 50}/secret-${at}`;
const target = (at: number): string => `external/aws/team-${at % 50}/secret-${at}`;
const requests = () => op.scaivault.server.admin.requests();
const written = () => op.scaivault.server.admin.counters().versionsWritten;
const counts = async () => (await op.cluster.backend(ns, "aws"))?.status?.federation?.counts;
const metadataCalls = () => requests().filter(({ path }) => path.endsWith("/batch/metadata")).length;

beforeAll(async () => {
  op = await startOperator({ namespaces: ["platform"] });
  ns = op.ns.platform;
  await each(
    Array.from({ length: SIZE }, (_, at) => at),
    16,
    async (at) => {
      await op.aws.put(name(at), `{"n":"value ${at}"}`);
    },
  );
}, 180_000);
afterAll(async () => op?.stop());

describe("a tree of ten thousand secrets", () => {
  it("keeps ScaiVault's write limit busy in its first copy, without a 429", async () => {
    await op.awsBackend(ns, "aws", {
      syncInterval: "5m",
      federation: { mode: "sync", pathMapping: [{ scaivaultPath: "external/aws/**", sourcePath: "prod/**" }] },
    });
    await op.eventually("the first copies are written", () => Promise.resolve(written() > 0), { timeoutMs: 120_000 });
    await op.advance(MINUTE);
    await op.mark();
    const minutes = 5;
    for (let at = 0; at < minutes * 4; at += 1) await op.advance(MINUTE / 4);
    expect(written()).toBeGreaterThanOrEqual(95 * minutes);
    expect(requests().filter(({ status }) => status === 429)).toEqual([]);
    expect(await counts()).toMatchObject({ found: SIZE, failed: 0 });
  }, 240_000);

  it("writes a value that is rotated meanwhile within five seconds of the poll that saw it", async () => {
    const copied = Array.from({ length: SIZE }, (_, at) => at).find((at) => op.stored(target(at)) !== undefined) ?? 0;
    await op.aws.put(name(copied), '{"n":"rotated"}');
    op.asm.resetCounts();
    let polledMs: number | undefined;
    for (let second = 0; second < 330 && op.stored(target(copied))?.version !== 2; second += 1) {
      const pages = op.aws.calls().filter(({ action }) => action === "ListSecrets").length;
      if (pages >= SIZE / 100) polledMs ??= op.clock.now();
      await op.advance(1000);
    }
    expect(op.stored(target(copied))?.version).toBe(2);
    expect(op.clock.now() - (polledMs ?? op.clock.now())).toBeLessThanOrEqual(5_000);
  }, 120_000);

  it("goes on where it was after a restart, and costs nothing once all is copied, nor after another restart", async () => {
    await op.end();
    for (const category of ["write", "read", "list", "batch_metadata"] as const)
      op.scaivault.server.admin.setLimit(category, many);
    op.more = { ...op.more, scaivaultLimits: { write: many, read: many, list: many, batchMetadata: many } };
    await op.start();
    await op.eventually("all are copied", async () => (await counts())?.inSync === SIZE, {
      virtualMs: 1_200_000,
      timeoutMs: 200_000,
    });
    await op.mark();
    await op.interval();
    const steady = await op.seen();
    expect(metadataCalls()).toBeLessThanOrEqual(102);
    expect(steady.aws.valueReads).toBe(0);
    expect(steady.scaivault.versionsWritten).toBe(0);
    await op.end();
    await op.mark();
    await op.start();
    await op.eventually("it looked at all", () => Promise.resolve(metadataCalls() >= SIZE / 100), {
      timeoutMs: 60_000,
    });
    await op.idle();
    const again = await op.seen();
    expect(metadataCalls()).toBeLessThanOrEqual(102);
    expect(again.aws.valueReads).toBe(0);
    expect(again.scaivault.versionsWritten).toBe(0);
    expect(await counts()).toEqual({ found: SIZE, inSync: SIZE, failed: 0, conflicts: 0, held: 0 });
  }, 300_000);
});
