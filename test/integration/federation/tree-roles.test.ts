import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Harness, startOperator } from "../../support/operator.ts";

/** The tree of one backend as the writer of a fleet changes: who writes, and what is not written anew. */
let op: Harness<"team">;
let ns: string;

const names = ["a", "b", "c"];
const path = (name: string): string => `external/aws/${name}`;
const versions = () => names.map((name) => op.stored(path(name))?.version);
const owners = () =>
  names.map((name) => JSON.stringify(op.scaivault.server.admin.peek(path(name))?.metadata).match(/east|west/)?.[0]);
/** Restarts as another cluster, or in another role. */
const as = async (cluster: string, scaivault: object): Promise<void> => {
  const { url, auth } = op.file["scaivault"] as Record<string, unknown>;
  op.file = { ...op.file, cluster: { name: cluster }, scaivault: { url, auth, ...scaivault } };
  await op.restart();
};
const verdict = (wanted: string) => op.verdict("FederationBackend", ns, "aws", wanted, { virtualMs: 600_000 });
/** What the operator wrote to ScaiVault since the last `mark`, by method. */
const writes = async (): Promise<string[]> => {
  await op.idle();
  return op.scaivault.server.admin
    .requests()
    .filter(({ method, userAgent }) => method !== "GET" && userAgent.startsWith("scaivault-operator/"))
    .map(({ method }) => method)
    .filter((method) => method !== "POST");
};

beforeAll(async () => {
  op = await startOperator({ namespaces: ["team"] });
  ns = op.ns.team;
  for (const name of names) await op.aws.put(`prod/${name}`, op.canaries.value(name));
  await as("east", { role: "Writer" });
  await op.awsBackend(ns, "aws", {
    federation: { mode: "sync", pathMapping: [{ scaivaultPath: "external/aws/**", sourcePath: "prod/**" }] },
  });
  await verdict("True InSync");
});
afterAll(() => op?.stop());

describe("a tree whose operator changes its role", () => {
  it("is only looked at by a Reader: what changes waits for the writer", async () => {
    await as("east", { role: "Reader" });
    await verdict("True InSync");
    await op.mark();
    await op.aws.put("prod/a", op.canaries.value("while nobody writes"));
    await op.interval();
    await op.eventually("it waits", async () => {
      const { problems = [] } = (await op.cluster.backend(ns, "aws"))?.status ?? {};
      return problems.some((one) => one.path === path("a") && one.reason === "WaitingForWriter");
    });
    expect(await writes()).toEqual([]);
    expect(versions()).toEqual([1, 1, 1]);
  });

  it("is left alone by a writer of another cluster, until that takes over: marks pass on, and only what changed is written", async () => {
    await as("west", { role: "Writer" });
    await op.mark();
    await op.interval();
    expect(await writes()).toEqual([]);
    await as("west", { role: "Writer", takeOverFrom: ["east"] });
    await op.eventually("all are west's", () => Promise.resolve(owners().every((one) => one === "west")), {
      virtualMs: 600_000,
    });
    await verdict("True InSync");
    expect(versions()).toEqual([2, 1, 1]);
  });
});
