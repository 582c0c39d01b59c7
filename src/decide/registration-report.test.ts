import { describe, expect, it } from "vitest";
import type { RegistrationConflict, RegistrationHealth } from "../model/index.ts";
import { type RegistrationView, reportRegistration } from "./registration-report.ts";

const nowMs = Date.parse("2026-11-25T10:00:00Z");
const health: RegistrationHealth = {
  status: "healthy",
  connection: "connected",
  latencyMs: 12,
  lastSyncMs: nowMs - 60_000,
  lastSyncDurationMs: 900,
  secretsSynced: 12,
  secretsFailed: undefined,
  secretsSkipped: undefined,
  conflictCount: undefined,
  errorCode: undefined,
};
const view: RegistrationView = {
  name: "k8s_eu-1_platform_aws",
  id: "fed_1",
  announcedMs: undefined,
  copies: [],
  mode: "sync",
  registeredMode: "sync",
  takenInGeneration: 2,
  syncIntervalMs: 900_000,
  problem: undefined,
  under: undefined,
  health,
  conflicts: undefined,
  handledSyncRequest: undefined,
};
const conflict: RegistrationConflict = {
  path: "external/aws/stripe",
  backendPath: "prod/stripe",
  localVersion: 3,
  detectedMs: nowMs - 1000,
  resolution: undefined,
};
const report = (more: Partial<RegistrationView>) => reportRegistration({ ...view, ...more }, 2, nowMs);

describe("Ready", () => {
  it.each<[string, Partial<RegistrationView>, string, string]>([
    ["InSync while ScaiVault says healthy", {}, "InSync", "12 secrets synced by ScaiVault"],
    [
      "InSync of a proxy, which never syncs",
      { mode: "proxy", registeredMode: "proxy", health: { ...health, lastSyncMs: undefined, secretsSynced: 0 } },
      "InSync",
      "ScaiVault reads the store through",
    ],
    ["Progressing before it is registered", { id: undefined, health: undefined }, "Progressing", "being registered"],
    [
      "Progressing while ScaiVault still has the other mode",
      { mode: "proxy" },
      "Progressing",
      "mode proxy is to come; it is registered as sync",
    ],
    [
      "Progressing while it was not compared with what is declared now",
      { takenInGeneration: 1 },
      "Progressing",
      "is being compared with what is declared",
    ],
    ["Progressing until the first status", { health: undefined }, "Progressing", "first status is to come"],
    [
      "Progressing until the first sync",
      { health: { ...health, lastSyncMs: undefined } },
      "Progressing",
      "first sync is to come",
    ],
    ["Progressing while ScaiVault works on it", { health: { ...health, status: "syncing" } }, "Progressing", "syncing"],
    [
      "RegistrationUnhealthy with ScaiVault's own words",
      { health: { ...health, status: "degraded", connection: "error", errorCode: "permission_denied" } },
      "RegistrationUnhealthy",
      "degraded, connection error (permission_denied)",
    ],
    [
      "RegistrationUnhealthy for a word that is not known",
      { health: { ...health, status: "unknown" } },
      "RegistrationUnhealthy",
      "is unknown",
    ],
    [
      "Stale when ScaiVault is healthy and syncs no more",
      { health: { ...health, lastSyncMs: nowMs - 3_000_000 } },
      "Stale",
      "2026-11-25T09:10:00Z",
    ],
    [
      "Partial while secrets are left out",
      { health: { ...health, secretsFailed: 1, secretsSkipped: 2 } },
      "Partial",
      "12 secrets synced by ScaiVault, 1 failed, 2 left out for their names",
    ],
    [
      "BothChanged while paths wait for people",
      { conflicts: { conflicts: [conflict], more: false } },
      "BothChanged",
      "1 path differs between",
    ],
    [
      "CredentialNotAllowedHere as found out, whatever ScaiVault says",
      { problem: { reason: "CredentialNotAllowedHere", message: "the host is not listed" } },
      "CredentialNotAllowedHere",
      "the host is not listed",
    ],
  ])("is %s", (_what, more, reason, message) => {
    const { ready } = report(more);
    expect(ready.reason).toBe(reason);
    expect(ready.message).toContain(message);
  });
});

describe("conflicts", () => {
  it("are listed with paths, versions and times", () => {
    const { problems, status, conflict: told } = report({ conflicts: { conflicts: [conflict], more: true } });
    expect(problems).toEqual([
      {
        path: "external/aws/stripe",
        reason: "BothChanged",
        message: "ScaiVault v3 and prod/stripe have different values, seen 2026-11-25T09:59:59Z",
      },
    ]);
    expect(told).toContain("1 or more");
    expect(status.counts).toEqual({ found: 13, inSync: 12, failed: 0, conflicts: 1, held: 0 });
  });

  it("that a rule decided wait for nobody", () => {
    const decided = { ...conflict, resolution: "local_wins" };
    const { ready, problems } = report({ conflicts: { conflicts: [decided], more: false } });
    expect([ready.reason, problems]).toEqual(["InSync", []]);
  });
});

describe("status", () => {
  it("mirrors what ScaiVault says", () => {
    expect(report({}).status).toEqual({
      counts: { found: 12, inSync: 12, failed: 0, conflicts: 0, held: 0 },
      name: "k8s_eu-1_platform_aws",
      id: "fed_1",
      mode: "sync",
      connection: "Connected",
      health: "healthy",
      lastSyncTime: "2026-11-25T09:59:00Z",
    });
  });

  it("says that a creation is about to be sent, until its id is known", () => {
    const announced = { id: undefined, health: undefined, registeredMode: undefined, announcedMs: nowMs };
    expect(report(announced).status).toEqual({ name: view.name, creatingSince: "2026-11-25T10:00:00Z" });
    expect(report({ announcedMs: nowMs }).status.creatingSince).toBeUndefined();
  });

  it("shows the store as ScaiVault reaches it", () => {
    expect(report({}).source).toEqual({ reachable: true, message: "healthy, connection connected" });
    expect(report({ health: { ...health, connection: "error" } }).source?.reachable).toBe(false);
    expect(report({ health: { ...health, connection: undefined } }).source).toBeUndefined();
  });
});
