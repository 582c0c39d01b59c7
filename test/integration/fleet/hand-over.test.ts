/** The writer of a fleet changes: the same objects, seen by one cluster after the other, over one ScaiVault. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { call } from "../../../local/http.ts";
import { each, type Harness, startOperator, sync, type SyncThing } from "../../support/operator.ts";

const MINUTE = 60_000;
const INTERVAL = 5 * MINUTE;
const names = ["a", "b", "c", "d"];

let op: Harness<"team">;
let ns: string;

const path = (name: string) => `environments/hand-over/${name}`;
const owner = (name: string) => {
  const custom = JSON.stringify(op.scaivault.server.admin.peek(path(name))?.metadata);
  return /scaivault_operator_owner\\?":\\?"([^/\\"]+)/.exec(custom)?.[1];
};
/** The operator as another cluster, or in another role, over the same objects. */
const as = async (cluster: string, scaivault: object): Promise<void> => {
  const { url, auth } = op.file["scaivault"] as Record<string, unknown>;
  op.file = { ...op.file, cluster: { name: cluster }, scaivault: { url, auth, ...scaivault } };
  await op.restart();
};
/** Somebody with the right to do so sets the metadata of a path. */
const setMetadata = async (name: string, metadata: unknown): Promise<void> => {
  const { url, token } = op.scaivault.server;
  const answer = await call({
    method: "PATCH",
    url: `${url}/v1/secrets/${path(name)}`,
    ca: op.env.authority.cert,
    headers: { authorization: `Bearer ${token}` },
    body: { metadata },
  });
  if (answer.status !== 200) throw new Error(`${answer.status} ${answer.text}`);
};
const allReady = async (virtualMs = INTERVAL): Promise<SyncThing[]> => {
  const found: SyncThing[] = [];
  for (const name of names) found.push(await op.ready(ns, name, { virtualMs }));
  return found;
};
const routes = async (): Promise<Record<string, number>> => {
  await op.idle();
  const counts: Record<string, number> = {};
  for (const { method, userAgent } of op.scaivault.server.admin.requests())
    if (["PUT", "PATCH", "DELETE"].includes(method) && userAgent.startsWith("scaivault-operator/"))
      counts[method] = (counts[method] ?? 0) + 1;
  return counts;
};

beforeAll(async () => {
  op = await startOperator({ namespaces: ["team"], config: { log: { level: "warn" } } });
  ns = op.ns.team;
  await op.awsBackend(ns);
  await each(names, 4, async (name) => void (await op.aws.put(`hand-over/${name}`, `value of ${name}`)));
  await as("east", { role: "Writer" });
  for (const name of names)
    await op.cluster.apply(
      sync(ns, name, {
        source: { backendRef: { name: "aws" }, path: `hand-over/${name}` },
        targets: { scaivault: { path: path(name) } },
      }),
    );
  await allReady();
});
afterAll(() => op?.stop());

describe("hand-over of the writer", () => {
  it("1: the old writer becomes a reader; it writes nothing, also of its own marks, and what changes waits", async () => {
    await op.mark();
    await as("east", { role: "Reader" });
    await allReady();
    await op.aws.put("hand-over/a", "while nobody writes");
    await op.interval();
    await op.verdict("SecretSync", ns, "a", "False WaitingForWriter");
    expect(await routes()).toEqual({});
    expect(names.map(owner)).toEqual(names.map(() => "east"));
  });

  it("2: a reader becomes the writer: without takeOverFrom it leaves the paths alone", async () => {
    await as("west", { role: "Reader" });
    await op.ready(ns, "b", { virtualMs: INTERVAL });
    await as("west", { role: "Writer" });
    await op.interval();
    await op.verdict("SecretSync", ns, "a", "False OtherCluster");
    expect(await routes()).toEqual({});
  });

  it("3: with takeOverFrom marks pass on, and only what changed meanwhile is written", async () => {
    await op.mark();
    await as("west", { role: "Writer", takeOverFrom: ["east"] });
    await allReady();
    await op.eventually("all marks", () => Promise.resolve(names.every((name) => owner(name) === "west")));
    expect(await routes()).toEqual({ PUT: 1, PATCH: 3 });
    expect((await op.seen()).aws.valueReads).toBe(1);
    expect(names.map((name) => op.stored(path(name))?.version)).toEqual([2, 1, 1, 1]);
    expect(op.stored(path("a"))?.data).toContain("while nobody writes");
    await op.mark();
    await op.interval();
    expect(await routes()).toEqual({});
  });

  it("the old writer, back in its old role from an old state, is passive: nothing is rolled back", async () => {
    await op.aws.put("hand-over/b", "new");
    await op.interval();
    await allReady();
    await op.mark();
    await as("east", { role: "Writer" });
    await allReady();
    await op.aws.put("hand-over/c", "newer");
    await op.interval();
    await op.verdict("SecretSync", ns, "c", "False OtherCluster");
    expect(await routes()).toEqual({});
    expect(names.map(owner)).toEqual(names.map(() => "west"));
    await as("west", { role: "Writer", takeOverFrom: ["east"] });
    await allReady();
    expect(op.stored(path("c"))?.version).toBe(2);
  });

  it("two that take over from each other do not fight: who finds its mark replaced leaves it", async () => {
    await op.mark();
    // In one process life each takes a path over once.
    const mark = op.scaivault.server.admin.peek(path("d"))?.metadata;
    await as("east", { role: "Writer", takeOverFrom: ["west"] });
    await op.eventually("taken", () => Promise.resolve(names.every((name) => owner(name) === "east")), {
      virtualMs: INTERVAL,
    });
    const taken = (await routes())["PATCH"];
    expect(taken).toBe(names.length);
    // The other one takes it back meanwhile: its mark stands there again.
    await setMetadata("d", mark);
    await op.interval();
    await op.interval();
    expect([owner("d"), (await routes())["PATCH"]]).toEqual(["west", names.length]);
    await op.ready(ns, "d");
  });
});

it("two operators with one cluster.name: AnotherWriter, and nothing is written over", async () => {
  await as("west", { role: "Writer", takeOverFrom: ["east"] });
  await op.eventually("taken", () => Promise.resolve(names.every((name) => owner(name) === "west")), {
    virtualMs: INTERVAL,
  });
  await op.aws.put("hand-over/d", "mine");
  await op.interval();
  await op.ready(ns, "d");
  // What a clone would leave: a valid mark in this name that this process did not write.
  const older = op.scaivault.server.admin.peek(path("d"));
  await op.aws.put("hand-over/d", "next");
  await op.interval();
  await op.ready(ns, "d");
  await setMetadata("d", older?.metadata);
  await op.mark();
  await op.interval();
  await op.verdict("SecretSync", ns, "d", "False AnotherWriter");
  await op.aws.put("hand-over/d", "later");
  await op.interval();
  expect(await routes()).toEqual({});
});
