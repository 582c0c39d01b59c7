import { describe, expect, it } from "vitest";
import { createMetrics } from "./metrics.ts";

describe("createMetrics", () => {
  it("has these metrics with these labels, none of which is the name or path of an object", () => {
    const { registry } = createMetrics({ defaults: false, version: "1" });
    const made = registry.getMetricsAsArray().map((metric) => {
      const { name, labelNames = [] } = metric as unknown as { name: string; labelNames?: string[] };
      return `${name.replace("scaivault_operator_", "")}{${labelNames.filter((label) => label !== "le").join(",")}}`;
    });
    expect(made.sort()).toMatchInlineSnapshot(`
      [
        "backend_failing{backend}",
        "failures_total{reason,namespace}",
        "info{version}",
        "kube_call_seconds{verb}",
        "kube_calls_total{verb,resource,code}",
        "leader{}",
        "objects{kind,namespace,reason}",
        "poll_age_seconds{backend}",
        "poll_seconds{backend,method}",
        "queue_depth{store}",
        "queue_in_flight{store}",
        "reconcile_seconds{kind,outcome}",
        "scaivault_calls_total{category,outcome}",
        "source_calls_total{store,kind,outcome}",
        "source_value_reads_total{store}",
        "target_writes_total{target,action}",
      ]
    `);
    const labels = new Set(made.flatMap((one) => one.slice(one.indexOf("{") + 1, -1).split(",")));
    for (const forbidden of ["name", "path", "object", "ref", "secret", "target_path"])
      expect(labels).not.toContain(forbidden);
  });

  it("counts what it is told, and asks for gauges when somebody scrapes", async () => {
    const metrics = createMetrics({ defaults: false, version: "1.2.3" });
    metrics.sourceCall("us-east-1", "ListSecrets", "ok");
    metrics.sourceCall("us-east-1", "ListSecrets", "ok");
    metrics.valueRead("us-east-1");
    metrics.scaivaultCall("read", "200");
    metrics.kubeCall("patch", "secrets", "200", 30);
    metrics.write("ScaiVault", "Create");
    metrics.failure("AccessDenied", "billing");
    metrics.reconciled("SecretSync", "done", 10);
    metrics.poll("billing/aws", "List", 100);
    let asked = 0;
    metrics.setSources({
      *objects() {
        asked += 1;
        yield { kind: "SecretSync", namespace: "billing", reason: "InSync", count: 3 };
      },
      queues: () => [{ store: "us-east-1", depth: 4, inFlight: 1 }],
      leader: () => true,
      polls: () => [{ backend: "billing/aws", ageSeconds: 12, failing: true }],
    });
    expect(asked).toBe(0);
    const text = await metrics.registry.metrics();
    for (const line of [
      'info{version="1.2.3"} 1',
      'source_calls_total{store="us-east-1",kind="ListSecrets",outcome="ok"} 2',
      'source_value_reads_total{store="us-east-1"} 1',
      'kube_call_seconds_sum{verb="patch"} 0.03',
      'objects{kind="SecretSync",namespace="billing",reason="InSync"} 3',
      'queue_depth{store="us-east-1"} 4',
      'queue_in_flight{store="us-east-1"} 1',
      "leader 1",
      'poll_age_seconds{backend="billing/aws"} 12',
      'backend_failing{backend="billing/aws"} 1',
    ])
      expect(text.split("\n")).toContain(`scaivault_operator_${line}`);
    expect(asked).toBe(1);
    metrics.setSources({ objects: () => [], queues: () => [], leader: () => false, polls: () => [] });
    const later = await metrics.registry.metrics();
    // What is gone is not shown with its last number.
    expect(later).not.toContain("scaivault_operator_objects{");
    expect(later).toContain("scaivault_operator_leader 0");
  });

  it("keeps two operators in one process apart", async () => {
    const [a, b] = [createMetrics({ defaults: true, version: "a" }), createMetrics({ defaults: true, version: "b" })];
    a.valueRead("s");
    expect(await b.registry.metrics()).not.toContain('source_value_reads_total{store="s"}');
  });
});
