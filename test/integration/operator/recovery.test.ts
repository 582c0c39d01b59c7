import { randomBytes } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { condition, each, Harness, pathTo, startOperator, sync, type SyncThing } from "../../support/operator.ts";

const MINUTE = 60_000;

let op: Harness<"team" | "bulk">;
let ns: string;
/** The file as it was made. */
let original: Record<string, unknown>;

beforeAll(async () => {
  op = await startOperator({ namespaces: ["team", "bulk"] });
  ns = op.ns.team;
  original = op.file;
  await op.awsBackend(ns);
});
afterAll(() => op?.stop());

const path = (name: string) => `environments/recovery/${name}`;
const both = (name: string, spec: object = {}) =>
  sync(ns, name, {
    source: { backendRef: { name: "aws" }, path: `recovery/${name}` },
    targets: { scaivault: { path: path(name) }, kubernetesSecret: {} },
    ...spec,
  });
const secret = async (name: string) => (await op.cluster.secretData(ns, name))?.["value"];
async function copied(name: string): Promise<string> {
  const value = op.canaries.value(name);
  await op.aws.put(`recovery/${name}`, value);
  await op.cluster.apply(both(name));
  await op.ready(ns, name);
  await op.idle();
  return value;
}
/** Restarts with other settings and lets the first poll end. */
async function restartWith(more: object): Promise<void> {
  await op.end();
  op.file = { ...original, ...more };
  await op.mark();
  await op.start();
  await op.advance(2_000);
}
const keyFile = (name: string): string => {
  const file = join(op.folder, name);
  writeFileSync(file, randomBytes(32).toString("base64"));
  return file;
};
/** Writes of data, marks and versions since `mark`. */
async function targetWrites(): Promise<string[]> {
  const seen = await op.seen();
  const patches = Object.entries(seen.scaivault.byRoute).filter(([route]) => /^(?:PUT|PATCH|DELETE) /.test(route));
  return [
    ...Harness.describe(seen.kubeWrites.filter(({ resource }) => resource === "secrets")),
    ...patches.map(([route, times]) => `${route} ${times}`),
  ];
}

describe("a lost status", () => {
  it("is made anew from marks alone", async () => {
    await copied("status");
    const before = await op.ready(ns, "status");
    await op.mark();
    const answer = await op.env.kube.request({
      method: "PATCH",
      path: `${pathTo("SecretSync", ns, "status")}/status`,
      contentType: "application/merge-patch+json",
      body: { status: null },
    });
    expect(answer.status).toBe(200);
    await op.restart();
    const after = await op.ready(ns, "status");
    expect(after.status?.targets).toEqual(before.status?.targets);
    expect(await targetWrites()).toEqual([]);
    expect((await op.seen()).aws.valueReads).toBe(0);
  });
});

describe("the keys of marks", () => {
  it("can be rotated: the old one verifies, nothing is written or read", async () => {
    await copied("keyring");
    const { keyFiles } = original["marks"] as { keyFiles: string[] };
    await restartWith({ marks: { keyFiles: [keyFile("new-key"), ...keyFiles] } });
    await op.ready(ns, "keyring");
    await op.interval();
    expect(await targetWrites()).toEqual([]);
    expect((await op.seen()).aws.valueReads).toBe(0);
    await restartWith({});
  });

  it("that are lost stop all writing; adopt: IfEqual marks equal copies anew without a version", async () => {
    const value = await copied("lost");
    await restartWith({ marks: { keyFiles: [keyFile("another-key")] } });
    await op.verdict("SecretSync", ns, "lost", "False BaseUnknown");
    await op.aws.put("recovery/lost", "next");
    await op.interval();
    await op.verdict("SecretSync", ns, "lost", "False BaseUnknown");
    expect(await targetWrites()).toEqual([]);
    expect([await secret("lost"), op.stored(path("lost"))?.version]).toEqual([value, 1]);
    await op.aws.put("recovery/lost", value);
    await op.interval();
    await op.cluster.apply(both("lost", { adopt: "IfEqual" }));
    await op.ready(ns, "lost");
    expect(op.stored(path("lost"))?.version).toBe(1);
    expect(await secret("lost")).toBe(value);
    await op.aws.put("recovery/lost", "after");
    await op.interval();
    await op.ready(ns, "lost");
    expect(await secret("lost")).toBe("after");
    await op.cluster.delete("SecretSync", ns, "lost");
    await restartWith({});
  });
});

describe("a fleet", () => {
  it("has one writer for a path: the other cluster is in sync at the wanted version, and waits otherwise", async () => {
    const value = await copied("fleet");
    const targets = { scaivault: { path: path("fleet") }, kubernetesSecret: { name: "fleet-two" } };
    await restartWith({ cluster: { name: "another-cluster" } });
    await op.cluster.apply(both("fleet", { targets }));
    await op.ready(ns, "fleet");
    expect(await secret("fleet-two")).toBe(value);
    expect(op.stored(path("fleet"))?.version).toBe(1);
    await op.aws.put("recovery/fleet", "next");
    await op.interval();
    await op.verdict("SecretSync", ns, "fleet", "False OtherCluster");
    expect(op.stored(path("fleet"))?.version).toBe(1);
    // The writer catches up.
    await restartWith({});
    await op.eventually("written", () => Promise.resolve(op.stored(path("fleet"))?.version === 2));
    await restartWith({ cluster: { name: "another-cluster" } });
    await op.ready(ns, "fleet");
    expect(op.stored(path("fleet"))?.version).toBe(2);
    await op.cluster.delete("SecretSync", ns, "fleet");
    await restartWith({});
  });
});

describe("a lost lease", () => {
  it("stops every write at once, and the next leader goes on", async () => {
    const value = await copied("lease");
    await op.aws.put("recovery/lease", "next");
    op.held = false;
    await op.mark();
    await op.interval();
    expect((await op.seen()).kubeWrites).toEqual([]);
    expect(await targetWrites()).toEqual([]);
    expect(await secret("lease")).toBe(value);
    await op.restart();
    await op.eventually("the next leader writes", async () => (await secret("lease")) === "next");
    await op.ready(ns, "lease");
    expect(op.stored(path("lease"))?.version).toBe(2);
  });
});

describe("a write that breaks between the two targets", () => {
  it.each(["before", "after"] as const)(
    "(%s ScaiVault took it) is finished by the next operator, once",
    async (when) => {
      const name = `broken-${when}`;
      await copied(name);
      await op.aws.put(`recovery/${name}`, "next");
      op.scaivault.server.admin.inject({
        match: { method: "PUT", path: path(name) },
        times: 1,
        action: { kind: "reset", when },
      });
      await op.interval();
      await op.restart();
      await op.ready(ns, name, { virtualMs: MINUTE });
      await op.eventually("both have it", async () => (await secret(name)) === "next");
      expect(op.stored(path(name))?.data).toContain("next");
      expect(op.stored(path(name))?.version).toBe(2);
    },
  );
});

describe("many first copies", () => {
  it("stay within ScaiVault's rate limits and all arrive", async () => {
    const { bulk } = op.ns;
    const names = Array.from({ length: 130 }, (_, at) => `bulk-${at}`);
    await each(names, 8, async (name) => void (await op.aws.put(`recovery/${name}`, `value of ${name}`)));
    await op.awsBackend(bulk);
    await op.mark();
    await op.cluster.createMany(
      names.map((name) =>
        sync(bulk, name, {
          source: { backendRef: { name: "aws" }, path: `recovery/${name}` },
          targets: { scaivault: { path: path(name) } },
        }),
      ),
    );
    const ready = async () =>
      (await op.cluster.list<SyncThing>("SecretSync", bulk)).filter(
        (one) => condition(one, "Ready")?.status === "True",
      );
    for (let minutes = 0; minutes < 12 && (await ready()).length < names.length; minutes += 1) await op.advance(MINUTE);
    expect(await ready()).toHaveLength(names.length);
    const { scaivault } = await op.seen();
    expect(scaivault.byStatus["429"]).toBeUndefined();
    expect(scaivault.versionsWritten).toBe(names.length);
  });
});
