import type { Mark } from "../model/index.ts";

const WINDOW_MS = 600_000;
/** Beyond so many targets the ones that were written longest ago are forgotten. */
const MAX_TARGETS = 50_000;

interface Fight {
  version: string;
  times: number[];
}

/** Where the mark was taken off, or all of it, no version is known. */
function sameFight(a: string, b: string): boolean {
  return a === b || a === "" || b === "";
}

function bound(map: Map<string, unknown>): void {
  if (map.size <= MAX_TARGETS) return;
  const [oldest] = map.keys();
  if (oldest !== undefined) map.delete(oldest);
}

/** Counts writes back over other writers: by target, within ten minutes, for one source version. */
export class Reverts {
  readonly #byTarget = new Map<string, Fight>();
  readonly #now: () => number;

  /** @param now the monotonic clock, ms */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** @param version the source version that stands in the mark; a new one starts the count anew, none ("") does not */
  count(targetID: string, version: string): number {
    const entry = this.#byTarget.get(targetID);
    if (entry === undefined || !sameFight(entry.version, version)) return 0;
    entry.times = entry.times.filter((time) => this.#now() - time < WINDOW_MS);
    if (entry.times.length === 0) this.#byTarget.delete(targetID);
    return entry.times.length;
  }

  add(targetID: string, version: string): void {
    const entry = this.#byTarget.get(targetID);
    if (entry !== undefined && sameFight(entry.version, version)) {
      entry.times.push(this.#now());
      if (version !== "") entry.version = version;
    } else this.#byTarget.set(targetID, { version, times: [this.#now()] });
    bound(this.#byTarget);
  }
}

/**
 * Marks that this process wrote last, by target. A valid mark in our name that says otherwise was written by somebody who
 * uses the same cluster name.
 */
export class OwnMarks {
  readonly #marks = new Map<string, Mark>();

  set(targetID: string, mark: Mark): void {
    this.#marks.delete(targetID);
    this.#marks.set(targetID, mark);
    bound(this.#marks);
  }

  delete(targetID: string): void {
    this.#marks.delete(targetID);
  }

  /** Whether this process wrote there. */
  wrote(targetID: string): boolean {
    return this.#marks.has(targetID);
  }

  /** True when we wrote a mark there and another one in the same name stands there now. */
  moved(targetID: string, now: Mark): boolean {
    const ours = this.#marks.get(targetID);
    if (ours === undefined) return false;
    return (
      ours.version !== now.version || ours.targetVersion !== now.targetVersion || ours.fingerprint !== now.fingerprint
    );
  }
}
