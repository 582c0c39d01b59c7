/** Every reason of the closed table, in a status as the operator computes it, before the judges of Argo CD and Flux. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { API_VERSION } from "../../src/api/index.ts";
import { backendStatus, syncStatus, type SyncSituation } from "../../src/decide/index.ts";
import { type Reason, reasons } from "../../src/errors/index.ts";
import { argocdHealth, healthScript, kstatus } from "./judge.ts";

type Health = "Healthy" | "Suspended" | "Progressing" | "Degraded";

/** The health of an object whose Ready has this reason. A new reason needs a decision here, and in the script. */
const expected: Record<Reason, Health> = {
  InSync: "Healthy",
  Observed: "Healthy",
  SourceGoneRetained: "Healthy",
  Retired: "Healthy",
  SourceChanged: "Healthy",
  ScaiVaultKept: "Healthy",
  Suspended: "Suspended",
  BackendSuspended: "Suspended",
  Progressing: "Progressing",
  BackendNotFound: "Progressing",
  BackendNotReadable: "Degraded",
  BackendNotReady: "Progressing",
  CredentialNotFound: "Progressing",
  DeletionUnconfirmed: "Progressing",
  InvalidTLSPair: "Progressing",
  KubernetesUnavailable: "Progressing",
  NamespaceTerminating: "Progressing",
  OtherCluster: "Progressing",
  WaitingForWriter: "Progressing",
  RateLimited: "Progressing",
  ScaiVaultUnavailable: "Progressing",
  SourceUnavailable: "Progressing",
  InvalidSpec: "Degraded",
  InvalidPath: "Degraded",
  InvalidKey: "Degraded",
  FieldNotFound: "Degraded",
  NotJSON: "Degraded",
  DecodeFailed: "Degraded",
  MissingKey: "Degraded",
  ValueTooLarge: "Degraded",
  NotRepresentable: "Degraded",
  NameCollision: "Degraded",
  TooManyMatches: "Degraded",
  TypeNotAllowed: "Degraded",
  ImmutableType: "Degraded",
  NotGranted: "Degraded",
  NamespaceProtected: "Degraded",
  EndpointNotAllowed: "Degraded",
  CredentialNotReleased: "Degraded",
  CredentialInvalid: "Degraded",
  BudgetExceeded: "Degraded",
  CredentialNotAllowedHere: "Degraded",
  ReadOnlyPath: "Degraded",
  RegistrationRefused: "Degraded",
  RegistrationUnhealthy: "Degraded",
  SourceNotFound: "Degraded",
  SourcePendingDeletion: "Degraded",
  VersionNotFound: "Degraded",
  SourceEmpty: "Degraded",
  AccessDenied: "Degraded",
  LoginFailed: "Degraded",
  SourceSealed: "Degraded",
  UnsupportedMount: "Degraded",
  ScaiVaultDenied: "Degraded",
  TargetNotFound: "Degraded",
  TargetSoftDeleted: "Degraded",
  NotOwned: "Degraded",
  AdoptRefused: "Degraded",
  AdoptDiffers: "Degraded",
  Claimed: "Degraded",
  Conflict: "Degraded",
  BothChanged: "Degraded",
  TargetChanged: "Degraded",
  BaseUnknown: "Degraded",
  AnotherWriter: "Degraded",
  VersionWentBack: "Degraded",
  ManyChanges: "Degraded",
  DeletionBraked: "Degraded",
  FlipHeld: "Degraded",
  AuthorityFenced: "Degraded",
  AuthorityUnknown: "Progressing",
  ApprovalNeeded: "Degraded",
  Differs: "Degraded",
  NoRoomForMark: "Degraded",
  Stale: "Degraded",
  Partial: "Degraded",
  WriteRefused: "Degraded",
  Unexpected: "Degraded",
};

/** kstatus knows no more than: in sync, an edit of the object is needed, or not there yet. */
const kstatusOf = (reason: Reason): string =>
  ({ ok: "Current", terminal: "Failed", waiting: "InProgress", transient: "InProgress" })[reasons[reason].kind];

const names = Object.keys(reasons) as Reason[];
const nowMs = Date.parse("2026-11-23T10:00:00Z");
const generation = 3;
const metadata = { name: "x", namespace: "team", uid: "u", resourceVersion: "7", generation };

/** A status whose Ready has this reason, by the function that the operator uses. */
function statusOf(reason: Reason) {
  const target = { kind: "ScaiVault" as const, ref: "e/x", state: "InSync" as const, reason, message: "" };
  const fine: SyncSituation = {
    kind: "Evaluated",
    pairs: [{ path: "prod/x", sourceVersion: "v1", targets: [target], held: 0 }],
    problems: [],
    plan: { hash: "", add: 0, change: 0, delete: 0 },
    subtree: false,
    applyNever: reason === "Observed",
  };
  const situation: SyncSituation =
    reason === "Suspended"
      ? { kind: "Suspended" }
      : reasons[reason].kind === "ok"
        ? fine
        : { kind: "Refused", reason, message: "what is wrong" };
  return syncStatus({
    previous: undefined,
    generation,
    nowMs,
    effective: {
      syncInterval: "5m",
      syncIntervalMs: 300_000,
      authority: "Source",
      conflictResolution: "remote_wins",
    },
    situation,
    lastGoodMs: nowMs,
    wrote: false,
  });
}

const sync = (status: unknown, more: object = {}) => ({
  apiVersion: API_VERSION,
  kind: "SecretSync",
  metadata: { ...metadata, ...more },
  spec: {},
  ...(status === undefined ? {} : { status }),
});

describe("each reason", () => {
  it("has the health in Argo CD that fits it, with reason and message", async () => {
    const found = await argocdHealth(names.map((reason) => sync(statusOf(reason))));
    expect(Object.fromEntries(names.map((name, index) => [name, found[index]?.status]))).toEqual(expected);
    for (const [index, name] of names.entries()) expect(found[index]?.message).toContain(name);
  });

  it("is Current for kstatus only when in sync, Failed only when an edit must mend it", async () => {
    const found = await kstatus(names.map((reason) => sync(statusOf(reason))));
    expect(names.map((name, index) => [name, found[index]?.status])).toEqual(
      names.map((name) => [name, kstatusOf(name)]),
    );
  });

  it("of a backend is judged by the same script", async () => {
    const failing = names.filter((reason) => reasons[reason].kind !== "ok" && reason !== "Suspended");
    const objects = failing.map((reason) => ({
      ...sync(
        backendStatus({
          previous: undefined,
          generation,
          nowMs,
          store: { kind: "Failing", reason, message: "what is wrong" },
          identity: undefined,
          syncInterval: "5m",
          poll: undefined,
          notes: [],
          counts: { dependants: 0, inSync: 0, failed: 0, conflicts: 0, held: 0 },
          lastPollMs: undefined,
          scaivault: undefined,
        }),
      ),
      kind: "FederationBackend",
    }));
    const found = await argocdHealth(objects);
    expect(failing.map((name, index) => [name, found[index]?.status])).toEqual(
      failing.map((name) => [name, expected[name]]),
    );
  });

  it("that a newer operator may write is Degraded when it is not Ready", async () => {
    const text = JSON.stringify(statusOf("NotOwned")).replaceAll("NotOwned", "NotYetInvented");
    expect((await argocdHealth([sync(JSON.parse(text))]))[0]?.status).toBe("Degraded");
  });
});

describe("a status that says nothing of today", () => {
  const good = statusOf("InSync");
  it.each([
    ["none yet", sync(undefined), "Progressing", "Current"],
    ["what the API server fills in", sync({ observedGeneration: 0 }), "Progressing", "InProgress"],
    ["of an older generation", sync({ ...good, observedGeneration: 2 }), "Progressing", "InProgress"],
    ["no conditions", sync({ observedGeneration: generation, conditions: [] }), "Progressing", "Current"],
    [
      "of an object that is being deleted",
      sync(good, { deletionTimestamp: "2026-11-23T10:00:00Z" }),
      "Progressing",
      "Terminating",
    ],
  ])("%s", async (_what, object, health, status) => {
    // kstatus takes what has no status for current; the CRDs' default is there so that it never sees such an object.
    expect([(await argocdHealth([object]))[0]?.status, (await kstatus([object]))[0]?.status]).toEqual([health, status]);
  });
});

describe("examples/gitops/argocd/argocd-cm.yaml", () => {
  it("holds the same script for both kinds", async () => {
    const text = readFileSync("examples/gitops/argocd/argocd-cm.yaml", "utf8");
    const { data } = parse(text) as { data: Record<string, string> };
    const kinds = ["FederationBackend", "SecretSync"];
    expect(Object.keys(data)).toEqual(
      kinds.map((kind) => `resource.customizations.health.scaivault.scailabs.ai_${kind}`),
    );
    const folder = mkdtempSync(join(tmpdir(), "argocd-cm-"));
    try {
      for (const [index, script] of Object.values(data).entries()) {
        const file = join(folder, `${index}.lua`);
        writeFileSync(file, script);
        const objects = [sync(statusOf("InSync")), sync(statusOf("Stale")), sync(statusOf("Suspended"))];
        expect(await argocdHealth(objects, file)).toEqual(await argocdHealth(objects, healthScript));
      }
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
