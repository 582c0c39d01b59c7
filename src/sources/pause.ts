import { SyncError } from "../errors/index.ts";
import type { Clock } from "../time/clock.ts";

const FIRST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 60_000;

/**
 * Store-wide pause after throttling: nothing is sent while it lasts, and calls fail at once with what is left of it.
 * Nobody sleeps. Without advice from the store it doubles from one second to one minute.
 */
export class StorePause {
  readonly #clock: Clock;
  #untilMs = 0;
  #nextMs = FIRST_PAUSE_MS;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** @throws SyncError RateLimited while paused */
  check(action: string): void {
    const left = this.#untilMs - this.#clock.monotonic();
    if (left > 0)
      throw new SyncError("RateLimited", "the store asked to slow down", { action, retryAfterMs: Math.ceil(left) });
  }

  /** The store has throttled a call. @returns the pause in milliseconds */
  throttled(adviceMs: number | undefined): number {
    const pause = Math.max(adviceMs ?? 0, this.#nextMs);
    // Calls that were under way together count as one.
    if (this.#untilMs <= this.#clock.monotonic()) this.#nextMs = Math.min(this.#nextMs * 2, LONGEST_PAUSE_MS);
    this.#untilMs = Math.max(this.#untilMs, this.#clock.monotonic() + pause);
    return pause;
  }

  /** The store has answered. */
  answered(): void {
    if (this.#untilMs <= this.#clock.monotonic()) this.#nextMs = FIRST_PAUSE_MS;
  }
}
