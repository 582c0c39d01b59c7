import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { FederatedBackend, RegistrationPatch, WantedRegistration } from "../model/index.ts";
import {
  type DeclaredRegistration,
  decideRegistration,
  decideRetirement,
  MAX_REGISTRATION_NAME,
  type RegistrationSituation,
  registrationDiff,
  registrationName,
  wantedRegistration,
} from "./registration.ts";

const vault: DeclaredRegistration = {
  mode: "sync",
  pathMapping: [{ scaivaultPath: "external/hashicorp/**", sourcePath: "kv/**" }],
  syncInterval: "15m",
  conflictResolution: "remote_wins",
  store: { type: "hashicorp-vault", address: "https://vault.example.com:8200/", authMethod: "approle" },
  credentialsPath: "infra/hashicorp/approle",
};
const name = registrationName("eu-1", "platform", "vault");
const wanted = wantedRegistration(name, vault);

/** A backend as ScaiVault tells it when it is just as wanted. */
function asWanted(of: WantedRegistration, more: Partial<FederatedBackend> = {}): FederatedBackend {
  return {
    id: "fed_1",
    name: of.name,
    type: of.type,
    config: of.config,
    pathMapping: of.pathMapping,
    mode: of.mode,
    syncInterval: of.syncInterval,
    conflictResolution: of.conflictResolution,
    status: "healthy",
    createdMs: 1_000_000,
    ...more,
  };
}

describe("the name", () => {
  it("has cluster, namespace and name", () => expect(name).toBe("k8s_eu-1_platform_vault"));

  it("fits ScaiVault, and no two objects share one", () => {
    const label = fc.stringMatching(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/);
    const object = fc.tuple(label, label, fc.stringMatching(/^[a-z0-9]([a-z0-9.-]{0,120}[a-z0-9])?$/));
    fc.assert(
      fc.property(object, object, (a, b) => {
        const [one, other] = [registrationName(...a), registrationName(...b)];
        expect(one).toMatch(/^[\w.-]{1,128}$/);
        expect(one.length).toBeLessThanOrEqual(MAX_REGISTRATION_NAME);
        expect(one === other).toBe(a.join("/") === b.join("/"));
      }),
    );
  });

  it("that is cut still tells objects apart by its hash", () => {
    const long = "x".repeat(200);
    expect(registrationName("eu-1", "a", `${long}1`)).not.toBe(registrationName("eu-1", "a", `${long}2`));
  });
});

describe("what is wanted", () => {
  it("of Vault has data/ in its paths, the login by path, and TLS verified", () => {
    expect(Object.fromEntries(wanted.config)).toEqual({
      endpoint: "https://vault.example.com:8200",
      auth_method: "approle",
      auth_config_path: "infra/hashicorp/approle",
      tls_verify: true,
    });
    expect([...wanted.pathMapping]).toEqual([["external/hashicorp/**", "kv/data/**"]]);
  });

  it("of AWS has its paths as they are", () => {
    const aws = wantedRegistration(name, {
      ...vault,
      pathMapping: [{ scaivaultPath: "external/aws/**", sourcePath: "/prod/**" }],
      store: { type: "aws-secrets-manager", region: "us-east-1" },
      credentialsPath: undefined,
    });
    expect(Object.fromEntries(aws.config)).toEqual({ region: "us-east-1" });
    expect([...aws.pathMapping]).toEqual([["external/aws/**", "/prod/**"]]);
  });

  it("in proxy mode has no interval and no conflict resolution", () => {
    const proxy = wantedRegistration(name, { ...vault, mode: "proxy" });
    expect([proxy.syncInterval, proxy.conflictResolution]).toEqual([undefined, undefined]);
  });
});

describe("the difference", () => {
  it.each<[string, Partial<FederatedBackend>, string[], RegistrationPatch]>([
    ["is none when all is as wanted", {}, [], {}],
    ["is none when the same interval is written otherwise", { syncInterval: "900s" }, [], {}],
    ["is none in what an answer leaves out", { config: undefined, pathMapping: undefined, mode: undefined }, [], {}],
    [
      "is none in keys that are ScaiVault's own",
      { config: new Map<string, unknown>([...wanted.config, ["max_idle", 5]]) },
      [],
      {},
    ],
    ["is the interval", { syncInterval: "1h" }, ["sync_interval"], { syncInterval: "15m" }],
    ["is an interval in days", { syncInterval: "1d" }, ["sync_interval"], { syncInterval: "15m" }],
    [
      "is the conflict resolution",
      { conflictResolution: "local_wins" },
      ["conflict_resolution"],
      { conflictResolution: "remote_wins" },
    ],
    [
      "is the mapping as a whole",
      { pathMapping: new Map([["external/other/**", "kv/data/**"]]) },
      ["path_mapping"],
      { pathMapping: wanted.pathMapping },
    ],
    [
      "is TLS that somebody stopped verifying",
      { config: new Map([...wanted.config, ["tls_verify", false]]) },
      ["config.tls_verify"],
      { config: wanted.config },
    ],
    [
      "is an address that the credentials would be sent to",
      { config: new Map([...wanted.config, ["namespace", "other"]]) },
      ["config.namespace"],
      { config: new Map<string, string | boolean | null>([...wanted.config, ["namespace", null]]) },
    ],
    [
      "is the mode, with all that a sync needs",
      { mode: "proxy", syncInterval: undefined, conflictResolution: undefined },
      ["mode"],
      { mode: "sync", syncInterval: "15m", conflictResolution: "remote_wins" },
    ],
  ])("%s", (_what, changed, fields, patch) => {
    expect(registrationDiff(wanted, asWanted(wanted, changed))).toEqual({ fields, patch });
  });

  it("has a patch after which nothing differs, and nothing in it but what differed", () => {
    const config = fc.dictionary(
      fc.constantFrom("endpoint", "namespace", "tls_verify", "auth_method", "theirs"),
      fc.oneof(fc.constantFrom("https://vault.example.com:8200", "x"), fc.boolean()),
    );
    const actual = fc.record({
      config: config.map((entries) => new Map<string, unknown>(Object.entries(entries))),
      pathMapping: fc.constantFrom(wanted.pathMapping, new Map([["a/**", "b/**"]])),
      mode: fc.constantFrom("proxy", "sync"),
      syncInterval: fc.constantFrom("15m", "1h", undefined),
      conflictResolution: fc.constantFrom("remote_wins", "local_wins", undefined),
    });
    fc.assert(
      fc.property(actual, (found) => {
        const before = asWanted(wanted, found);
        const { patch, fields } = registrationDiff(wanted, before);
        const after = patched(before, patch);
        expect(registrationDiff(wanted, after)).toEqual({ fields: [], patch: {} });
        expect(fields.length === 0).toBe(Object.keys(patch).length === 0);
        // What is not ours stays.
        expect(after.config?.get("theirs")).toEqual(found.config.get("theirs"));
      }),
    );
  });
});

/** What a server makes of a patch. */
function patched(backend: FederatedBackend, patch: RegistrationPatch): FederatedBackend {
  const config = new Map(backend.config);
  for (const [key, value] of patch.config ?? [])
    if (value === null) config.delete(key);
    else config.set(key, value);
  return {
    ...backend,
    config,
    pathMapping: patch.pathMapping ?? backend.pathMapping,
    mode: patch.mode ?? backend.mode,
    syncInterval: patch.syncInterval ?? backend.syncInterval,
    conflictResolution: patch.conflictResolution ?? backend.conflictResolution,
  };
}

const situation = (more: Partial<RegistrationSituation>): RegistrationSituation => ({
  wanted,
  recordedID: undefined,
  announcedMs: undefined,
  byID: undefined,
  byName: undefined,
  adopt: "Never",
  healthy: true,
  ...more,
});
const found = asWanted(wanted);
const changed = asWanted(wanted, { conflictResolution: "manual" });

describe("the next step", () => {
  it.each<[string, Partial<RegistrationSituation>, object]>([
    ["for nothing is to say so first", {}, { kind: "Announce" }],
    ["once that was said is to create", { announcedMs: 5 }, { kind: "Create" }],
    ["for one that was taken away is to say so first", { recordedID: "fed_9" }, { kind: "Announce" }],
    ["for one of ours is none", { recordedID: "fed_1", byID: found, byName: found }, { kind: "Keep", backend: found }],
    [
      "for one of ours that differs is the difference",
      { recordedID: "fed_1", byID: changed, byName: changed },
      { kind: "Patch", fields: ["conflict_resolution"], patch: { conflictResolution: "remote_wins" } },
    ],
    ["for one of our name alone is none", { byName: found }, { kind: "Refuse", reason: "NotOwned" }],
    ["for one that was made anew by another is none", { recordedID: "fed_0", byName: found }, { reason: "NotOwned" }],
    [
      "for one whose id is recorded and whose name is another's is none of ours",
      { recordedID: "fed_1", byID: asWanted(wanted, { name: "production" }) },
      { kind: "Announce" },
    ],
    ["for an equal one that may be adopted is to adopt it", { byName: found, adopt: "IfEqual" }, { kind: "Adopt" }],
    [
      "for another one that may be adopted is none",
      { byName: changed, adopt: "IfEqual" },
      { kind: "Refuse", reason: "AdoptDiffers" },
    ],
    [
      "for one that answers what was announced is to take it as ours",
      { byName: asWanted(wanted, { createdMs: 100_000 }), announcedMs: 100_500 },
      { kind: "Adopt" },
    ],
    [
      "for one that is older than what was announced is none",
      { byName: asWanted(wanted, { createdMs: 100_000 }), announcedMs: 900_000 },
      { kind: "Refuse", reason: "NotOwned" },
    ],
    [
      "for one without a time is to take it only when it is equal",
      { byName: asWanted(changed as never, { ...changed, createdMs: undefined }), announcedMs: 1 },
      { kind: "Refuse", reason: "NotOwned" },
    ],
    [
      "for another type is none, because it cannot be changed",
      { recordedID: "fed_1", byID: asWanted(wanted, { type: "aws-secrets-manager" }) },
      { kind: "Refuse", reason: "AdoptDiffers" },
    ],
  ])("%s", (_what, more, step) => {
    expect(decideRegistration(situation(more))).toMatchObject(step);
  });

  it("of a move changes where is read before how", () => {
    const proxy = wantedRegistration(name, { ...vault, mode: "proxy" });
    const before = asWanted(wanted, { config: new Map([...wanted.config, ["namespace", "old"]]) });
    const first = decideRegistration(situation({ wanted: proxy, recordedID: "fed_1", byID: before }));
    expect(first).toMatchObject({ kind: "Patch", fields: ["config.namespace"] });
    const patch = first.kind === "Patch" ? first.patch : {};
    expect(patch.mode).toBeUndefined();
    const then = patched(before, patch);
    const move = (healthy: boolean) =>
      decideRegistration(situation({ wanted: proxy, recordedID: "fed_1", byID: then, healthy }));
    expect(move(false)).toMatchObject({ kind: "Wait", fields: ["mode"] });
    expect(move(true)).toMatchObject({ kind: "Patch", patch: { mode: "proxy" } });
  });

  it("never touches a backend without our name, and never one without our id that nobody asked for", () => {
    const backend = fc.record({
      id: fc.constantFrom("fed_1", "fed_2"),
      name: fc.constantFrom(name, "production", "k8s_eu-2_platform_vault"),
      conflictResolution: fc.constantFrom("remote_wins", "manual"),
    });
    fc.assert(
      fc.property(
        fc.array(backend, { maxLength: 3 }),
        fc.option(fc.constantFrom("fed_1", "fed_2"), { nil: undefined }),
        fc.constantFrom<"Never" | "IfEqual">("Never", "IfEqual"),
        (backends, recordedID, adopt) => {
          const all = backends.map((one) => asWanted(wanted, one));
          const step = decideRegistration(
            situation({
              recordedID,
              adopt,
              byID: all.find(({ id }) => id === recordedID),
              byName: all.find((one) => one.name === name),
            }),
          );
          if (step.kind === "Patch") {
            expect(step.backend.name).toBe(name);
            expect(step.backend.id).toBe(recordedID);
          }
          if (step.kind === "Adopt") {
            expect(adopt).toBe("IfEqual");
            expect(step.backend.name).toBe(name);
          }
        },
      ),
    );
  });
});

describe("when the operator takes over, the registration", () => {
  const health = { status: "healthy", lastSyncMs: 500 };
  const retire = { name, backend: found, syncInterval: "15m", health, sinceMs: 400 };
  it.each([
    ["goes when the last sync holds everything", {}, { kind: "Delete", id: "fed_1" }],
    ["waits for the sync after a change of mode", { sinceMs: 600 }, { kind: "Wait" }],
    ["waits while the store cannot be reached", { health: { ...health, status: "degraded" } }, { kind: "Wait" }],
    ["waits for its first status", { health: undefined }, { kind: "Wait" }],
    [
      "of a proxy becomes a sync first",
      { backend: asWanted(wanted, { mode: "proxy" }) },
      { kind: "Patch", patch: { mode: "sync", syncInterval: "15m" } },
    ],
    ["that is gone needs nothing", { backend: undefined }, { kind: "None" }],
    ["of another is left alone", { backend: asWanted(wanted, { name: "production" }) }, { kind: "None" }],
  ])("%s", (_what, more, step) => {
    expect(decideRetirement({ ...retire, ...more })).toMatchObject(step);
  });
});
