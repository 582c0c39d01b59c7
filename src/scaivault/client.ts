import { SyncError } from "../errors/index.ts";
import type { RateLane } from "./bucket.ts";
import { Caller, type CallAnswer, type ScaiVaultCall, type ScaiVaultOptions } from "./caller.ts";
import { answerError } from "./errors.ts";
import { checkPath } from "./paths.ts";
import type { RawMembers } from "./raw.ts";
import type {
  BatchOutcome,
  CallContext,
  MetadataPatch,
  PutAnswer,
  PutRequest,
  Reservation,
  SecretInfo,
  SecretWithValue,
  WhoAmI,
} from "./types.ts";
import {
  patchBody,
  putBody,
  readEntryCode,
  readInfo,
  readInner,
  readObject,
  readPage,
  readSecret,
  readPutAnswer,
  readWhoAmI,
} from "./wire.ts";

/** Most paths of one batch call (api-guides/batch-operations). */
export const BATCH_SIZE = 100;
/** Largest `data` that is sent, in bytes of JSON (API facts 5.3). */
export const MAX_DATA_BYTES = 1024 * 1024;

/**
 * ScaiVault's HTTP API as far as the operator uses it. Values and foreign metadata stay source text. Every error is a
 * {@link SyncError}: `ScaiVaultUnavailable`, `ScaiVaultDenied` (with `right`), `RateLimited` (with `retryAfterMs`),
 * `InvalidPath`, `TargetSoftDeleted`, `TargetChanged`, `VersionNotFound`, `ValueTooLarge`, `NotRepresentable`,
 * `NoRoomForMark`, `InvalidSpec`. Nothing is retried here but a token that was refused and a read whose connection broke.
 */
export class ScaiVaultClient {
  readonly #caller: Caller;
  readonly #options: ScaiVaultOptions;

  constructor(options: ScaiVaultOptions) {
    this.#options = options;
    this.#caller = new Caller(options);
  }

  /** The operator's own identity; the cheapest check of the connection. */
  async whoami(context: CallContext): Promise<WhoAmI> {
    const action = "ask ScaiVault who the operator is";
    const call: ScaiVaultCall = {
      method: "GET",
      path: "/v1/auth/whoami",
      category: "whoami",
      scope: "a valid token",
      action,
      safe: true,
    };
    return readWhoAmI(readObject((await this.#caller.call(call, context)).body, action));
  }

  /** Whether the service answers at all; needs no token. */
  async healthy(signal: AbortSignal): Promise<boolean> {
    return (await this.#caller.open("/v1/health", "ask for ScaiVault's health", signal)) === 200;
  }

  /** The value, at one version or the current one; undefined when the secret is absent or soft-deleted. */
  async get(path: string, context: CallContext, version?: number): Promise<SecretWithValue | undefined> {
    checkPath(path);
    const action = `read ${path}`;
    const query = version === undefined ? "" : `?version=${version}`;
    const answer = await this.#caller.call(
      {
        method: "GET",
        path: `/v1/secrets/${path}${query}`,
        category: "read",
        scope: "secrets:read",
        action,
        safe: true,
        expected: ["secret_not_found"],
      },
      context,
    );
    return answer.errorCode === undefined ? readSecret(path, readObject(answer.body, action), action) : undefined;
  }

  /** Metadata and version; undefined when the secret is absent or soft-deleted. */
  async metadata(path: string, context: CallContext): Promise<SecretInfo | undefined> {
    checkPath(path);
    const action = `read the metadata of ${path}`;
    const answer = await this.#caller.call(
      {
        method: "GET",
        path: `/v1/secrets/${path}/metadata`,
        category: "list",
        scope: "secrets:list",
        action,
        safe: true,
        expected: ["secret_not_found"],
      },
      context,
    );
    return answer.errorCode === undefined ? readInfo(path, readObject(answer.body, action), action) : undefined;
  }

  /** Values of many paths, in calls of 100. Costs one batch read and one read a path of the rate budget. */
  async readBatch(
    paths: readonly string[],
    context: CallContext,
  ): Promise<ReadonlyMap<string, BatchOutcome<SecretWithValue>>> {
    return this.#batch(paths, context, "values", (path, members, action) => readSecret(path, members, action));
  }

  /** Metadata and versions of many paths, in calls of 100. */
  async metadataBatch(
    paths: readonly string[],
    context: CallContext,
  ): Promise<ReadonlyMap<string, BatchOutcome<SecretInfo>>> {
    return this.#batch(paths, context, "metadata", (path, members, action) => readInfo(path, members, action));
  }

  /**
   * Writes value and metadata as a new version. Never repeated here: each PUT makes a version.
   * @throws SyncError; with code `no_answer` or `connection_broken` it may have been written all the same
   */
  async put(path: string, request: PutRequest, context: CallContext): Promise<PutAnswer> {
    checkPath(path);
    if (request.data.length > MAX_DATA_BYTES) {
      throw new SyncError("ValueTooLarge", `the value of ${path} is larger than 1 MiB as JSON`, {
        action: `write ${path}`,
      });
    }
    const answer = await this.#write(`write ${path}`, "PUT", path, putBody(request), context);
    return readPutAnswer(answer.body);
  }

  /** Asks the rate budget for one write to a path, before anything is read for it. */
  reserveWrite(path: string, lane: RateLane): Reservation {
    return this.#options.budget.reserve("write", lane, path);
  }

  /** Sets metadata without a new version. @returns false when the secret is absent or soft-deleted */
  async patchMetadata(path: string, patch: MetadataPatch, context: CallContext): Promise<boolean> {
    checkPath(path);
    const action = `set the metadata of ${path}`;
    const answer = await this.#write(action, "PATCH", path, patchBody(patch), context, ["secret_not_found"]);
    return answer.errorCode === undefined;
  }

  /** Deletes softly: recoverable for ScaiVault's retention. @returns false when it was gone already */
  async delete(path: string, context: CallContext): Promise<boolean> {
    checkPath(path);
    const answer = await this.#caller.call(
      {
        method: "DELETE",
        path: `/v1/secrets/${path}`,
        category: "delete",
        scope: "secrets:delete",
        action: `delete ${path}`,
        safe: false,
        expected: ["secret_not_found"],
      },
      context,
    );
    return answer.errorCode === undefined;
  }

  /** Paths that begin with `prefix` (a prefix of the text, so end it with `/`), page by page. */
  async *list(
    prefix: string,
    context: CallContext,
  ): AsyncGenerator<readonly { path: string; version: number | undefined }[]> {
    const action = `list ${prefix}`;
    let cursor: string | undefined;
    const seen = new Set<string>();
    do {
      const query = new URLSearchParams({ prefix, limit: "1000" });
      if (cursor !== undefined) query.set("cursor", cursor);
      const answer = await this.#caller.call(
        {
          method: "GET",
          path: `/v1/secrets?${query.toString()}`,
          category: "list",
          scope: "secrets:list",
          action,
          safe: true,
        },
        context,
      );
      const found = readPage(readObject(answer.body, action), action);
      yield found.items;
      cursor = found.cursor;
      if (cursor !== undefined && seen.has(cursor)) {
        throw new SyncError("ScaiVaultUnavailable", `ScaiVault's listing goes round in circles (${action})`, {
          action,
        });
      }
      if (cursor !== undefined) seen.add(cursor);
    } while (cursor !== undefined);
  }

  #write(
    action: string,
    method: "PUT" | "PATCH",
    path: string,
    body: Buffer,
    context: CallContext,
    expected: readonly string[] = [],
  ): Promise<CallAnswer> {
    return this.#caller.call(
      {
        method,
        path: `/v1/secrets/${path}`,
        body,
        category: "write",
        scope: "secrets:write",
        action,
        safe: false,
        expected,
      },
      context,
    );
  }

  async #batch<T extends SecretInfo>(
    paths: readonly string[],
    context: CallContext,
    kind: "values" | "metadata",
    read: (path: string, members: RawMembers, action: string) => T,
  ): Promise<ReadonlyMap<string, BatchOutcome<T>>> {
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
      await this.#chunk(asked.slice(at, at + BATCH_SIZE), context, kind, read, outcomes);
    }
    return outcomes;
  }

  async #chunk<T extends SecretInfo>(
    paths: readonly string[],
    context: CallContext,
    kind: "values" | "metadata",
    read: (path: string, members: RawMembers, action: string) => T,
    outcomes: Map<string, BatchOutcome<T>>,
  ): Promise<void> {
    const values = kind === "values";
    // Names no path: the failure of a joined call is told to everybody who asked.
    const action = `read ${kind}`;
    const scope = values ? "secrets:read" : "secrets:list";
    if (values) await this.#options.budget.acquire("read", paths.length, context.lane ?? "new", context.signal);
    const answer = await this.#caller.call(
      {
        method: "POST",
        path: values ? "/v1/secrets/batch" : "/v1/secrets/batch/metadata",
        body: Buffer.from(JSON.stringify(values ? { paths, options: { include_metadata: true } } : { paths }), "utf8"),
        category: values ? "batchRead" : "batchMetadata",
        scope,
        action,
        paths: paths.length,
        safe: true,
      },
      context,
    );
    const members = readObject(answer.body, action);
    const secrets = readInner(members, "secrets", action);
    const errors = readInner(members, "errors", action);
    for (const path of paths) {
      outcomes.set(path, outcomeOf(path, secrets, errors, { action: `read ${kind} of ${path}`, scope }, read));
    }
  }
}

/** A path that the answer does not name is a failure, never an absence: only `secret_not_found` says absent. */
function outcomeOf<T extends SecretInfo>(
  path: string,
  secrets: RawMembers,
  errors: RawMembers,
  call: { readonly action: string; readonly scope: string },
  read: (path: string, members: RawMembers, action: string) => T,
): BatchOutcome<T> {
  const failed = errors.get(path);
  if (failed !== undefined) {
    const code = readEntryCode(failed);
    if (code === "secret_not_found") return { state: "Absent" };
    return {
      state: "Failed",
      error: answerError(call, { status: statusOf(code), code, fields: [], retryAfterMs: undefined }),
    };
  }
  const found = secrets.get(path);
  try {
    if (found !== undefined)
      return { state: "Found", secret: read(path, readObject(Buffer.from(found), call.action), call.action) };
  } catch (error) {
    return { state: "Failed", error: error as Error };
  }
  return {
    state: "Failed",
    error: new SyncError("ScaiVaultUnavailable", `ScaiVault's answer leaves out ${path}`, {
      action: call.action,
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
