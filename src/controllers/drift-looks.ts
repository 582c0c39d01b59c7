/**
 * Events of copies, each of which asks for a look at the object that owns it, unless it only brings what the operator wrote
 * itself. The watch may be faster than the answer to the write: while an object is worked on its events wait, since only then
 * it is known which of them are of our own making.
 */
export class DriftLooks<Copy> {
  readonly #working = new Map<string, Copy[]>();
  readonly #isEcho: (copy: Copy) => boolean;
  readonly #look: (owner: string) => void;

  constructor(options: { isEcho: (copy: Copy) => boolean; look: (owner: string) => void }) {
    this.#isEcho = options.isEcho;
    this.#look = options.look;
  }

  /** A copy changed. */
  seen(owner: string, copy: Copy): void {
    const waiting = this.#working.get(owner);
    if (waiting !== undefined) waiting.push(copy);
    else if (!this.#isEcho(copy)) this.#look(owner);
  }

  /** Runs what works on an object. */
  async during<T>(owner: string, work: () => Promise<T>): Promise<T> {
    this.#working.set(owner, []);
    try {
      return await work();
    } finally {
      const copies = this.#working.get(owner) ?? [];
      this.#working.delete(owner);
      // Each is asked about: what is known of an echo is forgotten with it.
      if (copies.filter((copy) => !this.#isEcho(copy)).length > 0) this.#look(owner);
    }
  }
}
