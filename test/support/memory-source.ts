import { SyncError } from "../../src/errors/index.ts";
import { payloadFromBinary, payloadFromText } from "../../src/model/index.ts";
import type { PollDemand, PollResult, SecretSource, SourceFact, SourceRead, SourceRef } from "../../src/ports/index.ts";

interface Version {
  readonly id: string;
  /** ISO 8601; where the store has a clock. */
  readonly at?: string;
  readonly value: string | Uint8Array | undefined;
}

interface Entry {
  readonly versions: Version[];
  readonly stages: Map<string, string>;
  state: "Present" | "PendingDeletion" | "Deleted";
  tags: readonly string[];
}

/** What was asked of a {@link MemorySource}. */
export interface MemoryCalls {
  probes: number;
  polls: PollDemand[];
  reads: SourceRef[];
}

/**
 * A source in memory for tests of what uses sources. It behaves like the real ones (their contract is in
 * test/contract/sources), but takes any path, joins no reads and keeps no pauses; faults are set by hand.
 */
export class MemorySource implements SecretSource {
  readonly identity: string;
  readonly versionKind: "Id" | "Number" | "Content";
  readonly calls: MemoryCalls = { probes: 0, polls: [], reads: [] };
  readonly #entries = new Map<string, Entry>();
  readonly #failures = new Map<string, SyncError>();
  #storeFailure: SyncError | undefined;
  #hung = false;
  #sequence = 0;
  /** Awaited by each read before it answers. */
  beforeRead: (() => Promise<void>) | undefined;
  closed = false;
  readonly #now: (() => number) | undefined;

  /** @param options.now the store's clock: versions then tell when they were written, as KV v2 does */
  constructor(options: { identity?: string; versionKind?: "Id" | "Number" | "Content"; now?: () => number } = {}) {
    this.#now = options.now;
    this.identity = options.identity ?? "memory";
    this.versionKind = options.versionKind ?? "Id";
  }

  get #defaultStage(): string {
    return this.versionKind === "Id" ? "AWSCURRENT" : "latest";
  }

  /** Writes a new version and makes it the current one. @returns its version */
  put(path: string, value: string | Uint8Array, options: { tags?: readonly string[]; stage?: string } = {}): string {
    const entry = this.#entries.get(path) ?? {
      versions: [],
      stages: new Map<string, string>(),
      state: "Present",
      tags: [],
    };
    const id =
      this.versionKind === "Number"
        ? String(entry.versions.length + 1)
        : `version-${String(++this.#sequence).padStart(28, "0")}`;
    entry.versions.push({ id, value, ...(this.#now === undefined ? {} : { at: new Date(this.#now()).toISOString() }) });
    entry.state = "Present";
    if (options.tags !== undefined) entry.tags = options.tags;
    entry.stages.set(options.stage ?? this.#defaultStage, id);
    this.#entries.set(path, entry);
    return id;
  }

  /** A secret without any value. */
  putEmpty(path: string): void {
    this.#entries.set(path, { versions: [], stages: new Map(), state: "Present", tags: [] });
  }

  /** Moves the current stage to a version that exists, such as an older one. */
  moveTo(path: string, version: string): void {
    this.#entries.get(path)?.stages.set(this.#defaultStage, version);
  }

  /** The current value, where there is one. */
  peek(path: string): string | undefined {
    const entry = this.#entries.get(path);
    if (entry?.state !== "Present") return undefined;
    const value = entry.versions.find(({ id }) => id === entry.stages.get(this.#defaultStage))?.value;
    return value === undefined ? undefined : Buffer.from(value).toString("utf8");
  }

  /** Version ids, oldest first. */
  versions(path: string): readonly string[] {
    return (this.#entries.get(path)?.versions ?? []).map(({ id }) => id);
  }

  remove(path: string): void {
    this.#entries.delete(path);
  }

  setState(path: string, state: Entry["state"]): void {
    const entry = this.#entries.get(path);
    if (entry !== undefined) entry.state = state;
  }

  /** Every call fails with this; undefined mends it. */
  failAll(error: SyncError | undefined): void {
    this.#storeFailure = error;
  }

  /** One path (or subtree) fails with this; undefined mends it. */
  fail(path: string, error: SyncError | undefined): void {
    if (error === undefined) this.#failures.delete(path);
    else this.#failures.set(path, error);
  }

  /** Calls do not end until they are aborted. */
  hang(hung: boolean): void {
    this.#hung = hung;
  }

  async probe(signal: AbortSignal): Promise<void> {
    this.calls.probes++;
    await this.#gate(signal);
  }

  async poll(demand: PollDemand, signal: AbortSignal): Promise<PollResult> {
    this.calls.polls.push(demand);
    await this.#gate(signal);
    const facts = new Map<string, SourceFact>();
    const failures = new Map<string, SyncError>();
    const subtrees = new Map<string, readonly string[] | SyncError>();
    const ask = new Set(demand.paths);
    for (const subtree of demand.subtrees) {
      const members = [...this.#entries]
        .filter(([path, entry]) => entry.state === "Present" && path.startsWith(`${subtree}/`))
        .map(([path]) => path);
      const failure = this.#failures.get(subtree);
      subtrees.set(subtree, failure ?? members.sort());
      if (failure === undefined) for (const path of members) ask.add(path);
    }
    for (const path of ask) {
      const failure = this.#failures.get(path);
      if (failure === undefined) facts.set(path, this.#fact(path, demand.known?.get(path)));
      else failures.set(path, failure);
    }
    return { method: this.versionKind === "Id" ? "List" : "Metadata", facts, failures, subtrees, notes: [] };
  }

  async read(ref: SourceRef, signal: AbortSignal): Promise<SourceRead> {
    this.calls.reads.push(ref);
    await this.#gate(signal);
    await this.beforeRead?.();
    const action = `read ${ref.path}`;
    const failure = this.#failures.get(ref.path);
    if (failure !== undefined) throw failure;
    const entry = this.#entries.get(ref.path);
    if (entry === undefined || entry.state === "Deleted")
      throw new SyncError("SourceNotFound", "there is no such secret", { action });
    if (entry.state === "PendingDeletion")
      throw new SyncError("SourcePendingDeletion", "the secret is scheduled for deletion", { action });
    if (entry.versions.length === 0) throw new SyncError("SourceEmpty", "the secret has no value", { action });
    const id = ref.version ?? entry.stages.get(ref.stage ?? this.#defaultStage);
    const version = entry.versions.find((candidate) => candidate.id === id);
    if (version?.value === undefined)
      throw new SyncError("VersionNotFound", "the secret has no such stage or version", { action });
    const { value } = version;
    const payload = typeof value === "string" ? payloadFromText(value) : payloadFromBinary(Buffer.from(value));
    const dated = version.at === undefined ? {} : { writtenAt: version.at };
    return { path: ref.path, version: version.id, payload, ...dated };
  }

  close(): Promise<void> {
    this.closed = true;
    return Promise.resolve();
  }

  async #gate(signal: AbortSignal): Promise<void> {
    // As far away as a real store.
    await new Promise<void>((resolve) => setImmediate(resolve));
    if (this.#hung && !signal.aborted)
      await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
    if (signal.aborted)
      throw new SyncError("SourceUnavailable", "the store cannot be reached", { detail: "Aborted ABORTED" });
    if (this.#storeFailure !== undefined) throw this.#storeFailure;
  }

  #fact(path: string, known: ReadonlySet<string> | undefined): SourceFact {
    const entry = this.#entries.get(path);
    if (entry === undefined) return { state: "Gone", path, how: "NotFound" };
    if (entry.state !== "Present") return { state: "Gone", path, how: entry.state };
    const ids = entry.versions.map((version) => version.id);
    const current = ids.indexOf(entry.stages.get(this.#defaultStage) ?? "");
    const moved = [...(known ?? [])].some((id) => id !== ids[current]);
    return {
      state: "Present",
      path,
      stages: new Map(entry.stages),
      versions: this.versionKind === "Id" ? undefined : new Set(ids),
      versionKind: this.versionKind,
      tags: entry.tags,
      ...(this.#now === undefined ? {} : { writtenAt: new Map(entry.versions.map(({ id, at = "" }) => [id, at])) }),
      ...(this.versionKind === "Id" && moved && current >= 0
        ? { olderThanCurrent: new Set(ids.slice(0, current)) }
        : {}),
    };
  }
}
