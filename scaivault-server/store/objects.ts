/** Things with an id that are small and few: subscriptions, webhooks, rotation policies. */

/** What a store does for them. `kind` keeps families apart. */
export interface ObjectStore {
  /** The JSON texts of a kind, in the order in which they were first saved. */
  loadObjects(kind: string): string[];
  saveObject(kind: string, id: string, json: string): void;
  removeObject(kind: string, id: string): void;
}

/** The objects of one kind, held in memory and written through to the store. */
export class Collection<T extends { readonly id: string }> {
  readonly #store: ObjectStore;
  readonly #kind: string;
  readonly #items = new Map<string, T>();

  constructor(store: ObjectStore, kind: string) {
    this.#store = store;
    this.#kind = kind;
    this.reload();
  }

  /** Takes over what the store has, after a restore of a backup. */
  reload(): void {
    this.#items.clear();
    for (const json of this.#store.loadObjects(this.#kind)) {
      const item = JSON.parse(json) as T;
      this.#items.set(item.id, item);
    }
  }

  get(id: string): T | undefined {
    return this.#items.get(id);
  }

  /** In the order in which they were made. */
  values(): readonly T[] {
    return [...this.#items.values()];
  }

  save(item: T): T {
    this.#store.saveObject(this.#kind, item.id, JSON.stringify(item));
    this.#items.set(item.id, item);
    return item;
  }

  /** @returns whether there was one. */
  remove(id: string): boolean {
    if (!this.#items.delete(id)) return false;
    this.#store.removeObject(this.#kind, id);
    return true;
  }
}
