import { type Node, type ParseError, parseTree } from "jsonc-parser";

/** Most nested objects and arrays. */
export const MAX_DEPTH = 64;
/** Most keys of one secret. */
export const MAX_KEYS = 1000;

/** What is wrong with a JSON text; never the text, which may be a value. */
export type JSONProblem = "NotJSON" | "DuplicateKey" | "TooDeep" | "TooManyKeys";

/** A JSON text that cannot be taken: what is wrong and where, never the text itself. */
export class JSONError extends Error {
  override readonly name = "JSONError";
  readonly problem: JSONProblem;
  /** Where, in UTF-16 units from the start; undefined when it concerns the whole text. */
  readonly offset: number | undefined;

  constructor(problem: JSONProblem, offset?: number) {
    super(offset === undefined ? problem : `${problem} at ${offset}`);
    this.problem = problem;
    this.offset = offset;
  }
}

/** A JSON value with its own source text, so that numbers and strings keep the way they were written. */
export interface JSONSlice {
  readonly kind: "object" | "array" | "string" | "number" | "boolean" | "null";
  /** The source text of this value. */
  readonly text: string;
  /** Members of an object, in source order. */
  readonly members: ReadonlyMap<string, JSONSlice>;
  readonly items: readonly JSONSlice[];
}

/**
 * Parses a JSON text without losing anything: duplicate keys, too much depth and too many keys are refused.
 * @throws JSONError
 */
export function parseJSON(text: string): JSONSlice {
  const tooDeepAt = deeperThan(text, MAX_DEPTH);
  if (tooDeepAt !== undefined) throw new JSONError("TooDeep", tooDeepAt);
  try {
    JSON.parse(text);
  } catch {
    // The foreign message quotes the text.
    throw new JSONError("NotJSON");
  }
  const errors: ParseError[] = [];
  const root = parseTree(text, errors, { disallowComments: true, allowTrailingComma: false, allowEmptyContent: false });
  if (root === undefined || errors.length > 0) throw new JSONError("NotJSON", errors[0]?.offset);
  return slice(text, root);
}

function slice(text: string, node: Node): JSONSlice {
  const own = text.slice(node.offset, node.offset + node.length);
  const members = new Map<string, JSONSlice>();
  const items: JSONSlice[] = [];
  if (node.type === "object") {
    for (const property of node.children ?? []) {
      const [key, value] = property.children ?? [];
      if (key === undefined || value === undefined) throw new JSONError("NotJSON", property.offset);
      const name = JSON.parse(text.slice(key.offset, key.offset + key.length)) as string;
      if (members.has(name)) throw new JSONError("DuplicateKey", key.offset);
      members.set(name, slice(text, value));
      if (members.size > MAX_KEYS) throw new JSONError("TooManyKeys", key.offset);
    }
  }
  if (node.type === "array") for (const item of node.children ?? []) items.push(slice(text, item));
  const kind = node.type === "property" ? "object" : node.type;
  return { kind, text: own, members, items };
}

/** Where nesting first exceeds the limit, counted without recursion and before any parser sees the text. */
function deeperThan(text: string, limit: number): number | undefined {
  let depth = 0;
  let inString = false;
  for (let at = 0; at < text.length; at += 1) {
    const c = text.charCodeAt(at);
    if (inString) {
      if (c === 0x5c) at += 1;
      else if (c === 0x22) inString = false;
    } else if (c === 0x22) inString = true;
    else if (c === 0x7b || c === 0x5b) {
      depth += 1;
      if (depth > limit) return at;
    } else if (c === 0x7d || c === 0x5d) depth -= 1;
  }
  return undefined;
}

/** The value that keys lead to, outermost first; own members of objects only. */
export function fieldOf(value: JSONSlice, keys: readonly string[]): JSONSlice | undefined {
  let found: JSONSlice | undefined = value;
  for (const key of keys) {
    found = found.members.get(key);
    if (found === undefined) return undefined;
  }
  return found;
}

/** The text that a value stands for as bytes: a string without its quotes and escapes, anything else as it was written. */
export function valueText(value: JSONSlice): string {
  return value.kind === "string" ? (JSON.parse(value.text) as string) : value.text;
}

/**
 * One text for equal values: keys sorted, no white space, strings spelled one way, numbers by their exact decimal value
 * (`1.0`, `1` and `1e0` are equal; 12345678901234567890 keeps all digits).
 * @throws JSONError when a text is given that cannot be taken
 */
export function canonicalJSON(value: JSONSlice | string): string {
  if (typeof value === "string") return canonicalJSON(parseJSON(value));
  switch (value.kind) {
    case "object": {
      const members = [...value.members].sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
      return `{${members.map(([key, member]) => `${JSON.stringify(key)}:${canonicalJSON(member)}`).join(",")}}`;
    }
    case "array":
      return `[${value.items.map((item) => canonicalJSON(item)).join(",")}]`;
    case "string":
      return JSON.stringify(JSON.parse(value.text));
    case "number":
      return canonicalNumber(value.text);
    case "boolean":
    case "null":
      return value.text;
    default:
      return value.kind satisfies never;
  }
}

/** Exponents longer than this are compared as they are spelled: nothing computes with them. */
const MAX_EXPONENT_DIGITS = 15;

/** `<sign><digits>e<exponent>` without leading or trailing zeros; exponents are computed exactly. */
function canonicalNumber(text: string): string {
  const negative = text.startsWith("-");
  const unsigned = negative ? text.slice(1) : text;
  const [mantissa = "", power = "0"] = unsigned.toLowerCase().split("e");
  const [whole = "", fraction = ""] = mantissa.split(".");
  const significant = trimStartZeros(whole + fraction);
  if (significant === "") return "0";
  const digits = trimEndZeros(significant);
  const sign = negative ? "-" : "";
  const powerDigits = trimStartZeros(power.startsWith("-") || power.startsWith("+") ? power.slice(1) : power);
  if (powerDigits.length > MAX_EXPONENT_DIGITS)
    return `${sign}${whole}.${fraction}e${power.startsWith("-") ? "-" : ""}${powerDigits}`;
  // Both parts are far below 2^53: at most 15 digits, and a text's length.
  const given = Number(powerDigits) * (power.startsWith("-") ? -1 : 1);
  return `${sign}${digits}e${given - fraction.length + (significant.length - digits.length)}`;
}

function trimStartZeros(text: string): string {
  let at = 0;
  while (at < text.length && text[at] === "0") at += 1;
  return text.slice(at);
}

function trimEndZeros(text: string): string {
  let end = text.length;
  while (end > 0 && text[end - 1] === "0") end -= 1;
  return text.slice(0, end);
}
