import { describe, expect, it } from "vitest";
import type { RegistrationConflicts, RegistrationHealth, WantedRegistration } from "../model/index.ts";
import { formerCopies, handoverRegistration, isVerified, recordedAfter } from "./handover.ts";

describe("copies of the operator's, when ScaiVault is to run them", () => {
  it.each<[string, string[], string[], string[], string[]]>([
    ["all of them", ["ext/a/**"], ["ext/a/**"], ["ext/a/**"], []],
    ["below a wider mapping", ["ext/a/**", "ext/b"], ["ext/**"], ["ext/a/**", "ext/b"], []],
    ["above a narrower mapping", ["ext/**"], ["ext/a/**"], ["ext/**"], []],
    ["of a mapping that went", ["ext/a/**", "old/**"], ["ext/a/**"], ["ext/a/**"], ["old/**"]],
    ["with a name that only begins alike", ["ext/ab/**"], ["ext/a/**"], [], ["ext/ab/**"]],
    ["of none", [], ["ext/**"], [], []],
  ])("%s", (_what, copies, mapping, below, beside) => {
    expect(formerCopies(copies, mapping)).toEqual({ below, beside });
  });

  it("are recorded one by one where the mapping holds a part of them, and as a whole when they are many", () => {
    const former = { below: ["ext/**"], beside: ["old/**"] };
    expect(recordedAfter(former, ["ext/b/x", "ext/b/y"], ["ext/a/**"], 128)).toEqual(["old/**", "ext/b/x", "ext/b/y"]);
    expect(recordedAfter(former, ["ext/b/x", "ext/b/y"], ["ext/a/**"], 2)).toEqual(["old/**", "ext/b/**"]);
    // A pattern that names what ScaiVault runs would have it taken over once more.
    expect(recordedAfter(former, ["ext/x", "ext/y"], ["ext/a/**"], 3)).toEqual(["old/**", "ext/x", "ext/y"]);
  });
});

it("is a sync that decides nothing, whatever is declared", () => {
  const wanted: WantedRegistration = {
    name: "n",
    type: "hashicorp-vault",
    config: new Map(),
    pathMapping: new Map([["ext/**", "kv/data/**"]]),
    mode: "proxy",
    syncInterval: undefined,
    conflictResolution: undefined,
  };
  const comparing = { mode: "sync", conflictResolution: "manual" };
  expect(handoverRegistration(wanted, "15m")).toEqual({ ...wanted, ...comparing, syncInterval: "15m" });
  const sync = { ...wanted, mode: "sync" as const, syncInterval: "5m", conflictResolution: "remote_wins" };
  expect(handoverRegistration(sync, "15m")).toEqual({ ...sync, ...comparing });
});

describe("copies are verified", () => {
  const health: RegistrationHealth = {
    status: "healthy",
    connection: "connected",
    latencyMs: 1,
    lastSyncMs: 1,
    lastSyncDurationMs: 1,
    secretsSynced: 2,
    secretsFailed: undefined,
    secretsSkipped: undefined,
    conflictCount: undefined,
    errorCode: undefined,
  };
  const none: RegistrationConflicts = { conflicts: [], more: false };
  const differing: RegistrationConflicts = {
    conflicts: [
      { path: "ext/a", backendPath: undefined, localVersion: 1, detectedMs: undefined, resolution: undefined },
    ],
    more: false,
  };
  it.each<[string, RegistrationHealth | undefined, RegistrationConflicts | undefined, boolean]>([
    ["when a sync ended well and nothing differs", health, none, true],
    ["not before the first status", undefined, none, false],
    ["not before the first sync", { ...health, lastSyncMs: undefined }, none, false],
    ["not while some could not be read", { ...health, secretsFailed: 1 }, none, false],
    ["not while the store fails", { ...health, status: "degraded" }, none, false],
    ["not before conflicts were listed", health, undefined, false],
    ["not while some differ", health, differing, false],
    ["not while more may differ", health, { conflicts: [], more: true }, false],
    ["not while ScaiVault counts some", { ...health, conflictCount: 1 }, none, false],
  ])("%s", (_what, status, conflicts, expected) => {
    expect(isVerified(status, conflicts)).toBe(expected);
  });
});
