import type { EffectiveFederation } from "../api/index.ts";
import { cleanText, SyncError } from "../errors/index.ts";
import { checkGlob, globMatches } from "./glob.ts";
import { checkScaiVaultPath } from "./paths.ts";

/** The rule by which source names become ScaiVault paths. */
export type Naming = EffectiveFederation["naming"];

const OTHERS = /[^a-z0-9_-]+/gu;

/** Lower case, and each run of characters that ScaiVault does not take becomes one `-`; `/` stays. */
export function lowerDash(path: string): string {
  return path
    .split("/")
    .map((segment) => segment.toLowerCase().replaceAll(OTHERS, "-"))
    .join("/");
}

/** One mapping with its source path normalised: a tree ends in `/**` on both sides. */
export interface TreeMapping {
  readonly scaivaultPath: string;
  readonly sourcePath: string;
  readonly exclude: readonly string[];
}

/** One secret of a tree. */
export interface TreePath {
  /** Path at the source. */
  readonly path: string;
  readonly scaivaultPath: string;
}

/** What a tree consists of, and which names cannot be. */
export interface TreeNames {
  readonly mapped: readonly TreePath[];
  readonly problems: readonly { readonly path: string; readonly error: SyncError }[];
  /** ScaiVault paths that two sources would have: neither is written, and what stands there is nobody's stray. */
  readonly contested: ReadonlySet<string>;
}

export const isTree = (path: string): boolean => path.endsWith("/**");
/** `a/b/` of `a/b/**`. */
export const treePrefix = (path: string): string => path.slice(0, -"**".length);

/** Whether a mapping leaves a source path out. */
export function isExcluded({ exclude }: TreeMapping, path: string): boolean {
  return exclude.some((glob) => globMatches(glob, path));
}

/**
 * Names every secret of a tree. Names that break ScaiVault's grammar (`Strict`), or still do after the rule, are problems
 * of their path; two sources with one name are problems of both and neither is mapped, so that the outcome does not depend
 * on their order.
 * @param listed source paths below a mapping that is a tree
 */
export function nameTree(
  mappings: readonly TreeMapping[],
  naming: Naming,
  listed: (mapping: TreeMapping) => Iterable<string>,
): TreeNames {
  const problems: { path: string; error: SyncError }[] = [];
  const byName = new Map<string, string[]>();
  for (const mapping of mappings) {
    const paths = isTree(mapping.sourcePath) ? new Set(listed(mapping)) : [mapping.sourcePath];
    for (const path of paths) {
      const named = nameOne(mapping, naming, path);
      if (named === undefined) continue;
      if (named instanceof SyncError) problems.push({ path, error: named });
      else byName.set(named, [...(byName.get(named) ?? []), path]);
    }
  }
  const mapped: TreePath[] = [];
  const contested = new Set<string>();
  for (const [scaivaultPath, paths] of byName) {
    const [path, ...others] = paths;
    if (path === undefined) continue;
    if (others.length === 0) {
      mapped.push({ path, scaivaultPath });
      continue;
    }
    contested.add(scaivaultPath);
    const names = cleanText([...paths].sort().slice(0, 3).join(" and "), 180);
    const message = `${names} would all be the ScaiVault path ${scaivaultPath}`;
    for (const one of paths) problems.push({ path: one, error: new SyncError("NameCollision", message) });
  }
  problems.sort((a, b) => (a.path < b.path ? -1 : 1));
  return { mapped, problems, contested };
}

/** The ScaiVault path of one source path; undefined when the mapping is not about it. */
export function nameOne(mapping: TreeMapping, naming: Naming, path: string): string | SyncError | undefined {
  const { scaivaultPath, sourcePath } = mapping;
  if (!isTree(sourcePath)) return path === sourcePath ? checked(scaivaultPath) : undefined;
  const prefix = treePrefix(sourcePath);
  if (!path.startsWith(prefix) || path.length === prefix.length || isExcluded(mapping, path)) return undefined;
  const below = path.slice(prefix.length);
  return checked(`${treePrefix(scaivaultPath)}${naming === "LowerDash" ? lowerDash(below) : below}`);
}

function checked(path: string): string | SyncError {
  try {
    checkScaiVaultPath(path);
    return path;
  } catch (error) {
    if (error instanceof SyncError) return error;
    throw error;
  }
}

/** Whether a mapping holds a ScaiVault path, whatever the source has: what `exclude` leaves out is free for others. */
export function holdsPath(mapping: TreeMapping, naming: Naming, ref: string): boolean {
  const { scaivaultPath, sourcePath, exclude } = mapping;
  if (!isTree(scaivaultPath)) return scaivaultPath === ref;
  const prefix = treePrefix(scaivaultPath);
  if (!ref.startsWith(prefix)) return false;
  const [from, globs] =
    naming === "LowerDash"
      ? [lowerDash(treePrefix(sourcePath)), exclude.map(lowerDashGlob)]
      : [treePrefix(sourcePath), exclude];
  const source = `${from}${ref.slice(prefix.length)}`;
  return !globs.some((glob) => globMatches(glob, source));
}

/** A glob over names as the rule makes them; its wildcards stay. */
function lowerDashGlob(glob: string): string {
  if (checkGlob(glob) !== undefined) return glob;
  return glob
    .split("/")
    .map((segment) =>
      segment === "**"
        ? segment
        : segment
            .split(/([*?])/u)
            .map((part) => (/^[*?]$/u.test(part) ? part : lowerDash(part)))
            .join(""),
    )
    .join("/");
}
