import {
  effectiveBackend,
  effectiveSync,
  type FederationBackend,
  parseFederationBackend,
  type ParseResult,
  parseSecretSync,
  type SecretSync,
} from "../api/index.ts";
import { SyncError } from "../errors/index.ts";
import type { KubeObject } from "../runtime/index.ts";

/** An object of ours as read: parsed, or what is wrong with it. Newer, unknown fields are dropped, not refused. */
export type View<T> = { readonly ok: true; readonly object: T } | { readonly ok: false; readonly error: SyncError };

// Objects in a store are never changed in place, so their parsed form can be remembered by identity.
const backendViews = new WeakMap<KubeObject, View<FederationBackend>>();
const syncViews = new WeakMap<KubeObject, View<SecretSync>>();
const declaredViews = new WeakMap<KubeObject, View<Pick<SecretSync, "spec" | "metadata">>>();

function view<T>(
  cache: WeakMap<KubeObject, View<T>>,
  object: KubeObject,
  parse: (input: unknown) => ParseResult<T>,
): View<T> {
  const known = cache.get(object);
  if (known !== undefined) return known;
  const parsed = parse(object);
  const made: View<T> = parsed.ok
    ? { ok: true, object: parsed.value }
    : { ok: false, error: new SyncError("InvalidSpec", parsed.message) };
  cache.set(object, made);
  return made;
}

export function viewBackend(object: KubeObject): View<FederationBackend> {
  return view(backendViews, object, parseFederationBackend);
}

export function viewSync(object: KubeObject): View<SecretSync> {
  return view(syncViews, object, parseSecretSync);
}

/** What an object declares: name, namespace and spec. Its status and annotations may be those of an earlier state. */
export function viewDeclared(object: KubeObject): View<Pick<SecretSync, "spec" | "metadata">> {
  return syncViews.get(object) ?? declaredViews.get(object) ?? viewSync(object);
}

/** Takes the parsed spec over from an earlier state with the same generation: a change of status is not parsed for it. */
export function sameDeclared(object: KubeObject, old: KubeObject): void {
  const known = syncViews.get(old) ?? declaredViews.get(old);
  if (known !== undefined) declaredViews.set(object, known);
}

/** `namespace/name` of the backend that a SecretSync reads from. */
export function backendKeyOf(sync: Pick<SecretSync, "spec" | "metadata">): string {
  const { name, namespace } = sync.spec.source.backendRef;
  return `${namespace ?? sync.metadata.namespace}/${name}`;
}

/** The interval in force: the object's own, else its backend's, else the default. */
export function intervalOf(backend: FederationBackend | undefined, sync?: SecretSync): number {
  if (sync !== undefined) return effectiveSync(sync.spec, backend?.spec).syncIntervalMs;
  return backend === undefined ? DEFAULT_INTERVAL_MS : effectiveBackend(backend.spec).syncIntervalMs;
}

const DEFAULT_INTERVAL_MS = 900_000;
