/** ScaiVault allows 20 calls a minute; it and the stores are away at times; other operators of the fleet are there. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { type BackendThing, condition, Harness, verdict, VAULT_HOST } from "../../support/operator.ts";
import { FederationStage } from "./stage.ts";

const MINUTE = 60_000;
const MANY = 25;
let op: Harness<"team">;
let stage: FederationStage;
const admin = () => op.scaivault.server.admin;

beforeAll(async () => {
  op = await Harness.prepare({ namespaces: ["team"], federation: true });
  await op.start();
  stage = await FederationStage.prepare(op as Harness<string>, op.ns.team, "infra/team");
});
afterAll(async () => {
  await op?.stop();
  await stage?.close();
});

afterEach(() => admin().clearFaults());

const names = Array.from({ length: MANY }, (_, at) => `many-${at}`);
const readyCount = async () =>
  (await op.cluster.list<BackendThing>("FederationBackend", stage.ns)).filter((one) => verdict(one) === "True InSync")
    .length;
/** The operator's calls about federation, a minute at a time. */
function callsByMinute(sinceMs: number, toMs: number): number[] {
  const mine = admin()
    .requests()
    .filter(({ category, identity }) => category === "federation" && identity === "sa:scaivault-operator");
  const minutes = Math.ceil((toMs - sinceMs) / MINUTE);
  return Array.from({ length: minutes }, (_, at) => {
    const from = sinceMs + at * MINUTE;
    return mine.filter((one) => one.at >= from && one.at < from + MINUTE).length;
  });
}

describe("25 backends", () => {
  it("are registered and looked at within 20 calls a minute, without one 429", async () => {
    await op.mark();
    const began = op.clock.now();
    for (const name of names) await stage.applyVault(name);
    for (let turn = 0; turn < 30 && (await readyCount()) < MANY; turn += 1) await op.advance(MINUTE / 2);
    expect(await readyCount()).toBe(MANY);
    expect(
      admin()
        .requests()
        .filter(({ status }) => status === 429),
    ).toEqual([]);
    // A bucket that was full allows one minute's worth more at first.
    const first = callsByMinute(began, op.clock.now()).slice(1);
    expect(first.reduce((sum, one) => sum + one, 0) / first.length).toBeLessThanOrEqual(20);
    // The bursts of the beginning are over.
    await op.advance(5 * MINUTE);
    const steady = op.clock.now();
    await op.mark();
    await op.advance(20 * MINUTE);
    const calls = callsByMinute(steady, op.clock.now());
    // Never more than the bucket has, which a slow moment may let fill up; ScaiVault itself would say 429.
    expect(
      admin()
        .requests()
        .filter(({ status }) => status === 429),
    ).toEqual([]);
    // Routine looks leave half of it to people's changes.
    expect(calls.reduce((sum, one) => sum + one, 0) / calls.length).toBeLessThanOrEqual(12);
    expect(stage.federationCalls().filter((one) => !one.startsWith("GET"))).toEqual([]);
    expect(admin().counters().versionsWritten).toBe(0);
  });

  it("take an edit of one of them in at once all the same", async () => {
    await op.cluster.patch("FederationBackend", stage.ns, "many-7", {
      spec: {
        federation: { pathMapping: [{ scaivaultPath: "external/edited/**", sourcePath: `${stage.mount}/x/**` }] },
      },
    });
    await op.eventually(
      "the mapping is changed",
      async () =>
        admin()
          .requests()
          .some(({ method, status }) => method === "PATCH" && status === 200),
      { virtualMs: 15_000 },
    );
    await op.verdict("FederationBackend", stage.ns, "many-7", "True InSync", { virtualMs: 60_000 });
  });

  it("are known again after a restart, without a write", async () => {
    await op.mark();
    await op.restart();
    for (let turn = 0; turn < 20; turn += 1) await op.advance(MINUTE / 2);
    expect(await readyCount()).toBe(MANY);
    expect(
      admin()
        .requests()
        .filter(({ method }) => method !== "GET" && method !== "POST"),
    ).toEqual([]);
    expect(stage.federationCalls().filter((one) => !one.startsWith("GET"))).toEqual([]);
  });
});

describe("an outage", () => {
  it("of ScaiVault shows within a minute and ends by itself", async () => {
    admin().inject({
      action: { kind: "body", status: 503, text: "{}" },
    });
    await op.advance(MINUTE + 5_000);
    await op.verdict("FederationBackend", stage.ns, "many-0", "False ScaiVaultUnavailable", { virtualMs: 30_000 });
    admin().clearFaults();
    for (let turn = 0; turn < 16 && (await readyCount()) < MANY; turn += 1) await op.advance(MINUTE / 2);
    expect(await readyCount()).toBe(MANY);
    expect((await stage.registered()).length).toBe(MANY);
  });

  it("of the store is shown in ScaiVault's own words", async () => {
    await op.env.vault.disableMount(stage.mount);
    await op.scaivault.server.admin.setFederationNetwork({ overrides: { [VAULT_HOST]: "https://127.0.0.1:1" } });
    for (let turn = 0; turn < 16 && (await readyCount()) > 0; turn += 1) await op.advance(MINUTE / 2);
    const down = await op.verdict("FederationBackend", stage.ns, "many-3", "False RegistrationUnhealthy", {
      virtualMs: MINUTE,
    });
    expect(condition(down, "Ready")?.message).toMatch(/ScaiVault says that \S+ is \w+, connection \w+/);
    expect(condition(down, "SourceReachable")?.status).toBe("False");
    expect(down.status?.federation?.connection).not.toBe("Connected");
  });
});

describe("the other operators of a fleet", () => {
  it("that only read register nothing, and one that writes too is refused what is taken", async () => {
    const reader = await Harness.prepare({
      namespaces: ["team"],
      federation: true,
      fleet: op as Harness<string>,
      config: {},
    });
    reader.file = { ...reader.file, scaivault: { ...(reader.file["scaivault"] as object), role: "Reader" } };
    await reader.start();
    const other = await FederationStage.prepare(reader as Harness<string>, reader.ns.team, "infra/other");
    const mapped = { pathMapping: [{ scaivaultPath: "external/many-1/**", sourcePath: `${other.mount}/x/**` }] };
    const before = (await stage.registered()).length;
    await other.applyVault("copy", mapped);
    await other.refused("copy", "WaitingForWriter", 60_000);
    expect((await stage.registered()).length).toBe(before);
    reader.file = { ...reader.file, scaivault: { ...(reader.file["scaivault"] as object), role: "Writer" } };
    await reader.restart();
    const refused = await other.refused("copy", "RegistrationRefused", 120_000);
    expect(condition(refused, "Ready")?.message).toContain("validation_error at path_mapping");
    expect((await stage.registered()).length).toBe(before);
    await reader.stop();
    await other.close();
  });
});
