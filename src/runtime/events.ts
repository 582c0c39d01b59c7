import { randomBytes } from "node:crypto";
import type { Clock } from "../time/clock.ts";
import type { KubeClient } from "./client.ts";
import { isNotFound } from "./errors.ts";
import { microTime } from "./micro-time.ts";
import { resources, type KubeObject } from "./types.ts";

/** One thing to tell about an object. */
export interface EventInput {
  /** The object; must carry `apiVersion`, `kind`, name and uid. */
  readonly regarding: KubeObject;
  readonly type: "Normal" | "Warning";
  /** CamelCase, from the table of reasons. */
  readonly reason: string;
  /** What was done or tried, CamelCase. */
  readonly action: string;
  /** One sentence for people. */
  readonly note: string;
}

export interface EventRecorderOptions {
  readonly client: KubeClient;
  readonly clock: Clock;
  /** `reportingController`, e.g. `scaivault.scailabs.ai/operator`. */
  readonly controller: string;
  /** `reportingInstance`, e.g. the pod name. */
  readonly instance: string;
  /** Events sent a second in the long run. Default 5. */
  readonly perSecond?: number;
  /** Events sent at once. Default 50. */
  readonly burst?: number;
}

/** The API's limits for `note`, and for `reason`, `action` and `reportingInstance`. */
const maxNoteBytes = 1024;
const maxWordBytes = 128;
/** Repetitions within this time are one series. */
const seriesWindowMs = 6 * 60_000;
/** A series that goes on is written at most this often. */
const seriesWriteMs = 5 * 60_000;
const maxSeries = 2000;
const maxQueue = 500;

interface Series {
  readonly namespace: string;
  readonly name: string;
  count: number;
  lastMs: number;
  writtenMs: number;
}

/**
 * Records events of `events.k8s.io/v1`. Repetitions become one series; above the rate events are dropped and counted. It never
 * throws and nobody waits for it.
 */
export class EventRecorder {
  readonly #options: EventRecorderOptions;
  readonly #clock: Clock;
  readonly #burst: number;
  readonly #series = new Map<string, Series>();
  readonly #queue: (() => Promise<void>)[] = [];
  readonly #abort = new AbortController();
  #tokens: number;
  #refilledMs: number;
  #sending: Promise<void> | undefined;
  #stopped = false;
  /** Events that were not sent: above the rate, queue full, or refused. */
  dropped = 0;

  constructor(options: EventRecorderOptions) {
    this.#options = options;
    this.#clock = options.clock;
    this.#burst = options.burst ?? 50;
    this.#tokens = this.#burst;
    this.#refilledMs = options.clock.monotonic();
  }

  record(input: EventInput): void {
    if (this.#stopped) return;
    const { regarding, type, reason, action, note } = input;
    const nowMs = this.#clock.now();
    const clean = {
      type,
      reason: cut(escapeText(reason), maxWordBytes) || "Unknown",
      action: cut(escapeText(action), maxWordBytes) || "Unknown",
      note: cut(escapeText(note), maxNoteBytes),
    };
    const { uid, namespace, name } = regarding.metadata;
    const key = JSON.stringify([uid ?? `${namespace}/${name}`, clean]);
    const known = this.#series.get(key);
    if (known !== undefined && nowMs - known.lastMs < seriesWindowMs) {
      known.count += 1;
      known.lastMs = nowMs;
      const due = known.count === 2 || nowMs - known.writtenMs >= seriesWriteMs;
      if (due && this.#take()) {
        known.writtenMs = nowMs;
        this.#send(() => this.#patch(key, known));
      }
      return;
    }
    if (!this.#take()) {
      this.dropped += 1;
      return;
    }
    const series: Series = {
      namespace: namespace ?? "default",
      name: `${name.slice(0, 200)}.${randomBytes(8).toString("hex")}`,
      count: 1,
      lastMs: nowMs,
      writtenMs: nowMs,
    };
    this.#remember(key, series);
    this.#send(() => this.#create(regarding, clean, series));
  }

  /** Takes nothing more and waits for what is being sent, at most `limitMs`. */
  async stop(limitMs = 2000): Promise<void> {
    this.#stopped = true;
    const timer = new AbortController();
    await Promise.race([this.#sending, this.#clock.sleep(limitMs, timer.signal).catch(() => undefined)]);
    timer.abort();
    this.#abort.abort();
  }

  #take(): boolean {
    const now = this.#clock.monotonic();
    const earned = ((now - this.#refilledMs) / 1000) * (this.#options.perSecond ?? 5);
    this.#tokens = Math.min(this.#burst, this.#tokens + earned);
    this.#refilledMs = now;
    if (this.#tokens < 1) return false;
    this.#tokens -= 1;
    return true;
  }

  #remember(key: string, series: Series): void {
    this.#series.delete(key);
    this.#series.set(key, series);
    for (const oldest of this.#series.keys()) {
      if (this.#series.size <= maxSeries) break;
      this.#series.delete(oldest);
    }
  }

  #send(call: () => Promise<void>): void {
    if (this.#queue.length >= maxQueue) {
      this.dropped += 1;
      return;
    }
    this.#queue.push(call);
    this.#sending ??= this.#drain().finally(() => (this.#sending = undefined));
  }

  async #drain(): Promise<void> {
    for (let call = this.#queue.shift(); call !== undefined; call = this.#queue.shift()) {
      try {
        await call();
      } catch {
        this.dropped += 1;
      }
    }
  }

  async #create(regarding: KubeObject, clean: Omit<EventInput, "regarding">, series: Series): Promise<void> {
    const { apiVersion, kind, metadata } = regarding;
    const { name, namespace, uid, resourceVersion } = metadata;
    const event = {
      apiVersion: "events.k8s.io/v1",
      kind: "Event",
      metadata: { name: series.name, namespace: series.namespace },
      eventTime: microTime(series.lastMs),
      reportingController: this.#options.controller,
      reportingInstance: cut(this.#options.instance, maxWordBytes),
      regarding: { apiVersion, kind, name, namespace, uid, resourceVersion },
      ...clean,
    };
    await this.#options.client.create(resources.events, event, { signal: this.#abort.signal, timeoutMs: 10_000 });
  }

  async #patch(key: string, series: Series): Promise<void> {
    const patch = { series: { count: series.count, lastObservedTime: microTime(series.lastMs) } };
    try {
      await this.#options.client.mergePatch(resources.events, series, patch, {
        signal: this.#abort.signal,
        timeoutMs: 10_000,
      });
    } catch (error) {
      // The server forgot it (events live an hour): the next repetition begins anew.
      if (isNotFound(error)) this.#series.delete(key);
      throw error;
    }
  }
}

/** Shows control and bidi characters as `\\u{...}`: they could rewrite a terminal line. */
export function escapeText(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu, (character) => {
    const point = character.codePointAt(0) ?? 0;
    return `\\u{${point.toString(16)}}`;
  });
}

/** The longest beginning of at most `maxBytes` bytes of UTF-8, cut between characters; a cut text ends in `...`. */
function cut(text: string, maxBytes: number): string {
  if (Buffer.byteLength(text) <= maxBytes) return text;
  let bytes = 0;
  let kept = "";
  for (const character of text) {
    bytes += Buffer.byteLength(character);
    if (bytes > maxBytes - 3) break;
    kept += character;
  }
  return `${kept}...`;
}
