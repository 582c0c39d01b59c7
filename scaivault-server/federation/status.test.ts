import { expect, it } from "vitest";
import { statusOf } from "./status.ts";
import type { BackendStatus, Standing } from "./status.ts";

const base: Standing = {
  mode: "sync",
  syncing: false,
  connection: "connected",
  synced: true,
  failed: 0,
  lastError: null,
};

it.each<[BackendStatus, Partial<Standing>]>([
  ["healthy", {}],
  ["syncing", { syncing: true, connection: "disconnected" }],
  ["pending", { synced: false }],
  ["pending", { synced: false, connection: "unknown" }],
  ["healthy", { connection: "unknown" }],
  ["degraded", { failed: 1 }],
  ["unhealthy", { connection: "disconnected" }],
  ["unhealthy", { connection: "error" }],
  ["unhealthy", { lastError: "access_denied" }],
  ["unhealthy", { lastError: "access_denied", synced: false }],
  ["unhealthy", { lastError: "access_denied", failed: 3 }],
  ["healthy", { mode: "proxy", synced: false }],
  ["pending", { mode: "proxy", synced: false, connection: "unknown" }],
  ["unhealthy", { mode: "proxy", synced: false, connection: "error" }],
])("%s: %j", (expected, given) => expect(statusOf({ ...base, ...given })).toBe(expected));
