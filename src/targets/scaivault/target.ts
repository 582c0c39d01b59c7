import { cleanText, SyncError, toSyncError } from "../../errors/index.ts";
import { canonicalData, fromScaiVaultData, type SecretValue, toScaiVaultData } from "../../model/index.ts";
import type {
  RenderedContent,
  Reservation,
  SecretTarget,
  TargetObservation,
  WriteLane,
  WriteRequest,
  WriteResult,
} from "../../ports/target.ts";
import type {
  BatchOutcome,
  CallContext,
  ScaiVaultClient,
  SecretInfo,
  SecretMetadata,
  SecretWithValue,
} from "../../scaivault/index.ts";
import type { Clock } from "../../time/clock.ts";
import { FENCE } from "../fence.ts";
import type { MarkSeal } from "../marks.ts";
import { allowedHosts, sameHosts, withAllowedHosts } from "./allowed-hosts.ts";
import { markKeys, storedMark, withMark, withoutMark } from "./mark-place.ts";
import { MarkRoom, notKept } from "./mark-room.ts";
import { MetadataCache } from "./metadata-cache.ts";
import type { ScaiVaultRef } from "./types.ts";

export interface ScaiVaultTargetOptions {
  readonly client: ScaiVaultClient;
  readonly seal: MarkSeal;
  readonly clock: Clock;
  /**
   * How long {@link SecretTarget.observe} may answer from what was learned before, in milliseconds. Writes always look
   * afresh. Default 10,000.
   */
  readonly freshForMs?: number;
}

/** For how long a path counts as soft-deleted after ScaiVault said so; a reader cannot tell it from an absent one. */
const SOFT_DELETED_MS = 10 * 60_000;

/**
 * ScaiVault paths as targets. There is no check-and-set: each write looks at the metadata right before, refuses when
 * they moved since the plan, says in the mark which version it will be, and checks that the answer says so.
 */
export function createScaiVaultTarget(options: ScaiVaultTargetOptions): SecretTarget<ScaiVaultRef> {
  return new ScaiVaultTarget(options);
}

class ScaiVaultTarget implements SecretTarget<ScaiVaultRef> {
  readonly #options: ScaiVaultTargetOptions;
  readonly #cache: MetadataCache;
  readonly #softDeleted = new Map<string, number>();
  readonly #room: MarkRoom;

  constructor(options: ScaiVaultTargetOptions) {
    this.#options = options;
    this.#room = new MarkRoom(options.clock);
    this.#cache = new MetadataCache(options.client, options.clock, options.freshForMs ?? 10_000);
  }

  key(ref: ScaiVaultRef): string {
    return ref.path;
  }

  async observe(refs: readonly ScaiVaultRef[], signal: AbortSignal): Promise<ReadonlyMap<string, TargetObservation>> {
    const observations = await Promise.all(
      refs.map(async (ref): Promise<[string, TargetObservation]> => {
        const lane = ref.lane ?? "new";
        const outcome =
          lane === "user" || ref.fresh === true
            ? await this.#cache.now(ref.path, lane, signal)
            : await this.#cache.recent(ref.path, lane, signal);
        return [ref.path, this.#observation(ref, outcome)];
      }),
    );
    return new Map(observations);
  }

  async read(ref: ScaiVaultRef, signal: AbortSignal): Promise<RenderedContent | undefined> {
    const found = await this.#options.client.get(ref.path, this.#context(ref, signal));
    return found === undefined ? undefined : contentOf(found);
  }

  reserve(ref: ScaiVaultRef, lane: WriteLane): Reservation {
    return this.#options.client.reserveWrite(ref.path, lane);
  }

  async write(ref: ScaiVaultRef, request: WriteRequest, signal: AbortSignal): Promise<WriteResult> {
    const action = `write ${ref.path}`;
    const { observed } = request;
    if (observed.presence === "Unknown") throw observed.failure ?? moved(ref, action);
    if (observed.presence === "SoftDeleted") throw softDeleted(ref, action);
    if (observed.presence === "Present" && observed.mark.state !== "Valid") {
      throw new SyncError("NotOwned", `${ref.path} exists in ScaiVault and is not ours`, { action });
    }
    return this.#writeOver(ref, request, action, signal);
  }

  /** A new version over whatever was observed, with the mark; older versions stay as ScaiVault keeps them. */
  async #writeOver(
    ref: ScaiVaultRef,
    request: WriteRequest,
    action: string,
    signal: AbortSignal,
  ): Promise<WriteResult> {
    const { observed, content } = request;
    this.#room.check(action);
    const current = await this.#current(ref, observed, action, signal);
    const version = (current?.version ?? 0) + 1;
    const metadata = this.#declared(ref, current?.metadata, { ...request.mark, targetVersion: String(version) });
    this.#cache.forget(ref.path);
    const answer = await this.#put(ref, { content, metadata, permit: request.permit }, signal);
    this.#room.checkKept(ref.path, answer, version, action);
    const written = answer.version ?? (await this.#current(ref, undefined, action, signal))?.version;
    if (written !== version) {
      const what = `version ${written ?? "none"} was made where ${version} was expected`;
      throw new SyncError("TargetChanged", `another writer was at work on ${ref.path}: ${what}`, {
        action,
        code: FENCE,
      });
    }
    this.#softDeleted.delete(ref.path);
    this.#learn(ref.path, version, content.type, metadata);
    return { version: String(version), fence: String(version) };
  }

  async mark(ref: ScaiVaultRef, request: Omit<WriteRequest, "content">, signal: AbortSignal): Promise<WriteResult> {
    const action = `mark ${ref.path}`;
    if (request.observed.mark.state !== "Valid") {
      throw new SyncError("NotOwned", `${ref.path} exists in ScaiVault and is not ours`, { action });
    }
    const current = await this.#present(ref, request.observed, action, signal);
    return this.#setMark(ref, current, request, signal);
  }

  async adopt(
    ref: ScaiVaultRef,
    request: WriteRequest & { readonly differs?: boolean | undefined },
    signal: AbortSignal,
  ): Promise<WriteResult> {
    const action = `adopt ${ref.path}`;
    if (request.differs === true) {
      const { presence, mark } = request.observed;
      if (presence !== "Present" || mark.state !== "None") throw moved(ref, action);
      return this.#writeOver(ref, request, action, signal);
    }
    const current = await this.#present(ref, request.observed, action, signal);
    const found = await this.#options.client.get(ref.path, this.#context(ref, signal));
    if (found?.version !== current.version) throw moved(ref, action);
    const wanted = canonicalOf(request.content);
    if (!canonicalData(found.data).equals(wanted)) {
      throw new SyncError("AdoptDiffers", `the content of ${ref.path} in ScaiVault differs from the source`, {
        action,
      });
    }
    return this.#setMark(ref, current, request, signal);
  }

  async release(ref: ScaiVaultRef, observed: TargetObservation, signal: AbortSignal): Promise<void> {
    if (observed.presence !== "Present") return;
    const action = `release ${ref.path}`;
    const current = await this.#present(ref, observed, action, signal);
    const removed = markKeys(current.metadata);
    if (removed.length === 0) return;
    const metadata = withoutMark(current.metadata);
    this.#cache.forget(ref.path);
    await this.#options.client.patchMetadata(ref.path, { metadata, removed }, this.#context(ref, signal));
    this.#learn(ref.path, current.version, current.secretType, metadata);
  }

  async remove(ref: ScaiVaultRef, observed: TargetObservation, signal: AbortSignal): Promise<void> {
    if (observed.presence !== "Present") return;
    const action = `delete ${ref.path}`;
    if (observed.mark.state !== "Valid" || observed.mark.mark.targetVersion !== observed.version) {
      throw new SyncError("NotOwned", `${ref.path} in ScaiVault is not as our mark says`, { action });
    }
    await this.#present(ref, observed, action, signal);
    this.#cache.forget(ref.path);
    await this.#options.client.delete(ref.path, this.#context(ref, signal));
    this.#softDeleted.set(ref.path, this.#options.clock.monotonic());
    this.#cache.learn(ref.path, { state: "Absent" });
  }

  #observation(ref: ScaiVaultRef, outcome: BatchOutcome<SecretInfo>): TargetObservation {
    const none = {
      version: "",
      mark: { state: "None" },
      content: "Unknown",
      metadataAsDeclared: false,
      fence: "",
    } as const;
    if (outcome.state === "Failed") {
      return { presence: "Unknown", ...none, failure: toSyncError(outcome.error, `look at ${ref.path}`) };
    }
    if (outcome.state === "Absent") {
      const since = this.#softDeleted.get(ref.path);
      const soft = since !== undefined && this.#options.clock.monotonic() - since < SOFT_DELETED_MS;
      if (!soft) this.#softDeleted.delete(ref.path);
      return { presence: soft ? "SoftDeleted" : "Absent", ...none };
    }
    const { secret } = outcome;
    this.#softDeleted.delete(ref.path);
    const version = String(secret.version);
    const mark = this.#options.seal.read(targetID(ref), storedMark(secret.metadata));
    const asMarked = mark.state === "Valid" && mark.mark.targetVersion === version;
    return {
      presence: "Present",
      version,
      mark,
      content: mark.state === "Valid" ? (asMarked ? "AsMarked" : "Changed") : "Unknown",
      metadataAsDeclared: asDeclared(ref, secret.metadata),
      fence: version,
      ...(mark.state === "None" && this.#room.dropped(ref.path, secret.version) ? { failure: notKept(ref.path) } : {}),
    };
  }

  /** Metadata as they are now. With `observed`: refuses when they are not as they were then. */
  async #current(
    ref: ScaiVaultRef,
    observed: TargetObservation | undefined,
    action: string,
    signal: AbortSignal,
  ): Promise<SecretInfo | undefined> {
    // A write that has its turn does not wait for bulk looks.
    const lane = ref.lane === "user" ? "user" : "rotated";
    const outcome = await this.#cache.now(ref.path, lane, signal);
    if (outcome.state === "Failed") throw outcome.error;
    const now = this.#observation(ref, outcome);
    const same =
      observed === undefined ||
      (observed.fence === now.fence && JSON.stringify(observed.mark) === JSON.stringify(now.mark));
    if (!same) throw moved(ref, action);
    return outcome.state === "Found" ? outcome.secret : undefined;
  }

  async #present(
    ref: ScaiVaultRef,
    observed: TargetObservation,
    action: string,
    signal: AbortSignal,
  ): Promise<SecretInfo> {
    const current = await this.#current(ref, observed, action, signal);
    if (current === undefined) throw moved(ref, action);
    return current;
  }

  async #put(
    ref: ScaiVaultRef,
    what: Pick<WriteRequest, "content" | "permit"> & { readonly metadata: SecretMetadata },
    signal: AbortSignal,
  ): ReturnType<ScaiVaultClient["put"]> {
    const { content, metadata, permit } = what;
    try {
      return await this.#options.client.put(
        ref.path,
        {
          data: toScaiVaultData(content.payload).data,
          secretType: content.type,
          metadata,
          ...(ref.maxVersions === undefined ? {} : { maxVersions: ref.maxVersions }),
        },
        { ...this.#context(ref, signal), permit },
      );
    } catch (error) {
      if (error instanceof SyncError && error.reason === "TargetSoftDeleted") {
        this.#softDeleted.set(ref.path, this.#options.clock.monotonic());
        throw softDeleted(ref, `write ${ref.path}`);
      }
      throw error;
    }
  }

  async #setMark(
    ref: ScaiVaultRef,
    current: SecretInfo,
    { mark, permit }: Pick<WriteRequest, "mark" | "permit">,
    signal: AbortSignal,
  ): Promise<WriteResult> {
    const version = String(current.version);
    const metadata = this.#declared(ref, current.metadata, { ...mark, targetVersion: version });
    const removed = markKeys(current.metadata);
    this.#cache.forget(ref.path);
    const context = { ...this.#context(ref, signal), permit };
    const there = await this.#options.client.patchMetadata(ref.path, { metadata, removed }, context);
    if (!there) throw moved(ref, `mark ${ref.path}`);
    this.#learn(ref.path, current.version, current.secretType, metadata);
    return { version, fence: version };
  }

  /** Metadata as they shall stand: what is declared, our mark, and everything else as it was. */
  #declared(ref: ScaiVaultRef, current: SecretMetadata | undefined, mark: WriteRequest["mark"]): SecretMetadata {
    const base: SecretMetadata = current ?? { description: undefined, owner: undefined, tags: [], custom: new Map() };
    return withMark(
      {
        description: ref.description ?? base.description,
        owner: ref.owner ?? base.owner,
        tags: ref.tags ?? base.tags,
        custom: ref.allowedHosts === undefined ? base.custom : withAllowedHosts(base.custom, ref.allowedHosts),
      },
      this.#options.seal.seal(targetID(ref), mark),
    );
  }

  #learn(path: string, version: number, secretType: string, metadata: SecretMetadata): void {
    this.#cache.learn(path, { state: "Found", secret: { path, version, secretType, metadata } });
  }

  #context(ref: ScaiVaultRef, signal: AbortSignal): CallContext {
    return { signal, lane: ref.lane ?? "new", ...(ref.object === undefined ? {} : { object: ref.object }) };
  }
}

/** What the proof of a mark in ScaiVault is bound to. */
function targetID(ref: ScaiVaultRef): string {
  return `scaivault/${ref.path}`;
}

function moved(ref: ScaiVaultRef, action: string): SyncError {
  return new SyncError("TargetChanged", `${cleanText(ref.path)} changed in ScaiVault since it was looked at`, {
    action,
    code: FENCE,
  });
}

function softDeleted(ref: ScaiVaultRef, action: string): SyncError {
  return new SyncError("TargetSoftDeleted", `${ref.path} is soft-deleted in ScaiVault and still retained`, { action });
}

function asDeclared(ref: ScaiVaultRef, metadata: SecretMetadata): boolean {
  const sameTags =
    ref.tags === undefined ||
    JSON.stringify([...new Set(ref.tags)].sort()) === JSON.stringify([...new Set(metadata.tags)].sort());
  return (
    sameTags &&
    (ref.allowedHosts === undefined || sameHosts(ref.allowedHosts, allowedHosts(metadata.custom))) &&
    (ref.owner === undefined || ref.owner === metadata.owner) &&
    (ref.description === undefined || ref.description === metadata.description)
  );
}

function contentOf(secret: SecretWithValue): RenderedContent {
  return {
    keys: new Map([["data", canonicalData(secret.data)]]),
    payload: fromScaiVaultData(secret.data, secret.secretType),
    type: secret.secretType,
  };
}

function canonicalOf(content: RenderedContent): SecretValue {
  return content.keys.get("data") ?? canonicalData(toScaiVaultData(content.payload).data);
}
