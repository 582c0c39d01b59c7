// Each row of a table that makes a claim names a test that there is.
import { describe, expect, it } from "vitest";
import { tableProblems } from "../docs/claims.ts";
import { parsePage, readPages } from "../docs/markdown.ts";

const pages = await readPages();

describe("tables", () => {
  it.each(pages.flatMap((page) => page.tables.map((table) => ({ at: table.at, page, table }))))(
    "$at names its tests",
    ({ page, table }) => {
      expect(tableProblems(page, table)).toEqual([]);
    },
  );

  it.each([
    ["| a | b |\n|---|---|\n| x | y |\n", /needs a column Test/],
    ["| a | Test |\n|---|---|\n| x | |\n", /names no test/],
    ["| a | Test |\n|---|---|\n| x | `faults/none`: y |\n", /no such test file/],
    ["| a | Test |\n|---|---|\n| x | `faults/brakes`: never heard of |\n", /has no "never heard of"/],
    ["| a |\n|---|\n| x |\n\n<details>\n\n| Row | Test |\n|---|---|\n| y | `faults/brakes` |\n", /its rows are x/],
    ["<!-- tests: none -->\n\n| a |\n|---|\n| x |\n", /says not why/],
    ["<!-- tests: faults/none -->\n\n| a |\n|---|\n| x |\n", /no such test file/],
  ])("finds what is wrong: %#", async (text, problem) => {
    const page = await parsePage("x.md", text);
    expect(page.tables.flatMap((table) => tableProblems(page, table)).join("\n")).toMatch(problem);
  });

  it.each([
    "| a | Test |\n|---|---|\n| x | `faults/brakes`: is held for ten minutes after a start; `decide/planner` |\n",
    "| a | b | c |\n|---|---|---|\n| x | 1 | |\n| x | 2 | |\n\n<details>\n\n| Row | Test |\n|---|---|\n| x, 1 | `faults/brakes` |\n| x, 2 | `decide/brakes` |\n\n</details>\n",
    "<!-- tests: none words only -->\n\n| a |\n|---|\n| x |\n",
    "<!-- tests: unit/docs-metrics -->\n\n| a |\n|---|\n| x |\n",
  ])("takes what is right: %#", async (text) => {
    const page = await parsePage("x.md", text);
    expect(page.tables.flatMap((table) => tableProblems(page, table))).toEqual([]);
  });
});
