import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { NewAuditRow } from "../audit/audit.ts";
import type { BackendRecord, SyncedPath } from "../federation/record.ts";
import type { StoreContent } from "./content.ts";
import type { StoredEvent } from "./events.ts";
import { MemoryStore } from "./memory.ts";
import { SqliteStore } from "./sqlite.ts";
import type { Owner, SecretRecord, SecretVersion, Store } from "./store.ts";

const owner: Owner = "tenant:t1";

function secret(path: string, version = 1, more: Partial<SecretRecord> = {}): SecretRecord {
  return {
    owner,
    path,
    version,
    secretType: "kv",
    metadata: '{"tags":["a=b"]}',
    maxVersions: 3,
    createdAt: 1000,
    updatedAt: 1000 + version,
    expiresAt: null,
    lastAccessedAt: null,
    recoverableUntil: null,
    ...more,
  };
}

function version(number: number, data = `{"n": ${number}.0}`): SecretVersion {
  return { version: number, secretType: "kv", createdAt: 1000 + number, createdBy: "sa:x", data };
}

function row(more: Partial<NewAuditRow> = {}): NewAuditRow {
  return {
    id: "log_1",
    tenantId: "t1",
    timestamp: 5000,
    action: "read",
    identityType: "service_account",
    identityId: "sa:x",
    secretPath: "a/b",
    sourceIp: "127.0.0.1",
    userAgent: "test",
    success: true,
    durationMs: 3,
    requestId: "req_1",
    extraData: '{"version":1}',
    ...more,
  };
}

const backend: BackendRecord = {
  id: "fed_1",
  tenantId: "t1",
  name: "n",
  type: "hashicorp-vault",
  config: {},
  pathMapping: { "a/**": "kv/data/**" },
  mode: "sync",
  syncInterval: "1h",
  conflictResolution: "remote_wins",
  createdAt: 1,
  updatedAt: 1,
  outcome: null,
  lastError: null,
};
const synced: SyncedPath = {
  backendId: "fed_1",
  path: "a/b",
  backendPath: "kv/data/b",
  localVersion: 1,
  localSince: 1000,
  mark: "1",
  removed: false,
  conflictSince: null,
};

let folder = "";
let store: Store;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "scaivault-store-"));
});
afterEach(() => {
  store.close();
  rmSync(folder, { recursive: true });
});

const makers: Record<string, () => Store> = {
  memory: () => new MemoryStore(),
  SQLite: () => new SqliteStore(join(folder, "data.sqlite")),
};

describe.each(Object.keys(makers))("store in %s", (name) => {
  beforeEach(() => {
    store = (makers[name] as () => Store)();
  });

  it("gives back what was saved, text for text", () => {
    const data = '{"big": 12345678901234567890, "one": 1.0, "text":"\\u00e9 é \\ud800"}';
    store.appendVersion(secret("a/b"), version(1, data));
    expect(store.getSecret(owner, "a/b")).toEqual(secret("a/b"));
    expect(store.getVersion(owner, "a/b", 1)).toEqual(version(1, data));
    expect(store.getSecret("tenant:t2", "a/b")).toBeUndefined();
    expect(store.getSecret("partner:t1", "a/b")).toBeUndefined();
    expect(store.getVersion(owner, "a/b", 2)).toBeUndefined();
  });

  it("keeps the newest versions only", () => {
    for (let number = 1; number <= 5; number++) store.appendVersion(secret("a", number), version(number));
    expect(store.listVersions(owner, "a").map((item) => item.version)).toEqual([5, 4, 3]);
    expect(store.getVersion(owner, "a", 2)).toBeUndefined();
    store.appendVersion(secret("a", 6, { maxVersions: 1 }), version(6));
    expect(store.listVersions(owner, "a")).toEqual([
      { version: 6, secretType: "kv", createdAt: 1006, createdBy: "sa:x" },
    ]);
  });

  it("removes one version, and tells what is soft-deleted", () => {
    for (let number = 1; number <= 3; number++) store.appendVersion(secret("a", number), version(number));
    store.removeVersion(owner, "a", 2);
    expect(store.listVersions(owner, "a").map((item) => item.version)).toEqual([3, 1]);
    const gone = secret("b", 1, { recoverableUntil: 9000 });
    store.appendVersion(gone, version(1));
    expect(store.softDeleted()).toEqual([gone]);
  });

  it("removes a secret with its versions", () => {
    store.appendVersion(secret("a"), version(1));
    store.removeSecret(owner, "a");
    expect(store.getSecret(owner, "a")).toBeUndefined();
    expect(store.listVersions(owner, "a")).toEqual([]);
    store.appendVersion(secret("a"), version(1));
    expect(store.listVersions(owner, "a")).toHaveLength(1);
  });

  it("lists live secrets by path, below a prefix, page by page", () => {
    for (const path of ["b", "a/c", "a-b", "a/b", "a", "a_b", "a0", "a/b/c"])
      store.appendVersion(secret(path), version(1));
    store.saveSecret(secret("a/c", 1, { recoverableUntil: 9000 }));
    const list = (prefix: string, after?: string, limit = 100): string[] =>
      store.listSecrets(owner, { prefix, after, limit }).map((item) => item.path);
    expect(list("")).toEqual(["a", "a-b", "a/b", "a/b/c", "a0", "a_b", "b"]);
    expect(list("a/")).toEqual(["a/b", "a/b/c"]);
    expect(list("a/b")).toEqual(["a/b", "a/b/c"]);
    expect(list("", "a/b", 2)).toEqual(["a/b/c", "a0"]);
    expect(list("a/", "a", 1)).toEqual(["a/b"]);
    expect(list("z")).toEqual([]);
  });

  it("answers audit rows newest first, by every filter", () => {
    store.appendAudit(row());
    store.appendAudit(row({ action: "write", secretPath: "a/b%", timestamp: 6000, requestId: "req_2" }));
    store.appendAudit(
      row({ success: false, identityId: "user:y", identityType: "user", timestamp: 7000, sourceIp: "::1" }),
    );
    store.appendAudit(row({ tenantId: "t2" }));
    store.appendAudit(row({ action: "list", secretPath: null }));
    const all = store.queryAudit({ tenantId: "t1" }, { limit: 10 });
    expect(all.map((item) => item.action)).toEqual(["list", "read", "write", "read"]);
    expect(all[0]?.secretPath).toBeNull();
    expect(store.queryAudit({ tenantId: "t1" }, { limit: 2, before: all[1]?.sequence })).toEqual(all.slice(2));
    const count = (filter: object): number => store.queryAudit({ tenantId: "t1", ...filter }, { limit: 10 }).length;
    expect(count({ from: 6000 })).toBe(2);
    expect(count({ to: 6000 })).toBe(3);
    expect(count({ actions: ["write", "list"] })).toBe(2);
    expect(count({ identityId: "user:y" })).toBe(1);
    expect(count({ identityType: "service_account" })).toBe(3);
    expect(count({ pathPrefix: "a/b%" })).toBe(1);
    expect(count({ secretPath: "a/b" })).toBe(2);
    expect(count({ success: false })).toBe(1);
    expect(count({ sourceIp: "::1" })).toBe(1);
    expect(count({ requestId: "req_2" })).toBe(1);
    const summary = store.summarizeAudit({ tenantId: "t1" });
    expect(summary).toEqual({
      total: 4,
      successful: 3,
      byAction: new Map([
        ["read", 2],
        ["write", 1],
        ["list", 1],
      ]),
    });
    expect(store.summarizeAudit({ tenantId: "t3" })).toEqual({ total: 0, successful: 0, byAction: new Map() });
  });
});

describe.each(Object.keys(makers))("objects and events in %s", (name) => {
  beforeEach(() => {
    store = (makers[name] as () => Store)();
  });
  const event = (id: string, of: Owner = owner): StoredEvent =>
    store.events.appendEvent({ id, owner: of, type: "secret.created", path: "a", body: `{"event_id":"${id}"}` }, 100);
  const ids = (events: readonly StoredEvent[]): string[] => events.map(({ id }) => id);

  it("objects come back in the order they were made, each kind on its own", () => {
    for (const id of ["b", "a"]) store.objects.saveObject("kind", id, `{"id":"${id}"}`);
    store.objects.saveObject("other", "a", '{"id":"a","n":1}');
    store.objects.saveObject("kind", "b", '{"id":"b","n":2}');
    expect(store.objects.loadObjects("kind")).toEqual(['{"id":"b","n":2}', '{"id":"a"}']);
    store.objects.removeObject("kind", "b");
    expect(store.objects.loadObjects("kind")).toEqual(['{"id":"a"}']);
    expect(store.objects.loadObjects("other")).toEqual(['{"id":"a","n":1}']);
    expect(store.objects.loadObjects("none")).toEqual([]);
  });

  it("events are remembered for each owner, the newest ones", () => {
    for (let number = 1; number <= 250; number++) event(`e${number}`);
    event("f1", "tenant:t2");
    const all = store.events.listEvents(owner, { limit: 1000 });
    expect(all.length).toBeGreaterThanOrEqual(100);
    expect(all.length).toBeLessThan(225);
    expect(ids(all).at(-1)).toBe("e250");
    const place = store.events.sequenceOf(owner, "e249");
    expect(ids(store.events.listEvents(owner, { after: place, limit: 5 }))).toEqual(["e250"]);
    expect(store.events.sequenceOf(owner, "e1")).toBeUndefined();
    expect(store.events.sequenceOf("tenant:t2", "e250")).toBeUndefined();
  });

  it("queues give what is not acknowledged, oldest first, and drop the oldest when full", () => {
    const made = ["a", "b", "c", "d"].map((id) => event(id));
    expect(made.map((item) => store.events.enqueue("q", item, 3))).toEqual([0, 0, 0, 1]);
    expect(store.events.queued("q", { limit: 2 })).toEqual([made[1], made[2]]);
    expect(ids(store.events.queued("q", { after: made[1]?.sequence, limit: 5 }))).toEqual(["c", "d"]);
    expect(store.events.acknowledge("q", ["a", "c", "none"])).toBe(1);
    expect(ids(store.events.queued("q", { limit: 5 }))).toEqual(["b", "d"]);
    expect(store.events.enqueue("other", made[0] as StoredEvent, 3)).toBe(0);
    store.events.removeQueue("q");
    expect(store.events.queued("q", { limit: 5 })).toEqual([]);
    expect(ids(store.events.queued("other", { limit: 5 }))).toEqual(["a"]);
  });

  it("everything goes from one store to another and back", () => {
    store.appendVersion(secret("b"), version(1));
    store.appendVersion(secret("a", 1), version(1, '{"n":1.0}'));
    store.appendVersion(secret("a", 2, { recoverableUntil: 9000 }), version(2));
    store.appendVersion({ ...secret("a"), owner: "partner:p" }, version(1));
    store.appendAudit(row());
    store.appendAudit(row({ success: false, secretPath: null }));
    store.objects.saveObject("kind", "z", "{}");
    store.objects.saveObject("kind", "a", "{}");
    const made = [event("e1"), event("e2", "tenant:t2")];
    store.events.enqueue("q", made[0] as StoredEvent, 5);
    store.federation.saveBackend(backend);
    store.federation.savePath(synced);
    const content = store.content();
    expect(content.secrets.map(({ record, versions }) => [record.owner, record.path, versions.length])).toEqual([
      ["partner:p", "a", 1],
      [owner, "a", 2],
      [owner, "b", 1],
    ]);
    const other = (name === "memory" ? makers["SQLite"] : makers["memory"])?.() as Store;
    other.appendVersion(secret("gone"), version(1));
    other.appendAudit(row());
    other.objects.saveObject("gone", "a", "{}");
    other.federation.saveBackend({ ...backend, id: "fed_gone" });
    other.events.appendEvent({ id: "gone", owner, type: "t", path: null, body: "{}" }, 5);
    other.replace(JSON.parse(JSON.stringify(content)) as StoreContent);
    expect(other.content()).toEqual(content);
    expect(other.getSecret(owner, "gone")).toBeUndefined();
    expect(other.getVersion(owner, "a", 1)?.data).toBe('{"n":1.0}');
    const next = other.events.appendEvent({ id: "e3", owner, type: "t", path: null, body: "{}" }, 5);
    expect(next.sequence).toBeGreaterThan(made[1]?.sequence ?? 0);
    store.replace(other.content());
    expect(store.content()).toEqual(other.content());
    other.close();
  });

  it("several calls are one, nested ones too", () => {
    store.atomically(() => store.atomically(() => store.objects.saveObject("kind", "a", "{}")));
    expect(store.objects.loadObjects("kind")).toEqual(["{}"]);
  });
});

describe("the SQLite file", () => {
  it("has all of several calls or none", () => {
    store = new SqliteStore(join(folder, "data.sqlite"));
    expect(() =>
      store.atomically(() => {
        store.appendVersion(secret("a"), version(1));
        store.objects.saveObject("kind", "a", "{}");
        throw new Error("stop");
      }),
    ).toThrow("stop");
    expect([store.getSecret(owner, "a"), store.objects.loadObjects("kind")]).toEqual([undefined, []]);
  });

  it("keeps its content over a restart and belongs to its owner only", () => {
    const file = join(folder, "data.sqlite");
    store = new SqliteStore(file);
    store.appendVersion(secret("a"), version(1));
    store.appendAudit(row());
    for (const name of [file, `${file}-wal`]) expect(statSync(name).mode & 0o077).toBe(0);
    store.close();
    store = new SqliteStore(file);
    expect(store.getVersion(owner, "a", 1)).toEqual(version(1));
    expect(store.queryAudit({ tenantId: "t1" }, { limit: 10 })).toHaveLength(1);
  });

  it("holds nothing of a value that was removed", () => {
    const file = join(folder, "data.sqlite");
    store = new SqliteStore(file);
    store.appendVersion(secret("a"), version(1, '{"v":"canary-5b1f"}'));
    store.removeSecret(owner, "a");
    store.close();
    expect(readFileSync(file).includes("canary-5b1f")).toBe(false);
    store = new MemoryStore();
  });
});
