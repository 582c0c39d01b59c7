import { afterAll, beforeAll, expect, test } from "vitest";
import { VirtualClock } from "../time/clock.ts";
import { allOf, failureOf, ServerAndClients } from "./testing/server-client.ts";

const HOUR = 3_600_000;
const clock = new VirtualClock();
let parts: ServerAndClients;
beforeAll(async () => {
  parts = await ServerAndClients.start(clock);
});
afterAll(() => parts.stop());

const context = { signal: new AbortController().signal };

test("policies are made, read, listed, changed and deleted", async () => {
  const { rotation } = parts.client();
  const settings = {
    name: "monthly",
    interval: "30d",
    gracePeriod: "24h",
    warnBefore: ["7d", "1d"],
    description: "all",
  };
  const made = await rotation.create(settings, context);
  expect(made).toMatchObject({
    name: "monthly",
    interval: "30d",
    gracePeriod: "24h",
    autoGenerate: false,
    isActive: true,
  });
  expect(await rotation.get(made.id, context)).toEqual(made);
  expect(await allOf(rotation.list(context))).toEqual([made]);
  expect(await rotation.patch(made.id, { interval: "60d" }, context)).toMatchObject({
    id: made.id,
    interval: "60d",
    gracePeriod: "24h",
  });
  expect((await failureOf(rotation.create({ name: "odd", interval: "soon" }, context))).reason).toBe("InvalidSpec");
  expect(await rotation.delete(made.id, context)).toBe(true);
  expect(await rotation.delete(made.id, context)).toBe(false);
  expect(await rotation.get(made.id, context)).toBeUndefined();
  expect(await rotation.patch(made.id, { interval: "1d" }, context)).toBeUndefined();
});

test("secrets are put under a policy, become due, are rotated, and taken out again", async () => {
  const client = parts.client();
  const { rotation } = client;
  parts.server.admin.write("rotation/db", { data: '{"password":"first"}' });
  parts.server.admin.write("rotation/api", { data: '{"password":"first"}' });
  const { id } = await rotation.create({ name: "daily", interval: "1d", autoGenerate: true }, context);
  await rotation.assign(id, "rotation/db", context);
  await rotation.assign(id, "rotation/api", context);
  expect((await rotation.get(id, context))?.secretsCount).toBe(2);
  expect(await allOf(rotation.due(1, context))).toEqual([]);
  const due = await allOf(rotation.due(48, context));
  expect(due.map(({ path, policyID, overdue }) => [path, policyID, overdue]).sort()).toEqual([
    ["rotation/api", id, false],
    ["rotation/db", id, false],
  ]);
  expect(Date.parse(due[0]?.dueAt ?? "")).toBeGreaterThan(clock.now() + 20 * HOUR);
  const rotated = await rotation.rotate(id, ["rotation/db"], context);
  expect(rotated.map(({ path, status, newVersion }) => [path, status, newVersion])).toEqual([
    ["rotation/db", "success", 2],
  ]);
  expect((await client.get("rotation/db", context))?.version).toBe(2);
  await client.rotate("rotation/api", context);
  expect((await client.versions("rotation/api", context))?.map(({ version }) => version)).toEqual([2, 1]);
  const history = await allOf(rotation.history(id, "success", context));
  expect(history.map(({ path }) => path).sort()).toEqual(["rotation/api", "rotation/db"]);
  expect(Date.parse(history[0]?.at ?? "")).not.toBeNaN();
  expect(await rotation.unassign(id, "rotation/db", context)).toBe(true);
  expect(await rotation.unassign(id, "rotation/db", context)).toBe(false);
});

test("a reader's client changes none of it; without a scope it says which", async () => {
  const reader = parts.as("sa:reader", ["admin"], { readOnly: true });
  expect((await failureOf(reader.rotation.create({ name: "x", interval: "1d" }, context))).reason).toBe(
    "WaitingForWriter",
  );
  expect((await failureOf(reader.rotation.rotate("rot_x", undefined, context))).reason).toBe("WaitingForWriter");
  const none = parts.as("sa:none", ["secrets:read"]);
  const denied = await failureOf(none.rotation.create({ name: "x", interval: "1d" }, context));
  expect([denied.reason, denied.right]).toEqual(["ScaiVaultDenied", "admin"]);
  expect((await failureOf(allOf(none.rotation.due(24, context)))).right).toBe("secrets:rotate");
});
