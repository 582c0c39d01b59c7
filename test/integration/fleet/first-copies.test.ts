/** Four hundred first copies (a thousand go the same way, and take longer) at ScaiVault's documented hundred writes a minute, on a virtual clock. */
import { afterAll, beforeAll, expect, it } from "vitest";
import { condition, each, Harness, sync, type SyncThing } from "../../support/operator.ts";

const MINUTE = 60_000;
const OBJECTS = 400;
const WRITES_A_MINUTE = 100;

let op: Harness<"bulk">;

beforeAll(async () => {
  op = await Harness.prepare({ namespaces: ["bulk"], config: { log: { level: "warn" } } });
  const { bulk } = op.ns;
  const names = Array.from({ length: OBJECTS }, (_, at) => `app-${String(at).padStart(4, "0")}`);
  const seed = each(
    [...names, "urgent"],
    8,
    async (name) => void (await op.aws.put(`prod/${name}`, `value of ${name}`)),
  );
  await op.awsBackend(bulk);
  const create = op.cluster.createMany(names.map((name) => copy(name)));
  await Promise.all([seed, create]);
}, 120_000);
afterAll(() => op?.stop());

const path = (name: string): string => `environments/${op.ns.bulk}/${name}`;
const copy = (name: string, more: object = {}) =>
  sync(op.ns.bulk, name, {
    source: { backendRef: { name: "aws" }, path: `prod/${name}` },
    targets: { scaivault: { path: path(name) }, ...more },
  });
const written = (): number => op.scaivault.server.admin.counters().versionsWritten;

it("read each value once, keep the writes busy without one 429, and let others go before them", async () => {
  const { bulk } = op.ns;
  await op.start();
  await op.advance(MINUTE);
  const byMinute: number[] = [];
  let rotated = false;
  for (let before = written(); before < OBJECTS + 2; before = written()) {
    if (byMinute.length === 1) {
      const [first = "", second = ""] = op.scaivault.server.admin.paths().map((one) => one.split("/").at(-1) ?? "");
      const soon = { virtualMs: 20_000, timeoutMs: 60_000 };
      // A copy that is there already changes in its store: it does not wait for the first copies.
      await op.aws.put(`prod/${first}`, "rotated");
      const asked = { metadata: { annotations: { "scaivault.scailabs.ai/sync-requested-at": "now" } } };
      await op.cluster.patch("SecretSync", bulk, first, asked);
      await op.eventually("rotated", () => Promise.resolve(op.stored(path(first))?.version === 2), soon);
      rotated = true;
      // Neither does what a person changes.
      await op.cluster.patch("SecretSync", bulk, second, { spec: { targets: { scaivault: { owner: "team:a" } } } });
      const ownerOf = () => op.scaivault.server.admin.peek(path(second))?.metadata["owner"];
      await op.eventually("owner", () => Promise.resolve(ownerOf() === "team:a"), soon);
      // A Secret does not wait for ScaiVault.
      await op.cluster.apply(copy("urgent", { kubernetesSecret: {} }));
      await op.eventually("Secret", async () => (await op.cluster.secretData(bulk, "urgent")) !== undefined, soon);
    }
    await op.advance(MINUTE);
    byMinute.push(written() - before);
    if (byMinute.length > 14) break;
  }
  expect(rotated).toBe(true);
  const { scaivault, aws } = await op.seen();
  // One for each first copy, one for the rotated value; the Secret cost one more read.
  expect(scaivault.versionsWritten).toBe(OBJECTS + 2);
  expect(aws.valueReads).toBe(OBJECTS + 3);
  expect(scaivault.byStatus["429"]).toBeUndefined();
  for (const writes of byMinute.slice(0, -1)) expect(writes).toBeGreaterThanOrEqual(0.95 * WRITES_A_MINUTE);
  // Looks right before a write are asked for together.
  expect(scaivault.byRoute["POST /v1/secrets/batch/metadata"]).toBeLessThan(0.6 * OBJECTS);
  await op.eventually("all are Ready", async () => {
    const all = await op.cluster.list<SyncThing>("SecretSync", bulk);
    return all.filter((one) => condition(one, "Ready")?.status === "True").length === OBJECTS + 1;
  });
}, 180_000);
