import { describe, expect, it } from "vitest";
import type { SourceFact } from "../ports/index.ts";
import { changedMs } from "./changed.ts";

type Present = Extract<SourceFact, { state: "Present" }>;

const at = (text: string): number => Date.parse(text);
const NOW = at("2026-03-01T12:00:00Z");
const fact = (version: string, more: Partial<Present> = {}): Present => ({
  state: "Present",
  path: "a",
  stages: new Map([["latest", version]]),
  versions: undefined,
  versionKind: "Number",
  ...more,
});
const dated = (version: string, time: string): Present => fact(version, { writtenAt: new Map([[version, time]]) });
const gone: SourceFact = { state: "Gone", path: "a", how: "NotFound" };
const before = (of: SourceFact, ms?: number) => ({ fact: of, changedMs: ms });
const T1 = at("2026-03-01T11:59:00Z");

describe("when a source changed", () => {
  it.each<[string, ReturnType<typeof before> | undefined, SourceFact, number | undefined]>([
    ["the version's own time goes first", undefined, { ...dated("2", "2026-03-01T11:59:00Z"), changedAtMs: NOW }, T1],
    ["else the secret's last change", undefined, fact("b", { changedAtMs: T1 }), T1],
    ["else the poll that saw it", undefined, fact("b"), NOW],
    ["a store whose clock is ahead: not after the poll", undefined, fact("b", { changedAtMs: NOW + 60_000 }), NOW],
    ["the same version keeps its time", before(fact("b"), T1), fact("b"), T1],
    [
      "a tag that changed later does not move it",
      before(fact("b", { changedAtMs: T1 }), T1),
      fact("b", { changedAtMs: NOW }),
      T1,
    ],
    ["another version has a time of its own", before(fact("b"), T1), fact("c"), NOW],
    [
      "a number that came again at another time is another version",
      before(dated("1", "2026-01-01T00:00:00Z"), 5),
      dated("1", "2026-03-01T11:59:00Z"),
      T1,
    ],
    ["gone has no time", before(fact("b"), T1), gone, undefined],
    ["and what comes after it has a new one", before(gone), fact("b"), NOW],
  ])("%s", (_name, known, seen, wanted) => {
    expect(changedMs(known, seen, NOW)).toBe(wanted);
  });
});
