import { keyOf, type KubeObject } from "./types.ts";

/** Names the values under which an object is found, e.g. `["aws-prod"]` for an index by backend. */
export type Indexer<T> = (object: T) => readonly string[];

/** Called after the store has changed. What a handler throws is caught and reported; the store goes on. */
export interface StoreHandlers<T> {
  readonly add?: (object: T) => void;
  readonly update?: (object: T, old: T) => void;
  readonly delete?: (object: T) => void;
}

export interface StoreOptions<T> {
  readonly indexers?: Readonly<Record<string, Indexer<T>>>;
  /**
   * Given when the indexers look at names and spec alone: a change with the same `generation`, which is one of status or
   * annotations, leaves the indexes as they are. Told of each such change before the handlers are.
   */
  readonly sameSpec?: (object: T, old: T) => void;
  /** Told when a handler or an indexer threw. The error is of our own code. */
  readonly onHandlerError?: (error: unknown) => void;
}

/**
 * Objects of one type by key, with indexes. Reading never waits and never calls the API server.
 *
 * An object that was deleted and created anew under its name (another `uid`) is reported as delete and add, also when the
 * deletion itself was not seen.
 */
export class Store<T extends KubeObject> {
  readonly #objects = new Map<string, T>();
  readonly #indexers: ReadonlyMap<string, Indexer<T>>;
  readonly #indexes = new Map<string, Map<string, Set<string>>>();
  readonly #handlers = new Set<StoreHandlers<T>>();
  readonly #sameSpec: ((object: T, old: T) => void) | undefined;
  readonly #onHandlerError: (error: unknown) => void;
  /** Moves when an object comes or goes, not when one changes. */
  membership = 0;

  constructor(options: StoreOptions<T> = {}) {
    this.#indexers = new Map(Object.entries(options.indexers ?? {}));
    for (const name of this.#indexers.keys()) this.#indexes.set(name, new Map());
    this.#sameSpec = options.sameSpec;
    this.#onHandlerError = options.onHandlerError ?? (() => undefined);
  }

  /** Number of objects. */
  get size(): number {
    return this.#objects.size;
  }

  /** @param key `namespace/name`, or `name` for a cluster-scoped type */
  get(key: string): T | undefined {
    return this.#objects.get(key);
  }

  list(): T[] {
    return [...this.#objects.values()];
  }

  keys(): string[] {
    return [...this.#objects.keys()];
  }

  /** Objects that the indexer put under `value`. Throws for an index that does not exist: that is a bug of the caller. */
  byIndex(index: string, value: string): T[] {
    const keys = this.#index(index).get(value) ?? [];
    return [...keys].flatMap((key) => this.#objects.get(key) ?? []);
  }

  /** How many objects the indexer put under `value`, without looking at them. */
  countByIndex(index: string, value: string): number {
    return this.#index(index).get(value)?.size ?? 0;
  }

  /** All values of an index that at least one object has. */
  indexValues(index: string): string[] {
    return [...this.#index(index).keys()];
  }

  /**
   * Adds handlers; they are told at once of everything that is there.
   * @returns a function that removes them
   */
  subscribe(handlers: StoreHandlers<T>): () => void {
    this.#handlers.add(handlers);
    for (const object of this.list()) this.#guard(() => handlers.add?.(object));
    return () => void this.#handlers.delete(handlers);
  }

  /** Puts in an object that was created or changed. The same `uid` and `resourceVersion` again is no change. */
  upsert(object: T): void {
    const key = keyOf(object);
    const old = this.#objects.get(key);
    if (old === undefined) {
      this.membership += 1;
      this.#put(key, object);
      this.#tell((handlers) => handlers.add?.(object));
      return;
    }
    if (old.metadata.uid !== object.metadata.uid) {
      this.remove(key);
      this.upsert(object);
      return;
    }
    const version = object.metadata.resourceVersion;
    if (version !== undefined && version === old.metadata.resourceVersion) return;
    if (this.#sameSpec !== undefined && sameGeneration(object, old)) {
      this.#objects.set(key, object);
      this.#sameSpec(object, old);
    } else {
      this.#unindex(key, old);
      this.#put(key, object);
    }
    this.#tell((handlers) => handlers.update?.(object, old));
  }

  /** @param last the last known state, for the handlers; default what the store holds */
  remove(key: string, last?: T): void {
    const old = this.#objects.get(key);
    if (old === undefined) return;
    this.membership += 1;
    this.#unindex(key, old);
    this.#objects.delete(key);
    this.#tell((handlers) => handlers.delete?.(last ?? old));
  }

  /** Makes the store hold exactly `objects` and reports the differences. Deletions come first. */
  replace(objects: readonly T[], namespace?: string): void {
    const wanted = new Set(objects.map((object) => keyOf(object)));
    const within = (key: string) => namespace === undefined || key.startsWith(`${namespace}/`);
    for (const key of this.keys()) if (!wanted.has(key) && within(key)) this.remove(key);
    for (const object of objects) this.upsert(object);
  }

  #index(name: string): Map<string, Set<string>> {
    const index = this.#indexes.get(name);
    if (index === undefined) throw new Error(`store has no index "${name}"`);
    return index;
  }

  #put(key: string, object: T): void {
    this.#objects.set(key, object);
    this.#eachIndexValue(object, (index, value) => {
      const keys = index.get(value);
      if (keys === undefined) index.set(value, new Set([key]));
      else keys.add(key);
    });
  }

  #unindex(key: string, object: T): void {
    this.#eachIndexValue(object, (index, value) => {
      const keys = index.get(value);
      keys?.delete(key);
      if (keys?.size === 0) index.delete(value);
    });
  }

  #eachIndexValue(object: T, visit: (index: Map<string, Set<string>>, value: string) => void): void {
    for (const [name, indexer] of this.#indexers) {
      this.#guard(() => {
        for (const value of indexer(object)) visit(this.#index(name), value);
      });
    }
  }

  #tell(call: (handlers: StoreHandlers<T>) => void): void {
    for (const handlers of [...this.#handlers]) this.#guard(() => call(handlers));
  }

  #guard(call: () => void): void {
    try {
      call();
    } catch (error) {
      try {
        this.#onHandlerError(error);
      } catch {
        // Nobody is left to be told.
      }
    }
  }
}

function sameGeneration({ metadata: { generation } }: KubeObject, old: KubeObject): boolean {
  return generation !== undefined && generation === old.metadata.generation;
}
