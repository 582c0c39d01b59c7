import type { Clock } from "../../src/time/clock.ts";
import { Agenda } from "../agenda.ts";
import { Collection } from "../store/objects.ts";
import type { Owner, Store } from "../store/store.ts";

/** Versions that go at a moment. */
interface Grace {
  readonly id: string;
  readonly owner: Owner;
  readonly path: string;
  /** This version and older ones. */
  readonly upTo: number;
  /** ms since the epoch. */
  readonly until: number;
}

/** Grace periods: how long versions before a rotation stay readable. */
export class GracePeriods {
  readonly #store: Store;
  readonly #items: Collection<Grace>;
  readonly #agenda: Agenda;

  constructor(store: Store, clock: Clock) {
    this.#store = store;
    this.#items = new Collection(store.objects, "rotation-grace");
    this.#agenda = new Agenda(clock);
  }

  /** Plans what the store has. */
  begin(): void {
    for (const grace of this.#items.values()) this.#plan(grace);
  }

  reload(): void {
    this.#agenda.empty();
    this.#items.reload();
    this.begin();
  }

  stop(): void {
    this.#agenda.stop();
  }

  /** Begins one: at `until` the version and all older ones are removed. */
  add(secret: { readonly owner: Owner; readonly path: string }, upTo: number, until: number): void {
    const { owner, path } = secret;
    this.#plan(this.#items.save({ id: `${owner} ${path} ${upTo}`, owner, path, upTo, until }));
  }

  /** The secret is gone: versions that begin at 1 again must not fall to an old grace period. */
  forget(secret: { readonly owner: Owner; readonly path: string }): void {
    for (const { id, owner, path } of this.#items.values())
      if (owner === secret.owner && path === secret.path) this.#end(id);
  }

  #plan({ id, owner, path, upTo, until }: Grace): void {
    this.#agenda.set(id, until, () => {
      this.#store.atomically(() => {
        for (const { version } of this.#store.listVersions(owner, path))
          if (version <= upTo) this.#store.removeVersion(owner, path, version);
        this.#end(id);
      });
    });
  }

  #end(id: string): void {
    this.#agenda.clear(id);
    this.#items.remove(id);
  }
}
