/** Lets at most `limit` pieces of work run at a time, in the order of asking. */
export class Semaphore {
  readonly #limit: number;
  readonly #waiting: (() => void)[] = [];
  #running = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  /**
   * Runs `work` when there is room.
   * @param aborted makes the error for a caller whose signal is raised while it waits
   */
  async run<T>(work: () => Promise<T>, signal: AbortSignal, aborted: () => Error): Promise<T> {
    if (signal.aborted) throw aborted();
    if (this.#running >= this.#limit) await this.#place(signal, aborted);
    else this.#running++;
    try {
      return await work();
    } finally {
      // The place is handed over, so that nobody can slip in between.
      const next = this.#waiting.shift();
      if (next === undefined) this.#running--;
      else next();
    }
  }

  #place(signal: AbortSignal, aborted: () => Error): Promise<void> {
    return new Promise<void>((resolve, reject) => {
      const take = (): void => {
        signal.removeEventListener("abort", leave);
        resolve();
      };
      const leave = (): void => {
        this.#waiting.splice(this.#waiting.indexOf(take), 1);
        reject(aborted());
      };
      this.#waiting.push(take);
      signal.addEventListener("abort", leave, { once: true });
    });
  }
}

/**
 * Runs `work` over all items, at most `limit` at a time. After the first failure nothing new is begun, what runs is
 * aborted through the signal, and the failure is thrown when all have ended.
 */
export async function forEachLimit<T>(
  items: Iterable<T>,
  limit: number,
  signal: AbortSignal,
  work: (item: T, signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const stop = new AbortController();
  const both = AbortSignal.any([signal, stop.signal]);
  const iterator = items[Symbol.iterator]();
  const failures: unknown[] = [];
  const worker = async (): Promise<void> => {
    while (!stop.signal.aborted) {
      const next = iterator.next();
      if (next.done === true) return;
      try {
        await work(next.value, both);
      } catch (error) {
        failures.push(error);
        stop.abort();
      }
    }
  };
  await Promise.all(Array.from({ length: limit }, worker));
  if (failures.length > 0) throw failures[0];
}
