import type { ApplyOptions } from "./call-options.ts";
import type { KubeClient } from "./client.ts";
import { isConflict, isInvalid } from "./errors.ts";
import type { KubeObject, ManagedFieldsEntry, PartialObjectMetadata, Resource } from "./types.ts";

/**
 * Server-side apply that refuses what is not there, or what is there.
 *
 * Apply alone is no refusal: it creates what is absent and merges into what others made. A `resourceVersion` in the applied
 * object makes the server refuse an object that exists; a `uid` makes it refuse one that is gone or was replaced.
 * Tried on kube-apiserver 1.35; the answers are in `test/integration/runtime/apply.test.ts`.
 */

/** No stored object has this version: etcd's first revision is taken before the API server writes its first object. */
const sentinelVersion = "1";

export type ApplyNewResult =
  | { readonly created: true; readonly metadata: PartialObjectMetadata }
  /** Something with that name exists; nothing was changed. */
  | { readonly created: false };

export type ApplyExistingResult =
  | { readonly updated: true; readonly metadata: PartialObjectMetadata }
  /**
   * The object with that uid does not exist any more, or is in another state than the given one; nothing was changed and nothing
   * was created.
   */
  | { readonly updated: false };

/** Writes an object that must not exist yet. After a lost answer the next call finds it there, ours by its managedFields. */
export async function applyNew(
  client: KubeClient,
  resource: Resource,
  object: KubeObject,
  options: ApplyOptions = {},
): Promise<ApplyNewResult> {
  const { uid: _uid, ...metadata } = object.metadata;
  try {
    const created = await client.apply(
      resource,
      { ...object, metadata: { ...metadata, resourceVersion: sentinelVersion } },
      { ...options, idempotent: false },
    );
    return { created: true, metadata: created };
  } catch (error) {
    if (isConflict(error)) return { created: false };
    throw error;
  }
}

export interface ApplyExistingOptions extends ApplyOptions {
  /**
   * Write only in this state of the object. The one fence that also holds for a process that was paused between its last look
   * at the lease and the sending: the server refuses it once the new leader has written.
   */
  readonly resourceVersion?: string | undefined;
}

/**
 * Writes an object that exists with this uid.
 * @throws ApiStatusError 409 with `fields` when others manage fields that differ and `force` is not set
 */
export async function applyExisting(
  client: KubeClient,
  resource: Resource,
  object: KubeObject,
  uid: string,
  options: ApplyExistingOptions = {},
): Promise<ApplyExistingResult> {
  const { resourceVersion: _version, ...metadata } = object.metadata;
  const { resourceVersion, ...apply } = options;
  const lock = resourceVersion === undefined ? {} : { resourceVersion };
  try {
    const updated = await client.apply(resource, { ...object, metadata: { ...metadata, uid, ...lock } }, apply);
    return { updated: true, metadata: updated };
  } catch (error) {
    // Gone or another state: 409 without fields. Replaced: 422 on metadata.uid.
    if (isConflict(error) && !hasFields(error)) return { updated: false };
    if (isInvalid(error) && hasFields(error, "metadata.uid")) return { updated: false };
    throw error;
  }
}

function hasFields(error: unknown, field?: string): boolean {
  if (typeof error !== "object" || error === null || !("fields" in error) || !Array.isArray(error.fields)) return false;
  return error.fields.some((one: { field?: unknown }) => field === undefined || one.field === field);
}

/** Who owns the keys of one map of an object (`data`), as its managedFields tell. Never needs the values. */
export interface FieldOwnership {
  /** True when we have an entry from an apply. */
  readonly applied: boolean;
  /** Keys of our apply. */
  readonly ours: ReadonlySet<string>;
  /** True when an entry from another kind of write stands under our name: somebody else wrote as us. */
  readonly writtenAsUs: boolean;
  /** Keys of such entries. */
  readonly written: ReadonlySet<string>;
  /** Other managers with at least one key each. */
  readonly foreign: ReadonlyMap<string, ReadonlySet<string>>;
}

/**
 * Reads the owners of the keys directly below `at`.
 * @param manager our field manager
 */
export function fieldOwnership(
  entries: readonly ManagedFieldsEntry[] | undefined,
  manager: string,
  at = "data",
): FieldOwnership {
  let applied = false;
  let writtenAsUs = false;
  const ours = new Set<string>();
  const written = new Set<string>();
  const foreign = new Map<string, Set<string>>();
  for (const entry of entries ?? []) {
    const keys = keysBelow(entry, at);
    if (entry.manager === manager && entry.operation === "Apply" && isMain(entry)) {
      applied = true;
      addAll(ours, keys);
    } else if (entry.manager === manager) {
      writtenAsUs ||= isMain(entry);
      addAll(written, keys);
    } else if (keys.length > 0) {
      const name = entry.manager ?? "";
      const known = foreign.get(name) ?? new Set();
      addAll(known, keys);
      foreign.set(name, known);
    }
  }
  return { applied, ours, writtenAsUs, written, foreign };
}

/** True when exactly `keys` stand in our apply, nobody else owns or shares one, and nobody wrote under our name. */
export function ownsExactly(ownership: FieldOwnership, keys: Iterable<string>): boolean {
  const wanted = new Set(keys);
  return (
    ownership.applied &&
    !ownership.writtenAsUs &&
    ownership.written.size === 0 &&
    ownership.foreign.size === 0 &&
    wanted.size === ownership.ours.size &&
    [...wanted].every((key) => ownership.ours.has(key))
  );
}

/** One field that somebody manages: the way to it as segments. List items appear as their raw selector (`k:{...}`, `v:...`). */
export type FieldPath = readonly string[];

/** All fields at the ends of our apply, e.g. `["metadata", "labels", "x"]`, `["type"]`. Sorted by nothing. */
export function appliedFields(entries: readonly ManagedFieldsEntry[] | undefined, manager: string): FieldPath[] {
  return managedFieldsOf(entries, (entry) => entry.manager === manager && entry.operation === "Apply" && isMain(entry));
}

/** Fields at the ends of all entries that `pick` chooses. */
export function managedFieldsOf(
  entries: readonly ManagedFieldsEntry[] | undefined,
  pick: (entry: ManagedFieldsEntry) => boolean,
): FieldPath[] {
  const paths: FieldPath[] = [];
  for (const entry of entries ?? []) if (pick(entry)) collect(entry.fieldsV1, [], paths);
  return paths;
}

const maxDepth = 32;

function collect(node: unknown, at: readonly string[], into: FieldPath[]): void {
  if (at.length > maxDepth) return;
  const children = childrenOf(node).filter(([name]) => name !== ".");
  if (children.length === 0) {
    if (at.length > 0) into.push(at);
    return;
  }
  for (const [name, child] of children) collect(child, [...at, name.startsWith("f:") ? name.slice(2) : name], into);
}

function isMain(entry: ManagedFieldsEntry): boolean {
  return entry.subresource === undefined || entry.subresource === "";
}

function keysBelow(entry: ManagedFieldsEntry, at: string): string[] {
  const [, node] = childrenOf(entry.fieldsV1).find(([name]) => name === `f:${at}`) ?? [];
  return childrenOf(node).flatMap(([name]) => (name.startsWith("f:") ? [name.slice(2)] : []));
}

/** Own properties only: keys are foreign text. */
function childrenOf(node: unknown): [string, unknown][] {
  return typeof node === "object" && node !== null ? Object.entries(node) : [];
}

function addAll(into: Set<string>, keys: readonly string[]): void {
  for (const key of keys) into.add(key);
}
