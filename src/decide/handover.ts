import type { RegistrationConflicts, RegistrationHealth, WantedRegistration } from "../model/index.ts";
import { isTree, treePrefix } from "./naming.ts";
import { isOpenConflict } from "./registration-report.ts";

/** ScaiVault paths as mappings name them: a path, or `prefix/**`. */
type Pattern = string;

/** Whether two patterns have a path in common. */
function overlap(a: Pattern, b: Pattern): boolean {
  return holds(a, b) || holds(b, a);
}

/** Whether a pattern holds a path, or all of another pattern. */
function holds(pattern: Pattern, other: Pattern): boolean {
  return pattern === other || (isTree(pattern) && other.startsWith(treePrefix(pattern)));
}

/** Whether one of some patterns holds a path. */
export function isHeldBy(patterns: readonly Pattern[], path: string): boolean {
  return patterns.some((pattern) => holds(pattern, path));
}

/** Copies that the operator made, as status recorded them, beside what ScaiVault is to run. */
export interface FormerCopies {
  /** ScaiVault takes them over, in whole or in part. */
  readonly below: readonly Pattern[];
  /** No mapping names them any more: orphans, which stay recorded. */
  readonly beside: readonly Pattern[];
}

/** Tells copies that ScaiVault takes over from those that it leaves. */
export function formerCopies(copies: readonly Pattern[], mapping: readonly Pattern[]): FormerCopies {
  const isBelow = (copy: Pattern) => mapping.some((pattern) => overlap(copy, pattern));
  return { below: copies.filter(isBelow), beside: copies.filter((copy) => !isBelow(copy)) };
}

/**
 * What status records when the marks are released: orphans as they were, and copies with our mark that the mapping does not
 * hold by their own paths. What finds no room is as a pattern above it, unless that would name what ScaiVault runs.
 */
export function recordedAfter(
  { beside }: FormerCopies,
  left: readonly string[],
  mapping: readonly Pattern[],
  most: number,
): Pattern[] {
  const room = most - beside.length;
  const above = (path: string) => `${path.slice(0, path.lastIndexOf("/"))}/**`;
  const short =
    left.length <= room
      ? left
      : left.map((path) => (formerCopies([above(path)], mapping).below.length === 0 ? above(path) : path));
  return [...new Set([...beside, ...short])].slice(0, most);
}

/**
 * The registration while ScaiVault takes over from the operator: a sync that decides nothing (`manual`), so that it compares
 * the copies with the store, writes over none that differs, and still lets their marks be taken off. What is declared comes
 * when that is done.
 */
export function handoverRegistration(wanted: WantedRegistration, syncInterval: string): WantedRegistration {
  return { ...wanted, mode: "sync", syncInterval: wanted.syncInterval ?? syncInterval, conflictResolution: "manual" };
}

/** Whether ScaiVault has compared every copy with the store and found no difference. */
export function isVerified(
  health: RegistrationHealth | undefined,
  conflicts: RegistrationConflicts | undefined,
): boolean {
  if (health?.status !== "healthy" || health.lastSyncMs === undefined || conflicts === undefined) return false;
  const open = conflicts.more || conflicts.conflicts.some(isOpenConflict);
  return !open && (health.secretsFailed ?? 0) === 0 && (health.conflictCount ?? 0) === 0;
}
