import { ApiConnectionError } from "./errors.ts";

interface Waiter {
  readonly go: () => void;
}

/** Lets at most `limit` calls through at once; the others wait in order. */
export class ConcurrencyLimit {
  readonly #limit: number;
  #running = 0;
  readonly #waiters = new Set<Waiter>();

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Calls that wait for their turn. */
  get waiting(): number {
    return this.#waiters.size;
  }

  /**
   * Waits for a place.
   * @returns the function that gives it back; call it once
   * @throws ApiConnectionError `aborted` (nothing sent) when `signal` aborts while waiting
   */
  async enter(signal: AbortSignal): Promise<() => void> {
    if (signal.aborted) throw new ApiConnectionError("aborted", false);
    if (this.#running < this.#limit) this.#running += 1;
    else await this.#wait(signal);
    let left = false;
    return () => {
      if (left) return;
      left = true;
      const [next] = this.#waiters;
      if (next === undefined) this.#running -= 1;
      else {
        this.#waiters.delete(next);
        next.go();
      }
    };
  }

  #wait(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const onAbort = (): void => {
        this.#waiters.delete(waiter);
        reject(new ApiConnectionError("aborted", false));
      };
      const waiter: Waiter = {
        go: () => {
          signal.removeEventListener("abort", onAbort);
          resolve();
        },
      };
      signal.addEventListener("abort", onAbort, { once: true });
      this.#waiters.add(waiter);
    });
  }
}
