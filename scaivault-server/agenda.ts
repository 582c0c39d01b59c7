import type { Clock } from "../src/time/clock.ts";

interface Entry {
  /** ms since the epoch. */
  readonly at: number;
  readonly work: () => void;
}

/** Things to do at moments to come, by key, on one timer of the server's clock. What is due already is done at once, but never within `set`. */
export class Agenda {
  readonly #clock: Clock;
  readonly #entries = new Map<string, Entry>();
  #cancel: (() => void) | undefined;
  #armedFor = Number.POSITIVE_INFINITY;
  #stopped = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Plans `work` for a moment of the wall clock, instead of what the key had before. It must not throw. */
  set(key: string, at: number, work: () => void): void {
    if (this.#stopped) return;
    this.#entries.set(key, { at, work });
    if (at < this.#armedFor) this.#arm(at);
  }

  clear(key: string): void {
    this.#entries.delete(key);
    if (this.#entries.size === 0) this.#disarm();
  }

  /** Forgets everything, after a restore. */
  empty(): void {
    this.#entries.clear();
    this.#disarm();
  }

  stop(): void {
    this.#stopped = true;
    this.empty();
  }

  #disarm(): void {
    this.#cancel?.();
    this.#cancel = undefined;
    this.#armedFor = Number.POSITIVE_INFINITY;
  }

  #arm(at: number): void {
    this.#disarm();
    this.#armedFor = at;
    this.#cancel = this.#clock.setTimeout(() => this.#fire(), at - this.#clock.now(), { unref: true });
  }

  #fire(): void {
    this.#disarm();
    const now = this.#clock.now();
    const due = [...this.#entries].filter(([, { at }]) => at <= now).sort(([, a], [, b]) => a.at - b.at);
    for (const [key, entry] of due) {
      // An earlier one may have taken it off or put it off.
      if (this.#entries.get(key) !== entry) continue;
      this.#entries.delete(key);
      entry.work();
    }
    let next = Number.POSITIVE_INFINITY;
    for (const { at } of this.#entries.values()) next = Math.min(next, at);
    if (next < this.#armedFor) this.#arm(next);
  }
}
