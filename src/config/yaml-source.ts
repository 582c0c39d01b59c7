import {
  isCollection,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  parseAllDocuments,
  type Tags,
  type YAMLMap,
  type YAMLSeq,
} from "yaml";
import type { SchemaPath } from "../api/index.ts";

/** Line and column in a file, both from 1 on. */
export interface SourcePosition {
  readonly line: number;
  readonly column: number;
}

/** One YAML (or JSON) document with a way back to its lines. */
export interface YamlDocument {
  readonly value: unknown;
  /** Where a value starts; of members that are not there, where their nearest parent starts. */
  positionOf(path: SchemaPath, part?: "key" | "value"): SourcePosition;
}

/** What could not be parsed. Says code and place, and never quotes the text: it may be a secret. */
export interface YamlProblem extends SourcePosition {
  readonly code: string;
  readonly message: string;
}

export interface ParsedYaml {
  readonly documents: readonly YamlDocument[];
  readonly problems: readonly YamlProblem[];
}

/**
 * `Manifest`: as kubectl reads it (YAML 1.1, anchors and merge keys allowed).
 * `Config`: YAML 1.2 without aliases and tags; one document.
 */
export type YamlDialect = "Manifest" | "Config";

const MAX_BYTES = 8 * 1024 * 1024;
const MAX_ALIASES = 100;
const FOREIGN_TAGS = /:(?:timestamp|binary|omap|pairs|set)$/;

/** Tags that YAML 1.1 has and kubectl does not, such as dates and `1:30` as a number. */
const kubectlTags = (tags: Tags): Tags =>
  tags.filter((tag) => typeof tag === "string" || (tag.format !== "TIME" && !FOREIGN_TAGS.test(tag.tag)));

const messages: Readonly<Record<string, string>> = {
  BAD_ALIAS: "this alias (`*name`) has no anchor, or there are too many of them",
  BAD_INDENT: "the indentation is wrong here, or a bracket is not closed; all members of a mapping start in one column",
  BLOCK_AS_IMPLICIT_KEY: "a nested mapping cannot stand on this line; put it on lines of its own, indented",
  DUPLICATE_KEY: "this name is there twice in one mapping; remove one",
  MISSING_CHAR: "a closing quote, bracket, brace or colon is missing",
  MULTIPLE_DOCS: "only one document is read here; remove the `---` line",
  TAB_AS_INDENT: "a tab stands where spaces are needed for indentation",
  TAG_RESOLVE_FAILED: "tags (`!name`) are not read here; remove it",
  BAD_SCALAR_START: "a text cannot start with this character; put it in quotes",
  UNEXPECTED_TOKEN: "something stands here that does not belong to YAML; check quotes and indentation",
};

/** Parses a file of one or more documents. Documents with syntax errors are left out. */
export function parseYaml(text: string, dialect: YamlDialect): ParsedYaml {
  if (Buffer.byteLength(text) > MAX_BYTES)
    return {
      documents: [],
      problems: [{ code: "TOO_LARGE", line: 1, column: 1, message: "the file is larger than 8 MiB" }],
    };
  const lines = new LineCounter();
  const at = (offset: number): SourcePosition => {
    const { line, col } = lines.linePos(offset);
    return { line: Math.max(1, line), column: Math.max(1, col) };
  };
  const documents: YamlDocument[] = [];
  const problems: YamlProblem[] = [];
  const refuse = (code: string, offset: number): void => {
    problems.push({ code, ...at(offset), message: messages[code] ?? "this is not valid YAML" });
  };
  try {
    const parsed = parseAllDocuments(text, {
      lineCounter: lines,
      prettyErrors: false,
      logLevel: "silent",
      uniqueKeys: true,
      ...(dialect === "Manifest" ? { version: "1.1" as const, customTags: kubectlTags } : { version: "1.2" as const }),
    });
    const list = Array.isArray(parsed) ? parsed : [];
    for (const [index, document] of list.entries()) {
      for (const error of document.errors) refuse(error.code, error.pos[0]);
      for (const warning of document.warnings) refuse(warning.code, warning.pos[0]);
      if (document.errors.length > 0 || document.contents === null) continue;
      if (dialect === "Config" && index > 0) refuse("MULTIPLE_DOCS", document.range[0]);
      const root: Node = document.contents;
      try {
        const value: unknown = document.toJS({ maxAliasCount: dialect === "Manifest" ? MAX_ALIASES : 0 });
        if (value === null) continue;
        documents.push({ value, positionOf: (path, part = "value") => at(offsetOf(root, path, part)) });
      } catch {
        refuse("BAD_ALIAS", root.range?.[0] ?? 0);
      }
    }
  } catch {
    // The parser's own text would quote the source.
    problems.push({
      code: "UNREADABLE",
      line: 1,
      column: 1,
      message: "this is not valid YAML, or it is nested too deep",
    });
  }
  return { documents, problems };
}

/** Where the last segment that exists starts: at its name (`key`) or at its value. */
function offsetOf(root: Node, path: SchemaPath, part: "key" | "value"): number {
  let node: unknown = root;
  let offset = root.range?.[0] ?? 0;
  for (const [depth, segment] of path.entries()) {
    const step = isMap(node) ? member(node, String(segment)) : isSeq(node) ? item(node, Number(segment)) : undefined;
    if (step === undefined) break;
    offset = depth === path.length - 1 && part === "key" ? step.name : step.start;
    node = step.node;
  }
  return offset;
}

interface Step {
  readonly node: unknown;
  readonly name: number;
  /** Of mappings and empty values the line of the name, which is what people look for. */
  readonly start: number;
}

function member(map: YAMLMap, name: string): Step | undefined {
  const pair = map.items.find(({ key }) => isScalar(key) && String(key.value) === name);
  const start = isScalar(pair?.key) ? (pair.key.range?.[0] ?? 0) : 0;
  if (pair === undefined) return undefined;
  const value = pair.value;
  const valueStart = isScalar(value) && value.value !== null ? value.range?.[0] : undefined;
  return { node: value, name: start, start: valueStart ?? start };
}

function item(list: YAMLSeq, index: number): Step | undefined {
  const node = list.items[index];
  if (node === undefined) return undefined;
  const start = isScalar(node) || isCollection(node) ? (node.range?.[0] ?? 0) : 0;
  return { node, name: start, start };
}
