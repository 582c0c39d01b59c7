import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { badSpecs } from "../../test/integration/api/bad-specs.ts";
import { awsSpec, edited, goodSpecs, syncSpec } from "../../test/integration/api/specs.ts";
import {
  API_VERSION,
  check,
  defaults,
  effectiveBackend,
  effectiveSync,
  federationBackendSpec,
  formatDuration,
  isAllowedSecretType,
  nearest,
  parseDuration,
  parseFederationBackend,
  parseField,
  parseSecretSync,
  secretSyncSpec,
  sourceSelector,
} from "./index.ts";

const metadata = {
  name: "stripe",
  namespace: "billing",
  uid: "u",
  generation: 1,
  creationTimestamp: "2026-01-01T00:00:00Z",
};
const sync = (spec: unknown, extra: object = {}) => ({
  apiVersion: API_VERSION,
  kind: "SecretSync",
  metadata,
  spec,
  ...extra,
});

describe("objects of the cluster", () => {
  it("are read when they are good", () => {
    for (const { kind, spec } of goodSpecs) {
      const object = { ...sync(spec), kind };
      const result = kind === "SecretSync" ? parseSecretSync(object) : parseFederationBackend(object);
      expect(result).toMatchObject({ ok: true, value: { spec } });
    }
  });

  it("are refused with one message when they are bad", () => {
    for (const { kind, spec } of badSpecs) {
      const object = { ...sync(spec), kind };
      const result = kind === "SecretSync" ? parseSecretSync(object) : parseFederationBackend(object);
      expect(result.ok).toBe(false);
      if (!result.ok) expect(result.message).toMatch(/^spec[.\w]*: [^\n]+$/);
    }
  });

  it("may have fields of newer versions, which are dropped, and nulls, which the API server prunes", () => {
    const newer = edited(syncSpec, { newer: 1, targets: { push: {} } });
    const result = parseSecretSync(sync({ ...newer, adopt: null }, { status: { newer: 1, lastWriteTime: null } }));
    expect(result).toEqual({ ok: true, value: sync(syncSpec, { status: {} }) });
  });

  it("never make the parser throw", () => {
    fc.assert(fc.property(fc.anything(), (value) => void parseSecretSync(value)));
    fc.assert(fc.property(fc.anything(), (spec) => void parseSecretSync(sync(spec))));
  });
});

describe("check", () => {
  it("says every problem, also beside others", () => {
    const spec = edited(syncSpec, {
      source: { path: "a//b", backendRef: {}, stge: "x" },
      authority: "ScaiVault",
      conflictResolution: "remote_wins",
      apply: 3,
    });
    delete (spec["source"] as { backendRef: { name?: string } }).backendRef.name;
    expect(
      check(secretSyncSpec, spec, { unknown: "Refuse" }).map((p) => `${p.path.join(".")} ${p.rule ?? p.code}`),
    ).toEqual([
      "source.backendRef.name Required",
      "source.path path-segments",
      "source.stge UnknownField",
      "apply NotAllowed",
      "conflictResolution scaivault-conflict-resolution",
    ]);
  });

  it("asks rules that compare only with an old object", () => {
    const changed = edited(awsSpec, { type: "hashicorp-vault" });
    const typeRule = (old?: unknown) =>
      check(federationBackendSpec, changed, old === undefined ? {} : { old }).filter(
        (p) => p.rule === "type-immutable",
      );
    expect(typeRule()).toEqual([]);
    expect(typeRule(awsSpec)).toHaveLength(1);
    expect(typeRule(changed)).toEqual([]);
  });
});

describe("effective values", () => {
  it("are the defaults where nothing is said", () => {
    expect(effectiveSync(secretSyncSpec.parse(syncSpec), undefined)).toEqual({
      syncInterval: "15m",
      syncIntervalMs: 900_000,
      authority: "Source",
      conflictResolution: "remote_wins",
      adopt: "Never",
      deletionPolicy: "Retain",
      cleanupPolicy: "Retain",
      apply: "Automatic",
      suspend: false,
    });
    expect(effectiveBackend(federationBackendSpec.parse(awsSpec))).toEqual({
      syncInterval: "15m",
      syncIntervalMs: 900_000,
      suspend: false,
    });
  });

  it("inherit the interval of the backend and nothing else", () => {
    const backend = federationBackendSpec.parse({ ...awsSpec, syncInterval: "5m", suspend: true });
    expect(effectiveSync(secretSyncSpec.parse(syncSpec), backend)).toMatchObject({
      syncInterval: "5m",
      suspend: false,
    });
    expect(effectiveSync(secretSyncSpec.parse(edited(syncSpec, { syncInterval: "1h" })), backend).syncIntervalMs).toBe(
      3_600_000,
    );
  });

  it("follow the authority", () => {
    const spec = secretSyncSpec.parse(edited(syncSpec, { authority: "ScaiVault" }));
    expect(effectiveSync(spec, undefined).conflictResolution).toBe("local_wins");
  });

  it("make versions text", () => {
    expect(sourceSelector(secretSyncSpec.parse(edited(syncSpec, { source: { version: 3 } })))).toEqual({
      version: "3",
    });
    expect(sourceSelector(secretSyncSpec.parse(syncSpec))).toEqual({});
  });

  it("have a default interval that is a duration", () => expect(parseDuration(defaults.syncInterval)).toBe(900_000));
});

describe("durations", () => {
  it("come back from text", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 99_999 }), (seconds) => {
        expect(parseDuration(formatDuration(seconds * 1000))).toBe(seconds * 1000);
      }),
    );
  });

  it.each(["", "0s", "1d", "15", "1h30m", "1.5h", " 1m", "1m\n", "-1s", "100000s", "15M"])(
    "are refused: %j",
    (text) => {
      expect(parseDuration(text)).toBeUndefined();
    },
  );
});

describe("parseField", () => {
  it.each<[string, readonly string[] | undefined]>([
    [".a", ["a"]],
    [".a.b_c.d-e", ["a", "b_c", "d-e"]],
    ['."tls.crt"', ["tls.crt"]],
    ['.a."b.c".d', ["a", "b.c", "d"]],
    ['."a b"', ["a b"]],
    ["", undefined],
    [".", undefined],
    ["a", undefined],
    [".a.", undefined],
    [".a[0]", undefined],
    ['."a', undefined],
    ['.""', undefined],
    ['."a\\"b"', undefined],
    [".a|b", undefined],
  ])("reads %j", (field, keys) => {
    expect(parseField(field)).toEqual(keys);
  });

  it("reads back what it was made of", () => {
    const key = fc.string({ minLength: 1, maxLength: 8 }).filter((text) => !/["\\]/.test(text));
    fc.assert(
      fc.property(fc.array(key, { minLength: 1, maxLength: 5 }), (keys) => {
        expect(parseField(keys.map((k) => `."${k}"`).join(""))).toEqual(keys);
      }),
    );
  });
});

describe("Secret types", () => {
  it.each(["Opaque", "kubernetes.io/tls", "kubernetes.io/dockerconfigjson", "example.com/x", "notkubernetes.io/x"])(
    "allowed: %s",
    (type) => {
      expect(isAllowedSecretType(type)).toBe(true);
    },
  );
  it.each([
    "kubernetes.io/service-account-token",
    "bootstrap.kubernetes.io/token",
    "helm.sh/release.v1",
    "x.k8s.io/y",
    "KUBERNETES.IO/tls",
    "opaque",
    "",
    "a/b/c",
  ])("refused: %j", (type) => {
    expect(isAllowedSecretType(type)).toBe(false);
  });
});

describe("nearest", () => {
  it("finds what was meant and nothing far off", () => {
    const known = ["version", "path", "subtree", "stage"];
    expect(nearest("verison", known)).toBe("version");
    expect(nearest("Path", known)).toBe("path");
    expect(nearest("sage", known)).toBe("stage");
    expect(nearest("name", known)).toBeUndefined();
    expect(nearest("x".repeat(10_000), known)).toBeUndefined();
  });
});
