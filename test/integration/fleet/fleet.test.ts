/**
 * Five clusters on one ScaiVault identity over one content of Git: each has its own cluster name, its own Secrets with its own
 * marks, and a fifth of the rate budget. One writes.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { condition, each, Harness, sync, type SyncThing, verdict } from "../../support/operator.ts";

const MINUTE = 60_000;
const INTERVAL = 5 * MINUTE;
const SECRETS = 24;

let fleet: Harness<"team">[];
const writer = () => fleet[0] as Harness<"team">;
const readers = () => fleet.slice(1);

const names = Array.from({ length: SECRETS }, (_, at) => `app-${at}`);
const path = (name: string) => `environments/fleet/${name}`;
/** One object as it stands in Git; only the cluster is another one. */
const manifest = (op: Harness<"team">, name: string, more: object = {}) =>
  sync(op.ns.team, name, {
    source: { backendRef: { name: "aws" }, path: `fleet/${name}` },
    targets: { scaivault: { path: path(name), tags: ["fleet"] }, kubernetesSecret: {} },
    ...more,
  });
const everywhere = async (work: (op: Harness<"team">) => Promise<unknown>): Promise<void> => {
  for (const op of fleet) await work(op);
};
const secret = async (op: Harness<"team">, name: string) => (await op.cluster.secretData(op.ns.team, name))?.["value"];
const status = async (op: Harness<"team">, name: string) => verdict(await op.cluster.sync(op.ns.team, name));
const ready = async (op: Harness<"team">): Promise<number> => {
  const all = await op.cluster.list<SyncThing>("SecretSync", op.ns.team);
  return all.filter((one) => condition(one, "Ready")?.status === "True").length;
};
const restart = async (op: Harness<"team">, scaivault: object): Promise<void> => {
  const before = op.file["scaivault"] as object;
  op.file = { ...op.file, scaivault: { ...before, role: undefined, ...scaivault } };
  await op.restart();
};
const versionOf = (name: string) => writer().stored(path(name))?.version;
/** Which clusters changed something in ScaiVault. */
const writesBy = (op: Harness<"team">): string[] => {
  const clusters = fleet.map((one) => (one.file["cluster"] as { name: string }).name);
  return op.scaivault.server.admin
    .requests()
    .filter(({ method, status: code }) => ["PUT", "PATCH", "DELETE"].includes(method) && code < 400)
    .map(({ userAgent = "" }) => `${clusters.findIndex((name) => userAgent.includes(`(${name}`))}`);
};

beforeAll(async () => {
  const first = await Harness.prepare({ namespaces: ["team"], config: { log: { level: "warn" } } });
  const more: Harness<"team">[] = [];
  for (let n = 1; n < 5; n += 1)
    more.push(
      await Harness.prepare({
        namespaces: ["team"],
        fleet: first as Harness<string>,
        config: { log: { level: "warn" } },
      }),
    );
  fleet = [first, ...more];
  for (const op of fleet) {
    const role = op === first ? "Writer" : "Reader";
    op.file = { ...op.file, scaivault: { ...(op.file["scaivault"] as object), role, rateShare: 0.2 } };
  }
  await each(names, 8, async (name) => void (await first.aws.put(`fleet/${name}`, `value of ${name}`)));
  // One of the readers has a token that could not write.
  const scopes = ["secrets:read", "secrets:list"];
  const token = first.scaivault.server.admin.createToken({ identity: "sa:scaivault-operator", scopes });
  const [, , listener = first] = readers();
  const tokenFile = join(listener.folder, "reader-token");
  writeFileSync(tokenFile, token);
  listener.file = { ...listener.file, scaivault: { ...(listener.file["scaivault"] as object), auth: { tokenFile } } };
  await everywhere(async (op) => {
    await op.awsBackend(op.ns.team);
    await op.cluster.createMany(names.map((name) => manifest(op, name)));
  });
}, 60_000);
afterAll(async () => {
  for (const op of [...(fleet ?? [])].reverse()) await op.stop();
});

describe("one content, five clusters", () => {
  it("readers that are there first wait for the writer by name, and write their Secrets", async () => {
    const [reader = writer()] = readers();
    await reader.start();
    await reader.verdict("SecretSync", reader.ns.team, "app-0", "False WaitingForWriter");
    await reader.eventually("its Secrets", async () => (await secret(reader, `app-${SECRETS - 1}`)) !== undefined);
    const found = await reader.cluster.sync(reader.ns.team, "app-0");
    expect(found?.status?.conditions?.map(({ type }) => type)).not.toContain("Conflict");
    expect(writer().scaivault.server.admin.paths()).toEqual([]);
  });

  it("one writes each path once, four are Ready without a write, within the limits and without a conflict", async () => {
    for (const op of fleet) if (op !== readers()[0]) await op.start();
    for (let minutes = 0; minutes < 8; minutes += 1) {
      await writer().advance(MINUTE);
      const counts = await Promise.all(fleet.map(ready));
      if (counts.every((count) => count === SECRETS)) break;
    }
    expect(await Promise.all(fleet.map(ready))).toEqual(fleet.map(() => SECRETS));
    const { scaivault } = await writer().seen();
    expect(scaivault.versionsWritten).toBe(SECRETS);
    expect(scaivault.byStatus["429"]).toBeUndefined();
    expect(new Set(writesBy(writer()))).toEqual(new Set(["0"]));
    await everywhere(async (op) => {
      const secrets = await op.cluster.list("Secret", op.ns.team);
      const values = new Map(secrets.map(({ metadata, data }) => [metadata.name, data?.["value"] ?? ""]));
      for (const name of names)
        expect(Buffer.from(values.get(name) ?? "", "base64").toString()).toBe(`value of ${name}`);
      const statuses = JSON.stringify(await op.cluster.list("SecretSync", op.ns.team));
      expect(statuses).not.toMatch(/"type":"Conflict"|"state":"Conflict"/);
      expect(op.lines.join("")).not.toContain("write failed");
    });
  });

  it("nothing changed: all poll within the shared budget, and nobody writes", async () => {
    await writer().mark();
    await writer().advance(2 * INTERVAL);
    const { scaivault } = await writer().seen();
    expect([scaivault.versionsWritten, scaivault.valuesRead]).toEqual([0, 0]);
    expect(Object.keys(scaivault.byRoute)).toEqual(["POST /v1/secrets/batch/metadata"]);
    // One call for all targets of a cluster and poll.
    expect(scaivault.total).toBeLessThanOrEqual(5 * 3);
    expect(scaivault.byStatus["429"]).toBeUndefined();
  });

  it("a rotated value is one version in ScaiVault and five Secrets; who polls before the writer waits for it, not for a poll", async () => {
    await writer().aws.put("fleet/app-1", "rotated");
    await writer().mark();
    // The writer is late: its objects are looked at after the readers'.
    await writer().end();
    await writer().advance(INTERVAL + 10_000);
    for (const op of readers()) await op.verdict("SecretSync", op.ns.team, "app-1", "False WaitingForWriter");
    for (const op of readers()) expect(await secret(op, "app-1")).toBe("rotated");
    await writer().start();
    await writer().eventually("written", () => Promise.resolve(versionOf("app-1") === 2));
    // Readers wait since up to an interval: they look again at most four minutes after the look before.
    await writer().advance(4 * MINUTE);
    for (const op of readers()) await op.ready(op.ns.team, "app-1");
    await everywhere(async (op) => expect(await secret(op, "app-1")).toBe("rotated"));
    const { scaivault } = await writer().seen();
    expect([scaivault.versionsWritten, versionOf("app-1")]).toEqual([1, 2]);
  });

  it("a path that others change, delete or unmark is the writer's matter; a reader waits and writes nothing", async () => {
    const [reader = writer()] = readers();
    await writer().end();
    writer().scaivault.server.admin.write(path("app-2"), { data: { value: "by hand" } });
    await reader.interval();
    await reader.verdict("SecretSync", reader.ns.team, "app-2", "False WaitingForWriter");
    expect(await secret(reader, "app-2")).toBe("value of app-2");
    await writer().start();
    await writer().advance(INTERVAL);
    await writer().advance(INTERVAL);
    await writer().ready(writer().ns.team, "app-2");
    await reader.ready(reader.ns.team, "app-2");
    expect(new Set(writesBy(writer()))).toEqual(new Set(["0"]));
  });

  it("a reader's object that goes deletes its Secret and nothing in ScaiVault, whatever its cleanupPolicy", async () => {
    const [reader = writer()] = readers();
    await reader.cluster.apply(manifest(reader, "app-3", { cleanupPolicy: "Delete" }));
    await reader.ready(reader.ns.team, "app-3");
    await reader.interval(11 * MINUTE);
    await reader.mark();
    await reader.cluster.delete("SecretSync", reader.ns.team, "app-3");
    await reader.eventually("the object is gone", async () => {
      return (await reader.cluster.sync(reader.ns.team, "app-3")) === undefined;
    });
    expect(await secret(reader, "app-3")).toBeUndefined();
    expect(versionOf("app-3")).toBe(1);
    const { scaivault } = await reader.seen();
    expect(Object.keys(scaivault.byRoute).filter((route) => /^(?:PUT|PATCH|DELETE)/.test(route))).toEqual([]);
  });
});

describe("an operator from an old state", () => {
  it("is fenced after the flip: its spec says Source, and nothing is rolled back", async () => {
    const [current = writer(), old = writer()] = readers();
    const after = { authority: "ScaiVault", conflictResolution: "local_wins" };
    // The old cluster was paused before the flip.
    await old.end();
    const before = await old.cluster.get("Secret", old.ns.team, "app-4");
    await writer().cluster.apply(manifest(writer(), "app-4", after));
    await writer().ready(writer().ns.team, "app-4", { virtualMs: MINUTE });
    await current.cluster.apply(manifest(current, "app-4", after));
    await writer().advance(MINUTE);
    await current.ready(current.ns.team, "app-4");
    writer().scaivault.server.admin.write(path("app-4"), { data: { value: "after the flip" } });
    await writer().advance(INTERVAL);
    for (const one of [writer(), current])
      await one.eventually("follows", async () => (await secret(one, "app-4")) === "after the flip", {
        virtualMs: INTERVAL,
      });
    await writer().mark();
    // It comes back with last week's objects, and the old store has moved on.
    await writer().aws.put("fleet/app-4", "late in the old store");
    for (const role of ["Reader", "Writer"]) {
      await restart(old, { role });
      await old.interval();
      await old.verdict("SecretSync", old.ns.team, "app-4", "False AuthorityFenced");
      expect(await old.cluster.get("Secret", old.ns.team, "app-4")).toEqual(before);
    }
    expect((await writer().seen()).scaivault.versionsWritten).toBe(0);
    expect(writer().stored(path("app-4"))?.data).toContain("after the flip");
    await restart(old, { role: "Reader" });
    await old.cluster.apply(manifest(old, "app-4", after));
    await old.verdict("SecretSync", old.ns.team, "app-4", "True SourceChanged");
    expect(await secret(old, "app-4")).toBe("after the flip");
  });

  it("whose status and Secrets are of last week is brought up to what ScaiVault holds, and writes nothing there", async () => {
    const [, , , behind = writer()] = readers();
    await behind.end();
    const snapshot = await behind.cluster.get("Secret", behind.ns.team, "app-5");
    await writer().aws.put("fleet/app-5", "this week");
    await writer().interval();
    await writer().ready(writer().ns.team, "app-5");
    await writer().mark();
    await behind.start();
    await behind.advance(10_000);
    await behind.ready(behind.ns.team, "app-5");
    expect(await secret(behind, "app-5")).toBe("this week");
    expect(snapshot?.data).not.toEqual((await behind.cluster.get("Secret", behind.ns.team, "app-5"))?.data);
    expect((await writer().seen()).scaivault.versionsWritten).toBe(0);
  });
});

describe("two writers by mistake", () => {
  it("do not fight: each path stays with whoever wrote it first", async () => {
    const [second = writer()] = readers();
    await restart(second, { role: "Writer" });
    await writer().aws.put("fleet/both", "one");
    await writer().aws.put("fleet/app-6", "two");
    await writer().mark();
    for (const one of [writer(), second]) await one.cluster.apply(manifest(one, "both"));
    await writer().advance(2 * INTERVAL);
    for (const one of [writer(), second]) {
      await one.ready(one.ns.team, "both");
      await one.ready(one.ns.team, "app-6");
    }
    const version = versionOf("both") ?? 0;
    // Both may have seen nothing there at the same moment; then it ends.
    expect(version).toBeLessThanOrEqual(2);
    expect(versionOf("app-6")).toBe(2);
    await writer().mark();
    await writer().advance(2 * INTERVAL);
    const { byRoute } = (await writer().seen()).scaivault;
    expect(Object.keys(byRoute).filter((route) => /^(?:PUT|PATCH|DELETE)/.test(route))).toEqual([]);
    expect(await status(second, "app-6")).toBe("True InSync");
    await restart(second, { role: "Reader" });
    await second.advance(10_000);
    await second.ready(second.ns.team, "both");
  });
});
