import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { VirtualClock } from "../../src/time/clock.ts";
import { startServer } from "../server.ts";
import type { ScaiVaultServer, ServerOptions } from "../server.ts";
import { callServer } from "../testing.ts";
import type { CallAnswer, CallOptions } from "../testing.ts";
import { readBackup, writeBackup } from "./command.ts";

let clock: VirtualClock;
let server: ScaiVaultServer;
let folder = "";

async function start(options: ServerOptions = {}): Promise<void> {
  clock = new VirtualClock();
  server = await startServer({ clock, ...options });
}
const call = (method: string, path: string, options: CallOptions = {}): Promise<CallAnswer> =>
  callServer(server, method, path, options);

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "scaivault-backup-"));
  return start();
});
afterEach(async () => {
  await server.stop();
  rmSync(folder, { recursive: true });
});

async function subscribe(): Promise<string> {
  const events = ["secret.created", "secret.updated", "secret.deleted"];
  const body = { name: "n", paths: ["**"], events, delivery: { type: "polling" } };
  return String((await call("POST", "/v1/subscriptions", { body })).json["id"]);
}
const poll = async (id: string): Promise<unknown[]> =>
  (await call("GET", `/v1/subscriptions/${id}/poll?timeout=0`)).json["events"] as unknown[];

describe("a restored server", () => {
  it("has the versions, events and subscriptions of the backup; tokens stay", async () => {
    server.admin.write("a", { data: '{"n":1.0}' });
    server.admin.write("gone", { data: {} });
    const id = await subscribe();
    server.admin.write("a", { data: { n: 2 } });
    const backup = server.admin.backup();
    server.admin.write("a", { data: { n: 3 } });
    server.admin.write("later", { data: {} });
    server.admin.remove("gone", { permanent: true });
    const later = await subscribe();
    expect(await poll(id)).toHaveLength(4);

    await server.admin.restore(backup);
    expect((await call("GET", "/v1/secrets/a")).json).toMatchObject({ version: 2, data: { n: 2 } });
    expect((await call("GET", "/v1/secrets/a?version=1")).text).toContain('"data":{"n":1.0}');
    expect((await call("GET", "/v1/secrets/a?version=3")).code).toBe("version_not_found");
    expect((await call("GET", "/v1/secrets/later")).code).toBe("secret_not_found");
    expect(server.admin.paths()).toEqual(["a", "gone"]);
    expect(await poll(id)).toMatchObject([{ event_type: "secret.updated", data: { new_version: 2 } }]);
    expect((await call("GET", `/v1/subscriptions/${later}`)).code).toBe("subscription_not_found");
    // Versions are given out a second time, with other values.
    server.admin.write("a", { data: { n: "other" } });
    expect(server.admin.peek("a")).toMatchObject({ version: 3, data: '{"n":"other"}' });
    expect(await poll(id)).toHaveLength(2);
  });

  it("answers polls that waited meanwhile", async () => {
    const id = await subscribe();
    server.admin.write("a", { data: {} });
    const backup = server.admin.backup();
    const { event_id } = server.admin.events()[0] as { event_id: string };
    await call("POST", `/v1/subscriptions/${id}/ack`, { body: { event_ids: [event_id] } });
    const waiting = call("GET", `/v1/subscriptions/${id}/poll?timeout=60`);
    await expect.poll(() => clock.pending).toBe(1);
    await server.admin.restore(backup);
    expect((await waiting).json["events"]).toMatchObject([{ event_id }]);
  });

  it("has the federation backends of the backup, and syncs them again", async () => {
    const config = { endpoint: "http://127.0.0.1:1", auth_method: "token", auth_config_path: "infra/vault" };
    server.admin.write("infra/vault", { data: { token: "t" } });
    const create = (name: string, path: string): Promise<CallAnswer> =>
      call("POST", "/v1/federation/backends", {
        body: {
          name,
          type: "hashicorp-vault",
          config,
          path_mapping: { [`${path}/**`]: "kv/data/**" },
          mode: "sync",
          sync_interval: "1h",
        },
      });
    expect((await create("one", "external/one")).status).toBe(201);
    await server.admin.syncsIdle();
    const backup = server.admin.backup();
    expect((await create("two", "external/two")).status).toBe(201);
    await server.admin.restore(backup);
    await server.admin.syncsIdle();
    expect((await call("GET", "/v1/federation/backends")).json["backends"]).toMatchObject([{ name: "one" }]);
    // One timer, that of the backend that is left.
    expect(clock.pending).toBe(1);
    expect((await create("two", "external/two")).status).toBe(201);
  });

  it.each(["", "{}", '{"format":"other"}', '{"format":"scaivault-reference-server-backup","version":2,"content":{}}'])(
    "is what it was when the backup is %j",
    async (text) => {
      server.admin.write("a", { data: {} });
      await expect(server.admin.restore(text)).rejects.toMatchObject({ name: "ApiError" });
      expect(server.admin.paths()).toEqual(["a"]);
    },
  );
});

describe("a restart with a data file", () => {
  it("keeps subscriptions, what they have not acknowledged, and the count of dropped events", async () => {
    await server.stop();
    const dataFile = join(folder, "data.sqlite");
    await start({ dataFile });
    const body = { name: "n", paths: ["**"], events: ["*"], delivery: { type: "polling", buffer_size: 2 } };
    const id = String((await call("POST", "/v1/subscriptions", { body })).json["id"]);
    for (const path of ["a", "b", "c"]) server.admin.write(path, { data: {} });
    const before = (await call("GET", `/v1/subscriptions/${id}/poll?timeout=0`)).json;
    await call("POST", `/v1/subscriptions/${id}/ack`, {
      body: { event_ids: [(before["events"] as { event_id: string }[])[0]?.event_id] },
    });
    await server.stop();
    await start({ dataFile });
    expect((await call("GET", `/v1/subscriptions/${id}/poll?timeout=0`)).json).toEqual({
      events: (before["events"] as unknown[]).slice(1),
      has_more: false,
      dropped_events: 1,
    });
    expect(server.admin.events()).toHaveLength(3);
    server.admin.write("d", { data: {} });
    expect(await poll(id)).toHaveLength(2);
  });
});

describe("backup and restore as commands", () => {
  it("work on a data file, privately, and not below a running server", async () => {
    await server.stop();
    const data = join(folder, "data.sqlite");
    const file = join(folder, "backup.json");
    await start({ dataFile: data });
    server.admin.write("a", { data: { p: "one" } });
    writeFileSync(file, "old", { mode: 0o644 });
    await writeBackup(file, { data }, clock.now());
    expect(statSync(file).mode & 0o777).toBe(0o600);
    server.admin.write("a", { data: { p: "two" } });
    await expect(readBackup(file, { data })).rejects.toThrow(/a server uses the data file/);
    await server.stop();
    await readBackup(file, { data });
    expect(statSync(data).mode & 0o777).toBe(0o600);
    await start({ dataFile: data });
    expect(server.admin.peek("a")).toMatchObject({ version: 1, data: '{"p":"one"}' });
    await expect(writeBackup(file, { data: join(folder, "none") }, 0)).rejects.toThrow(/no such data file/);
    await expect(writeBackup(file, {}, 0)).rejects.toThrow(/either/);
  });

  it("work on a running server by its admin port, on loopback only", async () => {
    await server.stop();
    await start({ adminPort: 0 });
    const adminTokenFile = join(folder, "token");
    writeFileSync(adminTokenFile, `${server.adminPort?.token ?? ""}\n`, { mode: 0o600 });
    const flags = { adminUrl: server.adminPort?.url ?? "", adminTokenFile };
    const file = join(folder, "backup.json");
    server.admin.write("a", { data: { p: "one" } });
    await writeBackup(file, flags, 0);
    expect(JSON.parse(readFileSync(file, "utf8"))).toMatchObject({ version: 1 });
    server.admin.write("a", { data: { p: "two" } });
    await readBackup(file, flags);
    expect(server.admin.peek("a")?.version).toBe(1);
    await expect(writeBackup(file, { ...flags, adminUrl: "http://192.0.2.1:1" }, 0)).rejects.toThrow(/loopback/);
    writeFileSync(file, "{}");
    await expect(readBackup(file, flags)).rejects.toThrow("the admin port answers 422");
  });
});
