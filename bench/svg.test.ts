import { describe, expect, it } from "vitest";
import { barChart } from "./svg.ts";

describe("barChart", () => {
  const chart = barChart({
    title: 'Cold <"&>',
    unit: "s",
    bars: [
      { label: "ours", value: 5, kind: "ours" },
      { label: "other", value: 100, text: "100 s & more", kind: "peer" },
      { label: "nothing", value: 0, kind: "floor" },
    ],
  });

  it("has one bar for each, as long as its value says, and none without length", () => {
    const widths = [...chart.matchAll(/<rect x="250" [^>]*width="(\d+)"/g)].map(([, width]) => Number(width));
    expect(widths).toEqual([20, 400, 1]);
  });

  it("shows text as it is, whatever it holds", () => {
    expect(chart).toContain("Cold &lt;&quot;&amp;&gt;");
    expect(chart).toContain(">5 s<");
    expect(chart).toContain(">100 s &amp; more<");
    expect(chart).not.toMatch(/<script|<"|& /);
  });
});
