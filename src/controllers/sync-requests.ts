/** The last request of an object that was taken. */
export interface TakenRequest {
  readonly value: string;
  /** By the monotonic clock. */
  readonly atMs: number;
}

const OBJECT_EVERY_MS = 30_000;
/** Requests of one namespace to one store that are taken at once, and how fast that fills up again. */
const SHARE = { burst: 100, everyMs: 1_000 } as const;

/**
 * Requests to sync now (R32): one an object in thirty seconds, and for all objects of one namespace that read one store a
 * hundred at once and one a second after that. Who is over it waits for a turn of its own, so that a flood of one
 * namespace costs the others neither calls nor looks.
 */
export class SyncRequests {
  readonly #taken = new Map<string, TakenRequest>();
  /** When the turn of an object that waits comes. */
  readonly #turns = new Map<string, number>();
  /** When the share of a namespace and store is full again. */
  readonly #fullAtMs = new Map<string, number>();

  /**
   * @param share names namespace and store
   * @returns how long the request has to wait; 0: it is taken; undefined: it was taken already
   */
  take(object: string, share: string, value: string, nowMs: number): number | undefined {
    const last = this.#taken.get(object);
    if (last?.value === value) return undefined;
    const free = last === undefined ? nowMs : last.atMs + OBJECT_EVERY_MS;
    if (free > nowMs) return free - nowMs;
    const turnMs = this.#turns.get(object) ?? this.#nextTurn(share, nowMs);
    if (turnMs > nowMs) {
      this.#turns.set(object, turnMs);
      return turnMs - nowMs;
    }
    this.#turns.delete(object);
    this.#taken.set(object, { value, atMs: nowMs });
    return 0;
  }

  last(object: string): TakenRequest | undefined {
    return this.#taken.get(object);
  }

  forget(object: string): void {
    this.#taken.delete(object);
    this.#turns.delete(object);
  }

  #nextTurn(share: string, nowMs: number): number {
    for (const [name, fullAtMs] of this.#fullAtMs) if (fullAtMs <= nowMs) this.#fullAtMs.delete(name);
    const fullAtMs = Math.max(nowMs, this.#fullAtMs.get(share) ?? nowMs) + SHARE.everyMs;
    this.#fullAtMs.set(share, fullAtMs);
    return Math.max(nowMs, fullAtMs - SHARE.burst * SHARE.everyMs);
  }
}
