import type { ApiError } from "../errors.ts";
import { validationError } from "../errors.ts";
import { checkPath } from "../secrets/path.ts";

/** One entry of `path_mapping`. */
interface Rule {
  /** Left side without `**`: `external/aws/` for `external/aws/**`, the whole path without a `**`. */
  readonly local: string;
  /** Right side without `**`. */
  readonly remote: string;
  readonly wild: boolean;
}

/** What a listing of the store is asked for: everything below a prefix, or one name. */
export interface RemoteRange {
  /** Template without `**`, such as `kv/data/apps/`, or a whole name. */
  readonly remote: string;
  readonly wild: boolean;
}

/** A range with the pattern that it belongs to: two patterns may lead to the same place of the store. */
export interface MappedRange extends RemoteRange {
  /** Left side without `**`. */
  readonly local: string;
}

const leftGrammar = /^[a-z0-9_-]+(?:\/[a-z0-9_-]+)*(?:\/\*\*)?$/;
const mostCharacters = 512;
const mostRules = 100;

/** `path_mapping` of one backend: where a ScaiVault path lies in the store, and back. */
export class PathMapping {
  /** Longest left side first. */
  readonly #rules: readonly Rule[];

  /** @throws ApiError `validation_error` with the pattern that is wrong. */
  constructor(mapping: Readonly<Record<string, string>>) {
    const entries = Object.entries(mapping);
    if (entries.length === 0 || entries.length > mostRules)
      throw validationError({ path_mapping: `needs 1 to ${mostRules} patterns` });
    this.#rules = entries
      .map(([left, right]) => ruleOf(left, right))
      .sort((a, b) => b.local.length - a.local.length || Number(a.wild) - Number(b.wild));
  }

  /** What is to be listed for everything that is mapped. */
  ranges(): readonly MappedRange[] {
    return this.#rules.map(({ local, remote, wild }) => ({ local, remote, wild }));
  }

  /** Whether a path is mapped. */
  covers(path: string): boolean {
    return this.#ruleOf(path) !== undefined;
  }

  /** The store's name of a ScaiVault path, undefined when it is not mapped. */
  toRemote(path: string): string | undefined {
    const rule = this.#ruleOf(path);
    if (rule === undefined) return undefined;
    return rule.wild ? rule.remote + path.slice(rule.local.length) : rule.remote;
  }

  /**
   * The ScaiVault path of a name that the listing of `range` found.
   * @returns undefined when a longer pattern has the path, `invalid` when the name makes no ScaiVault path.
   */
  toLocal(range: MappedRange, name: string): { path: string } | "invalid" | undefined {
    const rule = this.#rules.find(({ local, wild }) => local === range.local && wild === range.wild);
    if (rule === undefined) return undefined;
    const rest = name.slice(rule.remote.length);
    if (rule.wild && rest === "") return undefined;
    const path = rule.local + (rule.wild ? rest : "");
    try {
      checkPath(path);
    } catch {
      return "invalid";
    }
    // A longer pattern may hide a part of this one.
    return this.#ruleOf(path) === rule && this.toRemote(path) === name ? { path } : undefined;
  }

  /** Whether a path can be claimed by both. */
  overlaps(other: PathMapping): boolean {
    return this.#rules.some((mine) => other.#rules.some((theirs) => overlap(mine, theirs)));
  }

  /** Whether a path that starts with `prefix` can be mapped. */
  touches(prefix: string): boolean {
    return this.#rules.some(({ local, wild }) => local.startsWith(prefix) || (wild && prefix.startsWith(local)));
  }

  #ruleOf(path: string): Rule | undefined {
    return this.#rules.find(({ local, wild }) =>
      wild ? path.startsWith(local) && path.length > local.length : path === local,
    );
  }
}

function ruleOf(left: string, right: string): Rule {
  const bad = (what: string): ApiError => validationError({ [`path_mapping.${left.slice(0, 100)}`]: what });
  if (left.length > mostCharacters || !leftGrammar.test(left))
    throw bad("must be a path of a-z, 0-9, - and _, with /** at the end for everything below");
  const wild = left.endsWith("/**");
  const rightWild = right === "**" || right.endsWith("/**");
  if (wild !== rightWild) throw bad("needs ** at the end of both sides or of none");
  const remote = rightWild ? right.slice(0, -2) : right;
  if (remote.includes("*")) throw bad("may have one ** only, as last segment");
  const segments = remote.split("/");
  const readable = right.length <= mostCharacters && !/[\p{Cc}\p{Cs}]/u.test(remote);
  if (!readable || segments.some((segment) => segment === "." || segment === "..")) throw bad("is no name of a store");
  if (!wild) {
    if (remote === "") throw bad("is no name of a store");
    checkPath(left);
  }
  return { local: wild ? left.slice(0, -2) : left, remote, wild };
}

function overlap(a: Rule, b: Rule): boolean {
  if (a.wild && b.wild) return a.local.startsWith(b.local) || b.local.startsWith(a.local);
  if (a.wild) return b.local.startsWith(a.local);
  return b.wild ? a.local.startsWith(b.local) : a.local === b.local;
}
