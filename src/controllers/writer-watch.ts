import type { Clock } from "../time/clock.ts";

const FIRST_MS = 30_000;
const MOST_MS = 300_000;

interface Waiting {
  /** Objects that wait since the last look. */
  keys: Set<string>;
  /** Those that waited at the last look already. */
  before: ReadonlySet<string>;
  delayMs: number;
  cancel: () => void;
}

/**
 * Objects whose path in ScaiVault another cluster has to write first. They are looked at together, a few calls for all of a
 * store, soon at first and ever more seldom: no poll tells when another cluster wrote.
 */
export class WriterWatch<Store extends object> {
  readonly #clock: Clock;
  readonly #look: (store: Store, keys: ReadonlySet<string>) => void;
  readonly #waiting = new Map<Store, Waiting>();

  /** @param look asks ScaiVault for the targets of these objects and has them looked at */
  constructor(clock: Clock, look: (store: Store, keys: ReadonlySet<string>) => void) {
    this.#clock = clock;
    this.#look = look;
  }

  /** An object was found waiting. */
  note(store: Store, key: string): void {
    const known = this.#waiting.get(store);
    if (known === undefined) {
      this.#arm(store, { keys: new Set([key]), before: new Set(), delayMs: FIRST_MS, cancel: () => undefined });
      return;
    }
    const isNew = !known.before.has(key) && !known.keys.has(key);
    known.keys.add(key);
    if (!isNew || known.delayMs === FIRST_MS) return;
    known.cancel();
    this.#arm(store, { ...known, delayMs: FIRST_MS });
  }

  close(): void {
    for (const { cancel } of this.#waiting.values()) cancel();
    this.#waiting.clear();
  }

  #arm(store: Store, waiting: Waiting): void {
    waiting.cancel = this.#clock.setTimeout(() => this.#due(store, waiting), waiting.delayMs, { unref: true });
    this.#waiting.set(store, waiting);
  }

  #due(store: Store, { keys, delayMs }: Waiting): void {
    this.#waiting.delete(store);
    if (keys.size === 0) return;
    // Whoever still waits notes itself again; when nobody does, this was the last look.
    this.#arm(store, {
      keys: new Set(),
      before: keys,
      delayMs: Math.min(delayMs * 2, MOST_MS),
      cancel: () => undefined,
    });
    this.#look(store, keys);
  }
}
