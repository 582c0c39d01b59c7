import { rawMembers } from "../json/raw-json.ts";

/** A value of a store as ScaiVault keeps it: `data` as JSON source text, and the hint of its type. */
export interface Content {
  readonly data: string;
  readonly secretType: "json" | "kv";
}

const isObject = (value: unknown): boolean => typeof value === "object" && value !== null && !Array.isArray(value);

/** A text of AWS: JSON stays what it is, in its own spelling; an object becomes `data` itself. */
export function contentOfText(text: string): Content {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    return { data: `{"value":${JSON.stringify(text)}}`, secretType: "kv" };
  }
  const trimmed = text.trim();
  return { data: isObject(parsed) ? trimmed : `{"value":${trimmed}}`, secretType: "json" };
}

/** A JSON object in its source text. */
export function contentOfJson(data: string): Content {
  return { data, secretType: "json" };
}

/** Bytes of AWS. */
export function contentOfBytes(bytes: Uint8Array): Content {
  return { data: `{"value_base64":"${Buffer.from(bytes).toString("base64")}"}`, secretType: "kv" };
}

/**
 * The `data` member of a Vault answer, or what lies deeper, as source text.
 * @param body a text that is a JSON object
 * @returns undefined when it is absent, null or no object
 */
export function objectAt(body: string, ...keys: readonly string[]): string | undefined {
  let text: string | undefined = body;
  for (const key of keys) {
    text = rawMembers(text).get(key);
    if (text === undefined || !text.startsWith("{")) return undefined;
  }
  return text;
}

/** Whether two JSON texts say the same: spacing and the order of keys do not count, the spelling of numbers does. */
export function sameContent(a: string, b: string): boolean {
  if (a === b) return true;
  try {
    return canonical(a) === canonical(b);
  } catch {
    // Nested too deep to look at; different texts are then different.
    return false;
  }
}

class NumberText {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
}

type Reviver = (this: unknown, key: string, value: unknown, context: { source?: string }) => unknown;

function canonical(text: string): string {
  const revive: Reviver = (_key, value, context) =>
    typeof value === "number" ? new NumberText(context.source ?? String(value)) : value;
  return written(JSON.parse(text, revive as (this: unknown, key: string, value: unknown) => unknown));
}

function written(value: unknown): string {
  if (value instanceof NumberText) return value.text;
  if (Array.isArray(value)) return `[${value.map(written).join(",")}]`;
  if (typeof value === "object" && value !== null) {
    const members = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
    return `{${members.map(([key, item]) => `${JSON.stringify(key)}:${written(item)}`).join(",")}}`;
  }
  return JSON.stringify(value);
}
