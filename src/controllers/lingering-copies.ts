/** What is needed of an object: its name, and which state of it this is about. */
interface OfSubtree {
  readonly key: string;
  readonly sync: { readonly metadata: { readonly uid: string; readonly generation: number } };
}

/** Secrets of subtrees that have a copy in ScaiVault and that no walk of this term listed, by object. */
export class LingeringCopies {
  readonly #byObject = new Map<string, { readonly basis: string; readonly paths: Set<string> }>();

  /** Whether they were looked for already, for an object as it is now. */
  lookedFor({ key, sync }: OfSubtree): boolean {
    return this.#byObject.get(key)?.basis === basisOf(sync.metadata);
  }

  note({ key, sync }: OfSubtree, paths: Iterable<string>): void {
    this.#byObject.set(key, { basis: basisOf(sync.metadata), paths: new Set(paths) });
  }

  paths(key: string): Iterable<string> {
    return this.#byObject.get(key)?.paths ?? [];
  }

  /** Nothing is left of it. */
  settled(key: string, path: string): void {
    this.#byObject.get(key)?.paths.delete(path);
  }

  forget(key: string): void {
    this.#byObject.delete(key);
  }
}

const basisOf = ({ uid, generation }: { uid: string; generation: number }): string => `${uid} ${generation}`;
