import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { SyncError } from "../errors/index.ts";
import type { FederatedBackend } from "../model/index.ts";
import {
  createBody,
  patchBackendBody,
  readBackend,
  readBackends,
  readConflicts,
  readStatus,
} from "./federation-wire.ts";

const bytes = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));
const none: Omit<FederatedBackend, "id" | "name"> = {
  type: undefined,
  config: undefined,
  pathMapping: undefined,
  mode: undefined,
  syncInterval: undefined,
  conflictResolution: undefined,
  status: undefined,
  createdMs: undefined,
};

describe("a backend", () => {
  test("is read with all that it tells", () => {
    const told = {
      id: "fed_1",
      name: "k8s_eu-1_team_vault",
      type: "hashicorp-vault",
      config: { endpoint: "https://vault.example.com:8200", auth_method: "approle", tls_verify: true, later: { a: 1 } },
      path_mapping: { "external/hashicorp/**": "kv/data/**" },
      mode: "proxy",
      sync_interval: null,
      status: "healthy",
      created_at: "2026-01-01T00:00:00.123456Z",
      more: "of what comes later",
    };
    expect(readBackend(bytes(told), "read")).toEqual({
      ...none,
      id: "fed_1",
      name: told.name,
      type: told.type,
      config: new Map<string, unknown>(Object.entries(told.config)),
      pathMapping: new Map(Object.entries(told.path_mapping)),
      mode: "proxy",
      status: "healthy",
      createdMs: Date.parse("2026-01-01T00:00:00.123Z"),
    });
  });

  test.each([
    ["no more than id and status, as the guide shows", { id: "fed_1", status: "healthy" }, { status: "healthy" }],
    ["fields of other kinds", { id: "fed_1", config: 7, path_mapping: ["x"], mode: {}, created_at: "now" }, {}],
    ["a sentence for a status", { id: "fed_1", status: "broken: password hunter2" }, {}],
  ])("with %s", (_what, told, read) => {
    expect(readBackend(bytes(told), "read")).toEqual({ ...none, id: "fed_1", name: "", ...read });
  });

  test.each([
    ["no id", {}],
    ["an id that would mean something in a URL", { id: "../secrets/x" }],
    ["an id with a query", { id: "fed_1?x" }],
    ["a number", 1],
    ["null", null],
  ])("with %s is an answer that cannot be read", (_what, told) => {
    expect(() => readBackend(bytes(told), "read")).toThrow(SyncError);
  });
});

test.each([
  ["backends", (items: unknown) => ({ backends: items, cursor: null, has_more: false })],
  ["data", (items: unknown) => ({ data: items })],
  ["a bare array", (items: unknown) => items],
])("a listing as %s is read", (_form, wrap) => {
  const page = readBackends(
    bytes(
      wrap([
        { id: "fed_1", name: "a" },
        { id: "fed_2", name: "b" },
      ]),
    ),
    "list",
  );
  expect(page.backends.map(({ id, name }) => [id, name])).toEqual([
    ["fed_1", "a"],
    ["fed_2", "b"],
  ]);
  expect(page.cursor).toBeUndefined();
});

test("a listing with more has a cursor, and one that names none ends", () => {
  expect(readBackends(bytes({ backends: [], cursor: "c", has_more: true }), "list").cursor).toBe("c");
  expect(readBackends(bytes({ backends: [], cursor: "c", has_more: false }), "list").cursor).toBeUndefined();
  expect(() => readBackends(bytes({ items: [] }), "list")).toThrow(SyncError);
});

describe("a status", () => {
  test("is read with connection and last sync", () => {
    const told = {
      id: "fed_a",
      name: "n",
      status: "healthy",
      last_sync: "2026-01-01T00:00:00Z",
      last_sync_duration_ms: 3000,
      secrets_synced: 12,
      connection: { status: "connected", latency_ms: 15 },
    };
    expect(readStatus(bytes(told), "status")).toEqual({
      status: "healthy",
      connection: "connected",
      latencyMs: 15,
      lastSyncMs: Date.parse("2026-01-01T00:00:00Z"),
      lastSyncDurationMs: 3000,
      secretsSynced: 12,
      secretsFailed: undefined,
      secretsSkipped: undefined,
      conflictCount: undefined,
      errorCode: undefined,
    });
  });

  test.each([
    ["a code", "permission_denied", "permission_denied"],
    ["an object with a code", { code: "timeout", message: "hunter2" }, "timeout"],
    ["a sentence, which may quote anything", "login failed for role hunter2", undefined],
    ["null", null, undefined],
  ])("keeps of the last error %s", (_what, lastError, code) => {
    expect(readStatus(bytes({ status: "degraded", last_error: lastError }), "status")).toMatchObject({
      status: "degraded",
      errorCode: code,
    });
  });

  test("that is no word counts as unknown, never as healthy", () => {
    for (const status of [undefined, null, 7, "", "all is well"])
      expect(readStatus(bytes({ status }), "status").status).toBe("unknown");
  });
});

test("conflicts have paths, versions and times, and no value that an answer may hold", () => {
  const conflict = {
    path: "external/aws/stripe",
    backend_path: "prod/stripe",
    local_version: 3,
    detected_at: "2026-01-01T00:00:00Z",
    resolution: null,
    value: "hunter2",
  };
  const read = readConflicts(bytes({ conflicts: [conflict], cursor: "c", has_more: true }), "conflicts");
  expect(read).toEqual({
    conflicts: [
      {
        path: "external/aws/stripe",
        backendPath: "prod/stripe",
        localVersion: 3,
        detectedMs: Date.parse("2026-01-01T00:00:00Z"),
        resolution: undefined,
      },
    ],
    more: true,
  });
});

test("anything at all is read, or is an answer that cannot be read; the error quotes nothing of it", () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.jsonValue().map((value) => JSON.stringify(value)),
        fc.string(),
      ),
      (text) => {
        for (const read of [readBackend, readBackends, readStatus, readConflicts]) {
          try {
            read(Buffer.from(text), "look");
          } catch (error) {
            expect(error).toBeInstanceOf(SyncError);
            expect((error as SyncError).message).toBe("ScaiVault's answer cannot be read (look)");
          }
        }
      },
    ),
  );
});

test("bodies say what is wanted and leave out what is not", () => {
  const wanted = {
    name: "k8s_eu-1_team_aws",
    type: "aws-secrets-manager",
    config: new Map([["region", "us-east-1"]]),
    pathMapping: new Map([["external/aws/**", "prod/**"]]),
    mode: "sync",
    syncInterval: "15m",
    conflictResolution: undefined,
  } as const;
  expect(JSON.parse(createBody(wanted).toString())).toEqual({
    name: "k8s_eu-1_team_aws",
    type: "aws-secrets-manager",
    config: { region: "us-east-1" },
    path_mapping: { "external/aws/**": "prod/**" },
    mode: "sync",
    sync_interval: "15m",
  });
  expect(JSON.parse(patchBackendBody({ mode: "proxy" }).toString())).toEqual({ mode: "proxy" });
  expect(JSON.parse(patchBackendBody({ config: new Map([["endpoint", null]]) }).toString())).toEqual({
    config: { endpoint: null },
  });
});
