import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { type Reason, reasons } from "../../src/errors/index.ts";

interface Section {
  readonly name: string;
  readonly anchor: string;
  readonly text: string;
}

/** Sections of the page whose heading is a reason. */
function sectionsOf(page: string): Section[] {
  return page.split(/^(?=#{2,3} )/m).flatMap((text) => {
    const [, anchor = "", name = ""] = /^### <a id="(\w+)"><\/a>(\w+)$/m.exec(text) ?? [];
    return anchor === "" ? [] : [{ name, anchor, text }];
  });
}

const page = readFileSync(join(import.meta.dirname, "../../docs/reasons.md"), "utf8");

describe("docs/reasons.md", () => {
  const sections = sectionsOf(page);

  it("has exactly one section for each reason of the table", () => {
    expect(sections.map(({ name }) => name).sort()).toEqual(Object.keys(reasons).sort());
  });

  it.each(sections)("says of $name what the table says, and which commands help", ({ anchor, name, text }) => {
    const row = reasons[name as Reason];
    expect(anchor).toBe(name);
    const [, kind, meaning] = /^_(\w+)\._ (.+)$/m.exec(text) ?? [];
    expect(kind).toBe(row.kind);
    expect(meaning).not.toBe("");
    // The line may say more, after the table's own hint.
    const [, what = ""] = /^What to do: (.+)$/m.exec(text) ?? [];
    expect(what.slice(0, row.hint.length)).toBe(row.hint);
    expect(text).toMatch(/^```sh$/m);
    // A test that shows it.
    expect(page).toMatch(new RegExp(`^\\| \`${name}\` +\\| \`\\S+\`: ${name} +\\|$`, "m"));
  });
});
