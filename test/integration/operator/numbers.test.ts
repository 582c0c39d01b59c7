import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { condition, each, Harness, type Seen, sync, type SyncThing } from "../../support/operator.ts";

const MINUTE = 60_000;
const INTERVAL = 5 * MINUTE;
const AWS_OBJECTS = 1_000;
const VAULT_OBJECTS = 60;

let op: Harness<"many" | "vault">;
let kv: string;

const ready = async (namespace: string): Promise<number> => {
  const all = await op.cluster.list<SyncThing>("SecretSync", namespace);
  return all.filter((one) => condition(one, "Ready")?.status === "True").length;
};

/** Waits until so many objects of a namespace are Ready; the first copies take as long as ScaiVault's budget says. */
async function copied(namespace: string, wanted: number, minutes: number): Promise<void> {
  for (let passed = 0; passed < minutes && (await ready(namespace)) < wanted; passed += 1) await op.advance(MINUTE);
  expect(await ready(namespace)).toBe(wanted);
}

beforeAll(async () => {
  // A thousand first copies at ScaiVault's hundred writes a minute are another test's matter.
  const many = 1_000_000;
  op = await Harness.prepare({
    namespaces: ["many", "vault"],
    scaivault: { limits: { read: many, write: many, list: many, batch_read: many, batch_metadata: many } },
    scaivaultLimits: { read: many, write: many, list: many, batchRead: many, batchMetadata: many },
    config: { log: { level: "warn" }, workers: 16 },
  });
  kv = `kv-${op.ns.vault}`;
  await op.env.vault.enableKv(kv, 2);
});
afterAll(async () => {
  await op?.stop();
  await op?.env.vault.disableMount(kv);
});

const writesOf = (seen: Seen) => Harness.describe(seen.kubeWrites);
const metadataCalls = (seen: Seen): number => seen.scaivault.total;

describe("1,000 SecretSyncs on one ASM backend", () => {
  beforeAll(async () => {
    const { many } = op.ns;
    const names = Array.from({ length: AWS_OBJECTS }, (_, at) => `app-${String(at).padStart(4, "0")}`);
    const value = op.canaries.value("many");
    const seed = each(names, 8, async (name) => {
      await op.aws.put(`prod/${name}`, `{"password":"${value}-${name}"}`);
    });
    await op.awsBackend(many);
    const create = op.cluster.createMany(
      names.map((name) =>
        sync(many, name, {
          source: { backendRef: { name: "aws" }, path: `prod/${name}` },
          targets: { scaivault: { path: `environments/${many}/${name}` }, kubernetesSecret: {} },
        }),
      ),
    );
    await Promise.all([seed, create]);
    await op.start();
    await copied(many, AWS_OBJECTS, 40);
    await op.interval();
  }, 240_000);

  it("all values are where they belong, written exactly once", async () => {
    const { many } = op.ns;
    const secrets = await op.cluster.list("Secret", many);
    expect(secrets.filter(({ metadata }) => metadata.name.startsWith("app-"))).toHaveLength(AWS_OBJECTS);
    const paths = op.scaivault.server.admin.paths().filter((path) => path.startsWith(`environments/${many}/`));
    expect(paths).toHaveLength(AWS_OBJECTS);
    expect(paths.every((path) => op.stored(path)?.version === 1)).toBe(true);
  });

  it("cost next to nothing from one poll to the next", async () => {
    await op.mark();
    await op.advance(INTERVAL);
    const seen = await op.seen();
    expect(seen.aws.byAction).toEqual({ ListSecrets: expect.any(Number) as number });
    expect(seen.aws.total).toBeLessThanOrEqual(12);
    expect(seen.aws.valueReads).toBe(0);
    expect(metadataCalls(seen)).toBeLessThanOrEqual(12);
    expect([seen.scaivault.valuesRead, seen.scaivault.versionsWritten]).toEqual([0, 0]);
    expect(writesOf(seen)).toEqual(["patch federationbackends/status aws"]);
    // Neither does it read much of the API server: watches, and nothing for each object.
    expect(seen.kube.filter(({ verb }) => !["watch", "patch"].includes(verb)).length).toBeLessThanOrEqual(5);
  });

  it("show one changed value in both targets within one interval and five seconds", async () => {
    const { many } = op.ns;
    const next = op.canaries.value("next");
    await op.aws.put("prod/app-0500", `{"password":"${next}"}`);
    await op.mark();
    await op.advance(INTERVAL + 5_000);
    expect(await op.cluster.secretData(many, "app-0500")).toEqual({ password: next });
    expect(op.stored(`environments/${many}/app-0500`)?.data).toContain(next);
    const seen = await op.seen();
    expect([seen.aws.valueReads, seen.scaivault.versionsWritten]).toEqual([1, 1]);
    expect(writesOf(seen).filter((line) => line.includes("app-"))).toEqual([
      "patch secrets app-0500",
      "patch secretsyncs/status app-0500",
    ]);
  });

  it("a restart with nothing changed reads no value and writes nothing else", async () => {
    await op.advance(INTERVAL);
    await op.end();
    await op.mark();
    await op.start();
    await op.advance(INTERVAL);
    const seen = await op.seen();
    expect(seen.aws.valueReads).toBe(0);
    expect(seen.aws.total).toBeLessThanOrEqual(24);
    expect([seen.scaivault.valuesRead, seen.scaivault.versionsWritten]).toEqual([0, 0]);
    // Ten for all objects; those that are looked at before the poll has ended ask once or twice more.
    expect(metadataCalls(seen)).toBeLessThanOrEqual(36);
    expect(seen.scaivault.byRoute["PATCH /v1/secrets/{path}"] ?? 0).toBe(0);
    expect(new Set(writesOf(seen))).toEqual(new Set(["patch federationbackends/status aws"]));
    expect(writesOf(seen).length).toBeLessThanOrEqual(2);
    expect(await ready(op.ns.many)).toBe(AWS_OBJECTS);
  });

  it("an outage writes one status for the backend, and one for each object when it is stale", async () => {
    const { many } = op.ns;
    op.asm.addFault({ kind: "error", status: 503 });
    await op.mark();
    await op.advance(INTERVAL + MINUTE);
    const early = await op.seen();
    expect(writesOf(early).filter((line) => line.includes("secretsyncs"))).toEqual([]);
    expect(writesOf(early).length).toBeLessThanOrEqual(3);
    expect(await ready(many)).toBe(AWS_OBJECTS);
    for (let passed = 0; passed < 14; passed += 1) await op.advance(MINUTE);
    expect(await ready(many)).toBe(0);
    const seen = await op.seen();
    expect(writesOf(seen).filter((line) => line.includes("secretsyncs")).length).toBe(AWS_OBJECTS);
    // At most six probes a minute, and nothing else.
    expect(seen.aws.total).toBeLessThanOrEqual(6 * 21);
    expect([seen.aws.valueReads, seen.scaivault.versionsWritten]).toEqual([0, 0]);
    op.asm.clearFaults();
    await op.advance(MINUTE);
    expect(await ready(many)).toBe(AWS_OBJECTS);
    expect((await op.seen()).aws.valueReads).toBe(0);
  });
});

describe("SecretSyncs on one KV v2 backend", () => {
  beforeAll(async () => {
    const { vault } = op.ns;
    const names = Array.from({ length: VAULT_OBJECTS }, (_, at) => `v-${at}`);
    await each(names, 4, async (name) => void (await op.env.vault.put(kv, name, { password: name })));
    await op.vaultBackend(vault, "vault", [kv]);
    await op.cluster.createMany(
      names.map((name) =>
        sync(vault, name, {
          source: { backendRef: { name: "vault" }, path: `${kv}/${name}` },
          targets: { scaivault: { path: `environments/${vault}/${name}` }, kubernetesSecret: {} },
        }),
      ),
    );
    await copied(vault, VAULT_OBJECTS, 10);
    await op.interval();
  });

  const reads = (seen: Seen) => seen.vault.filter(({ path }) => path.startsWith(`${kv}/data/`)).length;

  it("a poll reads metadata once for each, and no value", async () => {
    await op.mark();
    await op.advance(INTERVAL);
    const seen = await op.seen();
    expect(reads(seen)).toBe(0);
    expect(seen.vault.length).toBeLessThanOrEqual(VAULT_OBJECTS + 2);
    expect(seen.scaivault.versionsWritten).toBe(0);
    expect(writesOf(seen).filter((line) => !line.startsWith("patch federationbackends/status"))).toEqual([]);
  });

  it("a restart with nothing changed reads no value and writes nothing else", async () => {
    await op.end();
    await op.mark();
    await op.start();
    await op.advance(INTERVAL);
    const seen = await op.seen();
    expect([reads(seen), seen.aws.valueReads, seen.scaivault.versionsWritten, seen.scaivault.valuesRead]).toEqual([
      0, 0, 0, 0,
    ]);
    expect(writesOf(seen).filter((line) => !line.startsWith("patch federationbackends/status"))).toEqual([]);
    expect(await ready(op.ns.vault)).toBe(VAULT_OBJECTS);
  });
});
