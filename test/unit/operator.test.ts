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

describe("copies that the spec no longer names", () => {
  const renamed = { targets: { scaivault: { path: "env/new" }, kubernetesSecret: { name: "new" } } };
  const removed = () => [...op.secrets.writes, ...op.scaivault.writes].filter(({ what }) => what === "remove");

  async function copied(more: object = {}): Promise<void> {
    await running();
    op.source("us-east-1").put("prod/a", "one");
    op.both("a", { cleanupPolicy: "Delete", ...more });
    await op.advance(INTERVAL);
    expect(op.ready("a")).toBe("True InSync");
  }

  it("go with cleanupPolicy Delete once the new ones are there", async () => {
    await copied();
    op.both("a", { cleanupPolicy: "Delete", ...renamed });
    await op.advance(2_000);
    expect([secret("new"), op.scaivault.copies.has("env/new")]).toEqual(["one", true]);
    expect(removed().map(({ key }) => key)).toEqual(["team/a", "env/a"]);
  });

  it("stay while the new ones cannot be written", async () => {
    await copied();
    op.source("us-east-1").remove("prod/a");
    op.both("a", { cleanupPolicy: "Delete", ...renamed });
    await op.advance(4 * INTERVAL);
    expect(removed()).toEqual([]);
    expect(secret("a")).toBe("one");
  });

  it("go when the new ones came later than in the first attempt", async () => {
    await copied();
    op.scaivault.failure = new SyncError("ScaiVaultUnavailable", "down");
    op.both("a", { cleanupPolicy: "Delete", ...renamed });
    await op.advance(1_000);
    expect(removed()).toEqual([]);
    op.scaivault.failure = undefined;
    await op.advance(2 * INTERVAL);
    expect(op.ready("a")).toBe("True InSync");
    expect(
      removed()
        .map(({ key }) => key)
        .sort(),
    ).toEqual(["env/a", "team/a"]);
  });

  it.each([{ suspend: true }, { apply: "OnApproval" }, { apply: "Never" }])("stay with %j", async (held) => {
    await copied();
    op.both("a", { cleanupPolicy: "Delete", ...renamed, ...held });
    await op.advance(2 * INTERVAL);
    expect(removed()).toEqual([]);
  });

  it("stay when another object names them by now", async () => {
    await copied();
    op.both("b", {
      source: { backendRef: { name: "aws" }, path: "prod/a" },
      targets: { scaivault: { path: "env/a" }, kubernetesSecret: { name: "a" } },
    });
    op.both("a", { cleanupPolicy: "Delete", ...renamed });
    await op.advance(2 * INTERVAL);
    expect(removed()).toEqual([]);
    expect([op.ready("a"), op.ready("b")]).toEqual(["True InSync", "True InSync"]);
  });

  it("stay when another object names them by now and this one is deleted", async () => {
    await copied();
    op.both("b", {
      source: { backendRef: { name: "aws" }, path: "prod/a" },
      targets: { scaivault: { path: "env/a" }, kubernetesSecret: { name: "a" } },
    });
    await op.advance(2_000);
    op.remove("a");
    await op.advance(2 * INTERVAL);
    expect(removed()).toEqual([]);
    expect(op.ready("b")).toBe("True InSync");
  });

  it.each([{ suspend: true }, { apply: "Never" }])("stay when the object is deleted with %j", async (held) => {
    await copied();
    op.both("a", { cleanupPolicy: "Delete", ...held });
    await op.advance(2_000);
    op.remove("a");
    await op.advance(2_000);
    expect(op.caches.syncs.get("team/a")).toBeUndefined();
    expect(removed()).toEqual([]);
  });

  it("by the dozen are held by the brake, also when a subtree loses its target or is deleted", async () => {
    await running();
    for (let n = 0; n < 30; n += 1) op.source("us-east-1").put(`tree/s${n}`, `value ${n}`);
    const tree = (targets: object) =>
      op.sync("tree", {
        source: { backendRef: { name: "aws" }, subtree: "tree/**" },
        targets,
        cleanupPolicy: "Delete",
      });
    const all = { scaivault: { path: "env/**" }, kubernetesSecret: { nameTemplate: "tree-{path}" } };
    tree(all);
    await op.advance(INTERVAL);
    expect(op.ready("tree")).toBe("True InSync");
    tree({ scaivault: all.scaivault });
    await op.advance(INTERVAL);
    expect(removed().length).toBeLessThanOrEqual(3);
    tree(all);
    await op.advance(INTERVAL);
    // The backend is gone: what was copied is known from marks only.
    op.caches.backends.remove("team/aws");
    await op.advance(20 * MINUTE);
    op.secrets.writes.length = 0;
    op.remove("tree");
    await op.advance(INTERVAL);
    expect(op.caches.syncs.get("team/tree")).toBeUndefined();
    expect(removed().length).toBeLessThanOrEqual(3);
  });
});

describe("brakes", () => {
  const removed = () => op.secrets.writes.filter(({ what }) => what === "remove").length;
  const written = () => op.secrets.writes.filter(({ what }) => what === "write").length;

  it("hold deletions that follow from an emptied ScaiVault, too", async () => {
    await running();
    for (let n = 0; n < 10; n += 1) {
      op.source("us-east-1").put(`prod/s${n}`, `value ${n}`);
      op.both(`s${n}`, { deletionPolicy: "Delete" });
    }
    await op.advance(INTERVAL);
    for (let n = 0; n < 10; n += 1) op.both(`s${n}`, { deletionPolicy: "Delete", authority: "ScaiVault" });
    await op.advance(INTERVAL);
    expect(op.ready("s0")).toBe("True InSync");
    for (let n = 0; n < 10; n += 1) op.scaivault.delete(`env/s${n}`);
    await op.advance(4 * INTERVAL);
    expect(removed()).toBeLessThanOrEqual(1);
    expect(op.ready("s9")).toBe("False DeletionBraked");
  });

  it("hold many values that change in ScaiVault at once, too", async () => {
    await running();
    for (let n = 0; n < 30; n += 1) {
      op.source("us-east-1").put(`prod/s${n}`, `value ${n}`);
      op.both(`s${n}`);
    }
    await op.advance(INTERVAL);
    for (let n = 0; n < 30; n += 1) op.both(`s${n}`, { authority: "ScaiVault" });
    await op.advance(INTERVAL);
    expect(op.ready("s0")).toBe("True InSync");
    const before = written();
    for (let n = 0; n < 30; n += 1)
      op.scaivault.edit(`env/s${n}`, (copy) => {
        copy.version += 1;
        copy.keys = new Map([["value", "rotated"]]);
      });
    await op.advance(2 * INTERVAL);
    expect(written() - before).toBeLessThan(20);
  });

  /** Objects of one backend, copied, of which some secrets then go for good. */
  async function many(count: number): Promise<void> {
    await running();
    op.aws("us-east-1", { syncInterval: "1m" });
    for (let n = 0; n < count; n += 1) {
      op.source("us-east-1").put(`prod/s${n}`, "one");
      op.both(`s${n}`, { deletionPolicy: "Delete", cleanupPolicy: "Delete" });
    }
    await op.advance(2 * MINUTE);
  }
  const kept = (count: number) => Array.from({ length: count }, (_, n) => n).filter((n) => secret(`s${n}`) === "one");
  async function vanish(...gone: number[]): Promise<void> {
    for (const n of gone) op.source("us-east-1").remove(`prod/s${n}`);
    await op.advance(3 * MINUTE);
  }

  it("go on counting when the credential is rotated", async () => {
    await many(20);
    await vanish(0, 1);
    expect(kept(20)).toHaveLength(18);
    op.rotate("key-2");
    await vanish(2, 3);
    expect(kept(20)).toHaveLength(18);
    expect(op.ready("s2")).toBe("False DeletionBraked");
  });

  it("count over all backends and credentials that read one store", async () => {
    await running();
    for (const n of [0, 1, 2]) {
      const auth = { secretRef: { name: `key-${n}` } };
      op.backend({ awsSecretsManager: { region: "us-east-1", auth }, syncInterval: "1m" }, `aws-${n}`);
      op.source("us-east-1").put(`prod/s${n}`, "one");
      const source = { backendRef: { name: `aws-${n}` }, path: `prod/s${n}` };
      op.sync(`s${n}`, { source, targets: { kubernetesSecret: {} }, deletionPolicy: "Delete" });
    }
    await op.advance(2 * MINUTE);
    await vanish(0, 1, 2);
    expect(kept(3)).toHaveLength(2);
  });

  it("count for each backend alone, too: of another account of the store there may be many more", async () => {
    await many(40);
    const auth = { secretRef: { name: "small" } };
    op.backend({ awsSecretsManager: { region: "us-east-1", auth }, syncInterval: "1m" }, "small");
    for (const n of [40, 41, 42]) {
      op.source("us-east-1").put(`prod/s${n}`, "one");
      const source = { backendRef: { name: "small" }, path: `prod/s${n}` };
      op.sync(`s${n}`, { source, targets: { kubernetesSecret: {} }, deletionPolicy: "Delete" });
    }
    await op.advance(2 * MINUTE);
    await vanish(40, 41, 42);
    expect(kept(43)).toHaveLength(43);
  });

  it("go on counting when objects are deleted together with their backend", async () => {
    await many(20);
    await vanish(0, 1);
    op.caches.backends.remove("team/aws");
    for (const n of [5, 6, 7, 8, 9]) op.remove(`s${n}`);
    await op.advance(5_000);
    expect(op.caches.syncs.get("team/s5")).toBeUndefined();
    expect(kept(20)).toHaveLength(18);
  });

  it("do not open when the machine's clock is set on: ten minutes after a start are minutes that passed", async () => {
    await running();
    op.aws("us-east-1", { syncInterval: "1h" });
    op.source("us-east-1").put("prod/a", "one");
    op.both("a", { deletionPolicy: "Delete" });
    await op.advance(INTERVAL);
    await op.stop();
    op.start();
    op.source("us-east-1").remove("prod/a");
    await op.advance(2_000);
    for (let hours = 0; hours < 3; hours += 1) {
      op.clock.jump(3_600_000);
      op.annotate("a", { "scaivault.scailabs.ai/sync-requested-at": `request-${hours}` });
      await op.advance(31_000);
    }
    expect([secret("a"), op.ready("a")]).toEqual(["one", "False DeletionUnconfirmed"]);
    op.aws("us-east-1", { syncInterval: "1m" });
    await op.advance(7 * MINUTE);
    expect([secret("a"), op.ready("a")]).toEqual(["one", "False DeletionBraked"]);
    await op.advance(2 * INTERVAL);
    expect([secret("a"), op.ready("a")]).toEqual([undefined, "False SourceNotFound"]);
  });

  it("do not stay held by objects that are gone", async () => {
    await running();
    for (let n = 0; n < 10; n += 1) {
      op.source("us-east-1").put(`prod/s${n}`, `value ${n}`);
      op.both(`s${n}`, { deletionPolicy: "Delete" });
    }
    await op.advance(INTERVAL);
    for (let n = 0; n < 5; n += 1) op.source("us-east-1").remove(`prod/s${n}`);
    await op.advance(4 * INTERVAL);
    expect(op.ready("s1")).toBe("False DeletionBraked");
    const before = removed();
    for (let n = 0; n < 5; n += 1) op.remove(`s${n}`);
    await op.advance(20 * MINUTE);
    op.source("us-east-1").remove("prod/s9");
    await op.advance(4 * INTERVAL);
    expect(removed() - before).toBe(1);
  });
});

describe("somebody who changes a target again and again", () => {
  it("by taking our mark off is left alone after three times", async () => {
    await running();
    op.source("us-east-1").put("prod/a", "one");
    op.both("a");
    await op.advance(INTERVAL);
    const strip = () =>
      op.secrets.edit("team/a", (copy) => {
        copy.fields = new Map();
      });
    const before = op.secrets.writes.length;
    op.secrets.labelKept = true;
    for (let n = 0; n < 8; n += 1) {
      strip();
      await op.advance(1_000);
    }
    expect(op.secrets.writes.length - before).toBe(3);
    expect(op.ready("a")).toBe("False Conflict");
    await op.advance(4 * INTERVAL);
    expect(op.ready("a")).toBe("True InSync");
  });

  it("by deleting the Secret is left alone after three times, for ten minutes", async () => {
    await running();
    op.source("us-east-1").put("prod/a", "one");
    op.both("a");
    await op.advance(INTERVAL);
    const before = op.secrets.writes.length;
    for (let n = 0; n < 8; n += 1) {
      op.secrets.delete("team/a");
      await op.advance(1_000);
    }
    expect(op.secrets.writes.length - before).toBe(3);
    expect(op.ready("a")).toBe("False Conflict");
    await op.advance(4 * INTERVAL);
    expect(op.ready("a")).toBe("True InSync");
  });
});

describe("between plan and write", () => {
  it.each([
    ["suspended", () => op.both("a", { suspend: true })],
    ["told to observe only", () => op.both("a", { apply: "Never" })],
    ["pointed elsewhere", () => op.both("a", { source: { backendRef: { name: "aws" }, path: "prod/b" } })],
    ["deleted", () => op.remove("a")],
    ["left without its backend", () => op.caches.backends.remove("team/aws")],
  ])("an object that is %s is not written any more", async (_, change) => {
    await running();
    op.source("us-east-1").put("prod/a", "one");
    op.both("a", { targets: { scaivault: { path: "env/a" } } });
    await op.advance(INTERVAL);
    op.both("a");
    const source = op.source("us-east-1");
    const wait = gate();
    source.beforeRead = wait.pass;
    source.put("prod/a", "two");
    await op.advance(INTERVAL);
    const before = [op.secrets.writes.length, op.scaivault.writes.length];
    change();
    source.beforeRead = undefined;
    op.beforeCredential = undefined;
    wait.open();
    await op.advance(20);
    expect([op.secrets.writes.length, op.scaivault.writes.length]).toEqual(before);
  });

  it("a grant that is taken back stops the write", async () => {
    op = new MemoryOperator();
    op.start();
    const granted = (names: string[]) =>
      op.backend(
        {
          awsSecretsManager: { region: "us-east-1", auth: { secretRef: { name: "aws" } } },
          syncInterval: "5m",
          grants: [{ name: "all", namespaces: { names }, read: ["prod/**"] }],
        },
        "shared",
        "platform",
      );
    granted(["team"]);
    op.rotate("key-1", "platform");
    const source = op.source("us-east-1");
    source.put("prod/a", "one");
    await op.advance(11 * MINUTE);
    const wait = gate();
    source.beforeRead = wait.pass;
    op.both("a", { source: { backendRef: { name: "shared", namespace: "platform" }, path: "prod/a" } });
    await op.advance(INTERVAL);
    granted(["other"]);
    wait.open();
    await op.advance(INTERVAL);
    expect([op.secrets.writes.length, op.scaivault.writes.length]).toEqual([0, 0]);
    expect(op.ready("a")).toBe("False NotGranted");
  });
});

describe("an outage of ScaiVault", () => {
  it("is over for an object soon after it is over, not an interval later", async () => {
    await running();
    op.source("us-east-1").put("prod/a", "one");
    op.both("a", { syncInterval: "6h" });
    await op.advance(2_000);
    op.scaivault.failure = new SyncError("ScaiVaultUnavailable", "down");
    op.both("a", { syncInterval: "6h", targets: { scaivault: { path: "env/other" }, kubernetesSecret: {} } });
    await op.advance(MINUTE);
    expect(op.ready("a")).toBe("False ScaiVaultUnavailable");
    op.scaivault.failure = undefined;
    await op.advance(2 * MINUTE);
    expect(op.ready("a")).toBe("True InSync");
  });

  it.each(["ScaiVaultUnavailable", "RateLimited", "ScaiVaultDenied"] as const)(
    "(%s) costs few calls however many objects there are",
    async (reason) => {
      await running();
      for (let n = 0; n < 100; n += 1) {
        op.source("us-east-1").put(`prod/s${n}`, `value ${n}`);
        op.both(`s${n}`);
      }
      await op.advance(INTERVAL);
      op.scaivault.failure = new SyncError(reason, "no");
      op.scaivault.asked.length = 0;
      await op.advance(2 * INTERVAL);
      expect(op.scaivault.asked.length).toBeLessThan(reason === "ScaiVaultUnavailable" ? 65 : 5);
    },
  );
});

describe("a subtree", () => {
  const tree = () =>
    op.sync("tree", {
      source: { backendRef: { name: "aws" }, subtree: "tree/**" },
      targets: { kubernetesSecret: { nameTemplate: "tree-{path}" } },
    });

  it("stays Ready through an outage until it is stale, as others do", async () => {
    await running();
    for (let n = 0; n < 3; n += 1) op.source("us-east-1").put(`tree/s${n}`, `value ${n}`);
    tree();
    await op.advance(INTERVAL);
    expect(op.ready("tree")).toBe("True InSync");
    const before = op.status("tree");
    op.source("us-east-1").failAll(new SyncError("SourceUnavailable", "down"));
    await op.advance(2 * INTERVAL);
    expect(op.status("tree")).toEqual(before);
    await op.advance(2 * INTERVAL);
    expect(op.ready("tree")).toBe("False Stale");
    expect(op.status("tree").counts).toMatchObject({ found: 3 });
  });

  it.each(["Retain", "Delete"])(
    "finds copies again that only ScaiVault has, when their secrets went while nobody looked (%s)",
    async (deletionPolicy) => {
      await running();
      const source = op.source("us-east-1");
      for (let n = 0; n < 12; n += 1) source.put(`tree/s${n}`, `value ${n}`);
      const targets = { scaivault: { path: "env/**" } };
      op.sync("tree", { source: { backendRef: { name: "aws" }, subtree: "tree/**" }, targets, deletionPolicy });
      await op.advance(INTERVAL);
      expect([op.ready("tree"), op.scaivault.copies.size]).toEqual(["True InSync", 12]);
      await op.stop();
      source.remove("tree/s1");
      // What others keep below it is none of ours.
      op.scaivault.copies.set("env/foreign", { version: 1, keys: new Map(), type: "kv", fields: new Map() });
      op.start();
      const lists = op.lists.length;
      await op.advance(2_000);
      expect(op.status("tree").counts).toMatchObject({ found: 12 });
      expect(op.ready("tree")).toContain("False");
      await op.advance(9 * MINUTE);
      expect(op.scaivault.copies.has("env/s1")).toBe(true);
      await op.advance(6 * MINUTE + INTERVAL);
      expect(op.ready("tree")).toBe("True InSync");
      expect(op.scaivault.copies.has("env/s1")).toBe(deletionPolicy === "Retain");
      expect(op.status("tree").counts).toMatchObject({ found: deletionPolicy === "Retain" ? 12 : 11 });
      expect(op.scaivault.copies.has("env/foreign")).toBe(true);
      // Once a start and object.
      expect(op.lists.length - lists).toBe(1);
    },
  );

  it.each([
    ["Secrets", { kubernetesSecret: { nameTemplate: "tree-{path}" } }, () => op.secrets.copies.get("team/tree-s1")],
    ["ScaiVault", { scaivault: { path: "env/**" } }, () => op.scaivault.copies.get("env/s1")],
  ])("holds a secret that goes back in version (%s)", async (_, targets, copy) => {
    await running();
    const source = op.source("us-east-1");
    for (let n = 0; n < 3; n += 1) source.put(`tree/s${n}`, `value ${n}`);
    const old = source.put("tree/s1", "second");
    source.put("tree/s1", "third");
    op.sync("tree", { source: { backendRef: { name: "aws" }, subtree: "tree/**" }, targets });
    await op.advance(INTERVAL);
    expect(op.ready("tree")).toBe("True InSync");
    source.moveTo("tree/s1", old);
    await op.advance(2 * INTERVAL);
    expect(JSON.stringify([...(copy()?.keys ?? [])])).toContain("third");
    expect(op.status("tree").conditions?.some(({ reason }) => reason === "VersionWentBack")).toBe(true);
  });
});

it("takes a flood of sync requests of one namespace by its share, and asks ScaiVault no more often either", async () => {
  await running();
  op.aws("us-east-1", { syncInterval: "24h" });
  const names = Array.from({ length: 104 }, (_, n) => `o${n}`);
  for (const name of names) {
    op.source("us-east-1").put(`prod/${name}`, "one");
    op.both(name);
  }
  await op.advance(5_000);
  const { polls } = op.source("us-east-1").calls;
  const [before, asked] = [polls.length, op.scaivault.asked.length];
  for (let second = 0; second < 10; second += 1) {
    for (const name of names) op.annotate(name, { "scaivault.scailabs.ai/sync-requested-at": `${name}-${second}` });
    await op.advance(1_000);
  }
  const paths = polls.slice(before).flatMap((poll) => [...poll.paths]);
  expect(new Set(paths).size).toBe(104);
  expect(paths.length).toBeLessThanOrEqual(100 + 11);
  expect(op.scaivault.asked.length - asked).toBeLessThanOrEqual(2 * paths.length);
});

describe("an approval", () => {
  const APPROVE = "scaivault.scailabs.ai/approve";
  const hash = () => op.status("a").plan?.hash ?? "";
  const approve = async (given: string) => {
    op.annotate("a", { [APPROVE]: given });
    await op.advance(2_000);
  };

  /** The same secret is gone again, with the same versions on all sides as before. */
  async function goneAgain(): Promise<void> {
    op.source("us-east-1").put("prod/a", "one");
    await op.advance(2 * MINUTE);
    expect(op.ready("a")).toBe("True InSync");
    op.source("us-east-1").remove("prod/a");
    await op.advance(3 * MINUTE);
    expect(op.ready("a")).toBe("False ApprovalNeeded");
  }

  async function waiting(): Promise<string> {
    await running();
    op.aws("us-east-1", { syncInterval: "1m" });
    op.both("a", { deletionPolicy: "Delete", conflictResolution: "manual" });
    await goneAgain();
    return hash();
  }

  it("is used once: it says nothing of the very same plan when that comes again, nor after a restart", async () => {
    const first = await waiting();
    await approve(first);
    expect([secret("a"), op.scaivault.copies.size]).toEqual([undefined, 0]);
    expect(op.status("a").lastHandledApproval).toBe(first);
    await goneAgain();
    await op.stop();
    op.start();
    await op.advance(15 * MINUTE);
    expect([secret("a"), op.ready("a")]).toEqual(["one", "False ApprovalNeeded"]);
    expect(hash()).not.toBe(first);
    await approve(hash());
    expect(secret("a")).toBeUndefined();
  });

  it("stays good for what it named and what failed, and for nothing else", async () => {
    const first = await waiting();
    op.scaivault.beforeWrite = () => Promise.reject(new SyncError("ScaiVaultUnavailable", "down"));
    await approve(first);
    expect([secret("a"), op.scaivault.copies.size]).toEqual([undefined, 1]);
    op.scaivault.beforeWrite = undefined;
    await op.advance(MINUTE);
    expect(op.scaivault.copies.size).toBe(0);
    await goneAgain();
    expect(secret("a")).toBe("one");
  });

  it("does nothing when status cannot say first that it is used", async () => {
    const first = await waiting();
    op.statusFailure = new Error("the API server is away");
    await approve(first);
    expect([secret("a"), op.scaivault.copies.size]).toEqual(["one", 1]);
    op.statusFailure = undefined;
    await op.advance(MINUTE);
    expect([secret("a"), op.status("a").lastHandledApproval]).toEqual([undefined, first]);
  });
});

it("lets the next object in as soon as another goes, when a namespace is over its budget", async () => {
  op = new MemoryOperator({ budgets: { objects: 2, matches: 1000, trees: 1000 } });
  op.start();
  op.aws("us-east-1", { syncInterval: "24h" });
  for (const name of ["a", "b", "c", "d"]) {
    op.source("us-east-1").put(`prod/${name}`, "one");
    op.both(name);
    await op.advance(2_000);
  }
  const all = () => ["a", "b", "c", "d"].map((name) => op.ready(name));
  expect(all()).toEqual(["True InSync", "True InSync", "False BudgetExceeded", "False BudgetExceeded"]);
  op.remove("a");
  await op.advance(2_000);
  expect(all()).toEqual(["- -", "True InSync", "True InSync", "False BudgetExceeded"]);
});

it("takes up a shorter interval of an object, or of its backend, at once", async () => {
  await running();
  op.aws("us-east-1", { syncInterval: "24h" });
  op.source("us-east-1").put("prod/a", "one");
  op.both("a");
  await op.advance(2_000);
  op.both("a", { syncInterval: "1m" });
  op.source("us-east-1").put("prod/a", "two");
  await op.advance(MINUTE + 2_000);
  expect(secret("a")).toBe("two");
  op.both("a");
  await op.advance(25 * 60 * MINUTE);
  op.aws("us-east-1", { syncInterval: "1m" });
  op.source("us-east-1").put("prod/a", "three");
  await op.advance(MINUTE + 2_000);
  expect(secret("a")).toBe("three");
});

it("puts a status right that others wrote, within an interval", async () => {
  await running();
  op.source("us-east-1").put("prod/a", "one");
  op.both("a");
  await op.advance(INTERVAL);
  const right = op.status("a");
  const lie = right.conditions?.map((one) => ({ ...one, message: "all is well, believe me" }));
  op.editStatus("a", { ...right, conditions: lie });
  await op.advance(INTERVAL);
  expect(op.status("a")).toEqual(right);
});
