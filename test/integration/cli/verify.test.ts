// `verify` as people start it, against a real kube-apiserver, an AWS account, Vault and a ScaiVault.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { VerifyReport } from "../../../src/cli/verify-report.ts";
import { each, Harness, sync } from "../../support/operator.ts";
import { Program, type Ran } from "./support.ts";

let op: Harness<"team" | "many">;
let ns: string;
let program: Program;
let mount: string;
const texts: string[] = [];
const plenty = 1_000_000;

beforeAll(async () => {
  [op, program] = await Promise.all([
    Harness.prepare({
      namespaces: ["team", "many"],
      // Copies are made in a moment; reads are limited as documented.
      scaivault: { limits: { write: plenty, list: plenty, batch_metadata: plenty } },
      scaivaultLimits: { write: plenty, list: plenty, batchMetadata: plenty },
    }),
    Program.build(),
  ]);
  ns = op.ns.team;
  mount = `verify-${ns}`;
  op.otherTexts.push(() => [["commands", texts.join("\n")]]);
  await op.start();
  await op.env.vault.enableKv(mount, 2);
  await op.awsBackend(ns);
  await op.awsBackend(op.ns.many);
  await op.vaultBackend(ns, "vault", [mount]);
}, 300_000);
afterAll(async () => {
  await op?.stop();
  await program?.close();
});

/** The operator is at rest while a test changes what it would put right. */
async function atRest(work: () => Promise<void>): Promise<void> {
  await op.end();
  try {
    await work();
  } finally {
    await op.start();
    await op.interval();
  }
}

async function verify(...args: readonly string[]): Promise<Ran> {
  const config = program.write("config.yaml", op.file);
  const ran = await program.run(["verify", "--config", config, ...args]);
  texts.push(ran.stdout, ran.stderr);
  return ran;
}

async function report(...args: readonly string[]): Promise<VerifyReport & { code: number | null }> {
  const ran = await verify(...args, "-o", "json");
  return { ...(JSON.parse(ran.stdout) as VerifyReport), code: ran.code };
}

const path = (name: string) => `environments/verify/${name}`;
const secretOf = (name: string) => op.cluster.secretData(ns, name);

const manifest = (name: string, from: string, sourcePath: string, spec: object = {}) =>
  sync(ns, name, {
    source: { backendRef: { name: from }, path: sourcePath },
    targets: { scaivault: { path: path(name) }, kubernetesSecret: {} },
    ...spec,
  });

/** A copy of an AWS secret, in sync. */
async function copy(name: string, spec: object = {}): Promise<string> {
  const value = op.canaries.value(name);
  await op.aws.put(`verify/${name}`, `{"v":"${value}","n":1.0}`);
  await op.cluster.apply(manifest(name, "aws", `verify/${name}`, spec));
  await op.ready(ns, name);
  return value;
}

/** Nothing was written to any store or to the API server since `mark`, but what the operator wrote. */
async function expectNothingWritten(): Promise<void> {
  const { scaivault, aws, kubeWrites } = await op.seen();
  expect(Harness.describe(kubeWrites)).toEqual([]);
  expect(Object.keys(scaivault.byRoute).filter((route) => /^(?:PUT|PATCH|DELETE)/.test(route))).toEqual([]);
  expect(Object.keys(aws.byAction).filter((action) => /^(?:Put|Update|Delete|Create|Tag)/.test(action))).toEqual([]);
}

describe("verify", () => {
  it("says nothing of what is the same, whatever the order of members and the spelling of numbers, and writes nothing", async () => {
    const value = await copy("same");
    await op.env.vault.put(mount, "app", { password: op.canaries.value("vault") });
    await op.cluster.apply(
      manifest("from-vault", "vault", `${mount}/app`, {
        targets: {
          scaivault: { path: path("from-vault") },
          kubernetesSecret: { data: [{ key: "PW", field: ".password" }] },
        },
      }),
    );
    await op.ready(ns, "from-vault");
    await op.idle();
    await op.mark();
    expect(await verify("-n", ns)).toMatchObject({ code: 0, stdout: "", stderr: "" });
    await expectNothingWritten();
    const own = op.scaivault.server.admin.requests().filter(({ userAgent }) => userAgent.includes(" verify ("));
    expect(own.length).toBeGreaterThan(0);
    await atRest(async () => {
      op.scaivault.server.admin.write(path("same"), { data: `{ "n": 1e0, "v": "${value}" }` });
      expect(await verify("ssync/same", "-n", ns)).toMatchObject({ code: 0, stdout: "" });
    });
    expect(await report("--all")).toMatchObject({ code: 0, compared: 2, differences: [], unknown: [] });
  });

  it.each([
    [
      "the source",
      async (name: string, value: string) => void (await op.aws.put(`verify/${name}`, `{"v":"${value}!","n":1.0}`)),
      "ScaiVault PATH differs from the source; Secret NAME differs from the source",
    ],
    [
      "ScaiVault",
      (name: string, value: string) =>
        Promise.resolve(void op.scaivault.server.admin.write(path(name), { data: { v: `${value}!`, n: 1 } })),
      "ScaiVault PATH differs from the source",
    ],
    [
      "the Secret",
      (name: string, value: string) =>
        op.cluster.patch("Secret", ns, name, { stringData: { v: `${value}!` } }, "somebody"),
      "Secret NAME differs from the source, changed by somebody",
    ],
  ])("finds one changed byte in %s", async (side, change, said) => {
    const name = `byte-${side.replace(/\W/g, "").toLowerCase()}`;
    const value = await copy(name);
    await atRest(async () => {
      await change(name, value);
      const ran = await verify(`SecretSync/${name}`, "-n", ns);
      expect(ran).toMatchObject({ code: 1, stderr: "" });
      const line = said.replaceAll("PATH", path(name)).replaceAll("NAME", name);
      expect(ran.stdout).toBe(`SecretSync ${ns}/${name} verify/${name}: ${line} (not in status yet)\n`);
    });
    await op.ready(ns, name);
    expect(await verify(`ssync/${name}`, "-n", ns)).toMatchObject({ code: 0, stdout: "" });
  });

  it("names the side that lacks it, and since when status knows", async () => {
    await copy("lacks");
    await atRest(async () => {
      await op.cluster.delete("Secret", ns, "lacks");
      op.scaivault.server.admin.remove(path("lacks"), { permanent: true });
      const seen = await report("ssync/lacks", "-n", ns);
      expect(seen.code).toBe(1);
      expect(seen.differences).toMatchObject([
        {
          name: "lacks",
          authority: "Source",
          sides: [
            { side: "ScaiVault", ref: path("lacks"), how: "Lacks" },
            { side: "KubernetesSecret", ref: "lacks", how: "Lacks" },
          ],
        },
      ]);
    });
    await copy("contested", { conflictResolution: "manual" });
    await op.interval();
    op.scaivault.server.admin.write(path("contested"), { data: { v: "theirs" } });
    await op.interval();
    const { status } = await op.verdict("SecretSync", ns, "contested", "False TargetChanged");
    const [known] = (await report("ssync/contested", "-n", ns)).differences;
    expect(known?.since).toBe(status?.problems?.[0]?.since);
    await op.aws.remove("verify/lacks");
    expect((await verify("ssync/lacks", "-n", ns)).stdout).toContain("the source lacks it");
  });

  it("compares with ScaiVault after the flip, and does not read the old store any more", async () => {
    await copy("flipped");
    await op.cluster.apply(manifest("flipped", "aws", "verify/flipped", { authority: "ScaiVault" }));
    await op.ready(ns, "flipped");
    await op.aws.put("verify/flipped", '{"v":"drifted"}');
    await op.interval();
    await op.verdict("SecretSync", ns, "flipped", "True SourceChanged");
    await op.mark();
    expect(await verify("ssync/flipped", "-n", ns)).toMatchObject({ code: 0, stdout: "" });
    expect((await op.seen()).aws.valueReads).toBe(0);
    await atRest(async () => {
      op.scaivault.server.admin.write(path("flipped"), { data: { v: "newer" } });
      const { stdout } = await verify("ssync/flipped", "-n", ns);
      expect(stdout).toContain("Secret flipped differs from ScaiVault");
    });
    await op.eventually("the Secret to follow", async () => (await secretOf("flipped"))?.["v"] === "newer");
  });

  it("says what it could not compare, and why, and never calls nothing clean", async () => {
    await op.cluster.apply({
      apiVersion: "v1",
      kind: "Secret",
      metadata: { name: "foreign", namespace: ns },
      stringData: { v: "x" },
    });
    await op.aws.put("verify/foreign", '{"v":"x"}');
    await op.cluster.apply(manifest("foreign", "aws", "verify/foreign"));
    await op.verdict("SecretSync", ns, "foreign", "False NotOwned");
    const foreign = await verify("ssync/foreign", "-n", ns);
    expect(foreign.code).toBe(2);
    expect(foreign.stdout).toBe(
      `SecretSync ${ns}/foreign foreign: not compared: NotOwned: Secret foreign bears no mark of this object\n`,
    );
    expect(await verify("ssync/nobody", "-n", ns)).toMatchObject({
      code: 2,
      stdout: `no SecretSync nobody to verify in namespace ${ns}\n`,
    });
    expect(await verify("-n", "elsewhere")).toMatchObject({
      code: 2,
      stdout: "no object to verify in namespace elsewhere (the operator does not watch it: watchNamespaces)\n",
    });
    expect((await verify("nonsense")).code).toBe(64);
    const fault = op.scaivault.server.admin.inject({
      action: { kind: "status", status: 503, code: "service_unavailable" },
    });
    try {
      const away = await report("ssync/same", "-n", ns);
      expect(away).toMatchObject({ code: 2, differences: [] });
      expect(away.unknown.map(({ reason }) => reason)).toEqual(["ScaiVaultUnavailable"]);
      expect(fault.hits()).toBeGreaterThan(0);
    } finally {
      op.scaivault.server.admin.clearFaults();
    }
  });

  it("compares two hundred secrets within the rate limits, each read once on each side", async () => {
    const names = Array.from({ length: 200 }, (_, at) => `s${at}`);
    await each(names, 8, async (name) => void (await op.aws.put(`many/${name}`, `{"v":"${name}"}`)));
    await op.cluster.apply(
      sync(op.ns.many, "many", {
        source: { backendRef: { name: "aws" }, subtree: "many/**" },
        targets: { scaivault: { path: "environments/many/**" }, kubernetesSecret: { nameTemplate: "{path}" } },
      }),
    );
    await op.ready(op.ns.many, "many", { virtualMs: 600_000, timeoutMs: 120_000 });
    await op.idle();
    await op.mark();
    const ran = await verify("-n", op.ns.many);
    expect([ran.code, ran.stdout]).toEqual([0, ""]);
    const { scaivault, aws } = await op.seen();
    expect([scaivault.valuesRead, aws.valueReads]).toEqual([200, 200]);
    // Of a thousand a minute, of which a quarter is left to what is more urgent.
    expect(op.scaivault.server.admin.requests().filter(({ status }) => status === 429)).toEqual([]);
    await expectNothingWritten();
  });

  it("compares the tree of a FederationBackend", async () => {
    const value = op.canaries.value("tree");
    await op.aws.put("tree/one", JSON.stringify({ v: value }));
    await op.aws.put("tree/two", JSON.stringify({ v: value }));
    await op.awsBackend(op.ns.many, "tree", {
      federation: { mode: "sync", pathMapping: [{ scaivaultPath: "external/tree/**", sourcePath: "tree/**" }] },
    });
    await op.eventually("the tree", () => Promise.resolve(op.stored("external/tree/two")), { virtualMs: 60_000 });
    await op.idle();
    expect(await report("fedb/tree", "-n", op.ns.many)).toMatchObject({ code: 0, compared: 2, differences: [] });
    await atRest(async () => {
      op.scaivault.server.admin.write("external/tree/two", { data: { v: `${value}!` } });
      const { code, stdout } = await verify("fedb/tree", "-n", op.ns.many);
      expect([code, stdout]).toEqual([
        1,
        `FederationBackend ${op.ns.many}/tree tree/two: ScaiVault external/tree/two differs from the source (not in status yet)\n`,
      ]);
    });
  });
});
