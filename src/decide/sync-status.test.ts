import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { SecretSyncStatus } from "../api/index.ts";
import { type Reason, reasons } from "../errors/index.ts";
import { expectSaneConditions } from "../../test/support/conditions.ts";
import {
  type PairReport,
  syncStatus,
  type SyncSituation,
  type SyncStatusInput,
  type TargetReport,
} from "./sync-status.ts";

const T0 = Date.parse("2026-01-01T00:00:00Z");
const MINUTE = 60_000;

const target = (over: Partial<TargetReport> = {}): TargetReport => ({
  kind: "ScaiVault",
  ref: "a/b",
  state: "InSync",
  reason: "InSync",
  message: "",
  ...over,
});
const pair = (targets: readonly TargetReport[], path = "prod/a"): PairReport => ({
  path,
  sourceVersion: "1",
  targets,
  held: 0,
});
const evaluated = (pairs: readonly PairReport[], over: object = {}): SyncSituation => ({
  kind: "Evaluated",
  pairs,
  problems: [],
  plan: { hash: "", add: 0, change: 0, delete: 0 },
  subtree: false,
  applyNever: false,
  ...over,
});
const input = (situation: SyncSituation, over: Partial<SyncStatusInput> = {}): SyncStatusInput => ({
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
  ...over,
});
const shown = (status: SecretSyncStatus) =>
  (status.conditions ?? []).map(({ type, status: value, reason }) => `${type}=${value} ${reason}`);
const inSync = evaluated([pair([target(), target({ kind: "KubernetesSecret", ref: "a" })])]);
const outage = evaluated([
  pair([
    target({ state: "Unknown", reason: "SourceUnavailable", message: "down" }),
    target({ kind: "KubernetesSecret", ref: "a", state: "Unknown", reason: "SourceUnavailable", message: "down" }),
  ]),
]);

describe("a write that was refused for its rate", () => {
  const path = (over: Partial<TargetReport>) =>
    evaluated([pair([target(over), target({ kind: "KubernetesSecret", ref: "a" })])]);
  const refused = path({ state: "Failed", reason: "RateLimited", message: "a/b: ScaiVault takes no more" });
  const waits = path({ state: "Pending", reason: "Progressing" });

  it("is still refused while it waits for its turn: the status stays as it is", () => {
    const previous = syncStatus(input(refused));
    expect(syncStatus(input(waits, { previous, nowMs: T0 + MINUTE }))).toBe(previous);
  });

  it("is in sync, or fails otherwise, as soon as it is", () => {
    const previous = syncStatus(input(refused));
    expect(shown(syncStatus(input(inSync, { previous })))).toEqual(["Ready=True InSync"]);
    const denied = path({ state: "Failed", reason: "ScaiVaultDenied", message: "x" });
    expect(shown(syncStatus(input(denied, { previous })))[0]).toBe("Ready=False ScaiVaultDenied");
  });

  it("waits like any other after an edit, and when it was not refused before", () => {
    const previous = syncStatus(input(refused));
    expect(shown(syncStatus(input(waits, { previous, generation: 2 })))[0]).toBe("Ready=False Progressing");
    expect(shown(syncStatus(input(waits, { previous: syncStatus(input(inSync)) })))[0]).toBe("Ready=False Progressing");
  });
});

describe("a Secret that waits because ScaiVault was not seen", () => {
  const status = (over: Partial<TargetReport>) => {
    const unknown = { state: "Held", reason: "AuthorityUnknown", message: "x" } as const;
    return shown(
      syncStatus(input(evaluated([pair([target(over), target({ kind: "KubernetesSecret", ref: "a", ...unknown })])]))),
    );
  };

  it.each<[TargetReport["state"], Reason]>([
    ["Failed", "NotGranted"],
    ["Unknown", "ScaiVaultDenied"],
    ["Held", "BaseUnknown"],
  ])("is told by why it was not seen: %s %s", (state, reason) => {
    const conditions = status({ state, reason, message: "y" });
    expect(conditions[0]).toBe(`Ready=False ${reason}`);
    expect(conditions).toContain("ChangeHeld=True AuthorityUnknown");
  });

  it("is told by its own reason in an outage", () => {
    expect(status({ state: "Unknown", reason: "ScaiVaultUnavailable", message: "y" })[0]).toBe(
      "Ready=False AuthorityUnknown",
    );
  });
});

describe("conditions of a SecretSync", () => {
  const rows: { name: string; situation: SyncSituation; want: string[] }[] = [
    { name: "in sync", situation: inSync, want: ["Ready=True InSync"] },
    { name: "suspended", situation: { kind: "Suspended" }, want: ["Ready=Unknown Suspended"] },
    {
      name: "an invalid spec is stalled",
      situation: { kind: "Refused", reason: "InvalidSpec", message: "x" },
      want: ["Ready=False InvalidSpec", "Stalled=True InvalidSpec"],
    },
    {
      name: "a missing backend is waited for",
      situation: { kind: "Refused", reason: "BackendNotFound", message: "x" },
      want: ["Ready=False BackendNotFound"],
    },
    {
      name: "the first look is under way",
      situation: { kind: "Refused", reason: "Progressing", message: "" },
      want: ["Ready=False Progressing", "Reconciling=True Progressing"],
    },
    {
      name: "one target held: the other is ahead of it",
      situation: evaluated([
        pair([
          target({ state: "Held", reason: "NotOwned", message: "x" }),
          target({ kind: "KubernetesSecret", ref: "a" }),
        ]),
      ]),
      want: ["Ready=False NotOwned", "TargetsDiverged=True NotOwned"],
    },
    {
      name: "a conflict goes before a failure",
      situation: evaluated([
        pair([
          target({ state: "Conflict", reason: "BothChanged", message: "x" }),
          target({ kind: "KubernetesSecret", ref: "a", state: "Failed", reason: "InvalidKey", message: "y" }),
        ]),
      ]),
      want: ["Ready=False BothChanged", "Conflict=True BothChanged"],
    },
    {
      name: "a braked deletion",
      situation: evaluated([pair([target({ state: "Held", reason: "DeletionBraked", message: "x" })])]),
      want: ["Ready=False DeletionBraked", "DeletionHeld=True DeletionBraked"],
    },
    {
      name: "a version gone back",
      situation: evaluated([pair([target({ state: "Held", reason: "VersionWentBack", message: "x" })])]),
      want: ["Ready=False VersionWentBack", "ChangeHeld=True VersionWentBack"],
    },
    {
      name: "a plan to approve",
      situation: evaluated([pair([target({ state: "Held", reason: "ApprovalNeeded", message: "x" })])]),
      want: ["Ready=False ApprovalNeeded", "ApprovalNeeded=True ApprovalNeeded"],
    },
    {
      name: "source gone, copies kept",
      situation: evaluated([pair([target({ state: "Retained", reason: "SourceGoneRetained", message: "gone" })])]),
      want: ["Ready=True SourceGoneRetained"],
    },
    {
      name: "apply Never and equal",
      situation: evaluated([pair([target({ reason: "Observed" })])], { applyNever: true }),
      want: ["Ready=True Observed"],
    },
    {
      name: "apply Never and different",
      situation: evaluated([pair([target({ state: "Pending", reason: "Differs", message: "x" })])], {
        applyNever: true,
      }),
      want: ["Ready=False Differs"],
    },
    {
      name: "a subtree with one bad member",
      situation: evaluated(
        [
          pair([target()]),
          pair([target({ state: "Failed", reason: "InvalidKey", message: "x" })], "prod/b"),
          pair([target({ state: "Failed", reason: "FieldNotFound", message: "y" })], "prod/c"),
        ],
        { subtree: true },
      ),
      want: ["Ready=False Partial"],
    },
    { name: "what never synced is not Ready in an outage", situation: outage, want: ["Ready=False SourceUnavailable"] },
  ];
  it.each(rows)("$name", ({ situation, want }) => {
    const status = syncStatus(input(situation));
    expect(shown(status)).toEqual(want);
    expectSaneConditions(status);
  });
});

describe("status over time", () => {
  const good = syncStatus(input(inSync));

  it("is the same object when nothing but the time moved", () => {
    expect(syncStatus(input(inSync, { previous: good, nowMs: T0 + 15 * MINUTE }))).toBe(good);
  });

  it("keeps what it said through an outage, until it is stale, and says so once", () => {
    const before = syncStatus(input(outage, { previous: good, nowMs: T0 + 14 * MINUTE }));
    expect(before).toBe(good);
    const after = syncStatus(input(outage, { previous: good, nowMs: T0 + 15 * MINUTE }));
    expect(shown(after)).toEqual(["Ready=False Stale", "Stale=True Stale"]);
    expect(syncStatus(input(outage, { previous: after, nowMs: T0 + 60 * MINUTE }))).toBe(after);
    expect(shown(syncStatus(input(inSync, { previous: after, nowMs: T0 + 61 * MINUTE })))).toEqual([
      "Ready=True InSync",
    ]);
  });

  it("does not keep anything for a new generation", () => {
    const status = syncStatus(input(outage, { previous: good, generation: 2, nowMs: T0 + MINUTE }));
    expect(shown(status)[0]).toMatch(/^Ready=False/);
  });

  it("says at once what is not an outage", () => {
    const denied = evaluated([pair([target({ state: "Unknown", reason: "AccessDenied", message: "x" })])]);
    expect(shown(syncStatus(input(denied, { previous: good, nowMs: T0 + MINUTE })))[0]).toBe(
      "Ready=False AccessDenied",
    );
  });

  it("moves lastTransitionTime with the status only", () => {
    const failed = evaluated([pair([target({ state: "Failed", reason: "InvalidKey", message: "x" })])]);
    const first = syncStatus(input(failed, { previous: good, nowMs: T0 + MINUTE }));
    const other = evaluated([pair([target({ state: "Failed", reason: "FieldNotFound", message: "y" })])]);
    const second = syncStatus(input(other, { previous: first, nowMs: T0 + 2 * MINUTE }));
    expect(second.conditions?.[0]?.reason).toBe("FieldNotFound");
    expect(second.conditions?.[0]?.lastTransitionTime).toBe(first.conditions?.[0]?.lastTransitionTime);
  });

  it("lists at most twenty problems and keeps the time of each", () => {
    const many = Array.from({ length: 30 }, (_, at) =>
      pair([target({ ref: `p/${at}`, state: "Failed", reason: "InvalidKey", message: "x" })], `p/${at}`),
    );
    const first = syncStatus(input(evaluated(many, { subtree: true })));
    expect(first.problems).toHaveLength(20);
    expect(first.counts?.failed).toBe(30);
    const second = syncStatus(input(evaluated(many, { subtree: true }), { previous: first, nowMs: T0 + 9 * MINUTE }));
    expect(second).toBe(first);
  });

  it("notes a write and an answered request", () => {
    const status = syncStatus(
      input(inSync, { previous: good, nowMs: T0 + MINUTE, wrote: true, handledSyncRequest: "now-1" }),
    );
    expect(status.lastWriteTime).toBe("2026-01-01T00:01:00Z");
    expect(status.lastHandledSyncRequest).toBe("now-1");
    expect(syncStatus(input(inSync, { previous: status, nowMs: T0 + 2 * MINUTE })).lastWriteTime).toBe(
      "2026-01-01T00:01:00Z",
    );
  });
});

it("never says Ready=True while a target is not in sync, whatever comes together", () => {
  const names = Object.keys(reasons) as Reason[];
  const states = ["InSync", "Pending", "Held", "Conflict", "Failed", "Retained", "Unknown"] as const;
  const anyTarget = fc.record({
    state: fc.constantFrom(...states),
    reason: fc.constantFrom(...names),
    message: fc.string(),
  });
  fc.assert(
    fc.property(
      fc.array(fc.array(anyTarget, { minLength: 1, maxLength: 2 }), { minLength: 1, maxLength: 4 }),
      fc.boolean(),
      (pairs, subtree) => {
        const reports = pairs.map((targets, at) =>
          pair(
            targets.map((one, n) =>
              target({ ...one, kind: n === 0 ? "ScaiVault" : "KubernetesSecret", ref: `r/${at}` }),
            ),
            `p/${at}`,
          ),
        );
        const status = syncStatus(input(evaluated(reports, { subtree })));
        const fine = pairs.flat().every(({ state }) => state === "InSync" || state === "Retained");
        expect(status.conditions?.find(({ type }) => type === "Ready")?.status).toBe(fine ? "True" : "False");
        expect(syncStatus(input(evaluated(reports, { subtree }), { previous: status, nowMs: T0 + 1 }))).toBe(status);
      },
    ),
  );
});
