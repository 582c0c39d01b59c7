import type { Content } from "./content.ts";
import type { RemoteRange } from "./mapping.ts";

/** A secret of a store with its value. */
export interface RemoteSecret extends Content {
  /** That of KV v2, else 1. */
  readonly version: number;
  /** The store's own word for the version, empty when it has none. */
  readonly mark: string;
  /** ms since the epoch, null when the store does not say. */
  readonly createdAt: number | null;
}

/** A secret of a store without its value. */
export interface RemoteInfo {
  readonly version: number;
  /** Numbers of the versions that can be read, newest first, with their times. */
  readonly versions: readonly { readonly version: number; readonly createdAt: number | null }[];
  /** As `key=value`. */
  readonly tags: readonly string[];
  readonly createdAt: number | null;
  readonly updatedAt: number | null;
}

/** One name that a listing found. */
export interface RemoteEntry {
  /** With its mount, as templates name it. */
  readonly name: string;
  /** Version id, when the listing tells it. */
  readonly mark: string | undefined;
  /** Undefined when the listing tells names only. */
  readonly info: RemoteInfo | undefined;
}

/** Calls by kind. */
export interface CallCounts {
  login: number;
  list: number;
  read: number;
  metadata: number;
}

/**
 * A store, read-only. All methods throw StoreFailure; `undefined` means that the store says there is no such secret.
 * Names are those of `path_mapping`'s right side (for Vault with mount and `data/`).
 */
export interface RemoteStore {
  readonly calls: CallCounts;
  /** One cheap call that shows whether the store answers and takes the credentials. */
  check(signal?: AbortSignal): Promise<void>;
  read(name: string, version?: number, signal?: AbortSignal): Promise<RemoteSecret | undefined>;
  describe(name: string, signal?: AbortSignal): Promise<RemoteInfo | undefined>;
  /** Everything in a range, whole or not at all. */
  list(range: RemoteRange, signal?: AbortSignal): Promise<readonly RemoteEntry[]>;
  close(): Promise<void>;
}

/** Runs `work` over `items`, at most `width` at a time. After a failure nothing new begins; it is thrown when all is quiet. */
export async function eachOf<T>(
  items: readonly T[],
  width: number,
  work: (item: T, index: number) => Promise<void>,
): Promise<void> {
  let next = 0;
  const failures: unknown[] = [];
  const lane = async (): Promise<void> => {
    while (next < items.length && failures.length === 0) {
      const index = next++;
      try {
        await work(items[index] as T, index);
      } catch (error) {
        failures.push(error);
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(width, items.length) }, lane));
  if (failures.length > 0) throw failures[0];
}
