import { SyncError } from "../errors/index.ts";
import { AuditAPI } from "./audit.ts";
import { BatchReads } from "./batch.ts";
import type { RateLane } from "./bucket.ts";
import { Caller, type CallAnswer, type ScaiVaultCall, type ScaiVaultOptions } from "./caller.ts";
import { allPages } from "./pages.ts";
import { checkPath } from "./paths.ts";
import { RotationAPI } from "./rotation.ts";
import { SubscriptionsAPI } from "./subscriptions.ts";
import type {
  BatchOutcome,
  CallContext,
  ListedSecret,
  MetadataPatch,
  PutAnswer,
  PutRequest,
  Reservation,
  SecretInfo,
  SecretVersion,
  SecretWithValue,
  WhoAmI,
} from "./types.ts";
import {
  listEntry,
  patchBody,
  putBody,
  readInfo,
  readListed,
  readObject,
  readPutAnswer,
  readSecret,
  readVersions,
  readWhoAmI,
} from "./wire.ts";

/** Largest `data` that is sent, in bytes of JSON (API facts 5.3). */
export const MAX_DATA_BYTES = 1024 * 1024;

const listCall = { method: "GET", category: "list", scope: "secrets:list", safe: true } as const;
/** `secrets`, else `data`: the documentation has both. */
const listed = { keys: ["secrets", "data"], entry: listEntry, read: readListed };

/**
 * ScaiVault's HTTP API as far as the operator uses it. Values and foreign metadata stay source text. Every error is a
 * {@link SyncError}: `ScaiVaultUnavailable`, `ScaiVaultDenied` (with `right`), `RateLimited` (with `retryAfterMs`),
 * `InvalidPath`, `TargetSoftDeleted`, `TargetChanged`, `VersionNotFound`, `ValueTooLarge`, `NotRepresentable`,
 * `NoRoomForMark`, `InvalidSpec`. Nothing is retried here but a token that was refused and a read whose connection broke.
 */
export class ScaiVaultClient {
  readonly #caller: Caller;
  readonly #options: ScaiVaultOptions;
  readonly #batches: BatchReads;
  readonly audit: AuditAPI;
  readonly rotation: RotationAPI;
  readonly subscriptions: SubscriptionsAPI;

  constructor(options: ScaiVaultOptions) {
    this.#options = options;
    this.#caller = new Caller(options);
    this.#batches = new BatchReads(this.#caller, options.budget);
    this.audit = new AuditAPI(this.#caller);
    this.rotation = new RotationAPI(this.#caller);
    this.subscriptions = new SubscriptionsAPI(this.#caller);
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
      { ...listCall, path: `/v1/secrets/${path}/metadata`, action, expected: ["secret_not_found"] },
      context,
    );
    return answer.errorCode === undefined ? readInfo(path, readObject(answer.body, action), action) : undefined;
  }

  /** Values of many paths, in calls of 100. Costs one batch read and one read a path of the rate budget. */
  readBatch(
    paths: readonly string[],
    context: CallContext,
  ): Promise<ReadonlyMap<string, BatchOutcome<SecretWithValue>>> {
    return this.#batches.values(paths, context);
  }

  /** Metadata and versions of many paths, in calls of 100. */
  metadataBatch(
    paths: readonly string[],
    context: CallContext,
  ): Promise<ReadonlyMap<string, BatchOutcome<SecretInfo>>> {
    return this.#batches.metadata(paths, context);
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
    return this.#delete(path, "", `delete ${path}`, context);
  }

  /** Deletes all versions for good, also those of a soft-deleted secret. There is no way back. @returns false when it was gone already */
  async deletePermanently(path: string, context: CallContext): Promise<boolean> {
    return this.#delete(path, "?permanent=true", `delete ${path} for good`, context);
  }

  /** Versions that can still be read, newest first; undefined when the secret is absent or soft-deleted. */
  async versions(path: string, context: CallContext): Promise<readonly SecretVersion[] | undefined> {
    checkPath(path);
    const action = `list the versions of ${path}`;
    const call = { ...listCall, path: `/v1/secrets/${path}/versions`, action, expected: ["secret_not_found"] };
    const answer = await this.#caller.call(call, context);
    return answer.errorCode === undefined ? readVersions(answer.body, action) : undefined;
  }

  /** Has ScaiVault make a new value, by the rotation policy of the secret. Never repeated here. */
  async rotate(path: string, context: CallContext): Promise<void> {
    checkPath(path);
    const call: ScaiVaultCall = {
      method: "POST",
      path: `/v1/secrets/${path}/rotate`,
      category: "write",
      scope: "secrets:rotate",
      action: `rotate ${path}`,
      safe: false,
    };
    await this.#caller.call(call, context);
  }

  /** Paths that begin with `prefix` (a prefix of the text, so end it with `/`), page by page. */
  list(prefix: string, context: CallContext): AsyncGenerator<readonly ListedSecret[]> {
    const query = new URLSearchParams({ prefix, limit: "1000" });
    return allPages(
      this.#caller,
      { ...listed, call: { ...listCall, action: `list ${prefix}` }, path: "/v1/secrets", query },
      context,
    );
  }

  /** Secrets that expire within so many days (1 to 36,500), below a prefix of the text; page by page. */
  expiring(days: number, prefix: string, context: CallContext): AsyncGenerator<readonly ListedSecret[]> {
    const query = new URLSearchParams({ days: String(days), prefix, limit: "1000" });
    return allPages(
      this.#caller,
      { ...listed, call: { ...listCall, action: "list what expires" }, path: "/v1/secrets/expiring", query },
      context,
    );
  }

  async #delete(path: string, query: string, action: string, context: CallContext): Promise<boolean> {
    checkPath(path);
    const call: ScaiVaultCall = {
      method: "DELETE",
      path: `/v1/secrets/${path}${query}`,
      category: "delete",
      scope: "secrets:delete",
      action,
      safe: false,
      expected: ["secret_not_found"],
    };
    return (await this.#caller.call(call, context)).errorCode === undefined;
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
}
