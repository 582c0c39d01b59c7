import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { VirtualClock } from "../../src/time/clock.ts";
import { startServer } from "../server.ts";
import type { ScaiVaultServer, ServerOptions } from "../server.ts";
import { callServer } from "../testing.ts";

const dayMs = 86_400_000;
let clock: VirtualClock;
let server: ScaiVaultServer;

async function start(options: ServerOptions = {}, at?: number): Promise<void> {
  clock = new VirtualClock(at);
  server = await startServer({ clock, ...options });
}
beforeEach(() => start());
afterEach(() => server.stop());

const told = (): string[] =>
  server.admin
    .events()
    .filter(({ event_type }) => event_type.startsWith("secret.exp"))
    .map(({ event_type, data }) => `${event_type} ${String(data["threshold"] ?? "")}`.trim());

describe("a secret that expires", () => {
  it("is told at its thresholds and at the end, and stays readable", async () => {
    server.admin.write("a", { data: {}, options: { expires_in: "40d" } });
    await clock.advance(10 * dayMs - 1);
    expect(told()).toEqual([]);
    await clock.advance(30 * dayMs);
    expect(told()).toEqual(["secret.expiring 30d", "secret.expiring 7d", "secret.expiring 1d"]);
    expect(server.admin.events().at(-1)).toMatchObject({
      identity_id: "system:expiry-scheduler",
      path: "a",
      data: { expires_at: "2026-02-10T00:00:00.000Z", days_remaining: 1, threshold: "1d" },
    });
    await clock.advance(1);
    expect(server.admin.events().at(-1)).toMatchObject({
      event_type: "secret.expired",
      data: { expires_at: "2026-02-10T00:00:00.000Z", version: 1 },
    });
    expect((await callServer(server, "GET", "/v1/secrets/a")).status).toBe(200);
    await clock.advance(100 * dayMs);
    expect(told()).toHaveLength(4);
  });

  it("has its own thresholds; those that have passed already are not told", async () => {
    server.admin.write("a", { data: {}, options: { expires_in: "5d", notify_before: ["10d", "2d", "12h"] } });
    expect((await callServer(server, "GET", "/v1/secrets/a/metadata")).json["notify_before"]).toEqual([
      "10d",
      "2d",
      "12h",
    ]);
    await clock.advance(6 * dayMs);
    expect(told()).toEqual(["secret.expiring 2d", "secret.expiring 12h", "secret.expired"]);
    const bad = { data: {}, options: { notify_before: ["soon"] } };
    expect(() => server.admin.write("a", bad)).toThrow(expect.objectContaining({ code: "invalid_duration" }) as Error);
  });

  it("begins anew with a new expiry, keeps its turn over other writes, and ends with the secret", async () => {
    server.admin.write("a", { data: {}, options: { expires_in: "8d" } });
    await clock.advance(2 * dayMs);
    server.admin.write("a", { data: {} });
    expect(told()).toEqual(["secret.expiring 7d"]);
    server.admin.write("a", { data: {}, options: { expires_in: "8d" } });
    await clock.advance(dayMs);
    expect(told()).toEqual(["secret.expiring 7d", "secret.expiring 7d"]);
    server.admin.write("b", { data: {}, options: { expires_in: "8d" } });
    server.admin.remove("b", { permanent: true });
    server.admin.writeText("a", '{"data":{},"options":{"expires_in":null}}');
    await clock.advance(30 * dayMs);
    expect(told()).toHaveLength(2);
    expect(clock.pending).toBe(0);
  });

  it("is told what was missed, the last threshold only, after a restart", async () => {
    const folder = mkdtempSync(join(tmpdir(), "scaivault-expiry-"));
    try {
      await server.stop();
      const dataFile = join(folder, "data.sqlite");
      await start({ dataFile });
      server.admin.write("a", { data: {}, options: { expires_in: "31d" } });
      server.admin.write("b", { data: {} });
      server.admin.remove("b");
      const now = clock.now();
      await server.stop();
      await start({ dataFile }, now + 30 * dayMs + 1);
      await clock.advance(0);
      expect(told()).toEqual(["secret.expiring 1d"]);
      expect(server.admin.peek("b")).toBeUndefined();
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

describe("the end of a retention", () => {
  it("removes the secret and tells it, without anybody asking", async () => {
    server.admin.write("a", { data: {} });
    server.admin.remove("a");
    await clock.advance(30 * dayMs - 1);
    expect(server.admin.peek("a")?.deleted).toBe(true);
    await clock.advance(1);
    expect(server.admin.peek("a")).toBeUndefined();
    expect(server.admin.events().at(-1)).toMatchObject({
      event_type: "secret.deleted",
      identity_id: "system:retention",
      data: { permanent: true, version_count: 1 },
    });
    server.admin.write("a", { data: {} });
    expect(server.admin.peek("a")?.version).toBe(1);
  });
});
