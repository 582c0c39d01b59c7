import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { createMetrics } from "../../src/telemetry/index.ts";

const page = readFileSync(join(import.meta.dirname, "../../docs/operations.md"), "utf8");
const row = /^\| `(\w+)` +\| (gauge|counter|histogram) +\| ([^|]*?) +\|/;

/** Metrics of the page as `name type label,label`. */
function documented(): string[] {
  return page.split("\n").flatMap((line) => {
    const [, name = "", type = "", labels = ""] = row.exec(line) ?? [];
    const names = [...labels.matchAll(/`(\w+)`/g)].map((match) => match[1] ?? "");
    return name === "" ? [] : [`${name} ${type} ${names.sort().join(",")}`];
  });
}

describe("docs/operations.md", () => {
  it("lists exactly the operator's metrics, with their labels", () => {
    const { registry } = createMetrics({ defaults: false, version: "test" });
    const made = registry.getMetricsAsArray().map((metric) => {
      const {
        name,
        type,
        labelNames = [],
      } = metric as unknown as { name: string; type: string; labelNames?: string[] };
      const labels = labelNames.filter((label) => label !== "le");
      return `${name.replace("scaivault_operator_", "")} ${type} ${[...labels].sort().join(",")}`;
    });
    expect(documented().sort()).toEqual(made.sort());
  });
});
