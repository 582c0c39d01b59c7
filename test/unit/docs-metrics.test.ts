import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { createMetrics, FRESHNESS_SECONDS } from "../../src/telemetry/index.ts";
import { reasons } from "../../src/errors/index.ts";

const root = join(import.meta.dirname, "../..");
const text = (file: string): string => readFileSync(join(root, file), "utf8");
const monitoring = "charts/scaivault-operator/files/monitoring";
const page = text("docs/metrics.md");

interface Rule {
  readonly alert: string;
  readonly expr: string;
  readonly for?: string;
  readonly labels: { readonly severity: string };
  readonly annotations: Readonly<Record<string, string>>;
}
const rules = (parse(text(`${monitoring}/rules.yaml`)) as { groups: { rules: Rule[] }[] }).groups.flatMap(
  (group) => group.rules,
);

function metrics(objects: boolean): { name: string; type: string; labels: readonly string[] }[] {
  const { registry } = createMetrics({ defaults: false, version: "test", objects });
  return (registry.getMetricsAsArray() as unknown as { name: string; type: string; labelNames?: string[] }[]).map(
    ({ name, type, labelNames = [] }) => ({ name, type, labels: labelNames.filter((label) => label !== "le").sort() }),
  );
}

/** Rows of a table of the page whose first cell is in backticks or a link. */
function rows(head: string): string[][] {
  const lines = page.split("\n");
  const start = lines.findIndex((line) => line.startsWith(`| ${head} `));
  const end = lines.findIndex((line, at) => at > start && !line.startsWith("|"));
  return lines.slice(start + 2, end).map((line) =>
    line
      .split(/(?<!\\)\|/)
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );
}

const documentation = [
  "README.md",
  ...readdirSync(join(root, "docs"), { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".md"))
    .map((file) => `docs/${file}`),
];

describe("docs/metrics.md", () => {
  it("lists exactly the operator's metrics, with their labels", () => {
    const listed = rows("Metric").map(([name = "", type = "", labels = ""]) => ({
      name: name.replaceAll("`", ""),
      type,
      labels: labels
        .split(",")
        .map((label) => label.trim().replaceAll("`", ""))
        .filter((label) => label !== "")
        .sort(),
    }));
    expect(listed).toEqual(metrics(true));
  });

  it("lists exactly the alerts, with their severity and time", () => {
    const listed = rows("Alert").map(([alert = "", , , wait = "", severity = ""]) => [
      /\[(\w+)\]/.exec(alert)?.[1],
      wait,
      severity,
    ]);
    expect(listed).toEqual(rules.map(({ alert, for: wait = "at once", labels }) => [alert, wait, labels.severity]));
  });
});

describe("names of metrics", () => {
  const known = new Set(
    metrics(true).flatMap(({ name, type }) =>
      type === "histogram" ? [name, ...["_bucket", "_sum", "_count"].map((end) => name + end)] : [name],
    ),
  );
  it.each([...documentation, `${monitoring}/rules.yaml`, `${monitoring}/dashboard.json`])(
    "%s names no other",
    (file) => {
      const named = text(file).match(/\bscaivault_operator_[a-z_]+/g) ?? [];
      expect(named.filter((name) => !known.has(name))).toEqual([]);
    },
  );
});

describe("alerts", () => {
  it.each(rules.map((rule) => [rule.alert, rule] as const))("%s has what a person needs at 3 a.m.", (alert, rule) => {
    const { summary = "", description = "", runbook_url: runbook = "" } = rule.annotations;
    expect(summary).toMatch(/\.$/);
    expect(description.length).toBeGreaterThan(40);
    expect(runbook).toBe(`docs/runbooks/${alert}.md`);
    const book = text(runbook);
    expect(book).toMatch(new RegExp(`^# ${alert}\n`));
    for (const part of ["## What it means", "## How to look", "## What to do"]) expect(book).toContain(part);
    expect(book).toMatch(/```(sh|promql)\n/);
    expect(text("docs/runbooks/README.md")).toContain(`[${alert}](${alert}.md)`);
    expect(["critical", "warning"]).toContain(rule.labels.severity);
    // Objects are named on request only, and never by an alert.
    expect(rule.expr + description).not.toMatch(/object_ready|labels\.name\b|Labels\.name\b/);
  });

  it("there is a runbook for each alert, and no other", () => {
    const books = readdirSync(join(root, "docs/runbooks")).filter((file) => file !== "README.md");
    expect(books.sort()).toEqual(rules.map(({ alert }) => `${alert}.md`).sort());
  });

  it("reasons in expressions are reasons of the operator", () => {
    const named = rules.flatMap(({ expr }) =>
      [...expr.matchAll(/\breason!?[=~]~?"([\w|]+)"/g)].flatMap(([, one = ""]) => one.split("|")),
    );
    expect(named.length).toBeGreaterThan(10);
    expect(named.filter((name) => !(name in reasons))).toEqual([]);
  });

  it("runbooks name reasons that there are", () => {
    for (const { alert } of rules) {
      const firstCells = [...text(`docs/runbooks/${alert}.md`).matchAll(/^\| ((?:`[A-Z]\w+`(?:, )?)+) +\|/gm)];
      const named = firstCells.flatMap(([, cell = ""]) => [...cell.matchAll(/`(\w+)`/g)].map(([, name = ""]) => name));
      expect(named.filter((name) => !(name in reasons))).toEqual([]);
    }
  });

  it("the bound of freshness is the bound of a bucket", () => {
    const [, bound] =
      /le=~"(\d+)\(/.exec(rules.find(({ alert }) => alert === "ScaiVaultFreshnessLow")?.expr ?? "") ?? [];
    expect(FRESHNESS_SECONDS).toContain(Number(bound));
  });
});
