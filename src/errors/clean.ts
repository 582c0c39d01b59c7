/** Longest foreign text that is shown anywhere, in characters. */
export const MAX_TEXT = 256;

/** Nothing to escape: nearly all texts. */
const PLAIN = /^[\x20-\x7e]*$/;
const ESCAPED = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu;

/**
 * Text from outside made fit for status, events, logs and terminals: control, bidirectional and other invisible
 * characters are escaped as `\u{..}`, and the text is cut at `max` characters.
 */
export function cleanText(text: string, max = MAX_TEXT): string {
  if (text.length <= max && PLAIN.test(text)) return text;
  const cut = text.length > max * 2 ? text.slice(0, max * 2) : text;
  const escaped = cut.replace(ESCAPED, (c) => `\\u{${(c.codePointAt(0) ?? 0).toString(16)}}`);
  if (escaped.length <= max) return escaped;
  // Half a character is none: the API server would not take it.
  return `${escaped.slice(0, max - 1).replace(/[\uD800-\uDBFF]$/, "")}…`;
}
