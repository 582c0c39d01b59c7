/** Writes to ScaiVault that have to wait for their turn in the rate budget, and what goes on meanwhile. */
import { afterEach, expect, it } from "vitest";
import { RateBudget } from "../../src/scaivault/index.ts";
import { MemoryOperator, MINUTE } from "../support/memory-operator.ts";

let op: MemoryOperator;
afterEach(() => op.stop());

const INTERVAL = 5 * MINUTE;
const signal = new AbortController().signal;
const secret = (name: string) => op.secrets.copies.get(`team/${name}`)?.keys.get("value");
const stored = (name: string) => op.scaivault.copies.get(`env/${name}`)?.keys.get("data");
const reads = () => op.source("us-east-1").calls.reads.length;

/** An operator past the first ten minutes, whose budget of ten writes a minute was just used up. */
async function running(): Promise<RateBudget> {
  op = new MemoryOperator();
  const budget = new RateBudget({ clock: op.clock, limits: { write: 10 } });
  op.scaivault.budget = budget;
  op.start();
  op.aws();
  await op.advance(11 * MINUTE);
  return budget;
}
async function drain(budget: RateBudget): Promise<void> {
  while (budget.available("write") > 0) await budget.acquire("write", 1, "user", signal);
}

it("a first copy reads its value when its turn has come, once, and its object says that it is under way", async () => {
  await drain(await running());
  op.source("us-east-1").put("prod/a", "one");
  op.both("a", { targets: { scaivault: { path: "env/a" } } });
  await op.advance(5_000);
  expect([op.ready("a"), reads(), stored("a")]).toEqual(["False Progressing", 0, undefined]);
  await op.advance(20_000);
  expect([op.ready("a"), reads()]).toEqual(["True InSync", 1]);
  expect(stored("a")).toContain("one");
});

it("a Secret does not wait for ScaiVault", async () => {
  await drain(await running());
  op.source("us-east-1").put("prod/a", "one");
  op.both("a");
  await op.advance(5_000);
  expect([secret("a"), stored("a"), reads()]).toEqual(["one", undefined, 1]);
  await op.advance(20_000);
  expect([op.ready("a"), reads(), op.secrets.writes.length]).toEqual(["True InSync", 2, 1]);
});

it("what goes while it waits is not written, and its turn goes to others", async () => {
  const budget = await running();
  await drain(budget);
  op.source("us-east-1").put("prod/a", "one");
  op.source("us-east-1").put("prod/b", "two");
  for (const name of ["a", "b"]) op.both(name, { targets: { scaivault: { path: `env/${name}` } } });
  await op.advance(5_000);
  op.remove("a");
  await op.advance(2 * MINUTE);
  expect([stored("a"), op.ready("b"), reads()]).toEqual([undefined, "True InSync", 1]);
  expect(budget.available("write")).toBe(10);
});

it("a new object, whose status is the API server's default, goes after a rotated value", async () => {
  const budget = await running();
  op.source("us-east-1").put("prod/a", "one");
  op.both("a");
  await op.advance(INTERVAL);
  await drain(budget);
  op.source("us-east-1").put("prod/a", "rotated");
  op.source("us-east-1").put("prod/b", "new");
  op.both("b", { targets: { scaivault: { path: "env/b" } } });
  op.editStatus("b", { observedGeneration: 0 });
  op.annotate("a", { "scaivault.scailabs.ai/sync-requested-at": "now" });
  await op.advance(11_000);
  expect([stored("a"), stored("b")]).toEqual([expect.stringContaining("rotated"), undefined]);
  await op.advance(MINUTE);
  expect(stored("b")).toContain("new");
});

it("an approved plan that has to wait is carried out as a whole, by the same approval", async () => {
  const budget = await running();
  op.source("us-east-1").put("prod/a", "one");
  op.both("a", { apply: "OnApproval" });
  await op.advance(INTERVAL);
  expect(op.ready("a")).toBe("False ApprovalNeeded");
  const before = reads();
  await drain(budget);
  budget.limited("write", 30_000);
  op.annotate("a", { "scaivault.scailabs.ai/approve": op.status("a").plan?.hash ?? "" });
  await op.advance(10_000);
  expect([secret("a"), stored("a"), reads()]).toEqual([undefined, undefined, before]);
  await op.advance(MINUTE);
  expect([op.ready("a"), secret("a"), reads()]).toEqual(["True InSync", "one", before + 1]);
});
