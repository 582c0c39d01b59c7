/** ScaiVault takes over what the operator copied: compared first, then the marks go, then comes what is declared. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { condition, type Harness, startOperator, VAULT_HOST } from "../../support/operator.ts";
import { FederationStage } from "./stage.ts";

let op: Harness<"team">;
let stage: FederationStage;

beforeAll(async () => {
  op = await startOperator({
    namespaces: ["team"],
    federation: true,
    scaivault: { limits: { federation: Infinity } },
    tenancy: (names) => [
      {
        namespaces: [names.team],
        scaivault: { read: ["external/**"], write: ["external/**", "infra/team/*"], credentials: ["infra/team/*"] },
        endpoints: [VAULT_HOST],
        federation: true,
      },
    ],
  });
  stage = await FederationStage.prepare(op as Harness<string>, op.ns.team, "infra/team");
});
afterAll(async () => {
  await op?.stop();
  await stage?.close();
});
afterEach(async () => {
  op.scaivault.server.admin.clearFaults();
  await stage.clear();
});

const mapping = (name: string) => ({
  scaivaultPath: `external/${name}/**`,
  sourcePath: `${stage.mount}/${name}/**`,
});
const isMarked = (path: string) =>
  JSON.stringify(op.scaivault.server.admin.peek(path)?.metadata).includes("scaivault_operator_proof");
const found = async (name: string) => (await op.cluster.backend(stage.ns, name))?.status?.federation;

/** A tree that the operator has copied. */
async function copied(name: string, keys: readonly string[], also: readonly string[] = []): Promise<void> {
  for (const key of keys) await op.env.vault.put(stage.mount, key, { password: op.canaries.value(key) });
  await op.cluster.apply(stage.vaultLogin(name));
  const pathMapping = [mapping(name), ...also.map(mapping)];
  await op.vaultBackend(stage.ns, name, [stage.mount], { federation: { mode: "sync", pathMapping } });
  await stage.ready(name);
}

const edit = (name: string, spec: object) => op.cluster.patch("FederationBackend", stage.ns, name, { spec });
const toScaiVault = (name: string, federation: object = {}, spec: object = {}) =>
  edit(name, { federation: { runsIn: "ScaiVault", credentials: stage.credentials(name), ...federation }, ...spec });

/** What ScaiVault was told to write, in order; credentials apart. */
function writes(): string[] {
  return op.scaivault.server.admin
    .requests()
    .filter(({ method, path }) => method !== "GET" && !path.includes("batch") && !path.includes("/infra/"))
    .map(({ method, path }) => `${method} ${path.replace(/fed_.*/, "ID")}`);
}

describe("from the operator to ScaiVault", () => {
  it("as a proxy: compared as a sync, marks released, then read through; back again without a version", async () => {
    const value = { password: op.canaries.value("front") };
    await op.env.vault.put(stage.mount, "front/db", value);
    await copied("front", ["front/api", "former/old"], ["former"]);
    expect(isMarked("external/front/db")).toBe(true);
    await op.mark();
    await toScaiVault("front", { mode: "proxy", pathMapping: [mapping("front")] }, { syncInterval: null });
    const { status } = await stage.ready("front");
    const steps = writes();
    expect([steps[0], ...steps.slice(1, -1).sort(), steps.at(-1)]).toEqual([
      "POST /v1/federation/backends",
      "PATCH /v1/secrets/external/front/api",
      "PATCH /v1/secrets/external/front/db",
      "PATCH /v1/federation/backends/ID",
    ]);
    expect((await stage.only()).mode).toBe("proxy");
    expect(await stage.read("external/front/db")).toEqual(value);
    expect(op.scaivault.server.admin.peek("external/front/db")?.version).toBe(1);
    expect(isMarked("external/front/db")).toBe(false);
    // What no mapping names any more is an orphan: it keeps its mark, and its place in status.
    expect(isMarked("external/former/old")).toBe(true);
    expect(status?.federation?.copies).toEqual(["external/former/**"]);
    await edit("front", {
      syncInterval: "5m",
      federation: { mode: "sync", runsIn: "Operator", credentials: null, adopt: "IfEqual" },
    });
    await op.eventually("the registration is gone", async () => (await stage.registered()).length === 0, {
      virtualMs: 200_000,
    });
    for (let turn = 0; turn < 3; turn += 1) await op.interval();
    await stage.ready("front");
    expect(isMarked("external/front/db")).toBe(true);
    expect(op.stored("external/front/db")?.version).toBe(1);
    expect(op.stored("external/former/old")?.version).toBe(1);
  });

  it("waits while copies differ from the store: nothing is written over, and no mark goes", async () => {
    await copied("odd", ["odd/db", "odd/api"]);
    await edit("odd", { suspend: true });
    const theirs = { password: op.canaries.value("edited by hand") };
    await stage.write("external/odd/db", theirs);
    await op.mark();
    await toScaiVault("odd", {}, { suspend: null });
    const held = await stage.refused("odd", "BothChanged", 120_000);
    expect(held.status?.problems?.[0]).toMatchObject({ path: "external/odd/db", reason: "BothChanged" });
    expect(await stage.read("external/odd/db")).toEqual(theirs);
    expect(isMarked("external/odd/api")).toBe(true);
    expect((await stage.only()).conflict_resolution).toBe("manual");
    await op.env.vault.put(stage.mount, "odd/db", theirs);
    await op.advance(900_000);
    await op.verdict("FederationBackend", stage.ns, "odd", "True InSync", { virtualMs: 300_000 });
    expect((await stage.only()).conflict_resolution).toBe("remote_wins");
    expect(isMarked("external/odd/api")).toBe(false);
    expect((await found("odd"))?.copies).toBeUndefined();
    expect(op.stored("external/odd/db")?.version).toBe(2);
  });

  it("goes on after a restart, says so meanwhile, and releases each mark once", async () => {
    const keys = Array.from({ length: 40 }, (_, at) => `many/k${String(at).padStart(2, "0")}`);
    await copied("many", keys);
    const blocked = op.scaivault.server.admin.inject({
      match: { method: "PATCH", path: "external/many/k3*" },
      action: { kind: "status", status: 503 },
    });
    await op.mark();
    await toScaiVault("many");
    await op.eventually("the first marks are gone", () => Promise.resolve(!isMarked("external/many/k00")), {
      virtualMs: 120_000,
    });
    await op.eventually("one fails", () => Promise.resolve(blocked.hits() > 0), { virtualMs: 120_000 });
    expect((await found("many"))?.copies).toEqual(["external/many/**"]);
    await op.restart();
    blocked.remove();
    await op.advance(60_000);
    await op.verdict("FederationBackend", stage.ns, "many", "True InSync", { virtualMs: 300_000 });
    expect(keys.filter((key) => isMarked(`external/${key}`))).toEqual([]);
    const { versionsWritten } = (await op.seen()).scaivault;
    // The credentials alone.
    expect(versionsWritten).toBe(1);
    const patched = op.scaivault.server.admin
      .requests()
      .filter(({ method, path, status }) => method === "PATCH" && path.includes("/external/many/") && status === 200);
    expect(patched).toHaveLength(40);
    expect((await found("many"))?.copies).toBeUndefined();
    const message = condition(await op.cluster.backend(stage.ns, "many"), "Ready")?.message;
    expect(message).toContain("40 secrets synced by ScaiVault");
  });
});
