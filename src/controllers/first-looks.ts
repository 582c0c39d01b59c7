import type { KubeObject, Lane } from "../runtime/index.ts";
import type { Clock } from "../time/clock.ts";
import type { BackendState } from "./backend-registry.ts";

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

  /**
   * Takes an object that a look could tell nothing of, because its backend was not checked or its store not polled yet. The end
   * of the first poll, good or bad, has it looked at; so do two seconds. Else each object would be gone through twice before
   * the store is asked anything, and those that are many would hold its first poll up.
   * @param state how its backend stands; undefined: there is none, which is to be said
   * @returns false when it is to be looked at now
   */
  takes(key: string, object: KubeObject, lane: Lane, state: BackendState | undefined): boolean {
    if (!this.early || state === undefined || (lane !== "refresh" && lane !== "change")) return false;
    const unpolled = state.state === "Usable" && state.store.poller.state.state === "Unpolled";
    if (state.state !== "Pending" && !unpolled) return false;
    // What needs no store is done at once.
    const { spec } = object as { spec?: { suspend?: unknown } };
    if (object.metadata.deletionTimestamp !== undefined || spec?.suspend === true) return false;
    this.#keys.add(key);
    return true;
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
