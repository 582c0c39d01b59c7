import {
  type CallOptions,
  type KubeClient,
  keyOf,
  type PartialObjectMetadata,
  resources,
} from "../../runtime/index.ts";
import type { KubernetesSecretRef } from "./types.ts";

/** What is read of the metadata store: a mirror of the Secrets that carry our label. */
export interface MetadataStore {
  get(key: string): PartialObjectMetadata | undefined;
}

/**
 * Metadata of Secrets without asking when it is known: from the store, which a watch feeds, or from the answer to our own
 * last write where the watch has not brought that yet. Only names that neither knows are asked for: absent ones, and
 * Secrets without our label.
 */
export class SecretLookup {
  readonly #client: KubeClient;
  readonly #store: MetadataStore;
  /** Answers to our own writes, until the store has caught up. */
  readonly #written = new Map<string, PartialObjectMetadata>();
  /** Uids of Secrets that we deleted and that the store may still show. */
  readonly #deleted = new Map<string, string>();
  /** Names that were taken when we assumed that they were not. */
  readonly #taken = new Set<string>();

  constructor(client: KubeClient, store: MetadataStore) {
    this.#client = client;
    this.#store = store;
  }

  /** @throws errors of the API client */
  async find(ref: KubernetesSecretRef, options: CallOptions): Promise<PartialObjectMetadata | undefined> {
    return this.known(ref) ?? this.ask(ref, options);
  }

  /** What is known without a call. */
  known(ref: KubernetesSecretRef): PartialObjectMetadata | undefined {
    const key = keyOf(ref);
    const stored = this.#store.get(key);
    if (stored === undefined) {
      // Not seen yet, deleted, or released meanwhile: only the API server knows which.
      this.#written.delete(key);
      this.#deleted.delete(key);
      return undefined;
    }
    if (stored.metadata.uid === this.#deleted.get(key)) return undefined;
    const written = this.#written.get(key);
    if (written === undefined || notOlder(stored, written)) {
      this.#written.delete(key);
      return stored;
    }
    return written;
  }

  /** Whether an unknown name may be taken for a free one. */
  mayBeFree(ref: KubernetesSecretRef): boolean {
    return !this.#taken.has(keyOf(ref));
  }

  /** Remembers that a name was not free: from now on it is asked for. */
  taken(ref: KubernetesSecretRef): void {
    this.#taken.add(keyOf(ref));
  }

  /** Asks the API server, for metadata only. */
  async ask(ref: KubernetesSecretRef, options: CallOptions): Promise<PartialObjectMetadata | undefined> {
    return this.#client.findMetadata(resources.secrets, { namespace: ref.namespace, name: ref.name }, options);
  }

  /** Remembers the answer to a write of ours. */
  wrote(ref: KubernetesSecretRef, metadata: PartialObjectMetadata): void {
    this.#written.set(keyOf(ref), metadata);
  }

  /** Remembers that we deleted it: the store may still show it for a moment. */
  deleted(ref: KubernetesSecretRef, uid: string): void {
    this.#written.delete(keyOf(ref));
    this.#deleted.set(keyOf(ref), uid);
  }
}

/** Resource versions are opaque by contract, but grow as whole numbers wherever this runs; anything else counts as newer. */
function notOlder(stored: PartialObjectMetadata, written: PartialObjectMetadata): boolean {
  const a = Number(stored.metadata.resourceVersion);
  const b = Number(written.metadata.resourceVersion);
  return Number.isNaN(a) || Number.isNaN(b) || a >= b;
}
