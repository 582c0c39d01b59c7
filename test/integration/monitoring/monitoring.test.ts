/**
 * A real Prometheus scrapes a running operator whose objects are in all sorts of states: metrics, alerts, dashboard and
 * documentation are held against what it sees. kube-state-metrics reads the same objects from the real API server.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parse, parseAllDocuments, stringify } from "yaml";
import { ensureBinaries, type Binary, type BinaryName } from "../../../local/binaries.ts";
import { startKubeStateMetrics } from "../../../local/kube-state-metrics.ts";
import { waitFor } from "../../../local/process.ts";
import { streamProgress } from "../../../local/progress.ts";
import { type Prometheus, startPrometheus } from "../../../local/prometheus.ts";
import { run } from "../../../local/run.ts";
import { termMetrics } from "../../../src/controllers/index.ts";
import { createMetrics, type Listening, startMetricsServer } from "../../../src/telemetry/index.ts";
import { OPERATOR_NAMESPACE } from "../../support/operator-account.ts";
import { Harness, sync } from "../../support/operator.ts";
import { promtoolTests } from "./alerts.ts";

const chart = "charts/scaivault-operator";
const monitoring = `${chart}/files/monitoring`;
const rulesFile = join(process.cwd(), monitoring, "rules.yaml");
const INTERVAL = 5 * 60_000;

let binaries: ReadonlyMap<BinaryName, Binary>;
let op: Harness<"billing" | "shop">;
let kv: string;
let server: Listening;
let prometheus: Prometheus;

const binary = (name: BinaryName): Binary => {
  const found = binaries.get(name);
  if (found === undefined) throw new Error(`no ${name}`);
  return found;
};
const both = (namespace: string, name: string, source: object, more: object = {}) =>
  sync(namespace, name, {
    source,
    targets: { scaivault: { path: `environments/${namespace}/${name}` }, kubernetesSecret: {} },
    ...more,
  });
const fromAws = (name: string) => ({ backendRef: { name: "aws" }, path: `prod/${name}` });

/** Objects in many states, before the first scrape. */
async function objectsInManyStates(): Promise<void> {
  const { billing, shop } = op.ns;
  for (const name of ["db", "api", "asked", "granted", "first"])
    await op.aws.put(`prod/${name}`, JSON.stringify({ password: op.canaries.value(name) }));
  await op.env.vault.put(kv, "mail", { password: op.canaries.value("mail") });
  await op.awsBackend(billing);
  await op.vaultBackend(shop, "vault", [kv]);
  await op.cluster.apply(
    both(billing, "db", fromAws("db")),
    both(billing, "api", fromAws("api")),
    both(billing, "asked", fromAws("asked"), { apply: "OnApproval" }),
    both(billing, "granted", fromAws("granted"), { apply: "OnApproval" }),
    both(billing, "missing", fromAws("missing")),
    both(billing, "off", fromAws("db"), { suspend: true }),
    both(shop, "mail", { backendRef: { name: "vault" }, path: `${kv}/mail` }),
  );
  await op.awsBackend(shop, "broken");
  await op.cluster.delete("Secret", shop, "broken-key");
  await op.cluster.apply(both(shop, "lost", { backendRef: { name: "broken" }, path: "prod/lost" }));
  await op.start();
  await op.ready(billing, "db");
  await op.ready(billing, "api");
  await op.ready(shop, "mail");
  await op.verdict("SecretSync", billing, "asked", "False ApprovalNeeded");
  await approve("granted");
  await op.verdict("SecretSync", billing, "missing", "False SourceNotFound");
  await op.verdict("FederationBackend", shop, "broken", "False CredentialNotFound");
}

/** Releases what an object holds. */
async function approve(name: string): Promise<void> {
  const { billing } = op.ns;
  const waiting = await op.verdict("SecretSync", billing, name, "False ApprovalNeeded");
  const annotations = { "scaivault.scailabs.ai/approve": waiting.status?.plan?.hash };
  await op.cluster.patch("SecretSync", billing, name, { metadata: { annotations } });
  await op.ready(billing, name);
}

/** What happens while Prometheus looks: values change, a new object comes, calls fail. */
async function aBusyHour(): Promise<void> {
  const { billing, shop } = op.ns;
  await op.advance(60_000);
  await op.aws.put("prod/db", JSON.stringify({ password: op.canaries.value("db2") }));
  await op.env.vault.put(kv, "mail", { password: op.canaries.value("mail2") });
  await op.aws.put("prod/granted", JSON.stringify({ password: op.canaries.value("granted2") }));
  await op.cluster.apply(both(billing, "first", fromAws("first")));
  await op.ready(billing, "first");
  // A hand edit is undone, and a spec asks for another form.
  await op.cluster.patch("Secret", billing, "api", { stringData: { password: "by hand" } });
  await op.advance(2_000);
  const targets = {
    scaivault: { path: `environments/${billing}/api` },
    kubernetesSecret: { data: [{ key: "PASSWORD", field: ".password" }] },
  };
  await op.cluster.apply(both(billing, "api", fromAws("api"), { targets }));
  op.asm.addFault({ kind: "error", status: 503, code: "ServiceUnavailable", times: 2 });
  // One of the two targets of a changed value is late.
  const match = { method: "PUT", path: `environments/${billing}/db` };
  op.scaivault.server.admin.inject({ match, times: 1, action: { kind: "status", status: 503 } });
  await op.interval(INTERVAL);
  await op.interval(INTERVAL);
  await approve("granted");
  expect(Object.keys((await op.cluster.secretData(billing, "api")) ?? {})).toEqual(["PASSWORD"]);
  await op.verdict("FederationBackend", billing, "aws", "True InSync");
  await op.verdict("FederationBackend", shop, "vault", "True InSync");
}

/** Until Prometheus has scraped `times` more. */
async function scraped(times: number): Promise<void> {
  const count = async (): Promise<number> =>
    (await prometheus.query('count_over_time(up{job="scaivault-operator"}[1h])'))[0]?.value ?? 0;
  const before = await count();
  expect(await waitFor(async () => (await count()) >= before + times, 20_000)).toBe(true);
}

beforeAll(async () => {
  binaries = await ensureBinaries(["promtool", "prometheus", "kube-state-metrics"], { progress: streamProgress() });
  op = await Harness.prepare({
    namespaces: ["billing", "shop"],
    news: "Followed",
    config: { metrics: { objects: true } },
  });
  kv = `kv-${op.ns.shop}`;
  await op.env.vault.enableKv(kv, 2);
  await objectsInManyStates();
  const { operator } = op;
  const { caches, scaivault, metrics } = operator;
  metrics.setSources(termMetrics({ caches, scaivault, clock: op.clock, leader: () => true, term: () => op.term }));
  server = await startMetricsServer(metrics.registry, "127.0.0.1", 0);
  prometheus = await startPrometheus({
    folder: join(op.folder, "prometheus"),
    binary: binary("prometheus"),
    // As the chart's ServiceMonitor has it: the target's namespace is the operator's.
    targets: [
      {
        job: "scaivault-operator",
        address: `127.0.0.1:${server.port}`,
        labels: { namespace: OPERATOR_NAMESPACE, pod: "operator-test" },
      },
    ],
    ruleFiles: [rulesFile],
  });
  await scraped(2);
  await aBusyHour();
  await scraped(2);
}, 1_800_000);
afterAll(async () => {
  await prometheus?.stop();
  await server?.close();
  await op?.stop();
  await op?.env.vault.disableMount(kv);
});

const value = async (expression: string): Promise<number | undefined> => (await prometheus.query(expression))[0]?.value;

describe("metrics, as Prometheus sees them", () => {
  it("all are there, with objects by backend, namespace and reason; the operator's namespace takes none of them", async () => {
    const { registry } = createMetrics({ defaults: false, objects: true, version: "" });
    // No backend here has a tree, so there is nothing to count.
    const wanted = (registry.getMetricsAsArray() as unknown as { name: string; type: string }[])
      .filter(({ name }) => name !== "scaivault_operator_tree_secrets")
      .map(({ name, type }) => (type === "histogram" ? `${name}_bucket` : name));
    expect(await prometheus.labelValues("__name__")).toEqual(expect.arrayContaining(wanted));
    const rows = (await prometheus.query("scaivault_operator_objects")).map(
      ({ metric, value: count }) =>
        `${metric["kind"]} ${metric["namespace"]} ${metric["backend"]} ${metric["ready"]} ${metric["reason"]} ${count}`,
    );
    const { billing, shop } = op.ns;
    expect(rows.sort()).toEqual(
      [
        `FederationBackend ${billing} ${billing}/aws True InSync 1`,
        `FederationBackend ${shop} ${shop}/vault True InSync 1`,
        `FederationBackend ${shop} ${shop}/broken False CredentialNotFound 1`,
        `SecretSync ${billing} ${billing}/aws True InSync 4`,
        `SecretSync ${billing} ${billing}/aws False ApprovalNeeded 1`,
        `SecretSync ${billing} ${billing}/aws False SourceNotFound 1`,
        `SecretSync ${billing} ${billing}/aws Unknown Suspended 1`,
        `SecretSync ${shop} ${shop}/vault True InSync 1`,
        `SecretSync ${shop} ${shop}/broken False BackendNotReady 1`,
      ].sort(),
    );
    expect(await prometheus.labelValues("namespace", "scaivault_operator_objects")).toEqual([billing, shop].sort());
  });

  it("objects have a series of their own in one metric only", async () => {
    const named = await prometheus.query('count by (__name__) ({job="scaivault-operator",name!=""})');
    expect(named.map(({ metric }) => metric["__name__"])).toEqual(["scaivault_operator_object_ready"]);
    const { billing } = op.ns;
    const ready = `scaivault_operator_object_ready{kind="SecretSync",namespace="${billing}"`;
    expect(await value(`${ready},name="db"}`)).toBe(1);
    expect(await value(`${ready},name="missing",reason="SourceNotFound"}`)).toBe(0);
    expect(await value(`count(scaivault_operator_object_ready{kind="SecretSync"})`)).toBe(9);
  });

  it("freshness counts changes, not first copies, from the store's own time of the change", async () => {
    const { billing, shop } = op.ns;
    const of = (end: string, namespace: string) =>
      `scaivault_operator_freshness_seconds_${end}{namespace="${namespace}"}`;
    // Six secrets were copied for the first time, one was repaired, one got another form, one change was approved; two changed.
    expect([await value(of("count", billing)), await value(of("count", shop))]).toEqual([1, 1]);
    for (const namespace of [billing, shop]) {
      const seconds = (await value(of("sum", namespace))) ?? 0;
      expect(seconds).toBeGreaterThan(1);
      expect(seconds).toBeLessThanOrEqual((2 * INTERVAL) / 1000 + 60);
    }
  });

  it("polls have an age and an interval where somebody reads the store", async () => {
    const { billing, shop } = op.ns;
    const intervals = await prometheus.query("scaivault_operator_poll_interval_seconds");
    expect(intervals.map(({ metric, value: seconds }) => `${metric["backend"]} ${seconds}`).sort()).toEqual([
      `${billing}/aws 300`,
      `${shop}/vault 300`,
    ]);
    const ages = await prometheus.query("scaivault_operator_poll_age_seconds");
    expect(ages).toHaveLength(2);
    for (const { value: seconds } of ages) expect(seconds).toBeLessThanOrEqual(310);
  });
});

describe("the dashboard", () => {
  interface Target {
    readonly expr: string;
  }
  const { panels, templating } = JSON.parse(readFileSync(`${monitoring}/dashboard.json`, "utf8")) as {
    panels: { title: string; type: string; targets?: Target[] }[];
    templating: { list: { name: string; type: string; definition?: string }[] };
  };
  const queries = panels.flatMap(({ title, targets = [] }) => targets.map(({ expr }) => [title, expr] as const));
  const filled = (expression: string): string =>
    expression.replaceAll("$__rate_interval", "1m").replaceAll(/\$(?:namespace|backend)\b/g, ".*");

  it.each(queries)("%s: %s", async (_title, expression) => {
    const samples = await prometheus.query(filled(expression));
    expect(samples.length).toBeGreaterThan(0);
    // A quantile of nothing is NaN: something of each kind happened.
    expect(samples.some((sample) => !Number.isNaN(sample.value))).toBe(true);
  });

  it("its variables have values, and every panel has a query", async () => {
    for (const { name, definition = "" } of templating.list.filter(({ type }) => type === "query")) {
      const [, match, label = ""] = /^label_values\((\w+), (\w+)\)$/.exec(definition) ?? [];
      expect(label).toBe(name);
      expect((await prometheus.labelValues(label, match)).length).toBeGreaterThan(0);
    }
    for (const { type, title, targets = [] } of panels)
      if (type !== "row") expect(targets.length, title).toBeGreaterThan(0);
  });
});

describe("alerts", () => {
  const promtool = (...args: string[]) => run(binary("promtool").path, args);

  it("load, and their expressions and texts have no error on real data", async () => {
    const checked = await promtool("check", "rules", rulesFile);
    expect(checked.stdout + checked.stderr).toMatch(/SUCCESS: 10 rules found/);
    const rules = await prometheus.rules();
    expect(rules).toHaveLength(10);
    for (const { name, health, lastError } of rules) expect([name, health, lastError]).toEqual([name, "ok", undefined]);
  });

  it("begin to fire for what is wrong here, by backend and by namespace, and for nothing else", async () => {
    const alerts = (await prometheus.rules()).flatMap(({ alerts: one }) => one);
    const { billing, shop } = op.ns;
    const short = alerts.map(({ labels, state }) =>
      [labels["alertname"], labels["namespace"], labels["backend"], state].filter(Boolean).join(" "),
    );
    expect(short.sort()).toEqual([
      `ScaiVaultApprovalWaiting ${billing} pending`,
      `ScaiVaultBackendNotReady ${shop} ${shop}/broken pending`,
      `ScaiVaultObjectsNotReady ${billing} pending`,
    ]);
    const said = alerts.map(({ annotations }) => annotations["description"]).join("\n");
    for (const reason of ["CredentialNotFound", "SourceNotFound", "ApprovalNeeded"]) expect(said).toContain(reason);
  });

  it("fire once for an outage, and not for a blip, an approved wait or a quiet hour", async () => {
    const file = join(op.folder, "rules.test.yaml");
    writeFileSync(file, JSON.stringify(promtoolTests(rulesFile)));
    const tested = await promtool("test", "rules", file);
    expect(tested.stdout + tested.stderr).toMatch(/SUCCESS/);
    expect(tested.code).toBe(0);
  });

  it("are as good when the chart renders them with values of its own", async () => {
    const values = {
      cluster: { name: "one" },
      metrics: {
        rules: {
          enabled: true,
          runbookURL: "https://runbooks.example.com/",
          alertLabels: { team: "platform" },
          severities: { critical: "page", warning: "ticket" },
          freshness: { seconds: 900, ratio: 0.95 },
        },
      },
    };
    const { helm = "helm" } = op.env.facts.binaries;
    const args = ["template", "op", chart, "--kube-version", "1.35.4", "-s", "templates/monitoring.yaml", "-f", "-"];
    const rendered = await run(helm, args, { input: JSON.stringify(values) });
    const [rule] = parseAllDocuments(rendered.stdout).map((one) => one.toJS() as { spec: { groups: unknown } });
    const file = join(op.folder, "rendered.yaml");
    writeFileSync(file, stringify({ groups: rule?.spec.groups }));
    const checked = await promtool("check", "rules", file);
    expect(checked.stdout + checked.stderr).toMatch(/SUCCESS: 10 rules found/);
  });
});

describe("kube-state-metrics", () => {
  const customResource = { customresource_group: "scaivault.scailabs.ai", customresource_version: "v1alpha1" };

  it("tells of our kinds by the configuration that is shipped", async () => {
    const folder = join(op.folder, "kube-state-metrics");
    mkdirSync(folder);
    const configFile = join(process.cwd(), monitoring, "kube-state-metrics.yaml");
    const kubeconfig = op.env.facts.controlPlane?.adminKubeconfig ?? "";
    const program = await startKubeStateMetrics({
      folder,
      binary: binary("kube-state-metrics"),
      kubeconfig,
      configFile,
    });
    try {
      const { billing, shop } = op.ns;
      const line = (kind: string, metric: string, labels: Record<string, string>, one: number): string => {
        const all = Object.entries({ ...customResource, customresource_kind: kind, ...labels }).sort(([a], [b]) =>
          a < b ? -1 : 1,
        );
        const text = all.map(([name, label]) => `${name}="${label}"`).join(",");
        return `scaivault_${kind.toLowerCase()}_${metric}{${text}} ${one}`;
      };
      const db = { backend: "aws", namespace: billing, name: "db" };
      const missing = { ...db, name: "missing" };
      const broken = { namespace: shop, name: "broken", store: "aws-secrets-manager" };
      const lines = [
        line("SecretSync", "condition", { ...db, type: "Ready", reason: "InSync" }, 1),
        line("SecretSync", "condition", { ...missing, type: "Ready", reason: "SourceNotFound" }, 0),
        line("SecretSync", "suspended", { ...db, name: "off" }, 1),
        line("SecretSync", "observed_generation", db, 1),
        line("FederationBackend", "condition", { ...broken, type: "Ready", reason: "CredentialNotFound" }, 0),
        line("FederationBackend", "dependants", { ...broken, namespace: billing, name: "aws" }, 7),
      ];
      let text = "";
      await waitFor(
        async () => lines.every((wanted) => text.includes(wanted)) || ((text = await program.metrics()), false),
        20_000,
      );
      for (const wanted of lines) expect(text.split("\n")).toContain(wanted);
      const named = new Set([...text.matchAll(/^(scaivault_\w+)\{/gm)].map(([, name]) => name));
      const { spec } = parse(readFileSync(configFile, "utf8")) as {
        spec: { resources: { metricNamePrefix: string; metrics: { name: string }[] }[] };
      };
      const configured = spec.resources.flatMap(({ metricNamePrefix, metrics }) =>
        metrics.map(({ name }) => `${metricNamePrefix}_${name}`),
      );
      expect([...named].sort()).toEqual(configured.sort());
    } finally {
      await program.stop();
    }
  });
});
