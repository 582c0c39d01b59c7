import { beforeEach, describe, expect, it } from "vitest";
import { SyncError } from "../../errors/index.ts";
import type { PollDemand } from "../../ports/index.ts";
import { VirtualClock } from "../../time/clock.ts";
import { defaultLimits, trouble } from "../limits.ts";
import { AsmFailure, type AsmApi, type AsmSecret } from "./api.ts";
import { olderThan } from "./older.ts";
import { AsmPoller, notes } from "./poller.ts";

/** An account in memory that counts calls and obeys the name filter. */
class Account implements AsmApi {
  readonly secrets = new Map<string, AsmSecret>();
  readonly hidden = new Set<string>();
  readonly denied = new Set<string>();
  readonly created = new Map<string, number>();
  calls: Record<string, number> = {};
  extra: AsmSecret[] = [];

  count(action: string): void {
    this.calls[action] = (this.calls[action] ?? 0) + 1;
    if (this.denied.has(action)) throw new AsmFailure("AccessDeniedException");
  }
  put(name: string, version = "v1", more: Partial<AsmSecret> = {}): void {
    const arn = `arn:aws:secretsmanager:us-east-1:111122223333:secret:${name}-AbCdEf`;
    this.secrets.set(name, {
      name,
      arn,
      stages: new Map([["AWSCURRENT", version]]),
      pendingDeletion: false,
      changedAtMs: undefined,
      tags: [],
      description: undefined,
      owningService: undefined,
      ...more,
    });
  }
  list: AsmApi["list"] = ({ prefixes, token, limit }) => {
    this.count("list");
    const all = [...this.secrets.values(), ...this.extra].filter(
      (entry) =>
        !this.hidden.has(entry.name) &&
        (prefixes === undefined ||
          prefixes.some((prefix) => entry.name.startsWith(prefix) || this.extra.includes(entry))),
    );
    const from = Number(token ?? 0);
    return Promise.resolve({
      secrets: all.slice(from, from + limit),
      next: from + limit < all.length ? String(from + limit) : undefined,
    });
  };
  describe: AsmApi["describe"] = (name) => {
    this.count("describe");
    const entry = this.secrets.get(name);
    return entry === undefined ? Promise.reject(new AsmFailure("ResourceNotFoundException")) : Promise.resolve(entry);
  };
  versions: AsmApi["versions"] = () => {
    this.count("versions");
    return Promise.resolve(this.created);
  };
  get: AsmApi["get"] = () => Promise.reject(new Error("a poll reads no value"));
  batchGet: AsmApi["batchGet"] = () => Promise.reject(new Error("a poll reads no value"));
  close: AsmApi["close"] = () => Promise.resolve();
}

let account: Account;
let clock: VirtualClock;
let poller: AsmPoller;
let unmatched = 0;
const signal = new AbortController().signal;

beforeEach(() => {
  account = new Account();
  clock = new VirtualClock();
  unmatched = 0;
  poller = new AsmPoller({
    api: account,
    clock,
    region: "us-east-1",
    limits: { ...defaultLimits, maxItems: 2_000 },
    onUnmatched: (count) => (unmatched += count),
  });
});

async function poll(demand: Partial<PollDemand>) {
  account.calls = {};
  return poller.poll({ paths: [], subtrees: [], fresh: false, ...demand }, signal);
}
const many = (count: number, prefix = "app/"): string[] => Array.from({ length: count }, (_, n) => `${prefix}s${n}`);

describe("cost", () => {
  it("needs ten calls for a thousand names", async () => {
    const names = many(1000);
    for (const name of names) account.put(name);
    const result = await poll({ paths: names });
    expect(account.calls).toEqual({ list: 10 });
    expect(result).toMatchObject({ method: "List", notes: [notes.lag] });
    expect(result.facts.size).toBe(1000);
  });

  it("describes few names in a large account, and learns that once", async () => {
    for (const name of many(1500)) account.put(name);
    await poll({ paths: many(5) });
    expect(account.calls).toEqual({ list: 5, describe: 5 });
    const again = await poll({ paths: many(5) });
    expect(account.calls).toEqual({ describe: 5 });
    expect(again.method).toBe("Describe");
    expect((await poll({ paths: many(3) })).facts.size).toBe(3);
    expect(account.calls).toEqual({ describe: 3 });
    await clock.advance(3_600_000);
    await poll({ paths: many(5) });
    expect(account.calls["list"]).toBe(5);
  });

  it("describes when the list is denied, and tries the list again after an hour", async () => {
    for (const name of many(10)) account.put(name);
    account.denied.add("list");
    const first = await poll({ paths: many(10), subtrees: ["app"] });
    expect(account.calls).toEqual({ list: 1, describe: 10 });
    expect(first.notes).toEqual([notes.listDenied]);
    expect(first.subtrees.get("app")).toMatchObject({ reason: "AccessDenied", right: "secretsmanager:ListSecrets" });
    const second = await poll({ paths: many(10), subtrees: ["app"] });
    expect(account.calls).toEqual({ describe: 10 });
    expect(second.notes).toEqual([notes.listDenied]);
    expect(second.subtrees.get("app")).toMatchObject({ reason: "AccessDenied" });
    account.denied.clear();
    expect((await poll({ paths: many(10), subtrees: ["app"], fresh: true })).subtrees.get("app")).toHaveLength(10);
    await clock.advance(3_600_000);
    expect((await poll({ paths: many(10) })).method).toBe("List");
  });

  it("uses the list, which may lag, where describing is denied", async () => {
    for (const name of many(4)) account.put(name);
    account.denied.add("describe");
    for (const fresh of [true, false]) {
      const result = await poll({ paths: [...many(2), "app/none"], fresh });
      expect([...result.facts.keys()]).toEqual(many(2));
      expect(result.notes).toEqual([notes.lag]);
      expect(result.failures.get("app/none")).toMatchObject({
        reason: "AccessDenied",
        right: "secretsmanager:DescribeSecret",
      });
    }
    const subtree = await poll({ subtrees: ["app"], fresh: true });
    expect(subtree.facts.size).toBe(4);
    expect(subtree.failures.size).toBe(0);
  });

  it("asks for each secret by itself when the answer must be fresh", async () => {
    for (const name of many(10)) account.put(name);
    expect((await poll({ paths: many(10), fresh: true })).method).toBe("Describe");
    expect(account.calls).toEqual({ describe: 10 });
  });
});

describe("facts", () => {
  it("takes absence from a list for a question", async () => {
    for (const name of many(5)) account.put(name);
    account.hidden.add("app/s1");
    account.secrets.delete("app/s2");
    account.put("app/s3", "v1", { pendingDeletion: true });
    account.put("app/s4", "v1", { stages: new Map() });
    const { facts } = await poll({ paths: many(5) });
    expect(account.calls).toEqual({ list: 1, describe: 2 });
    expect(facts.get("app/s1")?.state).toBe("Present");
    expect(facts.get("app/s2")).toMatchObject({ state: "Gone", how: "NotFound" });
    expect(facts.get("app/s3")).toMatchObject({ state: "Gone", how: "PendingDeletion" });
    expect(facts.get("app/s4")).toMatchObject({ state: "Present", stages: new Map() });
  });

  it("lists subtrees by whole segments, sorted, without what is being deleted", async () => {
    for (const name of ["team/b", "team/a", "team", "teams/x", "team/c/d"]) account.put(name);
    account.put("team/gone", "v1", { pendingDeletion: true });
    const result = await poll({ subtrees: ["team"] });
    expect(result.subtrees.get("team")).toEqual(["team/a", "team/b", "team/c/d"]);
    expect([...result.facts.keys()].sort()).toEqual(["team/a", "team/b", "team/c/d", "team/gone"]);
    expect((await poll({ subtrees: ["../x"] })).subtrees.get("../x")).toMatchObject({ reason: "InvalidPath" });
  });

  it("looks at the members of a subtree one by one when the answer must be fresh", async () => {
    for (const name of many(4)) account.put(name);
    const result = await poll({ subtrees: ["app"], fresh: true });
    expect(account.calls).toEqual({ list: 1, describe: 4 });
    expect(result.facts.size).toBe(4);
  });

  it("drops answers for other names and ARNs", async () => {
    for (const name of many(5)) account.put(name);
    const neighbour = account.secrets.get("app/s0");
    account.extra = [
      { ...(neighbour as AsmSecret), name: "app/other" },
      { ...(neighbour as AsmSecret), name: "zzz", arn: "arn:aws:secretsmanager:us-east-1:1:secret:zzz-AbCdEf" },
    ];
    const { facts } = await poll({ paths: many(5), subtrees: ["app"] });
    expect([...facts.keys()].sort()).toEqual(many(5));
    expect(unmatched).toBe(2);
    account.put("app/s0", "v1", { arn: "arn:aws:secretsmanager:eu-west-1:111122223333:secret:app/s0-AbCdEf" });
    const strange = await poll({ paths: ["app/s0", "app/s1"], fresh: true });
    expect([...strange.facts.keys()]).toEqual(["app/s1"]);
    expect(strange.failures.get("app/s0")?.reason).toBe("SourceUnavailable");
  });

  it("notes what AWS services own, and refuses bad names without a call", async () => {
    account.put("rds!x", "v1", { owningService: "rds" });
    const result = await poll({ paths: ["rds!x", "a%2fb", "a//b"] });
    expect(result.notes).toEqual([notes.owned]);
    expect([...result.failures.values()].map((error) => error.reason)).toEqual(["InvalidPath", "InvalidPath"]);
    expect(account.calls).toEqual({ describe: 1 });
  });

  it("fails one path for a denial and the whole poll for an outage", async () => {
    account.put("a");
    account.denied.add("describe").add("list");
    const result = await poll({ paths: ["a"] });
    expect(result.failures.get("a")).toMatchObject({ reason: "AccessDenied", right: "secretsmanager:DescribeSecret" });
    account.denied.clear();
    account.describe = () => Promise.reject(new SyncError("SourceUnavailable", "x"));
    await expect(poll({ paths: ["a"] })).rejects.toMatchObject({ reason: "SourceUnavailable" });
  });
});

it("does not let one odd secret fail the poll", async () => {
  account.put("a");
  account.put("b");
  const describe = account.describe;
  account.describe = (name, both) =>
    name === "a" ? Promise.reject(trouble("describe a", "InternalServiceError")) : describe(name, both);
  const { facts, failures } = await poll({ paths: ["a", "b"] });
  expect([...facts.keys()]).toEqual(["b"]);
  expect(failures.get("a")).toMatchObject({ reason: "SourceUnavailable", code: "InternalServiceError" });
  await expect(poll({ paths: ["a"] })).rejects.toMatchObject({ reason: "SourceUnavailable" });
});

describe("an outage that looks like trouble with each secret", () => {
  const broken = () => Promise.reject(trouble("x", "InternalServiceError"));

  it("is noticed after a few calls, not after one for each", async () => {
    for (const name of many(1000)) account.put(name);
    account.describe = () => (account.count("describe"), broken());
    account.list = () => (account.count("list"), broken());
    await expect(poll({ paths: many(1000), fresh: true })).rejects.toMatchObject({
      reason: "SourceUnavailable",
      code: undefined,
    });
    expect(account.calls["describe"]).toBeLessThanOrEqual(20);
    expect(account.calls["list"]).toBe(1);
  });

  it.each([
    ["may list", () => undefined],
    ["may not list", () => void account.denied.add("list")],
  ])("is none while the store answers other calls of who %s", async (_, prepare) => {
    for (const name of many(100)) account.put(name);
    prepare();
    const describe = account.describe;
    const odd = new Set(many(15));
    account.describe = (name, both) => (odd.has(name) ? broken() : describe(name, both));
    const { facts, failures } = await poll({ paths: many(100), fresh: true });
    expect([facts.size, failures.size, account.calls["list"]]).toEqual([85, 15, 1]);
  });
});

describe("versions that went back", () => {
  it("asks once for each move, and tells which versions are older", async () => {
    account.put("a", "new");
    account.created.set("old", 1).set("new", 2).set("newest", 3);
    const known = new Map([["a", new Set(["old"])]]);
    const forward = await poll({ paths: ["a"], known });
    expect(forward.facts.get("a")).toMatchObject({ olderThanCurrent: new Set(["old"]) });
    await poll({ paths: ["a"], known });
    expect(account.calls).toEqual({ describe: 1 });
    const back = await poll({ paths: ["a"], known: new Map([["a", new Set(["newest"])]]) });
    expect(account.calls["versions"]).toBe(1);
    expect(back.facts.get("a")).toMatchObject({ olderThanCurrent: new Set(["old"]) });
    await poll({ paths: ["a"], known: new Map([["a", new Set(["new"])]]) });
    expect(account.calls).toEqual({ describe: 1 });
  });

  it("says that it cannot tell without the right", async () => {
    account.put("a", "new");
    account.denied.add("versions");
    for (let n = 0; n < 2; n++) {
      const result = await poll({ paths: ["a"], known: new Map([["a", new Set(["old"])]]) });
      expect(result.notes).toEqual([notes.versionsDenied]);
      expect(result.facts.get("a")).not.toHaveProperty("olderThanCurrent");
    }
    expect(account.calls).toEqual({ describe: 1 });
  });

  it("counts a pruned version and an equal time as older", () => {
    expect(
      olderThan(
        new Map([
          ["c", 5],
          ["same", 5],
          ["later", 6],
        ]),
        "c",
        new Set(["pruned"]),
      ),
    ).toEqual(new Set(["same", "pruned"]));
    expect(olderThan(new Map(), "c", new Set(["x"]))).toBeUndefined();
  });
});
