import { randomBytes } from "node:crypto";
import type { Clock } from "../../src/time/clock.ts";
import { SYNC_ANSWER, SYNC_IDENTITY } from "../assumptions.ts";
import { ApiError } from "../errors.ts";
import { rawMembers } from "../json/raw-json.ts";
import { durationMs } from "../secrets/duration.ts";
import type { SecretService } from "../secrets/service.ts";
import type { Store } from "../store/store.ts";
import { auditSync } from "./audit.ts";
import { StoreFailure } from "./failure.ts";
import type { LiveBackend } from "./live.ts";
import type { BackendSpec, SyncedPath } from "./record.ts";
import { ownerOf } from "./service.ts";
import type { Federation } from "./service.ts";
import { statusOf } from "./status.ts";
import type { BackendStatus } from "./status.ts";
import { SyncRun } from "./sync-run.ts";
import type { SyncReport } from "./sync-run.ts";
import { asOrphan } from "./tags.ts";

/** What the scheduler is built from. */
export interface SyncParts {
  readonly store: Store;
  readonly secrets: SecretService;
  readonly clock: Clock;
  readonly federation: Federation;
}

/** A sync under way. */
export interface StartedSync {
  readonly syncId: string;
  /** ms since the epoch. */
  readonly startedAt: number;
  /** Undefined when the sync did not come to its end; never rejects. */
  readonly done: Promise<SyncReport | undefined>;
}

interface Running extends StartedSync {
  readonly stop: AbortController;
}

/** When backends in sync mode are synced: at their start, each interval, and when asked. One sync per backend at a time. */
export class Syncs {
  readonly #parts: SyncParts;
  readonly #running = new Map<string, Running>();
  readonly #timers = new Map<string, () => void>();
  #stopped = false;

  constructor(parts: SyncParts) {
    this.#parts = parts;
  }

  /** Begins with all backends that are stored. */
  begin(): void {
    for (const backend of this.#parts.federation.all()) this.schedule(backend);
  }

  status(backend: LiveBackend): BackendStatus {
    const { record, connection } = backend;
    return statusOf({
      mode: record.mode,
      syncing: this.#running.has(record.id),
      connection: connection.status,
      synced: record.outcome !== null,
      failed: record.outcome?.failed ?? 0,
      lastError: record.lastError,
    });
  }

  /** Plans the next sync; begins it when it is due. Nothing in proxy mode. */
  schedule(backend: LiveBackend, options: { readonly now?: boolean } = {}): void {
    const { record } = backend;
    this.#cancel(record.id);
    if (this.#stopped || record.mode !== "sync" || record.syncInterval === null) return;
    if (!this.#parts.federation.has(backend)) return;
    const { clock } = this.#parts;
    const due = record.outcome === null ? clock.now() : record.outcome.lastSync + durationMs(record.syncInterval);
    if (options.now === true || due <= clock.now()) {
      if (!this.#running.has(record.id)) this.#run(backend);
      return;
    }
    this.#plan(backend, due - clock.now());
  }

  /** Begins a sync for a caller. @throws ApiError `invalid_request`, `sync_in_progress` */
  start(backend: LiveBackend): StartedSync {
    if (backend.record.mode !== "sync") throw new ApiError("invalid_request", "a proxied backend is not synced");
    if (this.#running.has(backend.record.id))
      throw new ApiError("sync_in_progress", "a sync of this backend is under way");
    this.#cancel(backend.record.id);
    return this.#run(backend);
  }

  /** The sync under way. */
  running(backend: LiveBackend): StartedSync | undefined {
    return this.#running.get(backend.record.id);
  }

  /** Resolves when no sync is under way. */
  async idle(): Promise<void> {
    while (this.#running.size > 0) await Promise.all([...this.#running.values()].map(({ done }) => done));
  }

  /** Changes a backend: a sync under way ends first; paths that are no longer mapped become orphans. @throws ApiError */
  async change(backend: LiveBackend, spec: BackendSpec): Promise<void> {
    await this.#halt(backend.record.id);
    try {
      await this.#parts.federation.change(backend, spec);
      if (this.#parts.federation.has(backend) && backend.record.mode === "sync")
        this.#orphan(
          this.#paths(backend).filter(({ path }) => !backend.mapping.covers(path)),
          backend,
        );
    } finally {
      this.schedule(backend, { now: true });
    }
  }

  /** Removes a backend; its copies stay as orphans. */
  async remove(backend: LiveBackend): Promise<void> {
    await this.#halt(backend.record.id);
    this.#orphan(this.#paths(backend), backend);
    await this.#parts.federation.remove(backend);
  }

  /** Ends all syncs, lets `work` replace what the store has, and begins anew with the backends it has then. */
  async around(work: () => void): Promise<void> {
    try {
      while (this.#running.size + this.#timers.size > 0)
        await Promise.all([...this.#running.keys(), ...this.#timers.keys()].map((id) => this.#halt(id)));
      work();
      await this.#parts.federation.reload();
    } finally {
      this.begin();
    }
  }

  /** Ends everything. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#parts.federation.all().map(({ record }) => this.#halt(record.id)));
  }

  #run(backend: LiveBackend): Running {
    const stop = new AbortController();
    const syncId = SYNC_ANSWER.idPrefix + randomBytes(9).toString("hex");
    const { id } = backend.record;
    const work = this.#sync(backend, syncId, stop.signal).finally(() => {
      this.#running.delete(id);
      if (!stop.signal.aborted) this.#again(backend);
    });
    const running: Running = { syncId, startedAt: this.#parts.clock.now(), done: work, stop };
    this.#running.set(id, running);
    return running;
  }

  async #sync(backend: LiveBackend, syncId: string, signal: AbortSignal): Promise<SyncReport | undefined> {
    const { federation, clock } = this.#parts;
    const startedAt = performance.now();
    let report: SyncReport | undefined;
    let code = "internal_error";
    try {
      // A turn of its own, so that whoever starts a sync sees it running.
      await Promise.resolve();
      report = await new SyncRun(backend, this.#parts, syncId, signal).run();
    } catch (error) {
      if (signal.aborted) return undefined;
      if (error instanceof StoreFailure) ({ code } = error);
    }
    const durationMs = Math.round(performance.now() - startedAt);
    if (report === undefined) federation.note(backend, { lastError: code });
    else {
      const { synced, skipped, failed, failure } = report;
      const outcome = { lastSync: clock.now(), durationMs, synced, skipped, failed, failure };
      federation.note(backend, { lastError: null, outcome });
    }
    this.#audit(backend, syncId, durationMs, report, code);
    return report;
  }

  #audit(backend: LiveBackend, syncId: string, ms: number, report: SyncReport | undefined, code: string): void {
    const { failure: _failure, ...counts } = report ?? { failure: null };
    auditSync(this.#parts.store, this.#parts.clock, {
      tenantId: backend.record.tenantId,
      path: null,
      success: report !== undefined,
      durationMs: ms,
      syncId,
      extra: {
        operation: "sync",
        backend: backend.record.id,
        ...(report === undefined ? { code } : counts),
      },
    });
  }

  /** One interval after the end of a sync, whether it went well or not. */
  #again(backend: LiveBackend): void {
    const { mode, syncInterval } = backend.record;
    const goesOn = !this.#stopped && this.#parts.federation.has(backend);
    if (goesOn && mode === "sync" && syncInterval !== null) this.#plan(backend, durationMs(syncInterval));
  }

  #plan(backend: LiveBackend, ms: number): void {
    const { id } = backend.record;
    this.#cancel(id);
    const cancel = this.#parts.clock.setTimeout(
      () => {
        this.#timers.delete(id);
        if (!this.#stopped && this.#parts.federation.has(backend) && !this.#running.has(id)) this.#run(backend);
      },
      ms,
      { unref: true },
    );
    this.#timers.set(id, cancel);
  }

  #cancel(id: string): void {
    this.#timers.get(id)?.();
    this.#timers.delete(id);
  }

  /** Ends the plan and the sync under way. */
  async #halt(id: string): Promise<void> {
    this.#cancel(id);
    const running = this.#running.get(id);
    running?.stop.abort();
    await running?.done;
  }

  #paths(backend: LiveBackend): SyncedPath[] {
    return this.#parts.store.federation.listPaths(backend.record.id);
  }

  /** Marks copies that nobody syncs any more, and forgets them. Secrets that were never in step are somebody else's. */
  #orphan(paths: readonly SyncedPath[], backend: LiveBackend): void {
    const { store, secrets } = this.#parts;
    const owner = ownerOf(backend);
    for (const { path, localVersion, removed } of paths) {
      const record = store.getSecret(owner, path);
      const tags = record && rawMembers(asOrphan(record.metadata) ?? "{}").get("tags");
      if (record?.recoverableUntil === null && !removed && localVersion > 0 && tags !== undefined)
        secrets.patch(owner, path, new Map([["tags", tags]]), { identityId: SYNC_IDENTITY });
      store.federation.removePath(backend.record.id, path);
    }
  }
}
