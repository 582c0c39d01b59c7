import { cleanText } from "../errors/index.ts";
import { logFieldNames } from "../telemetry/index.ts";

const WORDS: ReadonlySet<string> = new Set(["time", "level", "event", "cluster", ...logFieldNames]);

/** Lines of the operator's log with its own fields only. What is none of its lines is counted and left out. */
export function cleanLog(text: string): {
  readonly lines: readonly Readonly<Record<string, unknown>>[];
  readonly left: number;
} {
  let left = 0;
  const lines = text.split("\n").flatMap((line) => {
    if (line.trim() === "") return [];
    const own = fieldsOf(line);
    if (own === undefined) left += 1;
    return own === undefined ? [] : [own];
  });
  return { lines, left };
}

function fieldsOf(line: string): Record<string, unknown> | undefined {
  let parsed: unknown;
  try {
    parsed = JSON.parse(line);
  } catch {
    return undefined;
  }
  if (typeof parsed !== "object" || parsed === null || !("event" in parsed) || !("level" in parsed)) return undefined;
  const own: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(parsed) as [string, unknown][]) {
    if (!WORDS.has(key)) continue;
    if (typeof value === "string") own[key] = cleanText(value);
    else if (typeof value === "number" || typeof value === "boolean") own[key] = value;
  }
  return own;
}
