import type { PollResult } from "../ports/index.ts";

/** What the next poll was asked for. */
export interface RequestedPoll {
  /** Everything that is wanted of the store, not only these paths and subtrees. */
  readonly full: boolean;
  /** Methods whose answers may lag are refused. */
  readonly fresh: boolean;
  readonly paths: readonly string[];
  readonly subtrees: readonly string[];
}

/** What a store's next poll is asked for, gathered until it begins. Who asks for a fresh answer is not overruled by others. */
export class PollRequests {
  #everything: "none" | "poll" | "fresh" = "none";
  readonly #paths = new Map<string, boolean>();
  readonly #subtrees = new Map<string, boolean>();

  /** Asks for a full poll. */
  everything({ fresh }: { fresh: boolean }): void {
    if (fresh || this.#everything === "none") this.#everything = fresh ? "fresh" : "poll";
  }

  /** Asks for single paths and subtrees. */
  add(paths: readonly string[], { fresh, subtrees = [] }: { fresh: boolean; subtrees?: readonly string[] }): void {
    for (const path of paths) this.#paths.set(path, fresh || this.#paths.get(path) === true);
    for (const prefix of subtrees) this.#subtrees.set(prefix, fresh || this.#subtrees.get(prefix) === true);
  }

  /** What was asked for so far; the next poll begins with nothing. */
  take(): RequestedPoll {
    const full = this.#everything !== "none";
    const fresh = this.#everything === "fresh" || (!full && [...this.#paths.values()].some(Boolean));
    const taken = { full, fresh, paths: [...this.#paths.keys()], subtrees: [...this.#subtrees.keys()] };
    this.#everything = "none";
    this.#paths.clear();
    this.#subtrees.clear();
    return taken;
  }

  /** What was asked for while the poll was under way is in its answer; only who wants it from the store itself goes on. */
  answered({ facts, failures, subtrees }: PollResult): void {
    for (const [path, fresh] of this.#paths)
      if (!fresh && (facts.has(path) || failures.has(path))) this.#paths.delete(path);
    for (const [prefix, fresh] of this.#subtrees) if (!fresh && subtrees.has(prefix)) this.#subtrees.delete(prefix);
  }
}
