import { describe, expect, it } from "vitest";
import type { KubeObject } from "../runtime/index.ts";
import { VirtualClock } from "../time/clock.ts";
import { termMetrics } from "./term-metrics.ts";

type Options = Parameters<typeof termMetrics>[0];
const NOW = 1_000_000;

const conditions = (...rows: string[]) =>
  rows.map((row) => {
    const [type, status, reason] = row.split(" ");
    return { type, status, reason, message: "", lastTransitionTime: "" };
  });
const sync = (name: string, backendRef: object, ...rows: string[]) =>
  ({
    metadata: { namespace: "billing", name },
    spec: { source: { backendRef } },
    ...(rows.length === 0 ? {} : { status: { conditions: conditions(...rows) } }),
  }) as unknown as KubeObject;
const backend = (name: string, row: string) =>
  ({ metadata: { namespace: "billing", name }, status: { conditions: conditions(row) } }) as unknown as KubeObject;

function sources(parts: { backends?: KubeObject[]; syncs?: KubeObject[]; stores?: object[] }) {
  const store = (objects: KubeObject[] = []) => ({ list: () => objects });
  const term =
    parts.stores === undefined ? undefined : { registry: { stores: () => parts.stores }, queueDepths: () => [] };
  return termMetrics({
    caches: { backends: store(parts.backends), syncs: store(parts.syncs) } as unknown as Options["caches"],
    scaivault: undefined,
    // Ages are counted by the monotonic clock.
    clock: Object.assign(new VirtualClock(NOW), { monotonic: () => NOW }),
    leader: () => false,
    term: () => term as ReturnType<Options["term"]>,
  });
}

describe("what a scrape says of objects", () => {
  const aws = { name: "aws" };
  const { objects, each } = sources({
    backends: [backend("aws", "Ready True InSync")],
    syncs: [
      sync("a", aws, "Ready True InSync"),
      sync("b", aws, "Ready True InSync"),
      sync("c", { name: "aws", namespace: "platform" }, "Ready True InSync"),
      sync(
        "d",
        aws,
        "Ready False Partial",
        "ChangeHeld True ManyChanges",
        "Conflict True AnotherWriter",
        "Stale True Stale",
      ),
      sync("new", aws),
    ],
  });

  it("counts by kind, namespace, backend and Ready; one that nobody has looked at is under way", () => {
    const rows = [...objects().ready].map((row) => Object.values(row).join(" "));
    expect(rows).toEqual([
      "FederationBackend billing billing/aws True InSync 1",
      "SecretSync billing billing/aws True InSync 2",
      "SecretSync billing platform/aws True InSync 1",
      "SecretSync billing billing/aws False Partial 1",
      "SecretSync billing billing/aws Unknown Progressing 1",
    ]);
  });

  it("counts what waits for people by condition, also where Ready says something else", () => {
    expect([...objects().held].map((row) => Object.values(row).join(" "))).toEqual([
      "billing billing/aws ChangeHeld ManyChanges 1",
      "billing billing/aws Conflict AnotherWriter 1",
    ]);
  });

  it("counts the secrets of a backend's tree, and adds what its tree and SecretSyncs hold for one reason", () => {
    const counts = { found: 12, inSync: 9, failed: 1, conflicts: 0, held: 2 };
    const tree = backend("aws", "ChangeHeld True ManyChanges");
    Object.assign((tree as { status?: object }).status ?? {}, { federation: { counts, copies: ["external/**"] } });
    const { objects: counted } = sources({ backends: [tree], syncs: [sync("d", aws, "ChangeHeld True ManyChanges")] });
    expect([...counted().trees].map((row) => Object.values(row).join(" "))).toEqual([
      "billing billing/aws found 12",
      "billing billing/aws in_sync 9",
      "billing billing/aws failed 1",
      "billing billing/aws conflicts 0",
      "billing billing/aws held 2",
    ]);
    expect([...counted().held].map((row) => Object.values(row).join(" "))).toEqual([
      "billing billing/aws ChangeHeld ManyChanges 2",
    ]);
  });

  it("names each by itself when asked", () => {
    expect([...each()].map(({ name, ready }) => `${name} ${ready}`)).toEqual([
      "aws true",
      "a true",
      "b true",
      "c true",
      "d false",
      "new false",
    ]);
  });
});

describe("what a scrape says of polls", () => {
  const good = { state: "Good", sinceMs: 0 };
  it.each([
    ["read and polled", { state: good, lastGoodMs: NOW - 30_000, intervalMs: 300_000 }, [30, 300, false]],
    [
      "that nobody reads: no age that grows for ever",
      { state: good, lastGoodMs: 5, intervalMs: undefined },
      [undefined, undefined, false],
    ],
    [
      "not polled yet",
      { state: { state: "Unpolled" }, lastGoodMs: undefined, intervalMs: 300_000 },
      [undefined, 300, false],
    ],
    [
      "failing since the start: as old as the failure",
      { state: { state: "Failing", sinceMs: NOW - 60_000 }, lastGoodMs: undefined, intervalMs: 300_000 },
      [60, 300, true],
    ],
  ])("a store %s", (_name, poller, wanted) => {
    const found = [...sources({ stores: [{ poller, backends: new Set(["billing/aws", "shop/aws"]) }] }).polls()];
    expect(found.map(({ namespace, backend: key }) => `${namespace} ${key}`)).toEqual([
      "billing billing/aws",
      "shop shop/aws",
    ]);
    for (const poll of found) expect([poll.ageSeconds, poll.intervalSeconds, poll.failing]).toEqual(wanted);
  });

  it("a replica that waits for the lease says nothing of them", () => {
    expect([...sources({}).polls()]).toEqual([]);
  });
});
