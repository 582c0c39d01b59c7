import type { SyncError } from "../errors/index.ts";
import type { PairResult } from "./evaluate.ts";
import type { ExecutedPair } from "./execute.ts";
import type { Subject } from "./subject.ts";
import type { Authority } from "../model/index.ts";

/** What a reconcile of one object came to; `plan` prints it, `run` makes a status of it. */
export interface SyncOutcome {
  readonly subject: Subject;
  readonly pairs: readonly {
    readonly result: PairResult;
    readonly executed: ExecutedPair | undefined;
    /** Hashes that settle its conflict, by the side that is kept. */
    readonly answers: ReadonlyMap<Authority, string>;
  }[];
  /** Paths that could not become a pair. */
  readonly problems: readonly { readonly path: string; readonly error: SyncError }[];
  readonly planHash: string;
  readonly wrote: boolean;
}
