/** Says when polls ended, by what the backend's status shows. */
import { systemClock } from "../src/time/clock.ts";

/** One state of a backend's status. */
export interface PollState {
  readonly version: string;
  readonly lastPollTime: string;
  /** Status without `lastPollTime`, as text. */
  readonly rest: string;
}

/** Follows the status of a FederationBackend: how often it was polled, and which writes moved `lastPollTime` alone. */
export class PollWatch {
  readonly #states: PollState[] = [];
  readonly #versions = new Set<string>();
  readonly #waiting = new Set<() => void>();
  #ends = 0;
  #marked = 0;
  #endSeenAt: number | undefined;

  /** Takes a state in; one that was seen before changes nothing. */
  see(state: PollState): void {
    // A watch that is taken up again begins with the state that is known.
    if (this.#versions.has(state.version)) return;
    this.#versions.add(state.version);
    const before = this.#states.at(-1)?.lastPollTime;
    this.#states.push(state);
    if (state.lastPollTime !== "" && state.lastPollTime !== before) {
      this.#ends++;
      this.#endSeenAt = systemClock.monotonic();
    }
    for (const wake of this.#waiting) wake();
  }

  /** How many states were seen so far: a value for the counts below. */
  get position(): number {
    return this.#states.length;
  }

  /** Writes between two positions that changed `lastPollTime` and nothing else. */
  pollTimeWritesBetween(from: number, to: number): number {
    let count = 0;
    for (let at = Math.max(from, 1); at < to; at++) {
      const [before, after] = [this.#states[at - 1], this.#states[at]];
      if (before?.rest === after?.rest && before?.lastPollTime !== after?.lastPollTime) count++;
    }
    return count;
  }

  /** What the last write changed, by names of status fields; for messages. */
  get lastDifference(): string {
    const [before, after] = this.#states.slice(-2).map(({ rest }) => JSON.parse(rest) as Record<string, unknown>);
    const names = Object.keys({ ...before, ...after });
    const differs = (name: string): boolean => JSON.stringify(before?.[name]) !== JSON.stringify(after?.[name]);
    return names
      .filter(differs)
      .map((name) => `${name}: ${JSON.stringify(before?.[name])} -> ${JSON.stringify(after?.[name])}`)
      .join("; ");
  }

  /** From now on only polls that end later count for `ended`. */
  mark(): void {
    this.#marked = this.#ends;
  }

  /**
   * Resolves when a poll has ended since the mark, at once when one has; that poll is the mark then.
   * @throws after `timeoutMs`
   */
  async ended(timeoutMs: number): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const look = (): void => {
      if (this.#ends > this.#marked) resolve();
    };
    const late = setTimeout(() => reject(new Error("The backend was not polled in time.")), timeoutMs);
    this.#waiting.add(look);
    look();
    await promise.finally(() => {
      clearTimeout(late);
      this.#waiting.delete(look);
    });
    this.mark();
  }

  /** Milliseconds since the end of the last poll was seen; undefined before the first. */
  get sinceEndMs(): number | undefined {
    return this.#endSeenAt === undefined ? undefined : systemClock.monotonic() - this.#endSeenAt;
  }
}
