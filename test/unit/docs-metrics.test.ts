import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { createMetrics } from "../../src/telemetry/index.ts";

const page = readFileSync(join(import.meta.dirname, "../../docs/operations.md"), "utf8");

/** Metrics of the page as `name type label,label`. */
function documented(): string[] {
  return page.split("\n").flatMap((line) => {
    const [, name = "", type = "", labels = ""] = line.split("|").map((cell) => cell.trim());
    if (!["gauge", "counter", "histogram"].includes(type)) return [];
    const names = labels.split(",").map((label) => label.trim().replaceAll("`", ""));
    return [`${name.replaceAll("`", "")} ${type} ${names.sort().join(",")}`];
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
