const WINDOW_MS = 600_000;

/** Counts writes back over other writers: by target, within ten minutes, for one source version. */
export class Reverts {
  readonly #byTarget = new Map<string, { version: string; times: number[] }>();
  readonly #now: () => number;

  constructor(now: () => number) {
    this.#now = now;
  }

  /** @param version the source version that stands in the mark; a new one starts the count anew */
  count(targetID: string, version: string): number {
    const entry = this.#byTarget.get(targetID);
    if (entry === undefined || entry.version !== version) return 0;
    entry.times = entry.times.filter((time) => this.#now() - time < WINDOW_MS);
    if (entry.times.length === 0) this.#byTarget.delete(targetID);
    return entry.times.length;
  }

  add(targetID: string, version: string): void {
    const entry = this.#byTarget.get(targetID);
    if (entry?.version === version) entry.times.push(this.#now());
    else this.#byTarget.set(targetID, { version, times: [this.#now()] });
  }
}
