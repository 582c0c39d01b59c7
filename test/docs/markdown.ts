/** Code blocks and tables of the Markdown pages, with the invisible notes that stand before them. */
import { readdirSync, readFileSync } from "node:fs";
import { join, relative, resolve } from "node:path";
import { parsers } from "prettier/plugins/markdown";

export const root = resolve(import.meta.dirname, "../..");

/**
 * An HTML comment before a block or table: `<!-- check: WORD OPERAND... KEY=VALUE... -->`, `<!-- tests: WORD ... -->`.
 */
export interface Note {
  readonly word: string;
  readonly operands: readonly string[];
  readonly options: Readonly<Record<string, string>>;
}

interface Place {
  readonly page: string;
  readonly line: number;
  /** `page:line`, for titles of tests. */
  readonly at: string;
}

/** A code block. */
export interface Block extends Place {
  /** First word after the fence; empty without one. */
  readonly lang: string;
  readonly meta: string;
  readonly text: string;
  readonly note: Note | undefined;
  /** Indented by four spaces instead of fenced. */
  readonly indented: boolean;
}

/** A table; cells are Markdown as written. */
export interface Table extends Place {
  readonly head: readonly string[];
  readonly rows: readonly (readonly string[])[];
  readonly note: Note | undefined;
  /** Made by scripts/generate-docs.ts. */
  readonly generated: boolean;
  /** The table directly inside a `<details>` after it, if there is one. */
  readonly details: boolean;
}

/** What a page holds, in its order. */
export interface Page {
  readonly name: string;
  readonly text: string;
  readonly blocks: readonly Block[];
  readonly tables: readonly Table[];
}

interface Node {
  readonly type: string;
  readonly lang?: string | null;
  readonly meta?: string | null;
  readonly value?: string;
  readonly children?: readonly Node[];
  readonly position: { readonly start: Point; readonly end: Point };
}
interface Point {
  readonly line: number;
  readonly offset: number;
}

const skipped = new Set(["node_modules", ".git", ".local", "dist", "coverage", "go"]);

function markdownFiles(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return skipped.has(entry.name) ? [] : markdownFiles(path);
    return entry.name.endsWith(".md") ? [relative(root, path)] : [];
  });
}

/** Every Markdown page of the repository. */
export const pageNames: readonly string[] = markdownFiles(root).toSorted();

/** Reads a note of one kind. */
function noteOf(kind: "check" | "tests", node: Node | undefined): Note | undefined {
  const text = node?.type === "html" ? (node.value ?? "") : "";
  const match = /^<!-- (\w+): ([^\n]*?) -->$/.exec(text.trim());
  if (match?.[1] !== kind) return undefined;
  const [word = "", ...words] = (match[2] ?? "").split(/\s+/);
  const options = words.flatMap((one) => {
    const at = one.indexOf("=");
    return at > 0 ? [[one.slice(0, at), one.slice(at + 1)] as const] : [];
  });
  return {
    word,
    operands: words.filter((one) => one.indexOf("=") <= 0),
    options: Object.fromEntries(options),
  };
}

const slice = (text: string, node: Node): string => text.slice(node.position.start.offset, node.position.end.offset);

function cells(text: string, row: Node): string[] {
  return (row.children ?? []).map((cell) => {
    const [first, last] = [cell.children?.[0], cell.children?.at(-1)];
    if (first === undefined || last === undefined) return "";
    return text.slice(first.position.start.offset, last.position.end.offset);
  });
}

/** Parses a page. */
export async function parsePage(name: string, text: string): Promise<Page> {
  // Prettier's own parser, which formats these pages already.
  const tree = (await parsers.markdown.parse(text, {} as never)) as Node;
  const blocks: Block[] = [];
  const tables: Table[] = [];
  const walk = (node: Node): void => {
    const children = node.children ?? [];
    for (const [index, child] of children.entries()) {
      const before = children[index - 1];
      const { line } = child.position.start;
      const place = { page: name, line, at: `${name}:${line}` };
      if (child.type === "code") {
        blocks.push({
          ...place,
          lang: child.lang ?? "",
          meta: child.meta ?? "",
          text: `${child.value ?? ""}\n`,
          note: noteOf("check", before),
          indented: !/^(?:```|~~~)/.test(slice(text, child)),
        });
      } else if (child.type === "table") {
        const [head, ...rows] = (child.children ?? []).map((row) => cells(text, row));
        const html = before?.type === "html" ? (before.value ?? "") : "";
        tables.push({
          ...place,
          head: head ?? [],
          rows,
          note: noteOf("tests", before),
          generated: html.startsWith("<!-- generated:"),
          details: html.includes("<details>"),
        });
      } else walk(child);
    }
  };
  walk(tree);
  return { name, text, blocks, tables };
}

/** All pages, parsed. */
export async function readPages(): Promise<Page[]> {
  return await Promise.all(pageNames.map((name) => parsePage(name, readFileSync(join(root, name), "utf8"))));
}
