import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { expectSaneConditions } from "../../test/support/conditions.ts";
import type { SecretSyncStatus } from "../api/index.ts";
import { type Reason, reasons } from "../errors/index.ts";
import { backendStatus, type BackendStatusInput, type PairReport, syncStatus, type SyncStatusInput } from "./index.ts";
import type { TargetOutcome } from "./types.ts";

const T0 = Date.parse("2026-11-23T10:00:00Z");
const MINUTE = 60_000;
const states = ["InSync", "Pending", "Held", "Conflict", "Failed", "Retained", "Unknown"] as const;

const pair = (state: TargetOutcome["state"], reason: Reason, message = "", path = "prod/x"): PairReport => ({
  path,
  sourceVersion: "v1",
  targets: [{ kind: "ScaiVault", ref: `e/${path}`, state, reason, message, sourceVersion: "v1", targetVersion: "3" }],
  held: 0,
});

function evaluated(
  pairs: PairReport[],
  changes: Partial<Extract<SyncStatusInput["situation"], { kind: "Evaluated" }>> = {},
) {
  return {
    kind: "Evaluated" as const,
    pairs,
    problems: [],
    plan: { hash: "", add: 0, change: 0, delete: 0 },
    subtree: false,
    applyNever: false,
    ...changes,
  };
}

function input(situation: SyncStatusInput["situation"], changes: Partial<SyncStatusInput> = {}): SyncStatusInput {
  return {
    previous: undefined,
    generation: 1,
    nowMs: T0,
    effective: {
      syncInterval: "5m",
      syncIntervalMs: 5 * MINUTE,
      authority: "Source",
      conflictResolution: "remote_wins",
    },
    situation,
    lastGoodMs: T0,
    wrote: false,
    ...changes,
  };
}

const types = (status: SecretSyncStatus) =>
  (status.conditions ?? []).map(({ type, status: is, reason }) => `${type}=${is} ${reason}`);
const good = syncStatus(input(evaluated([pair("InSync", "InSync")]), { wrote: true }));

describe("status of a SecretSync", () => {
  it("is Ready, with versions and counts", () => {
    expectSaneConditions(good);
    expect(types(good)).toEqual(["Ready=True InSync"]);
    expect(good).toMatchObject({
      sourceVersion: "v1",
      counts: { found: 1, inSync: 1, failed: 0 },
      lastWriteTime: "2026-11-23T10:00:00Z",
    });
    expect(good.problems).toBeUndefined();
  });

  it("is the same object when nothing but the time would differ", () => {
    const again = input(evaluated([pair("InSync", "InSync")]), { previous: good, nowMs: T0 + 60 * MINUTE });
    expect(syncStatus(again)).toBe(good);
    expect(syncStatus({ ...again, wrote: true })).not.toBe(good);
    expect(syncStatus({ ...again, generation: 2 })).not.toBe(good);
  });

  it("moves lastTransitionTime only when a status flips, and keeps since when a problem was first seen", () => {
    const first = syncStatus(
      input(evaluated([pair("Failed", "NotOwned", "not ours")]), { previous: good, nowMs: T0 + MINUTE }),
    );
    const other = syncStatus(
      input(evaluated([pair("Conflict", "Claimed", "other")]), { previous: first, nowMs: T0 + 2 * MINUTE }),
    );
    const time = (status: SecretSyncStatus) => status.conditions?.[0]?.lastTransitionTime;
    expect([time(good), time(first), time(other)]).toEqual([
      "2026-11-23T10:00:00Z",
      "2026-11-23T10:01:00Z",
      "2026-11-23T10:01:00Z",
    ]);
    const same = syncStatus(
      input(evaluated([pair("Failed", "NotOwned", "still not ours")]), { previous: first, nowMs: T0 + 9 * MINUTE }),
    );
    expect(same.problems?.[0]?.since).toBe("2026-11-23T10:01:00Z");
  });

  it.each<[TargetOutcome["state"], Reason, string[]]>([
    ["Pending", "Progressing", ["Ready=False Progressing", "Reconciling=True Progressing"]],
    ["Failed", "InvalidPath", ["Ready=False InvalidPath", "Stalled=True InvalidPath"]],
    ["Failed", "NotOwned", ["Ready=False NotOwned"]],
    ["Conflict", "BothChanged", ["Ready=False BothChanged", "Conflict=True BothChanged"]],
    ["Held", "DeletionBraked", ["Ready=False DeletionBraked", "DeletionHeld=True DeletionBraked"]],
    ["Held", "VersionWentBack", ["Ready=False VersionWentBack", "ChangeHeld=True VersionWentBack"]],
    ["Held", "ManyChanges", ["Ready=False ManyChanges", "ChangeHeld=True ManyChanges"]],
    ["Held", "FlipHeld", ["Ready=False FlipHeld", "ApprovalNeeded=True FlipHeld"]],
    ["Held", "AuthorityFenced", ["Ready=False AuthorityFenced", "ApprovalNeeded=True AuthorityFenced"]],
    ["Held", "ApprovalNeeded", ["Ready=False ApprovalNeeded", "ApprovalNeeded=True ApprovalNeeded"]],
    ["Retained", "SourceGoneRetained", ["Ready=True SourceGoneRetained"]],
    ["InSync", "SourceChanged", ["Ready=True SourceChanged"]],
  ])("%s %s: %j", (state, reason, expected) => {
    const status = syncStatus(input(evaluated([pair(state, reason, "m")])));
    expectSaneConditions(status);
    expect(types(status)).toEqual(expected);
  });

  it("is Retired when only ScaiVault says so", () => {
    const [vault] = pair("InSync", "Retired").targets;
    const secret = {
      kind: "KubernetesSecret" as const,
      ref: "x",
      state: "InSync" as const,
      reason: "InSync" as const,
      message: "",
    };
    const both: PairReport = { path: "prod/x", targets: vault === undefined ? [] : [vault, secret], held: 0 };
    expect(types(syncStatus(input(evaluated([both]))))).toEqual(["Ready=True Retired"]);
    const behind = {
      ...both,
      targets: [vault, { ...secret, state: "Failed" as const, reason: "NotOwned" as const, message: "m" }].filter(
        (one) => one !== undefined,
      ),
    };
    expect(types(syncStatus(input(evaluated([behind]))))).toEqual([
      "Ready=False NotOwned",
      "TargetsDiverged=True NotOwned",
    ]);
  });

  it("stays Ready in an outage until it is stale, with no write between, then says so once", () => {
    const down = evaluated([pair("Unknown", "SourceUnavailable", "the store cannot be reached")]);
    const at = (minutes: number, previous: SecretSyncStatus) =>
      syncStatus(input(down, { previous, nowMs: T0 + minutes * MINUTE, lastGoodMs: T0 }));
    expect(at(1, good)).toBe(good);
    expect(at(14, good)).toBe(good);
    const stale = at(15, good);
    expectSaneConditions(stale);
    expect(types(stale)).toEqual(["Ready=False Stale", "Stale=True Stale"]);
    expect(at(60, stale)).toBe(stale);
    const back = syncStatus(input(evaluated([pair("InSync", "InSync")]), { previous: stale, nowMs: T0 + 61 * MINUTE }));
    expect(types(back)).toEqual(["Ready=True InSync"]);
  });

  it("grows stale from the start of a process that has seen nothing yet", () => {
    const down = evaluated([pair("Unknown", "SourceUnavailable", "m")]);
    const at = (minutes: number) =>
      syncStatus(
        input(down, {
          previous: good,
          nowMs: T0 + minutes * MINUTE,
          lastGoodMs: undefined,
          startedMs: T0 + 10 * MINUTE,
        }),
      );
    expect(at(24)).toBe(good);
    expect(types(at(25))[0]).toBe("Ready=False Stale");
  });

  it("is not Ready at once when it never was, or when a new spec meets an outage", () => {
    const down = evaluated([pair("Unknown", "SourceUnavailable", "m")]);
    expect(types(syncStatus(input(down)))).toEqual(["Ready=False SourceUnavailable"]);
    expect(types(syncStatus(input(down, { previous: good, generation: 2, nowMs: T0 + MINUTE })))).toEqual([
      "Ready=False SourceUnavailable",
    ]);
  });

  it("does not hide another failure behind an outage", () => {
    const mixed = evaluated([pair("Unknown", "SourceUnavailable", "m"), pair("Failed", "NotGranted", "n", "prod/y")], {
      subtree: true,
    });
    expect(types(syncStatus(input(mixed, { previous: good, nowMs: T0 + MINUTE })))[0]).toBe("Ready=False NotGranted");
  });

  it("is Unknown while suspended and keeps what it knew", () => {
    const status = syncStatus(input({ kind: "Suspended" }, { previous: good, generation: 2 }));
    expectSaneConditions(status);
    expect(types(status)).toEqual(["Ready=Unknown Suspended"]);
    expect(status).toMatchObject({ sourceVersion: "v1", lastWriteTime: good.lastWriteTime, observedGeneration: 2 });
  });

  it("observes with apply: Never", () => {
    expect(types(syncStatus(input(evaluated([pair("InSync", "Observed")], { applyNever: true }))))).toEqual([
      "Ready=True Observed",
    ]);
    expect(types(syncStatus(input(evaluated([pair("Pending", "Differs", "m")], { applyNever: true }))))).toEqual([
      "Ready=False Differs",
    ]);
  });

  it("counts a subtree and lists at most 20 problems, cleaned", () => {
    const pairs = Array.from({ length: 40 }, (_, at) =>
      pair(
        at < 10 ? "InSync" : "Failed",
        at < 10 ? "InSync" : "NotOwned",
        "a\u001b[31m\u202eb",
        `prod/${String(at).padStart(2, "0")}`,
      ),
    );
    const status = syncStatus(input(evaluated(pairs, { subtree: true })));
    expectSaneConditions(status);
    expect(status.counts).toEqual({ found: 40, inSync: 10, failed: 30, conflicts: 0, held: 0 });
    expect([status.problems?.length, status.targets, status.sourceVersion]).toEqual([20, undefined, undefined]);
    expect(JSON.stringify(status)).not.toMatch(/\\u001b|\u202e/);
    expect(status.conditions?.[0]?.message).toContain("10 of 40 in sync");
  });

  it("is sane whatever comes of the pairs, and writing it twice is writing it once", () => {
    const reason = fc.constantFrom(...(Object.keys(reasons) as Reason[]));
    const any = fc.record({
      state: fc.constantFrom(...states),
      reason,
      message: fc.string(),
      path: fc.constantFrom("a", "b", "c"),
    });
    const situation = fc.oneof(
      fc.constant({ kind: "Suspended" as const }),
      fc
        .record({ reason: reason.filter((one) => reasons[one].kind !== "ok"), message: fc.string() })
        .map((rest) => ({ kind: "Refused" as const, ...rest })),
      fc.tuple(fc.array(any, { maxLength: 4 }), fc.boolean()).map(([all, subtree]) =>
        evaluated(
          // Only these states and reasons go together.
          all
            .filter(
              ({ state, reason: why }) => (state === "InSync" || state === "Retained") === (reasons[why].kind === "ok"),
            )
            .map((one) => pair(one.state, one.reason, one.message, one.path)),
          { subtree },
        ),
      ),
    );
    const history = fc.array(
      fc.record({ situation, afterMs: fc.nat(20 * MINUTE), seen: fc.boolean(), edited: fc.boolean() }),
      { maxLength: 8 },
    );
    fc.assert(
      fc.property(history, (steps) => {
        let [now, generation, lastGoodMs] = [T0, 1, T0];
        let previous: SecretSyncStatus | undefined;
        for (const step of steps) {
          now += step.afterMs;
          if (step.seen) lastGoodMs = now;
          if (step.edited) generation += 1;
          const next = syncStatus(input(step.situation, { previous, generation, nowMs: now, lastGoodMs }));
          expectSaneConditions(next);
          expect(syncStatus(input(step.situation, { previous: next, generation, nowMs: now, lastGoodMs }))).toBe(next);
          previous = next;
        }
      }),
    );
  });
});

describe("status of a FederationBackend", () => {
  const base: BackendStatusInput = {
    previous: undefined,
    generation: 1,
    nowMs: T0,
    store: { kind: "Good" },
    identity: "us-east-1/AKIA",
    syncInterval: "15m",
    poll: "List",
    notes: [],
    counts: { dependants: 2, inSync: 2, failed: 0, conflicts: 0, held: 0 },
    lastPollMs: T0,
    scaivault: { reachable: true },
  };
  const conditions = (status: ReturnType<typeof backendStatus>) =>
    (status.conditions ?? []).map(({ type, status: is, reason }) => `${type}=${is} ${reason}`);

  it.each<[BackendStatusInput["store"], string[]]>([
    [{ kind: "Good" }, ["Ready=True InSync", "SourceReachable=True Ok", "ScaiVaultReachable=True Ok"]],
    [{ kind: "Unpolled" }, ["Ready=False Progressing", "Reconciling=True Progressing", "ScaiVaultReachable=True Ok"]],
    [{ kind: "Suspended" }, ["Ready=Unknown Suspended", "ScaiVaultReachable=True Ok"]],
    [
      { kind: "Failing", reason: "SourceSealed", message: "Vault is sealed" },
      ["Ready=False SourceSealed", "SourceReachable=False SourceSealed", "ScaiVaultReachable=True Ok"],
    ],
    [
      { kind: "Refused", reason: "CredentialNotReleased", message: "m" },
      ["Ready=False CredentialNotReleased", "ScaiVaultReachable=True Ok"],
    ],
    [
      { kind: "Refused", reason: "InvalidSpec", message: "m" },
      ["Ready=False InvalidSpec", "Stalled=True InvalidSpec", "ScaiVaultReachable=True Ok"],
    ],
  ])("%j", (store, expected) => {
    const status = backendStatus({ ...base, store });
    expectSaneConditions(status);
    expect(conditions(status)).toEqual(expected);
  });

  it("is the same object when nothing changed; only a poll moves its time", () => {
    const status = backendStatus(base);
    expect(backendStatus({ ...base, previous: status, nowMs: T0 + MINUTE })).toBe(status);
    const polled = backendStatus({ ...base, previous: status, nowMs: T0 + MINUTE, lastPollMs: T0 + MINUTE });
    expect(polled).toEqual({ ...status, lastPollTime: "2026-11-23T10:01:00Z" });
  });
});
