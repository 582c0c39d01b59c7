import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { SourceFact } from "../ports/index.ts";
import { resolveVersion } from "./resolve.ts";
import { nextTick, stableOffset } from "./schedule.ts";

type Present = Extract<SourceFact, { state: "Present" }>;

const aws: Present = {
  state: "Present",
  path: "p",
  stages: new Map([
    ["AWSCURRENT", "v2"],
    ["AWSPREVIOUS", "v1"],
    ["blue", "v0"],
  ]),
  versions: undefined,
  versionKind: "Id",
  olderThanCurrent: new Set(["v0", "v1"]),
};
const vault: Present = {
  state: "Present",
  path: "kv/p",
  stages: new Map([["latest", "7"]]),
  versions: new Set(["5", "6", "7"]),
  versionKind: "Number",
};
const content: Present = {
  ...vault,
  stages: new Map([["latest", "content-x"]]),
  versions: undefined,
  versionKind: "Content",
};
const older = new Set(["v0", "v1"]);
const found = (version: string, more: object = {}) => ({
  found: true,
  version,
  older: undefined,
  numbered: false,
  ...more,
});

describe("the version that a reference means", () => {
  it.each([
    ["ASM, nothing said", aws, {}, found("v2", { older })],
    ["ASM, AWSCURRENT by name", aws, { stage: "AWSCURRENT" }, found("v2", { older })],
    ["ASM, another stage: nothing is known of its past", aws, { stage: "AWSPREVIOUS" }, found("v1")],
    ["ASM, a stage of one's own", aws, { stage: "blue" }, found("v0")],
    ["ASM, a stage that is not there", aws, { stage: "green" }, { found: false }],
    ["ASM, a pinned version; no method tells all", aws, { version: "v0" }, found("v0")],
    ["KV v2, nothing said", vault, {}, found("7", { numbered: true })],
    ["KV v2, a pinned version", vault, { version: "5" }, found("5")],
    ["KV v2, a version that is destroyed", vault, { version: "4" }, { found: false }],
    ["KV v1, nothing said", content, {}, found("content-x")],
    ["a secret without a current version", { ...aws, stages: new Map<string, string>() }, {}, { found: false }],
  ])("%s", (_name, fact, ref, expected) => {
    expect(resolveVersion(fact, { path: fact.path, ...ref })).toEqual(expected);
  });
});

describe("a store's place in the interval", () => {
  it("is stable, inside the interval, and the next tick lies on it", () => {
    fc.assert(
      fc.property(fc.string(), fc.integer({ min: 1_000, max: 86_400_000 }), fc.nat(2 ** 45), (key, interval, now) => {
        const offset = stableOffset(key, interval);
        expect(offset).toBe(stableOffset(key, interval));
        expect(offset).toBeGreaterThanOrEqual(0);
        expect(offset).toBeLessThan(interval);
        const next = nextTick(key, interval, now);
        expect(next).toBeGreaterThan(now);
        expect(next - now).toBeLessThanOrEqual(interval);
        expect((((next - offset) % interval) + interval) % interval).toBe(0);
      }),
    );
  });

  it("spreads stores over it", () => {
    const places = new Set(
      Array.from({ length: 60 }, (_, at) => Math.floor(stableOffset(`store-${at}`, 300_000) / 30_000)),
    );
    expect(places.size).toBeGreaterThanOrEqual(8);
  });
});
