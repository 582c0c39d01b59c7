import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type ScaiVaultServer, startServer } from "../../../scaivault-server/server.ts";
import {
  canonicalData,
  payloadFromBinary,
  payloadFromObjectText,
  payloadFromText,
  SecretValue,
  toScaiVaultData,
} from "../../../src/model/index.ts";
import { sameContent } from "../../../src/decide/mark.ts";
import { Network } from "../../../src/net/index.ts";
import type { RenderedContent, SecretTarget, TargetObservation } from "../../../src/ports/target.ts";
import { RateBudget, ScaiVaultClient } from "../../../src/scaivault/index.ts";
import { createScaiVaultTarget, type ScaiVaultRef } from "../../../src/targets/index.ts";
import { systemClock } from "../../../src/time/clock.ts";
import { CANARY, failure, someMark, testSeal } from "./support.ts";
import { describeSecretTarget } from "./target-contract.ts";

const signal = new AbortController().signal;

interface Parts {
  readonly server: ScaiVaultServer;
  readonly network: Network;
  readonly target: SecretTarget<ScaiVaultRef>;
}

async function start(freshForMs: number): Promise<Parts> {
  const limits = { read: Infinity, write: Infinity, delete: Infinity, list: Infinity, batch_metadata: Infinity };
  const server = await startServer({ limits });
  const network = new Network({ userAgent: "scaivault-operator/test", allowLoopback: true });
  const client = new ScaiVaultClient({
    http: network.open({ url: network.endpoint(server.url) }),
    tokens: { token: async () => SecretValue.fromText(server.token), renew: async () => undefined },
    clock: systemClock,
    userAgent: "scaivault-operator/test",
    cluster: "eu-1",
    budget: new RateBudget({ clock: systemClock, limits: { write: 1e6, batchMetadata: 1e6 } }),
  });
  return {
    server,
    network,
    target: createScaiVaultTarget({ client, seal: testSeal(), clock: systemClock, freshForMs }),
  };
}

function content(value: string, key = "api_key"): RenderedContent {
  const payload = payloadFromObjectText(JSON.stringify({ [key]: value, n: 1 }));
  return { keys: new Map([["data", canonicalData(payload.raw)]]), payload, type: "json" };
}

describeSecretTarget<ScaiVaultRef>("ScaiVault", async () => {
  const { server, network, target } = await start(0);
  const copy = (path: string, data: string): void => void server.admin.write(path, { data });
  return {
    target,
    ref: (name) => ({ path: `team/${name}` }),
    content,
    make: async (ref, wanted) => copy(ref.path, wanted.payload.raw.text() ?? ""),
    change: async (ref, wanted) => copy(ref.path, wanted.payload.raw.text() ?? ""),
    copyMark: async (from, to) => {
      const { metadata } = server.admin.peek(from.path) ?? {};
      const found = server.admin.peek(to.path);
      if (metadata === undefined || found === undefined) throw new Error("nothing to copy");
      const answer = await fetch(`${server.url}/v1/secrets/${to.path}`, {
        method: "PATCH",
        headers: { authorization: `Bearer ${server.token}`, "content-type": "application/json" },
        body: JSON.stringify({ metadata: typeof metadata === "string" ? (JSON.parse(metadata) as unknown) : metadata }),
      });
      expect(answer.status).toBe(200);
    },
    stored: async (ref) => {
      const found = server.admin.peek(ref.path);
      return found === undefined || found.deleted ? undefined : found.data;
    },
    writes: async (ref) => server.admin.peek(ref.path)?.version ?? 0,
    close: async () => {
      await network.close();
      await server.stop();
    },
  };
});

describe("ScaiVault: what only it does", () => {
  let parts: Parts;
  beforeAll(async () => {
    parts = await start(10_000);
  });
  beforeEach(() => {
    parts.server.admin.clearFaults();
    parts.server.admin.resetCounters();
  });
  afterAll(async () => {
    await parts.network.close();
    await parts.server.stop();
  });

  const observe = async (ref: ScaiVaultRef): Promise<TargetObservation> => {
    const found = (await parts.target.observe([{ ...ref, lane: "user" }], signal)).get(ref.path);
    if (found === undefined) throw new Error("not observed");
    return found;
  };
  const write = async (ref: ScaiVaultRef, value: string): Promise<void> => {
    const observed = await observe(ref);
    await parts.target.write(ref, { content: content(value), mark: someMark(), observed }, signal);
  };

  test("1,000 paths cost ten calls, what follows costs none, and no value is read", async () => {
    const refs = Array.from({ length: 1000 }, (_, i) => ({ path: `many/s${i}` }));
    const seen = await parts.target.observe(refs, signal);
    expect(seen.size).toBe(1000);
    await Promise.all(refs.map((ref) => parts.target.observe([ref], signal)));
    expect(parts.server.admin.counters()).toMatchObject({
      total: 10,
      byRoute: { "POST /v1/secrets/batch/metadata": 10 },
      valuesRead: 0,
    });
  });

  test("concurrent looks and the looks before concurrent writes are joined", async () => {
    const refs = Array.from({ length: 50 }, (_, i) => ({ path: `joined/s${i}` }));
    const seen = await Promise.all(refs.map((ref) => parts.target.observe([ref], signal)));
    expect(parts.server.admin.counters().total).toBe(1);
    await Promise.all(
      refs.map(async (ref, i) => {
        const observed = seen[i]?.get(ref.path);
        if (observed === undefined) throw new Error("not observed");
        await parts.target.write(ref, { content: content(`${CANARY}-${i}`), mark: someMark(), observed }, signal);
      }),
    );
    expect(parts.server.admin.counters()).toMatchObject({ total: 52, versionsWritten: 50, valuesRead: 0 });
  });

  test("declared metadata stand, what others put there stays, and a difference is told", async () => {
    const path = "meta/a";
    const ref = { path, owner: "team:billing", description: "the key", tags: ["billing", "env=prod"], maxVersions: 5 };
    await write(ref, `${CANARY}-1`);
    const patch = async (metadata: unknown): Promise<void> => {
      const answer = await fetch(`${parts.server.url}/v1/secrets/${path}`, {
        method: "PATCH",
        headers: { authorization: `Bearer ${parts.server.token}`, "content-type": "application/json" },
        body: JSON.stringify({ metadata }),
      });
      expect(answer.status).toBe(200);
    };
    await patch({ ticket: { id: 1 }, tags: ["env=prod", "billing"] });
    expect((await observe(ref)).metadataAsDeclared).toBe(true);
    await patch({ owner: "team:other" });
    const observed = await observe(ref);
    expect(observed).toMatchObject({ metadataAsDeclared: false, content: "AsMarked" });
    await parts.target.mark(ref, { mark: someMark("v2"), observed }, signal);
    expect((await observe(ref)).metadataAsDeclared).toBe(true);
    await write(ref, `${CANARY}-2`);
    const answer = await fetch(`${parts.server.url}/v1/secrets/${path}/metadata`, {
      headers: { authorization: `Bearer ${parts.server.token}` },
    });
    const { metadata } = (await answer.json()) as { metadata: Record<string, unknown> };
    expect(metadata).toMatchObject({
      owner: "team:billing",
      description: "the key",
      tags: ["billing", "env=prod"],
      ticket: { id: 1 },
      scaivault_operator_target_version: "2",
      scaivault_operator_owner: "eu-1/billing/SecretSync/stripe",
    });
    await parts.target.release(ref, await observe(ref), signal);
    const left = await fetch(`${parts.server.url}/v1/secrets/${path}/metadata`, {
      headers: { authorization: `Bearer ${parts.server.token}` },
    });
    expect(Object.keys(((await left.json()) as { metadata: object }).metadata).sort()).toEqual([
      "description",
      "owner",
      "tags",
      "ticket",
    ]);
  });

  test("another writer within one write is told, and its version stays readable", async () => {
    const ref = { path: "race/a" };
    await write(ref, `${CANARY}-1`);
    const observed = await observe(ref);
    const late = parts.server.admin.inject({
      match: { method: "PUT" },
      times: 1,
      action: { kind: "latency", ms: 300 },
    });
    const racing = failure(
      parts.target.write(ref, { content: content(`${CANARY}-3`), mark: someMark("v2"), observed }, signal),
    );
    await expect.poll(() => late.hits()).toBe(1);
    parts.server.admin.write(ref.path, { data: `{"x":"${CANARY}-2"}` });
    const error = await racing;
    expect([error.reason, error.code]).toEqual(["TargetChanged", "fence"]);
    expect(await observe(ref)).toMatchObject({ version: "3", content: "Changed", mark: { state: "Valid" } });
  });

  test("a write whose answer is lost is known by its mark at the next look", async () => {
    const ref = { path: "lost/a" };
    const observed = await observe(ref);
    parts.server.admin.inject({ match: { method: "PUT" }, times: 1, action: { kind: "reset", when: "after" } });
    const request = { content: content(`${CANARY}-1`), mark: someMark(), observed };
    expect((await failure(parts.target.write(ref, request, signal))).reason).toBe("ScaiVaultUnavailable");
    expect(await observe(ref)).toMatchObject({ version: "1", content: "AsMarked" });
    expect((await failure(parts.target.write(ref, request, signal))).code).toBe("fence");
    expect(parts.server.admin.counters().versionsWritten).toBe(1);
  });

  test("a soft-deleted path is learned from the refusal and then told, not tried again at once", async () => {
    const ref = { path: "soft/a" };
    parts.server.admin.write(ref.path, { data: "{}" });
    parts.server.admin.remove(ref.path);
    const observed = await observe(ref);
    expect(observed.presence).toBe("Absent");
    const request = { content: content(`${CANARY}-1`), mark: someMark(), observed };
    expect((await failure(parts.target.write(ref, request, signal))).reason).toBe("TargetSoftDeleted");
    const told = await observe(ref);
    expect(told.presence).toBe("SoftDeleted");
    const writes = parts.server.admin.counters().byRoute["PUT /v1/secrets/{path}"];
    expect((await failure(parts.target.write(ref, { ...request, observed: told }, signal))).reason).toBe(
      "TargetSoftDeleted",
    );
    expect(parts.server.admin.counters().byRoute["PUT /v1/secrets/{path}"]).toBe(writes);
    parts.server.admin.remove(ref.path, { permanent: true });
    parts.server.admin.write(ref.path, { data: "{}" });
    expect((await observe(ref)).presence).toBe("Present");
  });

  test("a tenant that drops our metadata is told, and not written again and again", async () => {
    const ref = { path: "dropped/a" };
    const observed = await observe(ref);
    parts.server.admin.inject({ action: { kind: "dropMetadata" } });
    const request = { content: content(`${CANARY}-1`), mark: someMark(), observed };
    expect((await failure(parts.target.write(ref, request, signal))).reason).toBe("NoRoomForMark");
    const again = { ...request, observed: await observe(ref) };
    expect(again.observed.failure?.reason).toBe("NoRoomForMark");
    expect((await failure(parts.target.write(ref, again, signal))).reason).toBe("NotOwned");
    expect(parts.server.admin.peek(ref.path)?.version).toBe(1);
    // Nor is anything else written: its version would lose the mark that it has.
    const other = { path: "dropped/b" };
    const elsewhere = { ...request, observed: await observe(other) };
    expect((await failure(parts.target.write(other, elsewhere, signal))).reason).toBe("NoRoomForMark");
    expect(parts.server.admin.peek(other.path)).toBeUndefined();
    // This target remembers it for an hour; the other tests have a new one.
    await parts.network.close();
    await parts.server.stop();
    parts = await start(10_000);
  });

  test("an outage and a denial leave everything unknown", async () => {
    await write({ path: "out/a" }, `${CANARY}-1`);
    parts.server.admin.inject({ times: 1, action: { kind: "status", status: 503, code: "service_unavailable" } });
    expect(await observe({ path: "out/a" })).toMatchObject({
      presence: "Unknown",
      failure: { reason: "ScaiVaultUnavailable" },
    });
    expect(await observe({ path: "Out/A" })).toMatchObject({ presence: "Unknown", failure: { reason: "InvalidPath" } });
    await parts.server.stopListening();
    expect(await observe({ path: "out/a" })).toMatchObject({ presence: "Unknown" });
    await parts.server.listenAgain();
    await expect.poll(async () => (await observe({ path: "out/a" })).content).toBe("AsMarked");
  });

  test("values of every form come back as they were, whatever the layout of the text", async () => {
    const forms = [
      payloadFromText("plain text"),
      payloadFromText('{"a":12345678901234567890,"b":1.0}'),
      payloadFromText("[1,2]"),
      payloadFromBinary(Buffer.from([0, 255, 1])),
    ];
    for (const [i, payload] of forms.entries()) {
      const ref = { path: `forms/f${i}` };
      const { data, secretType } = toScaiVaultData(payload);
      const wanted = { keys: new Map([["data", canonicalData(data)]]), payload, type: secretType };
      const observed = await observe(ref);
      await parts.target.write(ref, { content: wanted, mark: someMark(), observed }, signal);
      const read = await parts.target.read(ref, signal);
      expect(read?.payload.form).toBe(payload.form);
      expect(read?.payload.raw.equals(payload.raw)).toBe(true);
      expect(sameContent(read ?? wanted, wanted)).toBe(true);
    }
    // Equal content in another layout is adopted, not written.
    const ref = { path: "forms/other-layout" };
    parts.server.admin.write(ref.path, { data: '{ "n": 1.0e0, "api_key": "x" }' });
    const observed = await observe(ref);
    await parts.target.adopt(ref, { content: content("x"), mark: someMark(), observed }, signal);
    expect(await observe(ref)).toMatchObject({ version: "1", content: "AsMarked" });
  });

  test("the object that a write is for stands in the User-Agent", async () => {
    await write({ path: "agent/a", object: "billing/stripe" }, `${CANARY}-1`);
    const put = parts.server.admin.requests().find((request) => request.method === "PUT");
    expect(put?.userAgent).toBe("scaivault-operator/test (eu-1; billing/stripe)");
  });
});
