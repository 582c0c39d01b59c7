import { beforeEach, describe, expect, it } from "vitest";
import { SecretValue } from "../../model/index.ts";
import { bindCredential } from "../../net/index.ts";
import type { SecretSource } from "../../ports/index.ts";
import { VirtualClock } from "../../time/clock.ts";
import type { VaultAnswer, VaultAPI } from "./api.ts";
import { vaultSourceOver } from "./source.ts";
import type { VaultAuth } from "./token.ts";

/** A Vault that answers whatever a test says, for what a real one would never say. */
let answers: Record<string, () => VaultAnswer>;
let asked: string[];
let source: SecretSource;
const signal = new AbortController().signal;
const ok = (body: unknown): VaultAnswer => ({
  status: 200,
  headers: { date: "Mon, 05 Jan 2026 10:00:00 GMT" },
  text: typeof body === "string" ? body : JSON.stringify(body),
});
const status = (code: number): VaultAnswer => ({ status: code, headers: {}, text: '{"errors":[]}' });
const keys =
  (...names: unknown[]) =>
  (): VaultAnswer =>
    ok({ data: { keys: names } });

function serve(verb: string, path: string): Promise<VaultAnswer> {
  asked.push(`${verb} ${path}`);
  const found = answers[`${verb} ${path}`];
  if (found !== undefined) return Promise.resolve(found());
  if (path === "auth/token/lookup-self") return Promise.resolve(ok({ data: { ttl: 0 } }));
  if (path.startsWith("sys/internal/ui/mounts/kv/") || path === "sys/internal/ui/mounts/kv")
    return Promise.resolve(ok({ data: { path: "kv/", type: "kv", options: { version: "2" } } }));
  return Promise.resolve(status(404));
}
const api: VaultAPI = {
  read: (under, rest) => serve("read", [...under, ...rest].join("/")),
  list: (under, rest) => serve("list", [...under, ...rest].join("/")),
  write: (under, rest) => serve("write", [...under, ...rest].join("/")),
  close: () => Promise.resolve(),
};

beforeEach(() => {
  answers = {};
  asked = [];
  const credential: VaultAuth = { kind: "Token", token: SecretValue.fromText("t") };
  const access = bindCredential(
    {
      service: "Vault",
      owner: { kind: "Operator" },
      credential,
      endpoint: "https://vault.example.com:8200",
      allowed: ["vault.example.com"],
    },
    {},
  );
  source = vaultSourceOver(api, {
    access,
    clock: new VirtualClock(),
    namespace: "team",
    contentVersion: () => "hash",
    limits: { maxItems: 50, maxDepth: 3 },
  });
});
const metadata =
  (current: unknown, versions: unknown, more: object = {}) =>
  (): VaultAnswer =>
    ok({ data: { current_version: current, versions, ...more } });
const poll = (paths: string[], subtrees: string[] = []) => source.poll({ paths, subtrees, fresh: false }, signal);
const fact = async (path = "kv/a") => (await poll([path])).facts.get(path);

describe("walks", () => {
  it("goes down all folders and leaves names that cannot be asked for as failures", async () => {
    answers["list kv/metadata/t"] = keys("a", "b/", "a/", "%2e%2e", "..", "x\u202ey", "../");
    answers["list kv/metadata/t/a"] = keys("deep");
    answers["list kv/metadata/t/b"] = keys("c");
    const { subtrees, failures } = await poll([], ["kv/t"]);
    expect(subtrees.get("kv/t")).toEqual(["kv/t/a", "kv/t/a/deep", "kv/t/b/c"]);
    expect([...failures.keys()].sort()).toEqual(["kv/t/%2e%2e", "kv/t/..", "kv/t/x\u202ey"]);
    expect(asked.some((line) => line.includes(".."))).toBe(false);
  });

  it("is capped in depth and number, and a part is a failure", async () => {
    for (const path of ["t", "t/d", "t/d/d", "t/d/d/d", "t/d/d/d/d"]) answers[`list kv/metadata/${path}`] = keys("d/");
    expect((await poll([], ["kv/t"])).subtrees.get("kv/t")).toMatchObject({ reason: "TooManyMatches" });
    expect(asked.length).toBeLessThan(10);
    answers["list kv/metadata/t"] = keys(...Array.from({ length: 51 }, (_, n) => `s${n}`));
    expect((await poll([], ["kv/t"])).subtrees.get("kv/t")).toMatchObject({ reason: "TooManyMatches" });
    answers["list kv/metadata/t"] = keys("a", "d/");
    answers["list kv/metadata/t/d"] = () => status(403);
    expect((await poll([], ["kv/t"])).subtrees.get("kv/t")).toMatchObject({
      reason: "AccessDenied",
      right: "list on kv/metadata/t/d",
    });
  });

  it("takes a strange list for an outage, not for an empty folder", async () => {
    for (const body of ["", "[]", '{"data":{}}', '{"data":{"keys":[1]}}', '{"data":{"keys":{"a":1}}}']) {
      answers["list kv/metadata/t"] = () => ok(body);
      await expect(poll([], ["kv/t"]), body).rejects.toMatchObject({ reason: "SourceUnavailable" });
    }
  });
});

describe("metadata", () => {
  it("tells versions, and a deletion only when its time has come by Vault's clock", async () => {
    answers["read kv/metadata/a"] = metadata(3, {
      1: { destroyed: true },
      2: { deletion_time: "2026-01-05T09:00:00Z" },
      3: { deletion_time: "2026-01-06T00:00:00Z", destroyed: false },
    });
    expect(await fact()).toMatchObject({
      state: "Present",
      versions: new Set(["3"]),
      stages: new Map([["latest", "3"]]),
    });
    answers["read kv/metadata/a"] = metadata(3, { 3: { deletion_time: "2026-01-05T10:00:00.5Z" } });
    expect(await fact()).toMatchObject({ state: "Gone", how: "Deleted" });
  });

  it("takes strange answers for an outage, never for a deletion", async () => {
    for (const answer of [
      metadata("3", {}),
      metadata(-1, {}),
      metadata(1.5, {}),
      metadata(undefined, {}),
      () => ok("not json"),
      () => ok("{}"),
      () => status(204),
    ]) {
      answers["read kv/metadata/a"] = answer;
      await expect(poll(["kv/a"])).rejects.toMatchObject({ reason: "SourceUnavailable" });
    }
  });

  it("does not let one odd secret take the store away from the others", async () => {
    answers["read kv/metadata/good"] = metadata(1, {});
    for (const odd of [() => status(500), () => status(400), () => ok("{}"), metadata(-1, {})]) {
      answers["read kv/metadata/odd"] = odd;
      const { facts, failures } = await poll(["kv/odd", "kv/good"]);
      expect(facts.get("kv/good")?.state).toBe("Present");
      expect(failures.get("kv/odd")).toMatchObject({ reason: "SourceUnavailable", code: expect.any(String) as string });
    }
    answers["read kv/data/odd"] = () => status(500);
    await expect(source.read({ path: "kv/odd" }, signal)).rejects.toMatchObject({
      reason: "SourceUnavailable",
      code: "500",
    });
    answers["read kv/metadata/good"] = () => status(500);
    await expect(poll(["kv/odd", "kv/good"])).rejects.toMatchObject({ reason: "SourceUnavailable", code: undefined });
  });

  it("refuses the mount itself as a secret", async () => {
    expect((await poll(["kv"])).failures.get("kv")).toMatchObject({ reason: "InvalidPath" });
    await expect(source.read({ path: "kv" }, signal)).rejects.toMatchObject({ reason: "InvalidPath" });
  });

  it("does not call a path invalid while a mount is being upgraded", async () => {
    answers["read kv/metadata/a"] = () => ({
      status: 400,
      headers: {},
      text: '{"errors":["Upgrading from non-versioned to versioned data. This path will be unavailable"]}',
    });
    await expect(poll(["kv/a"])).rejects.toMatchObject({ reason: "SourceUnavailable" });
  });
});

describe("values", () => {
  const data = (inner: string): VaultAnswer => ok(`{"data":{"data":${inner},"metadata":{"version":2}}}`);
  it("takes the text of the data as it came", async () => {
    answers["read kv/data/a"] = () => data('{"n": 1.10, "big": 12345678901234567890 }');
    const { payload, version } = await source.read({ path: "kv/a" }, signal);
    expect([version, payload.raw.text(), payload.keys.get("n")?.text()]).toEqual([
      "2",
      '{"n": 1.10, "big": 12345678901234567890 }',
      "1.10",
    ]);
  });

  it("refuses what cannot be carried, another version, and broken answers, and quotes nothing", async () => {
    const cases: [string, string][] = [
      ['{"canary":1,"canary":2}', "NotRepresentable"],
      ['"canary"', "SourceUnavailable"],
      ["null", "SourceUnavailable"],
      ["{canary", "SourceUnavailable"],
      ["{}", "SourceEmpty"],
      [`${"[".repeat(100_000)}`, "SourceUnavailable"],
      [`{"canary":${"[".repeat(80)}${"]".repeat(80)}}`, "NotRepresentable"],
    ];
    for (const [inner, reason] of cases) {
      answers["read kv/data/a"] = () => data(inner);
      const error = await source.read({ path: "kv/a" }, signal).catch((caught: unknown) => caught as Error);
      expect(error, inner.slice(0, 40)).toMatchObject({ reason });
      expect(String(error) + JSON.stringify(error)).not.toContain("canary");
    }
    answers["read kv/data/a"] = () => data('{"a":1}');
    await expect(source.read({ path: "kv/a", version: "1" }, signal)).rejects.toMatchObject({
      reason: "SourceUnavailable",
    });
    await expect(source.read({ path: "kv/a", version: "01" }, signal)).rejects.toMatchObject({
      reason: "VersionNotFound",
    });
    await expect(source.read({ path: "kv/a", stage: "AWSCURRENT" }, signal)).rejects.toMatchObject({
      reason: "VersionNotFound",
    });
  });
});

it("names the host, the namespace and the login, not the credential", () => {
  expect(source.identity).toBe("vault.example.com:8200/team/token");
});
