import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { type Reason, reasons } from "../../src/errors/index.ts";

interface Row {
  readonly anchor: string;
  readonly name: string;
  readonly kind: string;
  readonly meaning: string;
  readonly what: string;
}

/** Rows of all tables of the page whose first cell is a reason. */
function rowsOf(page: string): Row[] {
  return page.split("\n").flatMap((line) => {
    if (!line.startsWith('| <a id="')) return [];
    const [, first = "", kind = "", meaning = "", what = ""] = line.split(/(?<!\\)\|/).map((cell) => cell.trim());
    const [, anchor = "", name = ""] = /^<a id="(\w+)"><\/a>`(\w+)`$/.exec(first) ?? [];
    return [{ anchor, name, kind, meaning, what }];
  });
}

describe("docs/reasons.md", () => {
  const rows = rowsOf(readFileSync(join(import.meta.dirname, "../../docs/reasons.md"), "utf8"));

  it("has exactly one row for each reason of the table", () => {
    expect(rows.map(({ name }) => name).sort()).toEqual(Object.keys(reasons).sort());
  });

  it.each(rows)("says of $name what the table says", ({ anchor, name, kind, meaning, what }) => {
    const row = reasons[name as Reason];
    expect(anchor).toBe(name);
    expect(kind).toBe(row.kind);
    expect(meaning).not.toBe("");
    // The cell may say more, after the table's own hint.
    expect(what.replaceAll("\\|", "|").slice(0, row.hint.length)).toBe(row.hint);
  });
});
