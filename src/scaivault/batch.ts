import { SyncError } from "../errors/index.ts";
import type { RateBudget } from "./budget.ts";
import type { Caller } from "./caller.ts";
import { answerError } from "./errors.ts";
import { checkPath } from "./paths.ts";
import type { RawMembers } from "./raw.ts";
import type { BatchOutcome, CallContext, SecretInfo, SecretWithValue } from "./types.ts";
import { readEntryCode, readInfo, readInner, readObject, readSecret } from "./wire.ts";

/** Most paths of one batch call (api-guides/batch-operations). */
export const BATCH_SIZE = 100;

type Outcomes<T> = Promise<ReadonlyMap<string, BatchOutcome<T>>>;

interface Kind<T> {
  readonly name: "values" | "metadata";
  readonly scope: string;
  read(path: string, members: RawMembers, action: string): T;
}

const values: Kind<SecretWithValue> = { name: "values", scope: "secrets:read", read: readSecret };
const metadata: Kind<SecretInfo> = { name: "metadata", scope: "secrets:list", read: readInfo };

/** Values or metadata of many paths, in calls of 100. */
export class BatchReads {
  readonly #caller: Caller;
  readonly #budget: RateBudget;

  constructor(caller: Caller, budget: RateBudget) {
    this.#caller = caller;
    this.#budget = budget;
  }

  /** Costs one batch read and one read a path of the rate budget. */
  values(paths: readonly string[], context: CallContext): Outcomes<SecretWithValue> {
    return this.#batch(paths, context, values);
  }

  metadata(paths: readonly string[], context: CallContext): Outcomes<SecretInfo> {
    return this.#batch(paths, context, metadata);
  }

  async #batch<T extends SecretInfo>(paths: readonly string[], context: CallContext, kind: Kind<T>): Outcomes<T> {
    const outcomes = new Map<string, BatchOutcome<T>>();
    const asked: string[] = [];
    for (const path of new Set(paths)) {
      try {
        checkPath(path);
        asked.push(path);
      } catch (error) {
        outcomes.set(path, { state: "Failed", error: error as Error });
      }
    }
    for (let at = 0; at < asked.length; at += BATCH_SIZE) {
      await this.#chunk(asked.slice(at, at + BATCH_SIZE), context, kind, outcomes);
    }
    return outcomes;
  }

  async #chunk<T extends SecretInfo>(
    paths: readonly string[],
    context: CallContext,
    kind: Kind<T>,
    outcomes: Map<string, BatchOutcome<T>>,
  ): Promise<void> {
    const withValues = kind.name === "values";
    // Names no path: the failure of a joined call is told to everybody who asked.
    const action = `read ${kind.name}`;
    if (withValues) await this.#budget.acquire("read", paths.length, context.lane ?? "new", context.signal);
    const answer = await this.#caller.call(
      {
        method: "POST",
        path: withValues ? "/v1/secrets/batch" : "/v1/secrets/batch/metadata",
        body: Buffer.from(
          JSON.stringify(withValues ? { paths, options: { include_metadata: true } } : { paths }),
          "utf8",
        ),
        category: withValues ? "batchRead" : "batchMetadata",
        scope: kind.scope,
        action,
        paths: paths.length,
        safe: true,
      },
      context,
    );
    const members = readObject(answer.body, action);
    const secrets = readInner(members, "secrets", action);
    const errors = readInner(members, "errors", action);
    for (const path of paths) outcomes.set(path, outcomeOf(path, secrets, errors, kind));
  }
}

/** A path that the answer does not name is a failure, never an absence: only `secret_not_found` says absent. */
function outcomeOf<T extends SecretInfo>(
  path: string,
  secrets: RawMembers,
  errors: RawMembers,
  kind: Kind<T>,
): BatchOutcome<T> {
  const action = `read ${kind.name} of ${path}`;
  const failed = errors.get(path);
  if (failed !== undefined) {
    const code = readEntryCode(failed);
    if (code === "secret_not_found") return { state: "Absent" };
    const call = { action, scope: kind.scope };
    return {
      state: "Failed",
      error: answerError(call, { status: statusOf(code), code, fields: [], retryAfterMs: undefined }),
    };
  }
  const found = secrets.get(path);
  try {
    if (found !== undefined)
      return { state: "Found", secret: kind.read(path, readObject(Buffer.from(found), action), action) };
  } catch (error) {
    return { state: "Failed", error: error as Error };
  }
  return {
    state: "Failed",
    error: new SyncError("ScaiVaultUnavailable", `ScaiVault's answer leaves out ${path}`, {
      action,
      code: "bad_answer",
    }),
  };
}

/** Entries of a batch have no status of their own: the one that the code has elsewhere. */
function statusOf(code: string): number {
  if (code === "rate_limited") return 429;
  if (code === "access_denied" || code === "insufficient_scope" || code === "forbidden") return 403;
  if (code === "service_unavailable" || code === "internal_error" || code === "") return 503;
  return 400;
}
