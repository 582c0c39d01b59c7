/** Most globs of our subscription: ScaiVault's own limit is not documented. */
export const MAX_GLOBS = 50;
const ALL = "**";

function isSubtree(glob: string): boolean {
  return glob === ALL || glob.endsWith("/**");
}

/** Literal segments: 3 for `a/b/c` and for `a/b/c/**`, 0 for `**`. */
function depthOf(glob: string): number {
  if (glob === ALL) return 0;
  return (isSubtree(glob) ? glob.slice(0, -"/**".length) : glob).split("/").length;
}

/** The subtree that it lies in. */
function parentOf(glob: string): string {
  const segments = (isSubtree(glob) ? glob.slice(0, -"/**".length) : glob).split("/").slice(0, -1);
  return segments.length === 0 ? ALL : `${segments.join("/")}/**`;
}

/** The subtree globs that a path or subtree lies in, itself among them when it is one. */
function around(target: string): string[] {
  const found = isSubtree(target) ? [target] : [];
  for (let glob = target; glob !== ALL; glob = parentOf(glob)) found.push(parentOf(glob));
  return found;
}

/** Whether the globs take in a path or a whole subtree. Only globs of ours count: paths, `prefix/**` and `**`. */
export function isCovered(target: string, globs: ReadonlySet<string>): boolean {
  return globs.has(target) || around(target).some((glob) => globs.has(glob));
}

/**
 * At most `most` globs that take in all targets. Where there are too many, the deepest are replaced by the subtrees that they
 * lie in: events of others then come too, and are passed over. The result does not depend on the order, and is sorted.
 */
export function globsFor(targets: Iterable<string>, most = MAX_GLOBS): readonly string[] {
  let globs = withoutCovered(new Set(targets));
  let depth = Math.max(0, ...[...globs].map(depthOf));
  for (; globs.size > most && depth > 0; depth -= 1) {
    const level = depth;
    globs = withoutCovered(new Set([...globs].map((glob) => (depthOf(glob) === level ? parentOf(glob) : glob))));
  }
  return [...globs].sort();
}

function withoutCovered(globs: ReadonlySet<string>): Set<string> {
  const inOthers = (glob: string) => around(glob).some((other) => other !== glob && globs.has(other));
  return new Set([...globs].filter((glob) => !inOthers(glob)));
}
