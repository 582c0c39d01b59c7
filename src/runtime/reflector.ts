import type { Clock } from "../time/clock.ts";
import type { KubeClient } from "./client.ts";
import { ApiConnectionError, ApiStatusError, isGone, retryAfterOf, statusError } from "./errors.ts";
import { lines } from "./lines.ts";
import type { Store } from "./store.ts";
import { keyOf, type KubeObject, type Resource } from "./types.ts";

/** Something went wrong and is being retried. */
export interface ReflectorProblem {
  readonly name: string;
  readonly phase: "list" | "watch";
  /** HTTP code or kind of failure (`silent`, `garbage`, `reset`). */
  readonly code: string;
  readonly retryInMs: number;
}

export interface ReflectorOptions<T extends KubeObject> {
  readonly client: KubeClient;
  /** Guards real sockets: the system clock, also where the rest runs on a virtual one. */
  readonly clock: Clock;
  readonly resource: Resource;
  /** Filled by this reflector, or by several with a namespace each. Two with different selectors need two stores. */
  readonly store: Store<T>;
  /** For problems and metrics. Default: the plural. */
  readonly name?: string;
  /** Default: all namespaces. */
  readonly namespace?: string | undefined;
  readonly labelSelector?: string | undefined;
  readonly fieldSelector?: string | undefined;
  /** List and watch as PartialObjectMetadata: no data of a Secret reaches the process. */
  readonly metadataOnly?: boolean;
  /** Makes the object smaller before it is stored. */
  readonly strip?: (object: T) => T;
  /** Objects a page. Default 500. */
  readonly pageSize?: number;
  /** Without a byte for this long the watch is opened anew (bookmarks come about once a minute). Default 2 min. */
  readonly silenceMs?: number;
  /** A list at least this often, as a safety net for a server whose watch tells nothing. Default 1 h. */
  readonly relistMs?: number;
  readonly userAgent?: string;
  readonly random?: () => number;
  readonly onProblem?: (problem: ReflectorProblem) => void;
}

const firstBackoffMs = 500;
const lastBackoffMs = 10_000;
/** A watch that lived this long counts as healthy, even when it brought nothing. */
const healthyMs = 5000;

interface WatchEvent {
  readonly type?: unknown;
  readonly object?: unknown;
}

/** Why a watch ended: go on from where it was, or list first. */
type WatchEnd = "resume" | "relist";

/**
 * Keeps a store equal to what the API server has, for ever: lists in pages, watches, and tries again after whatever went wrong.
 * The last known state stays in the store meanwhile.
 */
export class Reflector<T extends KubeObject> {
  readonly #options: ReflectorOptions<T>;
  readonly #clock: Clock;
  readonly #random: () => number;
  #run: { readonly abort: AbortController; readonly ended: Promise<void> } | undefined;
  #version = "";
  #failures = 0;
  #listedAt = 0;
  /** The next list goes without paging: the last one's pages expired before it was through. */
  #unpaged = false;
  #synced = false;
  readonly #syncWaiters = new Set<() => void>();
  /** Wall clock of the last good byte; 0 before the first. */
  lastContactMs = 0;
  /** Wall clock of the last try or good byte. */
  lastAttemptMs = 0;
  /** Lists begun and watches opened, for metrics and tests. */
  lists = 0;
  watches = 0;

  constructor(options: ReflectorOptions<T>) {
    this.#options = options;
    this.#clock = options.clock;
    this.#random = options.random ?? Math.random;
  }

  /** Name in problems and metrics. */
  get name(): string {
    return this.#options.name ?? this.#options.resource.plural;
  }

  /** True once the first list is in the store. Stays true. */
  get hasSynced(): boolean {
    return this.#synced;
  }

  /** Resolves when `hasSynced`; rejects when `signal` aborts first. */
  synced(signal?: AbortSignal): Promise<void> {
    if (this.#synced) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const finish = (): void => {
        this.#syncWaiters.delete(finish);
        signal?.removeEventListener("abort", onAbort);
        resolve();
      };
      const onAbort = (): void => {
        this.#syncWaiters.delete(finish);
        reject(new ApiConnectionError("aborted", false));
      };
      if (signal?.aborted === true) {
        onAbort();
        return;
      }
      this.#syncWaiters.add(finish);
      signal?.addEventListener("abort", onAbort, { once: true });
    });
  }

  /** Begins; does nothing when it runs already. After `stop` it lists anew. */
  start(): void {
    if (this.#run !== undefined) return;
    const abort = new AbortController();
    this.lastAttemptMs = this.#clock.monotonic();
    this.#version = "";
    this.#run = { abort, ended: this.#forever(abort.signal) };
  }

  /** Ends list, watch or wait; after it resolves nothing changes the store any more. */
  async stop(): Promise<void> {
    const run = this.#run;
    if (run === undefined) return;
    run.abort.abort();
    await run.ended;
    if (this.#run === run) this.#run = undefined;
  }

  async #forever(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const phase = this.#version === "" ? "list" : "watch";
      try {
        this.lastAttemptMs = this.#clock.monotonic();
        if (phase === "list") await this.#list(signal);
        else await this.#watch(signal);
      } catch (error) {
        if (signal.aborted) return;
        await this.#pause(phase, error, signal);
      }
    }
  }

  async #pause(phase: "list" | "watch", error: unknown, signal: AbortSignal): Promise<void> {
    if (isGone(error) || isTooLarge(error)) this.#version = "";
    if (phase === "list") this.#unpaged = isGone(error);
    const full = Math.min(lastBackoffMs, firstBackoffMs * 2 ** Math.min(this.#failures, 16));
    this.#failures += 1;
    // Full minus up to half: replicas that failed together come back apart. Capped by the liveness limit, not by the server.
    const wait = Math.min(Math.max(full * (1 - 0.5 * this.#random()), retryAfterOf(error)), 60_000);
    const retryInMs = Math.round(wait);
    this.#report({ name: this.name, phase, code: codeOf(error), retryInMs });
    await this.#clock.sleep(retryInMs, signal).catch(() => undefined);
  }

  /**
   * Lists the newest state in pages. `resourceVersion=0` would spare the server one look at etcd, but then it ignores the page
   * size (measured on 1.35: 3,000 objects in one answer), and an old cache could take us back behind what we acted on. A list
   * happens at the start, after 410 and once an hour, never per object.
   */
  async #list(signal: AbortSignal): Promise<void> {
    const { client, resource, store } = this.#options;
    this.lists += 1;
    const objects: T[] = [];
    let version = "";
    const pages = client.listPages<T>(resource, {
      ...this.#scope(),
      signal,
      limit: this.#unpaged ? 0 : (this.#options.pageSize ?? 500),
    });
    for await (const page of pages) {
      for (const item of page.items) objects.push(this.#strip(item));
      version = page.resourceVersion;
      this.#contact();
    }
    if (signal.aborted) return;
    if (version === "") throw new ApiConnectionError("badResponse", false);
    store.replace(objects, this.#options.namespace);
    this.#version = version;
    this.#listedAt = this.#clock.monotonic();
    this.#unpaged = false;
    this.#synced = true;
    for (const waiter of [...this.#syncWaiters]) waiter();
  }

  async #watch(signal: AbortSignal): Promise<void> {
    const opened = this.#clock.monotonic();
    const relistInMs = this.#listedAt + (this.#options.relistMs ?? 3_600_000) - opened;
    if (relistInMs <= 0) {
      this.#version = "";
      return;
    }
    const silence = new Silence(this.#clock, this.#options.silenceMs ?? 120_000, signal);
    this.watches += 1;
    const before = this.#version;
    try {
      const { body } = await this.#options.client.watch(this.#options.resource, {
        ...this.#scope(),
        signal: silence.signal,
        resourceVersion: this.#version,
        // Spread, so that the watches of all replicas do not end together.
        timeoutSeconds: 300 + Math.floor(this.#random() * 301),
      });
      if ((await this.#consume(body, silence, signal)) === "relist") {
        throw new ApiStatusError(410, "Expired");
      }
    } catch (error) {
      if (silence.expired && !signal.aborted) throw new ApiConnectionError("timeout", false);
      throw error;
    } finally {
      silence.end();
      if (this.#clock.monotonic() - opened >= healthyMs) this.#failures = 0;
    }
    // The server closed it in good order. Usual after its time-out; a server that does so at once gets a pause.
    const useful = this.#version !== before || this.#clock.monotonic() - opened >= healthyMs;
    if (!useful && !signal.aborted) throw new ApiConnectionError("reset", false);
  }

  async #consume(body: AsyncIterable<Uint8Array>, silence: Silence, signal: AbortSignal): Promise<WatchEnd> {
    this.#contact();
    silence.heard();
    for await (const line of lines(body, () => this.#heard(silence))) {
      if (signal.aborted) return "resume";
      if (this.#apply(parseEvent(line)) === "relist") return "relist";
    }
    return "resume";
  }

  #heard(silence: Silence): void {
    silence.heard();
    this.#contact();
  }

  /** Takes one event. @returns "relist" when the versions do not go on from where we were */
  #apply(event: WatchEvent): WatchEnd {
    const { store } = this.#options;
    if (event.type === "ERROR") throw statusError(codeIn(event.object), event.object);
    const object = asObject<T>(event.object);
    const version = object?.metadata.resourceVersion;
    if (object === undefined || version === undefined) throw new ApiConnectionError("badResponse", false);
    // A lower version than before: the storage was set back (restored from a backup).
    if (isLower(version, this.#version)) return "relist";
    if (event.type === "ADDED" || event.type === "MODIFIED") store.upsert(this.#strip(object));
    else if (event.type === "DELETED") store.remove(keyOf(object), this.#strip(object));
    else if (event.type !== "BOOKMARK") throw new ApiConnectionError("badResponse", false);
    this.#version = version;
    this.#failures = 0;
    return "resume";
  }

  #report(problem: ReflectorProblem): void {
    try {
      this.#options.onProblem?.(problem);
    } catch {
      // A broken observer must not end the loop.
    }
  }

  /** An object that cannot be made smaller is kept as it came: one of them must not hold up all others. */
  #strip(object: T): T {
    try {
      return this.#options.strip?.(object) ?? object;
    } catch {
      return object;
    }
  }

  #contact(): void {
    this.lastContactMs = this.#clock.monotonic();
    this.lastAttemptMs = this.lastContactMs;
  }

  #scope() {
    const { namespace, labelSelector, fieldSelector, metadataOnly, userAgent } = this.#options;
    return { namespace, labelSelector, fieldSelector, metadataOnly, userAgent };
  }
}

/** Aborts its signal when nothing was heard for a while, or when the outer signal aborts. */
class Silence {
  readonly #clock: Clock;
  readonly #limitMs: number;
  readonly #outer: AbortSignal;
  readonly #abort = new AbortController();
  #cancel: () => void;
  #heardAt: number;
  expired = false;

  constructor(clock: Clock, limitMs: number, outer: AbortSignal) {
    this.#clock = clock;
    this.#limitMs = limitMs;
    this.#outer = outer;
    this.#heardAt = clock.monotonic();
    this.#cancel = this.#arm(limitMs);
    if (outer.aborted) this.#abort.abort();
    else outer.addEventListener("abort", this.#onAbort, { once: true });
  }

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  /** Cheap: the timer is not touched, it looks at the time of the last byte when it fires. */
  heard(): void {
    this.#heardAt = this.#clock.monotonic();
  }

  end(): void {
    this.#cancel();
    this.#outer.removeEventListener("abort", this.#onAbort);
    // Closes the connection when the reader left early.
    this.#abort.abort();
  }

  #arm(ms: number): () => void {
    return this.#clock.setTimeout(() => this.#check(), ms, { unref: true });
  }

  #check(): void {
    const left = this.#heardAt + this.#limitMs - this.#clock.monotonic();
    if (left > 0) {
      this.#cancel = this.#arm(left);
      return;
    }
    this.expired = true;
    this.#abort.abort();
  }

  readonly #onAbort = (): void => this.#abort.abort();
}

function parseEvent(line: string): WatchEvent {
  try {
    const event: unknown = JSON.parse(line);
    if (typeof event === "object" && event !== null) return event;
  } catch {
    // Said below; the parser's text quotes its input.
  }
  throw new ApiConnectionError("badResponse", false);
}

function asObject<T extends KubeObject>(value: unknown): T | undefined {
  if (typeof value !== "object" || value === null || !("metadata" in value)) return undefined;
  return typeof value.metadata === "object" && value.metadata !== null ? (value as T) : undefined;
}

function codeIn(status: unknown): number {
  if (typeof status !== "object" || status === null || !("code" in status)) return 500;
  return typeof status.code === "number" ? status.code : 500;
}

function codeOf(error: unknown): string {
  if (error instanceof ApiStatusError) return String(error.code);
  return error instanceof ApiConnectionError ? error.kind : "other";
}

/** 504 `Timeout` with this cause: the server's cache is older than the version that we asked for. */
function isTooLarge(error: unknown): boolean {
  return error instanceof ApiStatusError && error.fields.some((field) => field.reason === "ResourceVersionTooLarge");
}

/** Compares versions as numbers of any length (they are etcd revisions); false when one is no number. */
function isLower(version: string, than: string): boolean {
  if (!/^\d+$/.test(version) || !/^\d+$/.test(than)) return false;
  return version.length === than.length ? version < than : version.length < than.length;
}

/** Drops `managedFields` and the last-applied annotation, which together are about half of an object. */
export function stripMeta<T extends KubeObject>(object: T): T {
  const { managedFields: _fields, annotations, ...metadata } = object.metadata;
  const lastApplied = "kubectl.kubernetes.io/last-applied-configuration";
  if (annotations === undefined) return { ...object, metadata };
  const { [lastApplied]: _applied, ...rest } = annotations;
  return { ...object, metadata: { ...metadata, annotations: rest } };
}
