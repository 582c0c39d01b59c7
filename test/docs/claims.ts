/**
 * Tables that say how the operator behaves or what it costs name a test for each row: in a last column `Test`, or in a table
 * `Row`, `Test` that follows (in `<details>`, where the column would be too wide). A test is named as `folder/file` below test/ or
 * src/, and a part of its title. CONTRIBUTING.md tells writers of pages.
 */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type Page, root, type Table } from "./markdown.ts";

/** Where `faults/brakes` may be. */
function fileOf(name: string): string | undefined {
  const candidates = [name, ...["test", "src", "."].map((folder) => `${folder}/${name}.test.ts`)];
  return candidates.find((path) => path.endsWith(".test.ts") && existsSync(join(root, path)));
}

const plain = (text: string): string => text.replaceAll(/[`\\]/g, "").replaceAll(/\s+/g, " ").trim();

/** What is wrong with the names of tests in a cell. */
export function referenceProblems(cell: string): string[] {
  if (cell.trim() === "") return ["names no test"];
  return cell.split(/;\s*(?=`)/).flatMap((one) => {
    const [, name = "", title = ""] = /^`([^`]+)`:?(.*)$/s.exec(one.trim()) ?? [];
    const file = fileOf(name);
    if (file === undefined) return [`${one.trim()}: there is no such test file`];
    const wanted = plain(title);
    return plain(readFileSync(join(root, file), "utf8")).includes(wanted) ? [] : [`${file} has no "${wanted}"`];
  });
}

/** A row by its first cell, or by its first two where the first alone says not which. */
export function rowNames({ rows }: Table): string[] {
  const firsts = rows.map((row) => row[0] ?? "");
  const unique = new Set(firsts).size === firsts.length;
  return rows.map((row) => plain(unique ? (row[0] ?? "") : `${row[0] ?? ""}, ${row[1] ?? ""}`));
}

const tested = (table: Table): boolean => table.head.at(-1) === "Test";

/** What a table lacks; nothing for one that makes no claims and says so in a note. */
export function tableProblems(page: Page, table: Table): string[] {
  if (table.generated) return [];
  if (tested(table))
    return table.rows.flatMap((row) => referenceProblems(row.at(-1) ?? "").map((text) => `${row[0] ?? ""}: ${text}`));
  const { note } = table;
  if (note?.word === "none") return note.operands.length > 0 ? [] : ["the note says not why"];
  if (note !== undefined) return referenceProblems(`\`${note.word}\` ${note.operands.join(" ")}`);
  const next = page.tables[page.tables.indexOf(table) + 1];
  if (next === undefined || next.head[0] !== "Row" || !tested(next))
    return ["needs a column Test, a table Row | Test after it, or a note: tests: FILE, tests: none WHY"];
  const [wanted, named] = [rowNames(table), rowNames(next)];
  return wanted.join("\n") === named.join("\n")
    ? []
    : [`its rows are ${wanted.join(" / ")}; tests name ${named.join(" / ")}`];
}
