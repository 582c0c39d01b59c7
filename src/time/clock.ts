/**
 * Time as a dependency: production code asks a `Clock`, tests move a `VirtualClock`.
 *
 * Two clocks are offered because they answer different questions. `now()` is the wall clock (it may jump when the machine's
 * time is corrected) and belongs into records; `monotonic()` never goes back and belongs into the measuring of durations.
 */

/** Options of a timer. */
export interface TimerOptions {
  /** When true, this timer alone does not keep the process alive. Default false. */
  readonly unref?: boolean;
}

/** Source of time and timers. */
export interface Clock {
  /** Wall clock in milliseconds since the Unix epoch. */
  now(): number;
  /** Milliseconds since an arbitrary moment; never goes back and goes on while the process is stopped (SIGSTOP). */
  monotonic(): number;
  /**
   * Calls `fn` once after `ms` milliseconds. Any length is allowed, negative counts as 0.
   * @returns a function that cancels the timer; it may be called any number of times, also after firing.
   */
  setTimeout(fn: () => void, ms: number, options?: TimerOptions): () => void;
  /**
   * Resolves after `ms` milliseconds; rejects with the signal's reason when `signal` aborts first.
   * The timer is gone in both cases.
   */
  sleep(ms: number, signal?: AbortSignal, options?: TimerOptions): Promise<void>;
}

/** Longest delay that Node's timers take; a longer one would fire after 1 ms. */
const maxTimerMs = 2 ** 31 - 1;

/** `sleep` on top of any `setTimeout`. */
function sleepOn(
  clock: Clock,
  ms: number,
  signal: AbortSignal | undefined,
  options: TimerOptions | undefined,
): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted === true) {
      reject(abortReason(signal));
      return;
    }
    const onAbort = (): void => {
      cancel();
      reject(abortReason(signal));
    };
    const cancel = clock.setTimeout(
      () => {
        signal?.removeEventListener("abort", onAbort);
        resolve();
      },
      ms,
      options,
    );
    signal?.addEventListener("abort", onAbort, { once: true });
  });
}

function abortReason(signal: AbortSignal | undefined): Error {
  const reason: unknown = signal?.reason;
  return reason instanceof Error ? reason : new DOMException("This operation was aborted", "AbortError");
}

/** A delay in whole, sane milliseconds. `NaN` counts as 0: a timer that fires at once shows the bug, one that never fires hides it. */
function cleanDelay(ms: number): number {
  return ms > 0 ? ms : 0;
}

class SystemClock implements Clock {
  now(): number {
    return Date.now();
  }

  monotonic(): number {
    return performance.now();
  }

  setTimeout(fn: () => void, ms: number, options?: TimerOptions): () => void {
    // Long delays go in chunks; the end is taken from the monotonic clock, so that chunks do not add up their lateness.
    const end = this.monotonic() + cleanDelay(ms);
    let timer: NodeJS.Timeout | undefined;
    let first = true;
    const arm = (): void => {
      const left = first ? cleanDelay(ms) : end - this.monotonic();
      first = false;
      const last = left <= maxTimerMs;
      timer = setTimeout(last ? fn : arm, last ? Math.max(0, left) : maxTimerMs);
      if (options?.unref === true) timer.unref();
    };
    arm();
    return () => clearTimeout(timer);
  }

  sleep(ms: number, signal?: AbortSignal, options?: TimerOptions): Promise<void> {
    return sleepOn(this, ms, signal, options);
  }
}

/** The machine's time. */
export const systemClock: Clock = new SystemClock();

interface VirtualTimer {
  readonly due: number;
  readonly sequence: number;
  readonly fn: () => void;
}

/**
 * A clock that stands still until it is moved. `monotonic()` runs along with `now()`, which can also be set like a machine's.
 *
 * Timers fire in the order of their due times (equal times: in the order they were set). Between two due times the real event
 * loop gets a few turns, so that promise chains and local I/O that a timer started can run and set their own timers in time.
 * I/O that takes longer is not waited for: a test waits for a condition and then advances further.
 */
export class VirtualClock implements Clock {
  /** By the monotonic clock, as timers are. */
  #elapsed = 0;
  /** Wall clock at the beginning, with what it was set on or back since. */
  #wall: number;
  #sequence = 0;
  readonly #timers = new Set<VirtualTimer>();
  #moving: Promise<void> = Promise.resolve();
  readonly #settle: () => Promise<void>;

  /**
   * @param startMs wall clock at the beginning, ms since the epoch; default 2026-01-01T00:00:00Z.
   * @param options.settle awaited (beside a few turns of the event loop) after each step of time, for I/O that timers
   *   started: typically "until no call is in flight". What it waits for must not itself wait for this clock. Without it only
   *   what a few turns can do is waited for.
   */
  constructor(startMs: number = Date.UTC(2026, 0, 1), options: { readonly settle?: () => Promise<void> } = {}) {
    this.#wall = startMs;
    const wait = options.settle;
    this.#settle = async () => {
      await settle();
      await wait?.();
    };
  }

  now(): number {
    return this.#wall + this.#elapsed;
  }

  monotonic(): number {
    return this.#elapsed;
  }

  /** Sets the wall clock on by `ms`, or back when negative, as a correction of the machine's time does; no time passes. */
  jump(ms: number): void {
    this.#wall += ms;
  }

  setTimeout(fn: () => void, ms: number, _options?: TimerOptions): () => void {
    const timer: VirtualTimer = { due: this.#elapsed + cleanDelay(ms), sequence: this.#sequence++, fn };
    this.#timers.add(timer);
    return () => void this.#timers.delete(timer);
  }

  sleep(ms: number, signal?: AbortSignal, options?: TimerOptions): Promise<void> {
    return sleepOn(this, ms, signal, options);
  }

  /** Number of timers that are set and have not fired. */
  get pending(): number {
    return this.#timers.size;
  }

  /** Milliseconds until the next timer, `undefined` when none is set. */
  get nextInMs(): number | undefined {
    const next = this.#next();
    return next === undefined ? undefined : next.due - this.#elapsed;
  }

  /**
   * Moves time on by `ms` and fires what becomes due, also what fired timers set meanwhile. Concurrent calls run one after
   * another. A timer function that throws makes `advance` reject; the timers behind it stay.
   */
  advance(ms: number): Promise<void> {
    const run = this.#moving.then(() => this.#advance(cleanDelay(ms)));
    this.#moving = run.catch(() => undefined);
    return run;
  }

  async #advance(ms: number): Promise<void> {
    await this.#settle();
    const end = this.#elapsed + ms;
    for (let next = this.#next(); next !== undefined && next.due <= end; next = this.#next()) {
      this.#elapsed = Math.max(this.#elapsed, next.due);
      this.#timers.delete(next);
      next.fn();
      await this.#settle();
    }
    this.#elapsed = end;
    await this.#settle();
  }

  #next(): VirtualTimer | undefined {
    let best: VirtualTimer | undefined;
    for (const timer of this.#timers) {
      if (best === undefined || timer.due < best.due || (timer.due === best.due && timer.sequence < best.sequence))
        best = timer;
    }
    return best;
  }
}

/** Gives the real event loop a few whole turns (microtasks, ready sockets, immediates). */
export async function settle(turns = 4): Promise<void> {
  for (let turn = 0; turn < turns; turn++) await new Promise<void>((resolve) => setImmediate(resolve));
}
