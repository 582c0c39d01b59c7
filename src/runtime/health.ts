import type { Clock } from "../time/clock.ts";

/** What a loop calls to show that it is alive. */
export interface Heartbeat {
  /** The loop made an attempt, whatever came of it. */
  beat(): void;
  /** The loop ended in good order and is not asked for any more. */
  end(): void;
}

export interface LivenessReport {
  readonly ok: boolean;
  /** Names of loops that made no attempt within the limit. */
  readonly stale: readonly string[];
}

/**
 * Is the process alive? Only our own loops are asked whether they *tried*: a store or an API server that is down is no reason to
 * be restarted.
 */
export class Liveness {
  readonly #clock: Clock;
  readonly #limitMs: number;
  readonly #sources = new Map<string, () => number>();

  /** @param limitMs longest time between two attempts; default three minutes */
  constructor(clock: Clock, limitMs = 180_000) {
    this.#clock = clock;
    this.#limitMs = limitMs;
  }

  /**
   * Watches over something that knows the time of its last attempt (monotonic clock, ms), e.g. a reflector.
   * @returns a function that ends this
   */
  watch(name: string, lastAttemptMs: () => number): () => void {
    this.#sources.set(name, lastAttemptMs);
    return () => void this.#sources.delete(name);
  }

  /** Watches over a loop that beats. It counts as alive now. */
  loop(name: string): Heartbeat {
    let last = this.#clock.monotonic();
    const end = this.watch(name, () => last);
    return { beat: () => (last = this.#clock.monotonic()), end };
  }

  check(): LivenessReport {
    const now = this.#clock.monotonic();
    const stale = [...this.#sources].filter(([, last]) => now - last() > this.#limitMs).map(([name]) => name);
    return { ok: stale.length === 0, stale };
  }
}
