// The quickstart's own steps, on the shared environment with stores, a release and an operator namespace of this test's own.
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { openCluster } from "../../local/cluster.ts";
import { repositoryRoot } from "../../local/paths.ts";
import { silentProgress } from "../../local/progress.ts";
import { fullName } from "../../local/quickstart/chart.ts";
import { secretData } from "../../local/quickstart/flows.ts";
import { flowTable, rotationText, styleFor } from "../../local/quickstart/report.ts";
import { newRun, type Outcome, removeFromCluster, type Run, runQuickstart } from "../../local/quickstart/run.ts";
import type { Seed } from "../../local/quickstart/stores.ts";
import type { World } from "../../local/quickstart/world.ts";
import { bundle } from "../../scripts/build.ts";
import { testEnvironment } from "../support/environment.ts";

const run: Run = newRun();
const ends: (() => Promise<unknown>)[] = [];
let world: World;
let outcome: Outcome;

beforeAll(async () => {
  const env = testEnvironment();
  const folder = mkdtempSync(join(tmpdir(), "scaivault-quickstart-"));
  ends.push(() => Promise.resolve(rmSync(folder, { recursive: true, force: true })));
  const asm = await env.ownAsm();
  ends.push(() => asm.stop());
  const scaivault = await env.ownScaiVault();
  ends.push(() => scaivault.stop());
  await bundle({ entry: join(repositoryRoot, "src/main.ts"), outfile: join(folder, "app", "operator.mjs") });
  const { controlPlane, binaries, caFile } = env.facts;
  world = {
    cluster: openCluster({
      kubectl: binaries.kubectl ?? "kubectl",
      helm: binaries.helm ?? "helm",
      kubeconfig: controlPlane?.adminKubeconfig ?? "",
    }),
    stores: { asm, vault: env.vault, scaivault: scaivault.server, ca: readFileSync(caFile, "utf8") },
    release: "first-steps",
    operatorNamespace: "first-steps",
    examples: join(repositoryRoot, "examples", "quickstart"),
    bundle: join(folder, "app"),
    folder,
    progress: silentProgress,
  };
  // Other tests may have left a namespace of this name.
  await world.cluster.kubectl(["delete", "namespace", "billing", "--ignore-not-found"]);
  ends.push(() => removeFromCluster(world, run));
  ends.push(async () => run.operator?.stop());
  outcome = await runQuickstart(world, run, { mayExist: true });
});
afterAll(async () => {
  for (const end of ends.reverse()) await end();
});

const seedOf = (path: string): Seed => run.seeded?.seeds.find((seed) => seed.path === path) as Seed;
const stored = (path: string): unknown => JSON.parse(world.stores.scaivault.admin.peek(path)?.data ?? "null");

it("says for each secret where it came from and where it went", () => {
  const rows = outcome.flows.map(({ source, scaivault, secret }) => [
    source.path,
    scaivault?.path,
    scaivault?.version,
    secret?.name,
    secret?.keys,
  ]);
  const to = "environments/production/billing";
  expect(rows).toEqual([
    ["prod/billing/stripe", `${to}/stripe`, 1, "stripe", ["STRIPE_API_KEY", "STRIPE_WEBHOOK_SECRET"]],
    ["kv/apps/billing/database", `${to}/database`, 1, "database", ["host", "password", "username"]],
    ["prod/billing/workers/invoices", `${to}/workers/invoices`, 1, "worker-invoices", ["password", "username"]],
    ["prod/billing/workers/mailer", `${to}/workers/mailer`, 1, "worker-mailer", ["password", "username"]],
  ]);
});

it("holds exactly the seeded values in ScaiVault and in the Secrets, after the rotation too", async () => {
  const to = "environments/production/billing";
  const stripe = seedOf("prod/billing/stripe").data;
  expect(stored(`${to}/stripe`)).toEqual(stripe);
  expect(await secretData(world, "stripe")).toEqual({
    STRIPE_API_KEY: stripe["api_key"],
    STRIPE_WEBHOOK_SECRET: stripe["webhook_secret"],
  });
  for (const [path, target, secret] of [
    ["kv/apps/billing/database", "database", "database"],
    ["prod/billing/workers/invoices", "workers/invoices", "worker-invoices"],
    ["prod/billing/workers/mailer", "workers/mailer", "worker-mailer"],
  ] as const) {
    expect(stored(`${to}/${target}`)).toEqual(seedOf(path).data);
    expect(await secretData(world, secret)).toEqual(seedOf(path).data);
  }
  expect(world.stores.scaivault.admin.paths().toSorted()).toEqual(
    ["database", "stripe", "workers/invoices", "workers/mailer"].map((name) => `${to}/${name}`),
  );
});

it("shows the rotation in both targets, written once", () => {
  const { source, scaivault, secret } = outcome.rotation;
  expect(source.to).not.toBe(source.from);
  expect([scaivault.from, scaivault.to]).toEqual([1, 2]);
  expect(secret.name).toBe("stripe");
  expect(world.stores.scaivault.admin.peek(scaivault.path)?.versions).toEqual([2, 1]);
});

it("asked each store as the made login and nothing outside its rights", () => {
  const calls = world.stores.asm.calls().filter(({ userAgent }) => userAgent.includes("scaivault-operator"));
  expect(calls.length).toBeGreaterThan(0);
  expect(new Set(calls.map(({ accessKeyId }) => accessKeyId))).toEqual(new Set([run.seeded?.logins.aws.accessKeyId]));
  expect(calls.filter(({ status }) => status !== 200)).toEqual([]);
  const requests = world.stores.scaivault.admin.requests().filter(({ path }) => path.startsWith("/v1/secrets"));
  expect(new Set(requests.map(({ identity }) => identity))).toEqual(new Set(["sa:scaivault-operator"]));
  expect(requests.filter(({ status }) => status === 401 || status === 403)).toEqual([]);
});

it("used the chart's ServiceAccount alone, and no right was missing", async () => {
  const user = `system:serviceaccount:${world.operatorNamespace}:${fullName(world.release)}`;
  const entries = await testEnvironment().kube.readAudit({ user });
  expect(entries.length).toBeGreaterThan(0);
  expect(entries.filter(({ code }) => code === 401 || code === 403).map(({ verb, uri }) => `${verb} ${uri}`)).toEqual(
    [],
  );
});

it("prints no value, and its operator logs none", () => {
  const style = styleFor({ isTTY: false });
  const printed = flowTable(outcome.flows, style) + rotationText(outcome.rotation, style) + JSON.stringify(outcome);
  const log = readFileSync(run.operator?.program.logFile ?? "", "utf8");
  const { logins, seeds } = run.seeded as NonNullable<Run["seeded"]>;
  const secrets = [
    ...seeds.flatMap(({ data }) => Object.values(data).filter((value) => value.startsWith("local-"))),
    logins.aws.secretAccessKey,
    logins.vault?.secretId ?? "",
    logins.scaivault.clientSecret,
  ];
  expect(secrets.length).toBeGreaterThan(6);
  for (const secret of secrets) {
    expect(secret.length).toBeGreaterThan(8);
    for (const form of [secret, Buffer.from(secret).toString("base64"), Buffer.from(secret).toString("hex")]) {
      expect(printed.includes(form)).toBe(false);
      expect(log.includes(form)).toBe(false);
    }
  }
});

it("leaves a namespace that it did not make alone, and says so", async () => {
  const { kube } = testEnvironment();
  await kube.ensureNamespace("somebody-elses");
  const other = { ...world, operatorNamespace: "somebody-elses", release: "not-installed" };
  const second = newRun();
  await expect(runQuickstart(other, second, { mayExist: false })).rejects.toMatchObject({
    message: "The cluster has a namespace somebody-elses already, and the quickstart did not make it.",
  });
  second.seeded?.close();
  // Even when a run believes that it made it, the label decides.
  for (const namespaces of [second.namespaces, ["somebody-elses"]])
    await removeFromCluster(other, { ...second, namespaces });
  const left = await kube.request({ path: "/api/v1/namespaces/somebody-elses" });
  expect(left.json()["status"]).toEqual({ phase: "Active" });
});
