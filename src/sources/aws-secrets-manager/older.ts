import type { SourceFact } from "../../ports/index.ts";
import type { Clock } from "../../time/clock.ts";
import { forEachLimit } from "../concurrency.ts";
import { DENIED_MS, isStoreWide } from "../limits.ts";
import { AsmFailure, type AsmApi } from "./api.ts";
import { isDenied } from "./errors.ts";

export const CURRENT = "AWSCURRENT";

const PARALLEL = 10;
const MAX_REMEMBERED = 100_000;

interface Move {
  readonly path: string;
  readonly current: string;
  readonly known: ReadonlySet<string>;
}

/**
 * Tells for secrets of which some copy does not hold AWSCURRENT which versions are older than it. Version ids have no
 * order of their own, so their creation times are asked: one call for each move.
 */
export class OlderVersions {
  readonly #api: AsmApi;
  readonly #clock: Clock;
  #deniedUntilMs = -1;
  readonly #seen = new Map<string, Move & { readonly older: ReadonlySet<string> }>();

  constructor(api: AsmApi, clock: Clock) {
    this.#api = api;
    this.#clock = clock;
  }

  /**
   * Adds `olderThanCurrent` to the facts that need it.
   * @param known versions that copies hold, by path
   * @returns false when the right is missing, so that it cannot be told
   */
  async add(
    known: ReadonlyMap<string, ReadonlySet<string>>,
    facts: Map<string, SourceFact>,
    signal: AbortSignal,
  ): Promise<boolean> {
    if (this.#seen.size > MAX_REMEMBERED) this.#seen.clear();
    let told = true;
    await forEachLimit(this.#moves(known, facts), PARALLEL, signal, async (move, both) => {
      const seen = this.#seen.get(move.path);
      const older =
        seen?.current === move.current && isSubset(move.known, seen.known) ? seen.older : await this.#ask(move, both);
      if (older === "Denied") told = false;
      const fact = facts.get(move.path);
      if (older === "Denied" || older === undefined || fact?.state !== "Present") return;
      this.#seen.set(move.path, { ...move, older });
      facts.set(move.path, { ...fact, olderThanCurrent: older });
    });
    return told;
  }

  #moves(known: ReadonlyMap<string, ReadonlySet<string>>, facts: ReadonlyMap<string, SourceFact>): Move[] {
    const moves: Move[] = [];
    for (const [path, fact] of facts) {
      const current = fact.state === "Present" ? fact.stages.get(CURRENT) : undefined;
      const copied = new Set([...(known.get(path) ?? [])].filter((version) => version !== current));
      if (current === undefined || copied.size === 0) this.#seen.delete(path);
      else moves.push({ path, current, known: copied });
    }
    return moves;
  }

  async #ask(move: Move, signal: AbortSignal): Promise<ReadonlySet<string> | "Denied" | undefined> {
    if (this.#clock.monotonic() < this.#deniedUntilMs) return "Denied";
    try {
      return olderThan(await this.#api.versions(move.path, signal), move.current, move.known);
    } catch (error) {
      if (!(error instanceof AsmFailure)) {
        if (isStoreWide(error)) throw error;
        return undefined;
      }
      if (!isDenied(error)) return undefined;
      this.#deniedUntilMs = this.#clock.monotonic() + DENIED_MS;
      return "Denied";
    }
  }
}

/**
 * Versions created before the current one. A copied version that is no longer listed counts as older: AWS removes only
 * old ones. One created in the same instant counts as older too.
 */
export function olderThan(
  created: ReadonlyMap<string, number>,
  current: string,
  known: ReadonlySet<string>,
): ReadonlySet<string> | undefined {
  const at = created.get(current);
  if (at === undefined) return undefined;
  const older = new Set<string>();
  for (const [version, ms] of created) if (version !== current && ms <= at) older.add(version);
  for (const version of known) if (!created.has(version)) older.add(version);
  return older;
}

function isSubset(some: ReadonlySet<string>, all: ReadonlySet<string>): boolean {
  return [...some].every((one) => all.has(one));
}
