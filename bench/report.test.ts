import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { repositoryRoot } from "../local/paths.ts";
import { goals } from "./goals.ts";
import { fill, plotsOf, readRuns, renderPage } from "./report.ts";

const docs = join(repositoryRoot, "docs");

describe("docs/benchmarks.md", () => {
  it("says what the kept runs say (`npm run bench -- report` makes it)", async () => {
    expect(readFileSync(join(docs, "benchmarks.md"), "utf8")).toBe(await renderPage());
  });

  it("shows plots of the kept runs", () => {
    for (const [file, svg] of plotsOf(readRuns())) expect(readFileSync(join(docs, "images", file), "utf8")).toBe(svg);
  });

  it("names for each goal a test that exists", () => {
    const tests = readFileSync(join(repositoryRoot, "test/examples/bench.test.ts"), "utf8");
    for (const { test } of goals) expect(tests).toContain(`"${test}: `);
  });
});

describe("fill", () => {
  it("replaces what stands between markers and leaves the rest", () => {
    const parts = new Map([["a", "new"]]);
    expect(fill("x <!-- bench:a -->old<!-- /bench:a --> y", parts)).toBe(
      "x <!-- bench:a -->\n\nnew\n\n<!-- /bench:a --> y",
    );
  });

  it("refuses a page without them", () => {
    expect(() => fill("nothing", new Map([["a", "new"]]))).toThrow("<!-- bench:a -->");
  });
});
