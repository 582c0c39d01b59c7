import { describe, expect, it } from "vitest";
import { createMetrics, type MetricSources } from "./metrics.ts";

const quiet: MetricSources = {
  objects: () => ({ ready: [], held: [], trees: [] }),
  each: () => [],
  queues: () => [],
  leader: () => false,
  polls: () => [],
  scaivaultFailing: () => undefined,
  news: () => undefined,
};
const scope = { namespace: "billing", backend: "billing/aws" };

function made(objects: boolean): string[] {
  const { registry } = createMetrics({ defaults: false, version: "1", objects });
  return registry.getMetricsAsArray().map((metric) => {
    const { name, labelNames = [] } = metric as unknown as { name: string; labelNames?: string[] };
    return `${name.replace("scaivault_operator_", "")}{${labelNames.filter((label) => label !== "le").join(",")}}`;
  });
}

describe("createMetrics", () => {
  it("has these metrics with these labels, none of which is the name or path of an object", () => {
    expect(made(false).sort()).toMatchInlineSnapshot(`
      [
        "backend_failing{namespace,backend}",
        "failures_total{reason,namespace,backend}",
        "freshness_seconds{namespace,backend}",
        "info{version}",
        "kube_call_seconds{verb}",
        "kube_calls_total{verb,resource,code}",
        "leader{}",
        "news_age_seconds{}",
        "news_events_total{outcome}",
        "news_following{mode}",
        "news_lag_seconds{}",
        "objects_held{namespace,backend,condition,reason}",
        "objects{kind,namespace,backend,ready,reason}",
        "poll_age_seconds{namespace,backend}",
        "poll_interval_seconds{namespace,backend}",
        "poll_seconds{store,method}",
        "queue_depth{store}",
        "queue_in_flight{store}",
        "reconcile_seconds{kind,outcome}",
        "scaivault_call_seconds{category}",
        "scaivault_calls_total{category,outcome}",
        "scaivault_failing{}",
        "source_call_seconds{host}",
        "source_calls_total{host,action,outcome}",
        "source_value_reads_total{namespace,backend}",
        "target_writes_total{target,action,namespace,backend}",
        "tree_secrets{namespace,backend,state}",
      ]
    `);
    const labels = new Set(made(false).flatMap((one) => one.slice(one.indexOf("{") + 1, -1).split(",")));
    for (const forbidden of ["name", "path", "object", "ref", "secret", "target_path"])
      expect(labels).not.toContain(forbidden);
  });

  it("names objects in one metric, when the configuration asks for it", () => {
    expect(made(true).filter((one) => !made(false).includes(one))).toEqual([
      "object_ready{kind,namespace,name,backend,reason}",
    ]);
  });

  it("counts what it is told, and asks for gauges when somebody scrapes", async () => {
    const metrics = createMetrics({ defaults: false, version: "1.2.3", objects: true });
    metrics.sourceCall("vault.example.com", "read data", "200", 250);
    metrics.sourceCall("vault.example.com", "read data", "200", 250);
    metrics.valueRead(scope);
    metrics.scaivaultCall("read", "200", 20);
    metrics.kubeCall("patch", "secrets", "200", 30);
    metrics.write("ScaiVault", "Create", scope);
    metrics.failure("AccessDenied", scope);
    metrics.reconciled("SecretSync", "done", 10);
    metrics.poll("us-east-1", "List", 100);
    metrics.fresh(scope, 61_000);
    metrics.fresh(scope, -5);
    let asked = 0;
    metrics.setSources({
      objects() {
        asked += 1;
        const ready = [{ kind: "SecretSync", ...scope, ready: "True" as const, reason: "InSync", count: 3 }];
        const trees = [{ ...scope, state: "in_sync" as const, count: 41 }];
        return { ready, held: [{ ...scope, condition: "ChangeHeld", reason: "ManyChanges", count: 2 }], trees };
      },
      each: () => [{ kind: "SecretSync", ...scope, name: "db", ready: false, reason: "NotOwned" }],
      queues: () => [
        { store: "us-east-1", depth: 4, inFlight: 1 },
        { store: "us-east-1", depth: 2, inFlight: 0 },
      ],
      leader: () => true,
      polls: () => [
        { ...scope, ageSeconds: 12, intervalSeconds: 300, failing: true },
        { ...scope, backend: "billing/unused", ageSeconds: undefined, intervalSeconds: undefined, failing: false },
      ],
      scaivaultFailing: () => true,
      news: () => ({ mode: "Following", ageSeconds: 3 }),
    });
    expect(asked).toBe(0);
    const text = await metrics.registry.metrics();
    const labels = 'namespace="billing",backend="billing/aws"';
    for (const line of [
      'info{version="1.2.3"} 1',
      'source_calls_total{host="vault.example.com",action="read data",outcome="200"} 2',
      'source_call_seconds_sum{host="vault.example.com"} 0.5',
      `source_value_reads_total{${labels}} 1`,
      'scaivault_call_seconds_sum{category="read"} 0.02',
      'kube_call_seconds_sum{verb="patch"} 0.03',
      `target_writes_total{target="ScaiVault",action="Create",${labels}} 1`,
      `failures_total{reason="AccessDenied",${labels}} 1`,
      `objects{kind="SecretSync",${labels},ready="True",reason="InSync"} 3`,
      `objects_held{${labels},condition="ChangeHeld",reason="ManyChanges"} 2`,
      `tree_secrets{${labels},state="in_sync"} 41`,
      'object_ready{kind="SecretSync",namespace="billing",name="db",backend="billing/aws",reason="NotOwned"} 0',
      `freshness_seconds_bucket{le="60",${labels}} 1`,
      `freshness_seconds_bucket{le="120",${labels}} 2`,
      'queue_depth{store="us-east-1"} 6',
      'queue_in_flight{store="us-east-1"} 1',
      "leader 1",
      `poll_age_seconds{${labels}} 12`,
      `poll_interval_seconds{${labels}} 300`,
      `backend_failing{${labels}} 1`,
      'backend_failing{namespace="billing",backend="billing/unused"} 0',
      "scaivault_failing 1",
    ])
      expect(text.split("\n")).toContain(`scaivault_operator_${line}`);
    expect(text).not.toContain('poll_age_seconds{namespace="billing",backend="billing/unused"}');
    expect(asked).toBe(1);
    metrics.setSources(quiet);
    const later = await metrics.registry.metrics();
    // What is gone is not shown with its last number.
    for (const gone of ["objects{", "objects_held{", "object_ready{", "tree_secrets{", "scaivault_failing 0"])
      expect(later).not.toContain(`scaivault_operator_${gone}`);
    expect(later).toContain("scaivault_operator_leader 0");
  });

  it("freshness begins at 0 for what has objects, once", async () => {
    const metrics = createMetrics({ defaults: false, version: "1", objects: false });
    metrics.expectFresh(scope);
    metrics.fresh(scope, 2_000);
    metrics.expectFresh(scope);
    metrics.expectFresh({ ...scope, namespace: "shop" });
    const text = await metrics.registry.metrics();
    expect(text).toContain('freshness_seconds_count{namespace="billing",backend="billing/aws"} 1');
    expect(text).toContain('freshness_seconds_count{namespace="shop",backend="billing/aws"} 0');
  });

  it("keeps two operators in one process apart", async () => {
    const make = (version: string) => createMetrics({ defaults: true, version, objects: false });
    const [a, b] = [make("a"), make("b")];
    a.valueRead(scope);
    expect(await b.registry.metrics()).not.toContain("source_value_reads_total{");
  });
});
