import { SyncError } from "../../errors/index.ts";
import { payloadFromBinary, payloadFromText, type SecretPayload } from "../../model/index.ts";
import type { SourceRead, SourceRef } from "../../ports/index.ts";
import type { Clock } from "../../time/clock.ts";
import { aborted, DENIED_MS, isStoreWide, trouble } from "../limits.ts";
import { refuseEmpty } from "../payload.ts";
import { AsmFailure, type AsmApi, type AsmValue, type BatchAnswer, type GetRequest } from "./api.ts";
import { isDenied, secretError } from "./errors.ts";
import { isConsistent } from "./listing.ts";
import { checkName } from "./names.ts";
import { CURRENT } from "./older.ts";

/** BatchGetSecretValue takes at most this many. */
const BATCH = 20;
/** Batches under way at a time, fewer than there are sockets. */
const PARALLEL = 8;
/** While reads keep coming a batch gathers for this long, or until it is full. */
const GATHER_MS = 100;
const GET = "secretsmanager:GetSecretValue";

interface Waiter {
  readonly path: string;
  readonly resolve: (read: SourceRead) => void;
  readonly reject: (error: unknown) => void;
  readonly signal: AbortSignal;
  settled: boolean;
  onAbort: () => void;
}

export interface AsmReaderOptions {
  readonly api: AsmApi;
  readonly clock: Clock;
  /** Times the wait for company. */
  readonly gatherClock: Clock;
  readonly region: string;
  readonly onUnmatched: (count: number) => void;
}

/** Reads values; reads of AWSCURRENT that come together go into one BatchGetSecretValue. */
export class AsmReader {
  readonly #options: AsmReaderOptions;
  #queue: Waiter[] = [];
  #cancelScheduled: (() => void) | undefined;
  #running = 0;
  /** When the last group of several reads left. */
  #companyMs = -Infinity;
  #batchDeniedUntilMs = -1;

  constructor(options: AsmReaderOptions) {
    this.#options = options;
  }

  async read(ref: SourceRef, signal: AbortSignal): Promise<SourceRead> {
    const path = checkName(ref.path);
    if (signal.aborted) throw aborted(`read ${path}`);
    checkVersion(ref, path);
    if (ref.version !== undefined) return this.#single({ name: path, version: ref.version }, signal);
    const stage = ref.stage ?? CURRENT;
    if (stage !== CURRENT) return this.#single({ name: path, stage }, signal);
    return new Promise<SourceRead>((resolve, reject) => {
      const waiter: Waiter = { path, resolve, reject, signal, settled: false, onAbort: () => undefined };
      waiter.onAbort = () => settle(waiter, () => reject(aborted(`read ${path}`)));
      signal.addEventListener("abort", waiter.onAbort, { once: true });
      this.#queue.push(waiter);
      this.#schedule();
    });
  }

  /**
   * A first batch leaves after one turn of the event loop, so that reads which begin together meet. While one is under way, or
   * several left together a moment ago, others wait for company: in a cold start workers come one by one, and a call of twenty
   * costs as much as one of one.
   */
  #schedule(): void {
    if (this.#queue.length === 0 || this.#running >= PARALLEL) return;
    const { gatherClock } = this.#options;
    const quiet = this.#running === 0 && gatherClock.monotonic() - this.#companyMs >= GATHER_MS;
    const now = quiet || this.#queue.length >= BATCH;
    if (this.#cancelScheduled !== undefined && !now) return;
    this.#cancelScheduled?.();
    const go = (): void => {
      this.#cancelScheduled = undefined;
      this.#depart();
    };
    if (now) {
      const turn = setImmediate(go);
      this.#cancelScheduled = () => clearImmediate(turn);
    } else {
      this.#cancelScheduled = gatherClock.setTimeout(go, GATHER_MS);
    }
  }

  #depart(): void {
    const paths = new Map<string, Waiter[]>();
    const rest: Waiter[] = [];
    for (const waiter of this.#queue) {
      if (waiter.settled) continue;
      const same = paths.get(waiter.path);
      if (same !== undefined) same.push(waiter);
      else if (paths.size < BATCH) paths.set(waiter.path, [waiter]);
      else rest.push(waiter);
    }
    this.#queue = rest;
    if (paths.size > 0) {
      if (paths.size > 1) this.#companyMs = this.#options.gatherClock.monotonic();
      this.#running++;
      void this.#group(paths).finally(() => {
        this.#running--;
        this.#schedule();
      });
    }
    this.#schedule();
  }

  /** Serves a group of reads; every waiter is settled at the end. */
  async #group(paths: ReadonlyMap<string, readonly Waiter[]>): Promise<void> {
    const waiters = [...paths.values()].flat();
    const stop = new AbortController();
    const onAbort = (): void => {
      if (waiters.every((waiter) => waiter.settled)) stop.abort();
    };
    for (const waiter of waiters) waiter.signal.addEventListener("abort", onAbort, { once: true });
    try {
      const answered = await this.#batch([...paths.keys()], stop.signal);
      await Promise.all(
        [...paths].map(async ([path, same]) => {
          const value = answered.get(path);
          for (const waiter of same) {
            if (waiter.settled) continue;
            try {
              const read =
                value === undefined ? await this.#single({ name: path, stage: CURRENT }, stop.signal) : readOf(value);
              settle(waiter, () => waiter.resolve(read));
            } catch (error) {
              settle(waiter, () => waiter.reject(error));
            }
          }
        }),
      );
    } catch (error) {
      for (const waiter of waiters) settle(waiter, () => waiter.reject(error));
    } finally {
      for (const waiter of waiters) waiter.signal.removeEventListener("abort", onAbort);
    }
  }

  /** What one batch call answers; what it lacks or reports as an error is read singly, which tells why. */
  async #batch(names: readonly string[], signal: AbortSignal): Promise<ReadonlyMap<string, AsmValue>> {
    const values = new Map<string, AsmValue>();
    const { api, clock } = this.#options;
    if (names.length < 2 || clock.monotonic() < this.#batchDeniedUntilMs) return values;
    let answer: BatchAnswer;
    try {
      answer = await api.batchGet(names, signal);
    } catch (error) {
      if (isStoreWide(error) && !(error instanceof AsmFailure)) throw error;
      if (isDenied(error)) this.#batchDeniedUntilMs = clock.monotonic() + DENIED_MS;
      return values;
    }
    const asked = new Set(names);
    let unmatched = 0;
    for (const value of answer.values) {
      if (asked.has(value.name) && this.#matches(value) && !values.has(value.name)) values.set(value.name, value);
      else unmatched++;
    }
    if (unmatched > 0) this.#options.onUnmatched(unmatched);
    return values;
  }

  async #single(request: GetRequest, signal: AbortSignal): Promise<SourceRead> {
    const action = `read ${request.name}`;
    let value: AsmValue;
    try {
      value = await this.#options.api.get(request, signal);
    } catch (error) {
      if (!(error instanceof AsmFailure)) throw error;
      throw await this.#explain(error, request, action, signal);
    }
    const fits =
      value.name === request.name &&
      this.#matches(value) &&
      (request.version === undefined || value.version === request.version);
    if (!fits) {
      this.#options.onUnmatched(1);
      throw trouble(action, "AnotherSecret");
    }
    return readOf(value);
  }

  #matches(value: AsmValue): boolean {
    return isConsistent(value, this.#options.region) && value.version !== "";
  }

  /**
   * "Not found" may mean the secret, the stage or the version, and "invalid request" may mean a pending deletion: the
   * secret's metadata tells. Without the right to it the most likely reason is given.
   */
  async #explain(failure: AsmFailure, request: GetRequest, action: string, signal: AbortSignal): Promise<SyncError> {
    const plain = secretError(failure, action, GET);
    const asked = request.version !== undefined || request.stage !== CURRENT;
    if ((plain.reason === "InvalidPath" && asked) || plain.reason === "AccessDenied")
      return plain.reason === "InvalidPath" ? noVersion(action, failure.code) : plain;
    if (failure.code !== "ResourceNotFoundException" && failure.code !== "InvalidRequestException") return plain;
    try {
      const secret = await this.#options.api.describe(request.name, signal);
      if (secret.pendingDeletion)
        return new SyncError("SourcePendingDeletion", "the secret is scheduled for deletion", {
          action,
          code: failure.code,
        });
      if (failure.code === "InvalidRequestException") return plain;
      return asked
        ? noVersion(action, failure.code)
        : new SyncError("SourceEmpty", "the secret has no value", { action, code: failure.code });
    } catch (error) {
      if (error instanceof SyncError) throw error;
      return plain;
    }
  }
}

function readOf(value: AsmValue): SourceRead {
  const action = `read ${value.name}`;
  let payload: SecretPayload;
  if (value.binary !== undefined) payload = payloadFromBinary(Buffer.from(value.binary));
  else if (value.text !== undefined) payload = payloadFromText(value.text);
  else throw new SyncError("SourceEmpty", "the secret has no value", { action });
  return { path: value.name, version: value.version, payload: refuseEmpty(payload, action) };
}

function checkVersion(ref: SourceRef, path: string): void {
  const bad =
    (ref.version !== undefined && !/^[\w.-]{1,64}$/.test(ref.version)) ||
    (ref.stage !== undefined && !/^[\w+=.@/-]{1,256}$/.test(ref.stage));
  if (bad) throw noVersion(`read ${path}`, "InvalidParameterException");
}

function noVersion(action: string, code: string): SyncError {
  return new SyncError("VersionNotFound", "the secret has no such stage or version", { action, code });
}

function settle(waiter: Waiter, how: () => void): void {
  if (waiter.settled) return;
  waiter.settled = true;
  waiter.signal.removeEventListener("abort", waiter.onAbort);
  how();
}
