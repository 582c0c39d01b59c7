import { describe, expect, it } from "vitest";
import type { FederationBackendStatus } from "../api/index.ts";
import type { BackendStatusInput } from "./backend-status.ts";
import { registeredStatus } from "./registered-status.ts";
import { type RegistrationView, reportRegistration } from "./registration-report.ts";

const nowMs = Date.parse("2026-11-25T10:00:00Z");
const federation = {
  mode: "proxy",
  runsIn: "ScaiVault",
  authority: "Source",
  conflictResolution: "remote_wins",
} as const;
const view: RegistrationView = {
  name: "k8s_eu-1_platform_vault",
  id: "fed_1",
  announcedMs: undefined,
  copies: [],
  mode: "proxy",
  registeredMode: "proxy",
  takenInGeneration: 3,
  syncIntervalMs: 900_000,
  problem: undefined,
  under: undefined,
  health: {
    status: "healthy",
    connection: "connected",
    latencyMs: 5,
    lastSyncMs: undefined,
    lastSyncDurationMs: undefined,
    secretsSynced: 0,
    secretsFailed: undefined,
    secretsSkipped: undefined,
    conflictCount: undefined,
    errorCode: undefined,
  },
  conflicts: undefined,
  handledSyncRequest: undefined,
};
const noLogin = { kind: "Refused", reason: "BackendNotReadable", message: "the backend has no auth" } as const;

function status(
  more: Partial<RegistrationView> = {},
  input: Partial<BackendStatusInput> = {},
): FederationBackendStatus {
  return registeredStatus(
    {
      previous: undefined,
      generation: 3,
      nowMs,
      store: noLogin,
      identity: undefined,
      syncInterval: "15m",
      poll: undefined,
      notes: [],
      counts: { dependants: 0, inSync: 0, failed: 0, conflicts: 0, held: 0 },
      lastPollMs: undefined,
      scaivault: undefined,
      ...input,
    } as BackendStatusInput,
    reportRegistration({ ...view, ...more }, 3, nowMs),
    federation,
  );
}
const words = ({ conditions = [] }: FederationBackendStatus): string[] =>
  conditions.map((one) => `${one.type} ${one.status} ${one.reason}`);

describe("conditions", () => {
  it("are ScaiVault's sight where the operator has no login of its own", () => {
    expect(words(status())).toEqual(["Ready True InSync", "SourceReachable True Ok", "ScaiVaultReachable True Ok"]);
  });

  it("are the operator's own sight of the store where it has a login", () => {
    const failing = { kind: "Failing", reason: "LoginFailed", message: "refused" } as const;
    expect(words(status({}, { store: failing }))).toEqual([
      "Ready False LoginFailed",
      "SourceReachable False LoginFailed",
      "ScaiVaultReachable True Ok",
    ]);
  });

  it.each<[string, Partial<RegistrationView>, string[]]>([
    [
      "ScaiVault does not answer",
      { problem: { reason: "ScaiVaultUnavailable", message: "no answer" } },
      ["Ready False ScaiVaultUnavailable", "ScaiVaultReachable False ScaiVaultUnavailable"],
    ],
    ["the object is suspended", { problem: { reason: "BackendSuspended", message: "x" } }, ["Ready Unknown Suspended"]],
    [
      "the spec cannot be registered",
      { problem: { reason: "InvalidSpec", message: "x" } },
      ["Ready False InvalidSpec", "Stalled True InvalidSpec"],
    ],
  ])("say when %s", (_what, more, expected) => {
    for (const one of expected) expect(words(status(more))).toContain(one);
  });
});

describe("after a restart", () => {
  const before = status();
  const unseen = { health: undefined };

  it("what was told still stands until ScaiVault was asked, the recorded id above all", () => {
    expect(status(unseen, { previous: before })).toBe(before);
  });

  it.each<[string, Partial<RegistrationView>, Partial<BackendStatusInput>]>([
    ["of another generation", {}, { generation: 4 }],
    ["with another id", { id: "fed_2" }, {}],
    ["that has a problem", { problem: { reason: "NotGranted", message: "x" } }, {}],
  ])("a status %s is told anew", (_what, more, input) => {
    const next = status({ ...unseen, ...more }, { previous: before, ...input });
    expect(next.conditions?.[0]?.status).toBe("False");
  });
});

it("is the same object when nothing but time passed, and keeps the times of conditions", () => {
  const before = status();
  expect(status({}, { previous: before, nowMs: nowMs + 60_000 })).toBe(before);
});
