import type { TagTransform } from "../api/index.ts";

/**
 * Tags of a source, which come as `key=value`, as ScaiVault shall have them: the first rule that fits the key says how, and
 * a tag that none fits stays `key=value`. A key ends at the first `=`.
 */
export function transformTags(tags: readonly string[], rules: readonly TagTransform[]): readonly string[] {
  if (rules.length === 0) return tags;
  const made = tags.flatMap((tag) => {
    const at = tag.indexOf("=");
    const [key, value] = at < 0 ? [tag, ""] : [tag.slice(0, at), tag.slice(at + 1)];
    const form = rules.find(({ from }) => starMatches(from, key))?.as ?? "key=value";
    return formed(form, key, value);
  });
  return [...new Set(made)];
}

function formed(form: TagTransform["as"], key: string, value: string): readonly string[] {
  switch (form) {
    case "key=value":
      return [`${key}=${value}`];
    case "key:value":
      return [`${key}:${value}`];
    case "value":
      // ScaiVault has no empty tag.
      return value === "" ? [] : [value];
    case "Drop":
      return [];
    default:
      return form satisfies never;
  }
}

/** Whether a text fits a pattern in which `*` stands for any text, in at most the product of both lengths in steps. */
export function starMatches(pattern: string, text: string): boolean {
  let [p, t] = [0, 0];
  let star = -1;
  let resume = 0;
  while (t < text.length) {
    if (pattern[p] === "*") {
      star = p;
      resume = t;
      p += 1;
    } else if (pattern[p] === text[t]) {
      p += 1;
      t += 1;
    } else if (star >= 0) {
      resume += 1;
      t = resume;
      p = star + 1;
    } else return false;
  }
  while (pattern[p] === "*") p += 1;
  return p === pattern.length;
}
