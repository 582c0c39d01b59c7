import { SyncError } from "../errors/index.ts";
import { type Clock, systemClock } from "../time/clock.ts";

const FIRST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 60_000;
/** A refused call is sent again after these, doubling, while the store answers others. */
const FIRST_AGAIN_MS = 40;
const LONGEST_AGAIN_MS = 320;
const MOST_TIMES = 8;
/** This many refusals in a row, whoever asked, are the store's as a whole. */
const IN_A_ROW = 10;

/**
 * What to do when a store throttles. A store that refuses one call and answers the next is asked again, by a worker that waits
 * less than a second or two; one that refuses all is paused for everybody: nothing is sent while that lasts, and calls fail at
 * once with what is left of it. Without advice from the store the pause doubles from one second to one minute.
 */
export class StorePause {
  readonly #clock: Clock;
  #untilMs = 0;
  #nextMs = FIRST_PAUSE_MS;
  #refusals = 0;
  readonly #random: () => number;

  constructor(clock: Clock, random: () => number = Math.random) {
    this.#clock = clock;
    this.#random = random;
  }

  /**
   * Sends a call, and again while the store refuses it alone.
   * @param send calls `refused` when the store throttles it, and throws; what it gives is the time to wait, milliseconds
   */
  async sending<T>(
    signal: AbortSignal,
    send: (refused: (adviceMs: number | undefined) => number) => Promise<T>,
  ): Promise<T> {
    for (let times = 0; ; times++) {
      let waitMs: number | undefined;
      try {
        return await send((adviceMs) => {
          waitMs = this.#again(times, adviceMs);
          return waitMs ?? this.throttled(adviceMs);
        });
      } catch (error) {
        if (waitMs === undefined || signal.aborted) throw error;
        // The system's clock, as for sockets: this is about the network's time.
        await systemClock.sleep(waitMs, signal).catch(() => undefined);
        if (signal.aborted) throw error;
      }
    }
  }

  #again(times: number, adviceMs = 0): number | undefined {
    this.#refusals += 1;
    if (adviceMs >= FIRST_PAUSE_MS || times >= MOST_TIMES || this.#refusals >= IN_A_ROW) return undefined;
    return Math.min(LONGEST_AGAIN_MS, FIRST_AGAIN_MS * 2 ** times) * (0.5 + 0.5 * this.#random());
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
    this.#refusals = 0;
    if (this.#untilMs <= this.#clock.monotonic()) this.#nextMs = FIRST_PAUSE_MS;
  }
}
