import { describe, expect, it } from "vitest";
import { decideFound, decideGone } from "./decide.ts";
import type { FoundAction, LocalSide } from "./decide.ts";
import type { ConflictResolution } from "./record.ts";

const side = (given: Partial<LocalSide>): LocalSide => ({
  state: "live",
  equal: false,
  inStep: false,
  removedBySync: false,
  ...given,
});

describe("a path that the store has", () => {
  it.each<[string, Partial<LocalSide>, Record<ConflictResolution, FoundAction>]>([
    ["absent here", { state: "none" }, { remote_wins: "write", local_wins: "write", manual: "write" }],
    ["equal", { equal: true }, { remote_wins: "settled", local_wins: "settled", manual: "settled" }],
    ["an untouched copy", { inStep: true }, { remote_wins: "write", local_wins: "conflict", manual: "write" }],
    ["changed here", {}, { remote_wins: "write", local_wins: "conflict", manual: "conflict" }],
    ["deleted here", { state: "deleted" }, { remote_wins: "restore", local_wins: "keep", manual: "conflict" }],
    [
      "deleted by a sync",
      { state: "deleted", removedBySync: true, inStep: true },
      { remote_wins: "restore", local_wins: "restore", manual: "restore" },
    ],
  ])("%s", (_name, given, expected) => {
    for (const [resolution, action] of Object.entries(expected))
      expect([resolution, decideFound(resolution as ConflictResolution, side(given))]).toEqual([resolution, action]);
  });
});

describe("a path that the store has no more", () => {
  it.each<[Pick<LocalSide, "state" | "inStep">, ConflictResolution, "remove" | "forget"]>([
    [{ state: "live", inStep: true }, "remote_wins", "remove"],
    [{ state: "live", inStep: true }, "manual", "remove"],
    [{ state: "live", inStep: true }, "local_wins", "forget"],
    [{ state: "live", inStep: false }, "remote_wins", "forget"],
    [{ state: "live", inStep: false }, "manual", "forget"],
    [{ state: "deleted", inStep: true }, "remote_wins", "forget"],
    [{ state: "none", inStep: false }, "remote_wins", "forget"],
  ])("%j with %s: %s", (local, resolution, expected) => expect(decideGone(resolution, local)).toBe(expected));
});
