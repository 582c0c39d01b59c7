/** Accept headers that make the server leave out everything but metadata. */
export const accept = {
  metadata: "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io",
  metadataList: "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io",
} as const;

/** What every call takes. */
export interface CallOptions {
  readonly signal?: AbortSignal | undefined;
  /** For the whole call, ms. */
  readonly timeoutMs?: number | undefined;
  readonly userAgent?: string | undefined;
  /** Does not wait behind other calls. */
  readonly urgent?: boolean | undefined;
  /** Called directly before each attempt is sent; throwing ends the call. For writes: `leadership.assertHeld`. */
  readonly guard?: (() => void) | undefined;
}

export interface ListOptions extends CallOptions {
  /** Default: all namespaces. */
  readonly namespace?: string | undefined;
  readonly labelSelector?: string | undefined;
  readonly fieldSelector?: string | undefined;
  /** `"0"`: whatever the server has in its cache. Absent: the newest, which waits for etcd. */
  readonly resourceVersion?: string | undefined;
  readonly resourceVersionMatch?: "Exact" | "NotOlderThan" | undefined;
  /** Objects a page. Default 500; 0: all at once. */
  readonly limit?: number | undefined;
  readonly metadataOnly?: boolean | undefined;
}

export interface WatchOptions extends CallOptions {
  readonly namespace?: string | undefined;
  readonly labelSelector?: string | undefined;
  readonly fieldSelector?: string | undefined;
  readonly resourceVersion: string;
  /** After this time the server ends the watch by itself. */
  readonly timeoutSeconds: number;
  readonly metadataOnly?: boolean | undefined;
}

export interface WriteOptions extends CallOptions {
  /** The server checks and answers, and stores nothing. */
  readonly dryRun?: boolean | undefined;
  readonly fieldManager?: string | undefined;
}

export interface ApplyOptions extends WriteOptions {
  /** Take over fields that others manage. Default false: the server answers 409. */
  readonly force?: boolean | undefined;
  /** False when doing it twice is not the same as doing it once (creation only). Default true. */
  readonly idempotent?: boolean | undefined;
}

export interface DeleteOptions extends CallOptions {
  readonly dryRun?: boolean | undefined;
  /** Only this object, not one that took its name. */
  readonly uid?: string | undefined;
  /** Only in this state. */
  readonly resourceVersion?: string | undefined;
  readonly propagationPolicy?: "Background" | "Foreground" | "Orphan" | undefined;
}

export interface ListPage<T> {
  readonly items: T[];
  readonly resourceVersion: string;
}

/** One type as the discovery document of its group names it. */
export interface DiscoveredResource {
  readonly name: string;
  readonly kind: string;
  readonly namespaced: boolean;
  readonly verbs: readonly string[];
}

/** One operation of JSON Patch (RFC 6902). */
export interface JsonPatchOperation {
  readonly op: "add" | "remove" | "replace" | "test";
  readonly path: string;
  readonly value?: unknown;
}
