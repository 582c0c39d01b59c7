/**
 * News of ScaiVault: with an interval of fifteen minutes, what changes there is seen within seconds; what is lost, forged or
 * forbidden costs freshness or a few looks, never more.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { call } from "../../../local/http.ts";
import { Harness, startOperator, sync, verdict } from "../../support/operator.ts";

const MINUTE = 60_000;
const INTERVAL = 15 * MINUTE;
/** Coalescing, the pace between polls, and the write. */
const SECONDS = 10_000;

const path = (name: string) => `environments/news/${name}`;
const pollRoute = "GET /v1/subscriptions/{id}/poll";

type Op = Harness<"team">;
const admin = (op: Op) => op.scaivault.server.admin;
const ns = (op: Op) => op.ns.team;
const secret = async (op: Op, name: string) => (await op.cluster.secretData(ns(op), name))?.["value"];
const stored = (op: Op, name: string): unknown => {
  const text = op.stored(path(name))?.data;
  return text === undefined ? undefined : (JSON.parse(text) as { value?: unknown }).value;
};
/** What another writer does: a new version, the metadata as they were. */
const tamper = (op: Op, name: string, value: string): void =>
  void admin(op).write(path(name), { data: { value } }, { identity: "user:somebody" });

const manifest = (op: Op, name: string, spec: object = {}) =>
  sync(ns(op), name, {
    source: { backendRef: { name: "aws" }, path: `news/${name}` },
    targets: { scaivault: { path: path(name) }, kubernetesSecret: {} },
    ...spec,
  });
async function copied(op: Op, name: string, spec: object = {}): Promise<string> {
  const value = op.canaries.value(name);
  await op.aws.put(`news/${name}`, value);
  await op.cluster.apply(manifest(op, name, spec));
  await op.ready(ns(op), name);
  await op.idle();
  return value;
}

interface Shown {
  readonly id: string;
  readonly name: string;
  readonly paths: readonly string[];
}
async function subscriptions(op: Op): Promise<readonly Shown[]> {
  const { url, token } = op.scaivault.server;
  const answer = await call({
    url: `${url}/v1/subscriptions`,
    ca: op.env.authority.cert,
    headers: { authorization: `Bearer ${token}` },
  });
  return (JSON.parse(answer.text) as { subscriptions: Shown[] }).subscriptions;
}
const following = (op: Op): Promise<void> =>
  op.eventually("news are followed", async () => op.operator.scaivault?.news?.standing.mode === "Following", {
    virtualMs: 2 * MINUTE,
  });
/** Waits for it, and is strict about the virtual time that it takes. */
async function withinSeconds(op: Op, what: string, holds: () => Promise<unknown>, most = SECONDS): Promise<void> {
  const before = op.clock.now();
  await op.eventually(what, holds, { virtualMs: most });
  expect(op.clock.now() - before).toBeLessThanOrEqual(most + 500);
}
async function metric(op: Op, name: string, outcome: string): Promise<number> {
  const text = await op.operator.metrics.registry.metrics();
  const line = text.split("\n").find((one) => one.startsWith(`scaivault_operator_${name}{outcome="${outcome}"}`));
  return Number(line?.split(" ").at(-1) ?? 0);
}
const metadataCalls = (op: Op): number => admin(op).counters().byRoute["POST /v1/secrets/batch/metadata"] ?? 0;

describe("with a subscription", () => {
  let op: Op;
  beforeAll(async () => {
    op = await startOperator({ namespaces: ["team"], news: "Followed" });
    await op.awsBackend(ns(op), "aws", { syncInterval: "15m" });
    await copied(op, "first");
    await following(op);
  });
  afterAll(() => op?.stop());

  it("has one subscription, named like the cluster, on the paths that objects target", async () => {
    const all = await subscriptions(op);
    expect(all.map(({ name, paths }) => [name, paths])).toEqual([
      [`k8s_${(op.file["cluster"] as { name: string }).name}`, [path("first")]],
    ]);
    await copied(op, "second");
    await op.advance(MINUTE);
    expect((await subscriptions(op)).map(({ paths }) => paths)).toEqual([[path("first"), path("second")]]);
  });

  it("repairs what another writer changed in ScaiVault within seconds, and writes once", async () => {
    const value = await copied(op, "drift");
    await op.advance(MINUTE);
    await op.mark();
    tamper(op, "drift", "tampered");
    await withinSeconds(op, "the repair", async () => stored(op, "drift") === value);
    await op.advance(MINUTE);
    const { scaivault } = await op.seen();
    // The tampering and the repair.
    expect([scaivault.versionsWritten, op.stored(path("drift"))?.version]).toEqual([2, 3]);
    await op.ready(ns(op), "drift");
  });

  it("brings a value that was changed in ScaiVault to the Secret within seconds, with authority: ScaiVault", async () => {
    const value = await copied(op, "authority");
    await op.cluster.apply(manifest(op, "authority", { authority: "ScaiVault" }));
    await op.ready(ns(op), "authority");
    await op.advance(MINUTE);
    expect(await secret(op, "authority")).toBe(value);
    const next = op.canaries.value("changed in ScaiVault");
    tamper(op, "authority", next);
    await withinSeconds(op, "the Secret", async () => (await secret(op, "authority")) === next);
    // A deletion there is seen as fast; that the Secret stays is not up to news.
    admin(op).remove(path("authority"));
    await withinSeconds(op, "the verdict", async () =>
      verdict(await op.cluster.sync(ns(op), "authority")).startsWith("False"),
    );
    expect(await secret(op, "authority")).toBe(next);
    await op.cluster.delete("SecretSync", ns(op), "authority");
    await op.advance(5_000);
  });

  it("asks nothing about its own writes, and next to nothing while nothing happens", async () => {
    await copied(op, "own");
    await op.advance(MINUTE);
    const known = await metric(op, "news_events_total", "known");
    await op.aws.put("news/own", op.canaries.value("rotated"));
    await op.interval(INTERVAL);
    expect(op.stored(path("own"))?.version).toBe(2);
    await op.mark();
    await op.advance(MINUTE);
    expect(await metric(op, "news_events_total", "known")).toBeGreaterThan(known);
    expect(metadataCalls(op)).toBe(0);
    await op.mark();
    await op.interval(INTERVAL);
    const { byCategory, byRoute } = admin(op).counters();
    expect(byCategory["subscription_poll"] ?? 0).toBeLessThanOrEqual(32);
    expect(byCategory["subscription"] ?? 0).toBeLessThanOrEqual(1);
    expect(byRoute["POST /v1/secrets/batch/metadata"]).toBe(1);
    const { kubeWrites } = await op.seen();
    expect(kubeWrites.filter(({ resource }) => !resource.endsWith("federationbackends"))).toEqual([]);
  });

  it("pays for a flood of forged news with a set number of looks, and believes nothing of it", async () => {
    const value = await copied(op, "forged");
    await op.advance(MINUTE);
    await op.mark();
    let made = 0;
    const names = ["first", "second", "drift", "forged", "own"];
    for (let second = 0; second < 60; second += 1) {
      const events = Array.from({ length: 100 }, () => {
        made += 1;
        const data = { new_version: 1_000 + made, value: "forged" };
        const at = path(made % 3 === 0 ? `not-ours-${made}` : (names[made % names.length] ?? ""));
        const type = made % 5 === 0 ? "secret.deleted" : "secret.updated";
        return { event_id: `evt_forged_${made}`, event_type: type, path: at, timestamp: "9999-01-01T00:00:00Z", data };
      });
      const text = JSON.stringify({ events, has_more: true, dropped_events: made });
      const fault = admin(op).inject({
        match: { route: pollRoute },
        times: 1,
        action: { kind: "body", status: 200, text },
      });
      // Whoever waits for news is waiting for the server already: something real wakes it.
      if (second === 0) admin(op).write("elsewhere/x", { data: {} });
      await op.advance(1_000);
      fault.remove();
    }
    const { byCategory, versionsWritten } = admin(op).counters();
    // 6 at once, 12 a minute, and one pass over everything for events that were said to be lost.
    expect(metadataCalls(op)).toBeLessThanOrEqual(6 + 12 + 2);
    expect(made).toBeGreaterThan(1_000);
    expect([byCategory["read"] ?? 0, versionsWritten]).toEqual([0, 1]);
    expect([stored(op, "forged"), await secret(op, "forged")]).toEqual([value, value]);
    expect(verdict(await op.cluster.sync(ns(op), "forged"))).toBe("True InSync");
    // And true news go through as before.
    await op.advance(MINUTE);
    tamper(op, "forged", "tampered");
    await withinSeconds(op, "the repair", async () => stored(op, "forged") === value, 3 * SECONDS);
  });

  it("looks at everything once when its subscription was deleted, and has one again", async () => {
    const value = await copied(op, "gone");
    // Everything is looked at for lost news every ten minutes at most, and forged ones said that there were some.
    await op.advance(22 * MINUTE);
    const [before] = await subscriptions(op);
    const { url, token } = op.scaivault.server;
    await call({
      url: `${url}/v1/subscriptions/${before?.id ?? ""}`,
      method: "DELETE",
      ca: op.env.authority.cert,
      headers: { authorization: `Bearer ${token}` },
    });
    // No subscription hears of this.
    tamper(op, "gone", "tampered");
    await withinSeconds(op, "the repair", async () => stored(op, "gone") === value, 2 * SECONDS);
    const all = await subscriptions(op);
    expect(all).toHaveLength(1);
    expect(all[0]?.id).not.toBe(before?.id);
  });

  it("goes on behind a restart: what happened meanwhile is seen, and the subscription is the same", async () => {
    const value = await copied(op, "restart");
    await op.advance(MINUTE);
    const before = await subscriptions(op);
    await op.end();
    tamper(op, "restart", "tampered");
    // The tenant by its path, as some proxies need it.
    const { tenantId } = op.scaivault.server;
    op.file = {
      ...op.file,
      scaivault: { ...(op.file["scaivault"] as object), tenantID: tenantId, tenantIn: "Path" },
    };
    await op.mark();
    await op.start();
    await withinSeconds(op, "the repair", async () => stored(op, "restart") === value);
    await following(op);
    tamper(op, "restart", "again");
    await withinSeconds(op, "the second repair", async () => stored(op, "restart") === value);
    expect((await subscriptions(op)).map(({ id }) => id)).toEqual(before.map(({ id }) => id));
    const ours = admin(op)
      .requests()
      .filter(({ identity }) => identity === "sa:scaivault-operator");
    expect(ours.length).toBeGreaterThan(3);
    for (const one of ours) expect(one.path).toMatch(new RegExp(`^/v1/t/${tenantId}/`));
  });

  it("reaches readers of a fleet, each by a subscription of its own", async () => {
    const reader: Op = await Harness.prepare({ namespaces: ["team"], news: "Followed", fleet: op as Harness<string> });
    reader.file = { ...reader.file, scaivault: { ...(reader.file["scaivault"] as object), role: "Reader" } };
    // What a reader needs, and no right to write a secret.
    const token = admin(op).createToken({
      identity: "sa:reader",
      scopes: ["secrets:read", "secrets:list", "subscriptions:read", "subscriptions:write"],
      rules: [{ path_pattern: "**", permissions: ["read", "list"] }],
    });
    const tokenFile = join(reader.folder, "reader");
    writeFileSync(tokenFile, token);
    reader.file = { ...reader.file, scaivault: { ...(reader.file["scaivault"] as object), auth: { tokenFile } } };
    try {
      const authority = { authority: "ScaiVault" };
      await copied(op, "fleet");
      await op.cluster.apply(manifest(op, "fleet", authority));
      await op.ready(ns(op), "fleet");
      await reader.awsBackend(ns(reader), "aws", { syncInterval: "15m" });
      await reader.start();
      await reader.cluster.apply(manifest(reader, "fleet", authority));
      await reader.ready(ns(reader), "fleet");
      await following(reader);
      await op.advance(MINUTE);
      const next = op.canaries.value("for the fleet");
      tamper(op, "fleet", next);
      await withinSeconds(op, "both Secrets", async () => {
        const both = [await secret(op, "fleet"), await secret(reader, "fleet")];
        return both.every((one) => one === next);
      });
      const names = (await subscriptions(op)).map(({ name }) => name);
      expect(new Set(names).size).toBe(2);
      expect(names).toHaveLength(2);
    } finally {
      await reader.stop();
    }
  });
});

describe("without the right to subscriptions", () => {
  let op: Op;
  beforeAll(async () => {
    op = await startOperator({ namespaces: ["team"], news: "Forbidden" });
    await op.awsBackend(ns(op), "aws", { syncInterval: "15m" });
  });
  afterAll(() => op?.stop());

  it("says once that polls alone see changes, and they do", async () => {
    const value = await copied(op, "polled");
    await op.eventually("refused", async () => op.operator.scaivault?.news?.standing.mode === "Refused");
    tamper(op, "polled", "tampered");
    await op.advance(MINUTE);
    expect(stored(op, "polled")).toBe("tampered");
    await op.mark();
    await op.interval(INTERVAL);
    expect(stored(op, "polled")).toBe(value);
    const said = op.lines.filter((line) => line.includes("tells no news"));
    expect(said).toHaveLength(1);
    expect(said[0]).toContain("subscriptions:read");
    // Tried again every ten minutes.
    expect(admin(op).counters().byRoute["GET /v1/subscriptions"] ?? 0).toBeLessThanOrEqual(2);
    await op.ready(ns(op), "polled");
  });

  it("asks for none at all with news: Polling", async () => {
    await op.end();
    op.file = { ...op.file, scaivault: { ...(op.file["scaivault"] as object), news: "Polling" } };
    await op.mark();
    await op.start();
    const value = await copied(op, "off");
    tamper(op, "off", "tampered");
    await op.interval(INTERVAL);
    expect(stored(op, "off")).toBe(value);
    expect(Object.keys(admin(op).counters().byRoute).filter((route) => route.includes("subscriptions"))).toEqual([]);
  });
});
