/**
 * JSON that keeps its source text. Secret values must come out as they went in: numbers above 2^53, `1.0`, `1e2` and
 * escapes keep their spelling, because only slices of the request text are stored and answered, never parsed numbers.
 */

/** A piece of JSON text that goes into an answer as it is. */
export class RawJson {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

/** A JSON object as its keys with the source text of each value; a key given twice keeps the last value, as JSON.parse does. */
export type RawObject = ReadonlyMap<string, string>;

/**
 * Splits a JSON object into its top-level members without recursion.
 * @param text a text that JSON.parse accepts and that is an object.
 */
export function rawMembers(text: string): Map<string, string> {
  const members = new Map<string, string>();
  let at = text.indexOf("{") + 1;
  while (at > 0 && at < text.length) {
    const keyStart = text.indexOf('"', at);
    const end = nextStructural(text, at);
    if (keyStart < 0 || keyStart > end) break;
    const keyEnd = stringEnd(text, keyStart);
    const valueStart = text.indexOf(":", keyEnd) + 1;
    const valueEnd = nextStructural(text, valueStart);
    members.set(JSON.parse(text.slice(keyStart, keyEnd)) as string, text.slice(valueStart, valueEnd).trim());
    if (text[valueEnd] === "}") break;
    at = valueEnd + 1;
  }
  return members;
}

/** Index behind the closing quote of the string that starts at `start`. */
function stringEnd(text: string, start: number): number {
  let at = start + 1;
  while (at < text.length && text[at] !== '"') at += text[at] === "\\" ? 2 : 1;
  return at + 1;
}

/** Index of the `,` or `}` that ends the member in which `start` lies. */
function nextStructural(text: string, start: number): number {
  let depth = 0;
  for (let at = start; at < text.length; at++) {
    const char = text[at];
    if (char === '"') at = stringEnd(text, at) - 1;
    else if (char === "{" || char === "[") depth++;
    else if (char === "}" || char === "]") {
      if (depth === 0) return at;
      depth--;
    } else if (char === "," && depth === 0) return at;
  }
  return text.length;
}

/** The JSON text of an object made of raw members. */
export function joinMembers(members: RawObject): string {
  const parts: string[] = [];
  for (const [key, text] of members) parts.push(`${JSON.stringify(key)}:${text}`);
  return `{${parts.join(",")}}`;
}

/** JSON.stringify that puts `RawJson` in verbatim and `Map`s as objects; for answers, which are flat. */
export function toJson(value: unknown): string {
  if (value instanceof RawJson) return value.text;
  if (Array.isArray(value)) return `[${value.map(toJson).join(",")}]`;
  if (value instanceof Map) {
    const parts: string[] = [];
    for (const [key, item] of value as Map<string, unknown>) parts.push(`${JSON.stringify(key)}:${toJson(item)}`);
    return `{${parts.join(",")}}`;
  }
  if (typeof value === "object" && value !== null) {
    const parts: string[] = [];
    for (const [key, item] of Object.entries(value))
      if (item !== undefined) parts.push(`${JSON.stringify(key)}:${toJson(item)}`);
    return `{${parts.join(",")}}`;
  }
  return JSON.stringify(value) ?? "null";
}
