import { DOUBLE_STAR_MAY_BE_EMPTY, STAR_INSIDE_SEGMENT } from "../assumptions.ts";

/**
 * Path globs of policies: `*` one segment, `**` any number of segments including zero, `?` one character, anchored.
 * Matching is dynamic programming over segments: time grows with the product of the lengths, never exponentially.
 * [core-concepts/policies-and-permissions]
 */
export function matchesGlob(pattern: string, path: string): boolean {
  if (!isGlob(pattern)) return pattern === path;
  const wanted = pattern.split("/");
  const given = path.split("/");
  // reach[i]: the patterns so far match the first i segments.
  let reach = new Array<boolean>(given.length + 1).fill(false);
  reach[0] = true;
  for (const segment of wanted) {
    const next = new Array<boolean>(given.length + 1).fill(false);
    for (let at = 0; at <= given.length; at++) {
      if (segment === "**") {
        const fromEmpty = DOUBLE_STAR_MAY_BE_EMPTY && reach[at] === true;
        next[at] = fromEmpty || (at > 0 && (next[at - 1] === true || reach[at - 1] === true));
      } else if (at > 0) next[at] = reach[at - 1] === true && matchesSegment(segment, given[at - 1] as string);
    }
    reach = next;
  }
  return reach[given.length] === true;
}

/** Whether a text has wildcards at all. */
export function isGlob(text: string): boolean {
  return text.includes("*") || text.includes("?");
}

/** The text in front of the first wildcard; every match starts with it, but for a `**` that stands for nothing. */
export function literalPrefix(pattern: string): string {
  const star = pattern.search(/[*?]/);
  if (star < 0) return pattern;
  const prefix = pattern.slice(0, star);
  // `a/**` also matches `a`, which does not start with `a/`.
  return pattern.startsWith("**", star) && prefix.endsWith("/") ? prefix.slice(0, -1) : prefix;
}

function matchesSegment(pattern: string, segment: string): boolean {
  if (pattern === "*") return segment.length > 0;
  let reach = new Array<boolean>(segment.length + 1).fill(false);
  reach[0] = true;
  for (const char of pattern) {
    const next = new Array<boolean>(segment.length + 1).fill(false);
    for (let at = 0; at <= segment.length; at++) {
      if (char === "*" && STAR_INSIDE_SEGMENT) next[at] = reach[at] === true || (at > 0 && next[at - 1] === true);
      else if (at > 0) next[at] = reach[at - 1] === true && (char === "?" || char === segment[at - 1]);
    }
    reach = next;
  }
  return reach[segment.length] === true;
}

const grammar = /^[a-z0-9_*?-]+(?:\/[a-z0-9_*?-]+)*$/;

/** Whether a text can be a glob over secret paths; long or deep ones are refused. */
export function isValidGlob(text: string): boolean {
  return text.length <= 512 && grammar.test(text) && text.split("/").length <= 20;
}
