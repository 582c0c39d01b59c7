import type { Clock } from "../time/clock.ts";

/** How long after the start an object that was never looked at may say nothing because its store was not polled yet. */
const FIRST_POLL_MS = 2_000;

/**
 * Right after the start everything waits for the first polls, which are about to end. To say so would be a write for each
 * object, and another one a moment later: only those that still wait after two seconds say it, all together.
 */
export class FirstLooks {
  readonly #keys = new Set<string>();
  readonly #untilMs: number;
  readonly #clock: Clock;
  readonly #cancel: () => void;

  /** @param look has an object looked at again, which then says that it waits */
  constructor(clock: Clock, look: (key: string) => void) {
    this.#clock = clock;
    this.#untilMs = clock.monotonic() + FIRST_POLL_MS;
    this.#cancel = clock.setTimeout(
      () => {
        for (const key of this.#keys) look(key);
        this.#keys.clear();
      },
      FIRST_POLL_MS,
      { unref: true },
    );
  }

  /** Whether it is too early to say that an object waits. */
  get early(): boolean {
    return this.#clock.monotonic() < this.#untilMs;
  }

  /** An object waits, or does so no more. */
  note(key: string, waits: boolean): void {
    if (waits) this.#keys.add(key);
    else this.#keys.delete(key);
  }

  close(): void {
    this.#cancel();
    this.#keys.clear();
  }
}
