import { describe, expect, it } from "vitest";
import { expectSaneConditions } from "../../test/support/conditions.ts";
import { type BackendStatusInput, backendStatus, type StoreVerdict } from "./backend-status.ts";

const T0 = Date.parse("2026-01-01T00:00:00Z");
const input = (store: StoreVerdict, over: Partial<BackendStatusInput> = {}): BackendStatusInput => ({
  previous: undefined,
  generation: 1,
  nowMs: T0,
  store,
  identity: "us-east-1/AKIA...WXYZ",
  syncInterval: "5m",
  poll: "List",
  notes: [],
  counts: { dependants: 2, inSync: 2, failed: 0, conflicts: 0, held: 0 },
  lastPollMs: T0,
  scaivault: undefined,
  ...over,
});
const shown = (given: BackendStatusInput) =>
  (backendStatus(given).conditions ?? []).map(({ type, status, reason }) => `${type}=${status} ${reason}`);

describe("conditions of a FederationBackend", () => {
  const down = { kind: "Failing", reason: "SourceUnavailable", message: "x" } as const;
  const rows: { name: string; given: BackendStatusInput; want: string[] }[] = [
    { name: "good", given: input({ kind: "Good" }), want: ["Ready=True InSync", "SourceReachable=True Ok"] },
    {
      name: "failing",
      given: input(down),
      want: ["Ready=False SourceUnavailable", "SourceReachable=False SourceUnavailable"],
    },
    { name: "suspended", given: input({ kind: "Suspended" }), want: ["Ready=Unknown Suspended"] },
    {
      name: "unpolled",
      given: input({ kind: "Unpolled" }),
      want: ["Ready=False Progressing", "Reconciling=True Progressing"],
    },
    {
      name: "refused for good",
      given: input({ kind: "Refused", reason: "InvalidSpec", message: "x" }),
      want: ["Ready=False InvalidSpec", "Stalled=True InvalidSpec"],
    },
    {
      name: "refused until somebody grants",
      given: input({ kind: "Refused", reason: "NotGranted", message: "x" }),
      want: ["Ready=False NotGranted"],
    },
    {
      name: "ScaiVault is down, the source is not",
      given: input({ kind: "Good" }, { scaivault: { reachable: false, reason: "ScaiVaultUnavailable", message: "x" } }),
      want: ["Ready=True InSync", "SourceReachable=True Ok", "ScaiVaultReachable=False ScaiVaultUnavailable"],
    },
  ];
  it.each(rows)("$name", ({ given, want }) => {
    expect(shown(given)).toEqual(want);
    expectSaneConditions(backendStatus(given));
  });

  it("changes with a poll only by lastPollTime", () => {
    const first = backendStatus(input({ kind: "Good" }));
    const next = backendStatus(
      input({ kind: "Good" }, { previous: first, lastPollMs: T0 + 300_000, nowMs: T0 + 300_000 }),
    );
    expect({ ...next, lastPollTime: first.lastPollTime }).toEqual(first);
    expect(next.lastPollTime).toBe("2026-01-01T00:05:00Z");
    expect(
      backendStatus(input({ kind: "Good" }, { previous: next, lastPollMs: T0 + 300_000, nowMs: T0 + 400_000 })),
    ).toBe(next);
  });

  it("stays as it is after a restart until the first poll has ended, and not when the spec was edited meanwhile", () => {
    const unpolled = (previous: ReturnType<typeof backendStatus>, generation = 1) =>
      backendStatus(
        input(
          { kind: "Unpolled" },
          { previous, generation, lastPollMs: undefined, poll: undefined, scaivault: undefined, nowMs: T0 + 60_000 },
        ),
      );
    const good = backendStatus(input({ kind: "Good" }, { scaivault: { reachable: true } }));
    expect(unpolled(good)).toBe(good);
    const failing = backendStatus(input(down));
    expect(unpolled(failing)).toBe(failing);
    expect(unpolled(good, 2).conditions?.find(({ type }) => type === "Ready")).toMatchObject({ reason: "Progressing" });
    // What no poll has seen yet, or what waited for a credential, is told as it is.
    const refused = backendStatus(input({ kind: "Refused", reason: "CredentialNotReleased", message: "x" }));
    expect(unpolled(refused).conditions?.find(({ type }) => type === "Ready")).toMatchObject({ reason: "Progressing" });
  });
});
