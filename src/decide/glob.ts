/** Longest glob, in characters. */
export const MAX_GLOB = 512;
export const MAX_WILDCARDS = 8;
const NAMESPACE = "{namespace}";

/** Counts the work of a match, for tests. */
export interface Steps {
  count: number;
}

/**
 * Whether a path matches a glob. `**` as a whole segment spans any number of segments (at the end: at least one), `*`
 * stays within a segment, `?` is one character of a segment, `{namespace}` as a whole segment is that namespace.
 * A slash at the beginning counts: `/prod/x` and `prod/x` differ. The matcher takes at most the product of both lengths
 * in steps; a glob that {@link checkGlob} refuses matches nothing.
 */
export function globMatches(glob: string, path: string, namespace?: string, steps: Steps = { count: 0 }): boolean {
  if (checkGlob(glob) !== undefined) return false;
  return matchSegments(glob.split("/"), path.split("/"), namespace, steps);
}

/** What is wrong with a glob, for people; undefined when nothing is. */
export function checkGlob(glob: string): string | undefined {
  if (glob.length > MAX_GLOB) return `a glob has at most ${MAX_GLOB} characters`;
  const segments = glob.split("/");
  const inner = glob.startsWith("/") ? segments.slice(1) : segments;
  if (inner.some((segment) => segment === "" || segment === "." || segment === ".."))
    return "a glob has no empty, . or .. segments";
  if (segments.some((segment) => segment !== NAMESPACE && (segment.includes("{") || segment.includes("}"))))
    return `{namespace} fills a whole segment, and there is no other { or }`;
  if (segments.some((segment) => segment.includes("**") && segment !== "**")) return "** fills a whole segment";
  const wildcards = segments.reduce((sum, segment) => sum + wildcardsOf(segment), 0);
  return wildcards > MAX_WILDCARDS ? `a glob has at most ${MAX_WILDCARDS} wildcards` : undefined;
}

function wildcardsOf(segment: string): number {
  if (segment === "**") return 1;
  let count = 0;
  for (const character of segment) if (character === "*") count += 1;
  return count;
}

/** Goes back to the last `**` only: earlier ones never need to take more. */
function matchSegments(
  glob: readonly string[],
  path: readonly string[],
  namespace: string | undefined,
  steps: Steps,
): boolean {
  let [g, p] = [0, 0];
  let star = -1;
  let resume = 0;
  while (p < path.length) {
    steps.count += 1;
    const segment = glob[g];
    if (segment === "**") {
      star = g;
      // At the end it spans at least one.
      if (g === glob.length - 1) return true;
      resume = p;
      g += 1;
    } else if (segment !== undefined && matchSegment(segment, path[p] ?? "", namespace, steps)) {
      g += 1;
      p += 1;
    } else if (star >= 0) {
      resume += 1;
      p = resume;
      g = star + 1;
    } else return false;
  }
  return g === glob.length;
}

function matchSegment(glob: string, text: string, namespace: string | undefined, steps: Steps): boolean {
  if (glob === NAMESPACE) return namespace !== undefined && namespace !== "" && text === namespace;
  // A wildcard does not stand for the emptiness before a slash at the beginning.
  if (text === "") return glob === "";
  let [g, t] = [0, 0];
  let star = -1;
  let resume = 0;
  while (t < text.length) {
    steps.count += 1;
    if (glob[g] === "*") {
      star = g;
      resume = t;
      g += 1;
    } else if (g < glob.length && (glob[g] === "?" || glob[g] === text[t])) {
      g += 1;
      t += 1;
    } else if (star >= 0) {
      resume += 1;
      t = resume;
      g = star + 1;
    } else return false;
  }
  while (glob[g] === "*") g += 1;
  return g === glob.length;
}

/**
 * Whether a glob matches everything below a prefix. Only a glob that ends in `**` can; what stands before it must match
 * the prefix or a part of it from the beginning.
 */
export function globCovers(glob: string, prefix: string, namespace?: string): boolean {
  if (checkGlob(glob) !== undefined) return false;
  const segments = glob.split("/");
  if (segments.pop() !== "**") return false;
  if (segments.length === 0) return true;
  const below = prefix.split("/");
  for (let length = 1; length <= below.length; length += 1) {
    if (matchSegments(segments, below.slice(0, length), namespace, { count: 0 })) return true;
  }
  return false;
}
