import { expect, it } from "vitest";
import type { Mark } from "../model/index.ts";
import { wentBack } from "./plan-context.ts";

const mark = (version: string): Mark => ({
  owner: "c/n/SecretSync/a",
  source: "n/b@1:kv/a",
  version,
  targetVersion: "1",
  authority: "Source",
  policy: "Retain/Retain/x",
  fingerprint: "f",
});
const rows: { name: string; now: string; copied: string; older?: string[]; numbered?: boolean; back: boolean }[] = [
  { name: "the same version", now: "7@2026-01-01T00:00:00Z", copied: "7@2026-01-01T00:00:00Z", back: false },
  { name: "the next version", now: "8@2026-01-02T00:00:00Z", copied: "7@2026-01-01T00:00:00Z", back: false },
  { name: "an older version", now: "6@2025-12-31T00:00:00Z", copied: "7@2026-01-01T00:00:00Z", back: true },
  {
    name: "made anew, numbers begin again",
    now: "1@2026-01-02T00:00:00Z",
    copied: "7@2026-01-01T00:00:00Z",
    back: false,
  },
  {
    name: "the same number in a restored store",
    now: "7@2025-12-30T00:00:00Z",
    copied: "7@2026-01-01T00:00:00Z",
    back: true,
  },
  {
    name: "two versions in one millisecond",
    now: "6@2026-01-01T00:00:00Z",
    copied: "7@2026-01-01T00:00:00Z",
    back: true,
  },
  { name: "numbers without times, smaller", now: "6", copied: "7", back: true },
  { name: "numbers without times, larger", now: "8", copied: "7", back: false },
  { name: "ids, the copied one is among the older", now: "b", copied: "a", older: ["a"], numbered: false, back: false },
  {
    name: "ids, the copied one is not among the older",
    now: "a",
    copied: "b",
    older: ["0"],
    numbered: false,
    back: true,
  },
  { name: "ids, nothing is known", now: "a", copied: "b", numbered: false, back: false },
];
it.each(rows)("$name: $now after $copied", ({ now, copied, older, numbered = true, back }) => {
  const wanted = {
    from: "Source",
    sourceID: "n/b@1:kv/a",
    version: now,
    older: older === undefined ? undefined : new Set(older),
    numbered,
    need: { kind: "SourceValue" },
  } as const;
  expect(wentBack(wanted, mark(copied))).toBe(back);
});
