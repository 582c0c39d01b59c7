import { setTimeout as realSleep } from "node:timers/promises";
import type { Clock } from "../../src/time/clock.ts";
import { DATA_MAX_BYTES, SYNC_IDENTITY } from "../assumptions.ts";
import { rawMembers } from "../json/raw-json.ts";
import type { RawObject } from "../json/raw-json.ts";
import type { Origin } from "../events/hub.ts";
import type { SecretService } from "../secrets/service.ts";
import type { Owner, SecretRecord, Store } from "../store/store.ts";
import { auditSync } from "./audit.ts";
import { sameContent } from "./content.ts";
import { decideFound, decideGone } from "./decide.ts";
import type { LocalSide } from "./decide.ts";
import { isAway, StoreFailure } from "./failure.ts";
import type { FailureCode } from "./failure.ts";
import type { LiveBackend } from "./live.ts";
import type { SyncedPath } from "./record.ts";
import { eachOf } from "./remote.ts";
import type { RemoteEntry, RemoteSecret } from "./remote.ts";
import { ownerOf } from "./service.ts";
import { tagsOf, withTags } from "./tags.ts";

/** What a sync came to. Counts of paths. */
export interface SyncReport {
  readonly created: number;
  readonly updated: number;
  readonly restored: number;
  readonly removed: number;
  readonly conflicts: number;
  readonly synced: number;
  readonly skipped: number;
  readonly failed: number;
  /** Code of the first failure. */
  readonly failure: FailureCode | null;
}

/** What a sync works with. */
export interface SyncRunParts {
  readonly store: Store;
  readonly secrets: SecretService;
  readonly clock: Clock;
}

/** Values read at a time. */
const width = 8;
/** Waits after a throttled call, in real ms. */
const throttleWaits = [200, 400, 800, 1_600, 3_200];

/** One sync of one backend. Writes go through the rules of secrets only. */
export class SyncRun {
  readonly #backend: LiveBackend;
  readonly #parts: SyncRunParts;
  readonly #syncId: string;
  readonly #signal: AbortSignal;
  readonly #owner: Owner;
  readonly #origin: Origin;
  readonly #counts = {
    created: 0,
    updated: 0,
    restored: 0,
    removed: 0,
    conflicts: 0,
    synced: 0,
    skipped: 0,
    failed: 0,
  };
  #failure: FailureCode | null = null;

  constructor(backend: LiveBackend, parts: SyncRunParts, syncId: string, signal: AbortSignal) {
    this.#backend = backend;
    this.#parts = parts;
    this.#syncId = syncId;
    this.#signal = signal;
    this.#owner = ownerOf(backend);
    this.#origin = { identityId: SYNC_IDENTITY, requestId: syncId };
  }

  /**
   * Lists everything, then reads what may have changed, then removes what is gone.
   * @throws StoreFailure when a listing was not whole or the store went away: nothing is removed then.
   */
  async run(): Promise<SyncReport> {
    const found = await this.#listing();
    const gone = new Set<string>();
    await eachOf([...found], width, async ([path, entry]) => {
      if (await this.#follow(path, entry)) return;
      gone.add(path);
    });
    for (const known of this.#parts.store.federation.listPaths(this.#backend.record.id))
      if (!found.has(known.path) || gone.has(known.path)) this.#remove(known);
    return { ...this.#counts, failure: this.#failure };
  }

  /** Local path to what the store has there. */
  async #listing(): Promise<Map<string, RemoteEntry>> {
    const { mapping } = this.#backend;
    const found = new Map<string, RemoteEntry>();
    for (const range of mapping.ranges()) {
      const entries = await this.#patiently(() => this.#backend.ask((remote) => remote.list(range, this.#signal)));
      this.#signal.throwIfAborted();
      for (const entry of entries) {
        const local = mapping.toLocal(range, entry.name);
        if (local === "invalid") this.#counts.skipped++;
        else if (local !== undefined) found.set(local.path, entry);
      }
    }
    return found;
  }

  /** @returns false when the store says that it has no such secret. */
  async #follow(path: string, entry: RemoteEntry): Promise<boolean> {
    const known = this.#parts.store.federation.getPath(this.#backend.record.id, path);
    if (this.#isUnchanged(path, entry, known)) {
      this.#counts.synced++;
      return true;
    }
    try {
      const secret = await this.#patiently(() =>
        this.#backend.ask((remote) => remote.read(entry.name, undefined, this.#signal)),
      );
      this.#signal.throwIfAborted();
      if (secret === undefined) return false;
      if (Buffer.byteLength(secret.data) > DATA_MAX_BYTES) throw new StoreFailure("value_too_large");
      this.#parts.store.atomically(() => this.#apply(path, entry, secret, known));
    } catch (error) {
      if (!(error instanceof StoreFailure) || isAway(error.code) || error.code.startsWith("credentials")) throw error;
      this.#counts.failed++;
      this.#failure ??= error.code;
    }
    return true;
  }

  /** Whether the listing shows that nothing has to be read. */
  #isUnchanged(path: string, entry: RemoteEntry, known: SyncedPath | undefined): boolean {
    if (known === undefined || known.removed || known.conflictSince !== null) return false;
    if (entry.mark === undefined || entry.mark !== known.mark || entry.name !== known.backendPath) return false;
    const local = this.#parts.store.getSecret(this.#owner, path);
    if (local === undefined || local.recoverableUntil !== null || !isKnown(local, known)) return false;
    if (this.#backend.record.conflictResolution === "local_wins") return true;
    return sameTags(tagsOf(local.metadata), entry.info?.tags ?? tagsOf(local.metadata));
  }

  #apply(path: string, entry: RemoteEntry, secret: RemoteSecret, known: SyncedPath | undefined): void {
    const { resolution, local, record } = this.#localSide(path, secret, known);
    const action = decideFound(resolution, local);
    let localVersion = known?.localVersion ?? 0;
    let localSince = known?.localSince ?? 0;
    switch (action) {
      case "restore":
        this.#parts.secrets.restore(this.#owner, path, this.#origin);
        if (!local.equal) this.#write(path, entry, secret, record);
        this.#counts.restored++;
        localVersion = this.#versionOf(path);
        this.#audit(path, "restore", localVersion);
        break;
      case "write":
        this.#write(path, entry, secret, record);
        localVersion = this.#versionOf(path);
        if (record === undefined) this.#counts.created++;
        else this.#counts.updated++;
        this.#audit(path, record === undefined ? "create" : "update", localVersion);
        break;
      case "settled":
        localVersion = this.#versionOf(path);
        if (resolution !== "local_wins") this.#retag(path, entry, record);
        break;
      case "conflict":
        this.#counts.conflicts++;
        break;
      case "keep":
        break;
    }
    if (action !== "conflict" && action !== "keep") {
      this.#counts.synced++;
      localSince = this.#parts.store.getSecret(this.#owner, path)?.createdAt ?? 0;
    }
    this.#parts.store.federation.savePath({
      backendId: this.#backend.record.id,
      path,
      backendPath: entry.name,
      localVersion,
      localSince,
      mark: action === "conflict" || action === "keep" ? "" : secret.mark,
      removed: false,
      conflictSince: action === "conflict" ? (known?.conflictSince ?? this.#parts.clock.now()) : null,
    });
  }

  #localSide(path: string, secret: RemoteSecret, known: SyncedPath | undefined) {
    const resolution = this.#backend.record.conflictResolution;
    const record = this.#record(path);
    const version = record && this.#parts.store.getVersion(this.#owner, path, record.version);
    const local: LocalSide = {
      state: record === undefined ? "none" : record.recoverableUntil === null ? "live" : "deleted",
      equal: version !== undefined && sameContent(version.data, secret.data),
      inStep: isInStep(record, version?.createdBy, known),
      removedBySync: known?.removed === true,
    };
    return { resolution, local, record };
  }

  /** The local secret, soft-deleted or not; what is past its retention is gone. */
  #record(path: string): SecretRecord | undefined {
    const record = this.#parts.store.getSecret(this.#owner, path);
    const until = record?.recoverableUntil ?? null;
    return until !== null && until <= this.#parts.clock.now() ? undefined : record;
  }

  #write(path: string, entry: RemoteEntry, secret: RemoteSecret, record: SecretRecord | undefined): void {
    const metadata = this.#metadata(entry, record);
    this.#parts.secrets.write(
      this.#owner,
      path,
      {
        data: secret.data,
        secretType: secret.secretType,
        metadata,
        maxVersions: undefined,
        expiresInMs: undefined,
        rotationPolicyId: undefined,
        cas: undefined,
      },
      this.#origin,
    );
  }

  /** Metadata with the store's tags; undefined when they are right as they are. */
  #metadata(entry: RemoteEntry, record: SecretRecord | undefined): RawObject | undefined {
    const stored = record?.metadata ?? "{}";
    const wanted = withTags(stored, entry.info?.tags);
    return wanted === undefined ? undefined : rawMembers(wanted);
  }

  /** Tags that changed alone make no version. */
  #retag(path: string, entry: RemoteEntry, record: SecretRecord | undefined): void {
    const tags = this.#metadata(entry, record)?.get("tags");
    if (tags !== undefined) this.#parts.secrets.patch(this.#owner, path, new Map([["tags", tags]]), this.#origin);
  }

  #remove(known: SyncedPath): void {
    if (known.removed) return;
    const { federation } = this.#parts.store;
    const record = this.#record(known.path);
    const version = record && this.#parts.store.getVersion(this.#owner, known.path, record.version);
    const state = record === undefined ? "none" : record.recoverableUntil === null ? "live" : "deleted";
    const inStep = isInStep(record, version?.createdBy, known);
    if (decideGone(this.#backend.record.conflictResolution, { state, inStep }) === "forget") {
      federation.removePath(known.backendId, known.path);
      return;
    }
    this.#parts.secrets.remove(this.#owner, known.path, false, this.#origin);
    federation.savePath({ ...known, localVersion: 0, localSince: 0, mark: "", removed: true, conflictSince: null });
    this.#counts.removed++;
    this.#audit(known.path, "remove", known.localVersion);
  }

  #versionOf(path: string): number {
    return this.#parts.store.getSecret(this.#owner, path)?.version ?? 0;
  }

  #audit(path: string, operation: string, version: number): void {
    auditSync(this.#parts.store, this.#parts.clock, {
      tenantId: this.#backend.record.tenantId,
      path,
      success: true,
      durationMs: 0,
      syncId: this.#syncId,
      extra: { operation, backend: this.#backend.record.id, version },
    });
  }

  /** Waits when the store asks too, a few times. */
  async #patiently<T>(call: () => Promise<T>): Promise<T> {
    for (const ms of throttleWaits) {
      try {
        return await call();
      } catch (error) {
        if (!(error instanceof StoreFailure) || error.code !== "throttled") throw error;
        await realSleep(ms, undefined, { signal: this.#signal });
      }
    }
    return call();
  }
}

function isInStep(
  record: SecretRecord | undefined,
  createdBy: string | undefined,
  known: SyncedPath | undefined,
): boolean {
  if (record === undefined) return false;
  return createdBy === SYNC_IDENTITY || (known !== undefined && isKnown(record, known));
}

/** Whether the local secret is as the last sync left it. */
function isKnown(record: SecretRecord, known: SyncedPath): boolean {
  return record.version === known.localVersion && record.createdAt === known.localSince;
}

const sameTags = (a: readonly string[], b: readonly string[]): boolean => joinTags(a) === joinTags(b);
const joinTags = (tags: readonly string[]): string => JSON.stringify([...tags].sort());
