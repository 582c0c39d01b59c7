import type { Mark, MarkReading } from "../model/index.ts";

/**
 * Signs and checks marks. What a mark's proof is bound to, and with which key, is decided elsewhere; a target only knows
 * where its fields stand.
 */
export interface MarkSeal {
  /** Fields of the mark with its proof, ready to be stored. Values are plain text of at most 256 characters. */
  seal(target: string, mark: Mark): ReadonlyMap<string, string>;
  /** What stored fields are worth for this target. No fields: `None`. */
  read(target: string, fields: ReadonlyMap<string, string>): MarkReading;
}

/** Fields of a mark as one text: `name: value` lines. No value has a line break. */
export function markText(fields: ReadonlyMap<string, string>): string {
  return [...fields].map(([name, value]) => `${name}: ${value}`).join("\n");
}

const MAX_MARK_TEXT = 4096;

/** The reverse of {@link markText}; lines of another shape are kept under their own text, so that no proof fits them. */
export function markFields(text: string | undefined): ReadonlyMap<string, string> {
  const fields = new Map<string, string>();
  if (text === undefined) return fields;
  for (const line of text.slice(0, MAX_MARK_TEXT).split("\n")) {
    const colon = line.indexOf(": ");
    if (colon > 0) fields.set(line.slice(0, colon), line.slice(colon + 2));
    else fields.set(line, "");
  }
  return fields;
}
