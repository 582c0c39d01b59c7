// The figures of docs/latency-and-cost.md are what their inputs give: calls a poll, polls a month, price of calls.
import { describe, expect, it } from "vitest";
import { readPages } from "../docs/markdown.ts";

const page = (await readPages()).find(({ name }) => name === "docs/latency-and-cost.md");
const rows = page?.tables.find(({ head }) => head[0] === "Rights")?.rows ?? [];

/** $0.05 for 10,000 calls, 30 days. */
function month(callsAPoll: number, minutes: number): string {
  const calls = callsAPoll * ((30 * 24 * 60) / minutes);
  const dollars = ((calls / 10_000) * 0.05).toFixed(2);
  return `${calls.toLocaleString("en-US")} $${dollars}`;
}
const figures = (cell: string): string =>
  cell
    .replaceAll(/calls|,(?= )/g, "")
    .replaceAll(/ +/g, " ")
    .trim();

describe("cost of 1,000 secrets in AWS", () => {
  it.each([
    ["list mode", 1_000 / 100],
    ["describe mode", 1_000],
  ])("%s is calls a poll times polls a month, at AWS's price", (mode, calls) => {
    const row = rows.find(([name]) => name === mode) ?? [];
    expect(row[1]?.startsWith(calls.toLocaleString("en-US"))).toBe(true);
    expect(figures(row[2] ?? "")).toBe(month(calls, 15));
    expect(figures(row[3] ?? "")).toBe(month(calls, 5));
  });

  it("with the guide's policy is that of describe mode", () => {
    const row = rows.find(([name]) => name?.includes("guide")) ?? [];
    expect(row.slice(1, 4)).toEqual(["as describe mode", "as describe mode", "as describe mode"]);
  });
});
