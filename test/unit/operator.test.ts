import { afterEach, describe, expect, it } from "vitest";
import { SyncError } from "../../src/errors/index.ts";
import { MemoryOperator, MINUTE } from "../support/memory-operator.ts";

let op: MemoryOperator;
afterEach(async () => {
  op.beforeCredential = undefined;
  op.secrets.beforeWrite = undefined;
  await op.stop();
});

const INTERVAL = 5 * MINUTE;

/** An operator past the first ten minutes, with one backend. */
async function running(): Promise<MemoryOperator> {
  op = new MemoryOperator();
  op.start();
  op.aws();
  await op.advance(11 * MINUTE);
  return op;
}

/** A gate that a call waits at. */
function gate(): { readonly pass: () => Promise<void>; readonly open: () => void } {
  let open: () => void = () => undefined;
  const opened = new Promise<void>((resolve) => (open = resolve));
  return { pass: () => opened, open };
}

const secret = (name: string) => op.secrets.copies.get(`team/${name}`)?.keys.get("value");
const stored = (name: string) => op.scaivault.copies.get(`env/${name}`)?.keys.get("data");

it("copies one secret to both targets, once", async () => {
  await running();
  op.source("us-east-1").put("prod/a", "one");
  op.both("a");
  await op.advance(2_000);
  expect(op.ready("a")).toBe("True InSync");
  expect(secret("a")).toBe("one");
  expect(stored("a")).toContain("one");
  const counts = () => [
    op.secrets.writes.length,
    op.scaivault.writes.length,
    op.statusWrites.filter((one) => one.startsWith("secretsyncs")).length,
  ];
  const before = counts();
  await op.advance(2 * INTERVAL);
  expect(counts()).toEqual(before);
  expect(before.slice(0, 2)).toEqual([1, 1]);
});

describe("a backend that moves to another place", () => {
  it("leaves no mark that names the new place for a value of the old one, and deletes nothing", async () => {
    await running();
    op.source("us-east-1").put("prod/a", "old place");
    op.both("a", { deletionPolicy: "Delete" });
    await op.advance(INTERVAL);
    expect(op.ready("a")).toBe("True InSync");
    const before = op.scaivault.markOn("env/a")?.source;
    const wait = gate();
    op.beforeCredential = wait.pass;
    op.aws("eu-west-1");
    await op.advance(2_000);
    expect(op.scaivault.markOn("env/a")?.source).toBe(before);
    wait.open();
    op.beforeCredential = undefined;
    await op.advance(4 * INTERVAL);
    // The new place never had it: copies stay.
    expect([secret("a"), stored("a") === undefined]).toEqual(["old place", false]);
    expect(op.scaivault.markOn("env/a")?.source).toBe(before);
  });
});

describe("the API server", () => {
  it("that does not give the credential out for a moment does not end what works", async () => {
    await running();
    op.source("us-east-1").put("prod/a", "one");
    op.both("a");
    await op.advance(INTERVAL);
    const writes = op.statusWrites.filter((one) => one.startsWith("secretsyncs")).length;
    op.credentialFailure = new SyncError("KubernetesUnavailable", "Secret aws could not be read");
    op.aws("us-east-1", { syncInterval: "4m" });
    await op.advance(2 * INTERVAL);
    expect(op.ready("a")).toBe("True InSync");
    expect(op.statusWrites.filter((one) => one.startsWith("secretsyncs")).length).toBeLessThanOrEqual(writes + 1);
  });

  it("is not asked for credentials while nothing changes", async () => {
    await running();
    op.source("us-east-1").put("prod/a", "one");
    op.both("a");
    await op.advance(INTERVAL);
    const before = op.credentialReads;
    await op.advance(4 * INTERVAL);
    expect(op.credentialReads).toBe(before);
  });
});
