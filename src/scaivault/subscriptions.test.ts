import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { systemClock } from "../time/clock.ts";
import { RateBudget } from "./index.ts";
import { allOf, failureOf, ServerAndClients } from "./testing/server-client.ts";

let parts: ServerAndClients;
beforeAll(async () => {
  parts = await ServerAndClients.start();
});
afterEach(() => {
  parts.server.admin.clearFaults();
  parts.server.admin.resetCounters();
});
afterAll(() => parts.stop());

const context = { signal: new AbortController().signal };
const settings = {
  name: "k8s_eu-1",
  paths: ["news/**"],
  events: ["secret.created", "secret.updated", "secret.deleted"],
};

describe("subscriptions", () => {
  test("are made, read, listed, changed and deleted", async () => {
    const { subscriptions } = parts.client();
    const made = await subscriptions.create({ ...settings, bufferSize: 50 }, context);
    expect(made).toMatchObject({ ...settings, owner: "sa:local-admin", delivery: "polling" });
    expect(await subscriptions.get(made.id, context)).toEqual(made);
    expect(await allOf(subscriptions.list(context))).toEqual([made]);
    expect(await subscriptions.patch(made.id, { paths: ["news/a", "more/**"] }, context)).toBe(true);
    expect((await subscriptions.get(made.id, context))?.paths).toEqual(["news/a", "more/**"]);
    expect(await subscriptions.delete(made.id, context)).toBe(true);
    expect(await subscriptions.delete(made.id, context)).toBe(false);
    expect(await subscriptions.get(made.id, context)).toBeUndefined();
    expect(await subscriptions.patch(made.id, { paths: ["x"] }, context)).toBe(false);
    expect(await subscriptions.poll(made.id, { timeoutSeconds: 1 }, context)).toBeUndefined();
    expect(await subscriptions.ack(made.id, ["e"], context)).toBe(false);
  });

  test("tell of changes at once, resume behind an event, and repeat what was not acknowledged", async () => {
    const { subscriptions } = parts.client();
    const { id } = await subscriptions.create(settings, context);
    // Longer than the deadline of other calls (2 s here) would be cut off if it counted.
    const waiting = subscriptions.poll(id, { timeoutSeconds: 30 }, context);
    await systemClock.sleep(50);
    parts.server.admin.write("news/a", { data: '{"v":"1"}' });
    const first = await waiting;
    expect(first?.events.map(({ type, path, version }) => [type, path, version])).toEqual([
      ["secret.created", "news/a", 1],
    ]);
    parts.server.admin.write("news/a", { data: '{"v":"2"}' });
    parts.server.admin.write("elsewhere/a", { data: "{}" });
    parts.server.admin.remove("news/a");
    const since = first?.events[0]?.id ?? "";
    const next = await subscriptions.poll(id, { timeoutSeconds: 1, since }, context);
    expect(next?.events.map(({ type, version }) => [type, version])).toEqual([
      ["secret.updated", 2],
      ["secret.deleted", undefined],
    ]);
    expect(next).toMatchObject({ hasMore: false, dropped: 0 });
    const one = await subscriptions.poll(id, { timeoutSeconds: 1, maxEvents: 1 }, context);
    expect([one?.events[0]?.id, one?.hasMore]).toEqual([since, true]);
    const all = [since, ...(next?.events ?? []).map((event) => event.id)];
    expect(await subscriptions.ack(id, all, context)).toBe(true);
    expect((await subscriptions.poll(id, { timeoutSeconds: 1 }, context))?.events).toEqual([]);
    expect(parts.server.admin.counters().byCategory["subscription_poll"]).toBe(4);
    await subscriptions.delete(id, context);
  });

  test("are the one thing that a reader may make; without their scopes it says which is missing", async () => {
    const budget = new RateBudget({ clock: systemClock });
    const reader = parts.as("sa:reader", ["secrets:list", "subscriptions:read", "subscriptions:write"], {
      readOnly: true,
      budget,
    });
    const { id } = await reader.subscriptions.create(settings, context);
    expect(await reader.subscriptions.poll(id, { timeoutSeconds: 1 }, context)).toMatchObject({ events: [] });
    expect((await failureOf(reader.delete("news/a", context))).reason).toBe("WaitingForWriter");
    expect(budget.available("subscription")).toBe(19);
    const none = parts.as("sa:none", ["secrets:list"]);
    const refused = await failureOf(allOf(none.subscriptions.list(context)));
    expect([refused.reason, refused.right]).toEqual(["ScaiVaultDenied", "subscriptions:read"]);
    const write = await failureOf(none.subscriptions.create(settings, context));
    expect([write.reason, write.right]).toEqual(["ScaiVaultDenied", "subscriptions:write"]);
    // Only who made it polls it.
    const other = parts.as("sa:other", ["admin"]);
    expect((await failureOf(other.subscriptions.poll(id, { timeoutSeconds: 1 }, context))).reason).toBe(
      "ScaiVaultDenied",
    );
  });

  test("events and answers that are not as they should be are passed over or refused, and never shown", async () => {
    const { subscriptions } = parts.client();
    const { id } = await subscriptions.create({ ...settings, name: "odd" }, context);
    const answer = (text: string) => {
      parts.server.admin.inject({ times: 1, action: { kind: "body", status: 200, text } });
      return subscriptions.poll(id, { timeoutSeconds: 1 }, context);
    };
    const odd = { event_id: "e1", event_type: 7, timestamp: "soon", path: ["x"], data: { version: "many" }, more: 1 };
    expect(await answer(JSON.stringify({ events: [odd], has_more: "no" }))).toEqual({
      events: [{ id: "e1", type: "", timestamp: undefined, path: undefined, version: undefined }],
      hasMore: false,
      dropped: undefined,
    });
    for (const text of ["canary-7f3a9c", '{"events":"canary-7f3a9c"}', '{"events":[{"event_id":""}]}'])
      expect((await failureOf(answer(text))).reason).toBe("ScaiVaultUnavailable");
    await subscriptions.delete(id, context);
  });
});
