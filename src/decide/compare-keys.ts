import type { RenderedContent } from "../ports/target.ts";

/** How the keys of a target compare with what they would be. Names only; at most `max` of each kind. */
export interface KeyComparison {
  readonly equal: number;
  readonly differs?: string[];
  readonly missing?: string[];
  readonly extra?: string[];
}

const MAX_NAMES = 20;

/** Compares key by key, in time that does not depend on the bytes. `held` undefined: the target is not there. */
export function compareKeys(wanted: RenderedContent, held: RenderedContent | undefined): KeyComparison {
  const [want, have] = [keysOf(wanted), held === undefined ? new Map<string, never>() : keysOf(held)];
  const [differs, missing]: [string[], string[]] = [[], []];
  let equal = 0;
  for (const name of [...want.keys()].sort()) {
    const [left, right] = [want.get(name), have.get(name)];
    if (left === undefined || right === undefined) missing.push(name);
    else if (left.equals(right)) equal += 1;
    else differs.push(name);
  }
  const extra = [...have.keys()].filter((name) => !want.has(name)).sort();
  const some = (member: "differs" | "missing" | "extra", names: string[]) =>
    names.length === 0 ? {} : { [member]: names.slice(0, MAX_NAMES) };
  return { equal, ...some("differs", differs), ...some("missing", missing), ...some("extra", extra) };
}

/** ScaiVault's content is one document; people think of its top-level keys. */
function keysOf(content: RenderedContent) {
  const whole = content.keys.size === 1 && content.keys.has("data") && content.payload.keys !== content.keys;
  return whole ? content.payload.keys : content.keys;
}
