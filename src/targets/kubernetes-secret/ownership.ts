import { createHash } from "node:crypto";
import { fieldManagers, secretMetadata } from "../../api/index.ts";
import { fieldOwnership, type FieldOwnership, type KubeObject, type ManagedFieldsEntry } from "../../runtime/index.ts";

/** Field manager of all our writes of target Secrets. */
export const MANAGER = fieldManagers.secrets;
/** Holds the type of a Secret that was handed back, see {@link releasedFields}. */
const RELEASED_MANAGER = `${MANAGER}-released`;

/** Labels and annotations that other operators put on their Secrets; they go when the Secret is taken over. */
const toolPrefixes = ["reconcile.external-secrets.io/"] as const;

type Fields = Readonly<Record<string, unknown>>;

/** True for a label or annotation by which another operator knows its own Secrets. */
export function isToolKey(key: string): boolean {
  return toolPrefixes.some((prefix) => key.startsWith(prefix));
}

/** Who owns the data keys. */
export function dataOwners(metadata: KubeObject["metadata"]): FieldOwnership {
  return fieldOwnership(metadata.managedFields, MANAGER);
}

/** True when every data key that anybody owns is ours alone, by apply. */
export function allKeysOurs(owners: FieldOwnership): boolean {
  return owners.applied && owners.foreign.size === 0 && owners.written.size === 0;
}

/** All data keys that somebody owns. */
export function ownedKeys(owners: FieldOwnership): ReadonlySet<string> {
  return new Set([...owners.ours, ...owners.written, ...[...owners.foreign.values()].flatMap((keys) => [...keys])]);
}

/**
 * What a mark on a Secret carries as the target's version: number and digest of the key names. A Secret has no version,
 * but a key that somebody removed is missing in our managedFields, and this tells without reading data.
 */
export function keysVersion(keys: Iterable<string>): string {
  const names = [...keys].sort();
  const digest = createHash("sha256").update(names.join("\n"), "utf8").digest("hex").slice(0, 24);
  return `k${names.length}.${digest}`;
}

/** True when our apply may write every field that it declares: it is there, and nobody else holds one of them. */
export function ownershipClean(metadata: KubeObject["metadata"]): boolean {
  const entries = metadata.managedFields ?? [];
  return (
    entries.some(isOurApply) &&
    entries.every((entry) => {
      if (isOurApply(entry)) return true;
      if (entry.manager === MANAGER) return false;
      const kept = withoutOurFields(entry.fieldsV1, false);
      return JSON.stringify(kept ?? {}) === JSON.stringify(entry.fieldsV1 ?? {});
    })
  );
}

/**
 * managedFields after a take-over: `keys`, the type, our label and our mark belong to our apply alone, so that the next
 * apply may change or drop them without force. Other managers keep what else they own.
 * @param adopting also takes the labels and annotations of other operators away from their owners
 */
export function takenOver(
  metadata: KubeObject["metadata"],
  keys: Iterable<string>,
  time: string,
  adopting: boolean,
): ManagedFieldsEntry[] {
  const ours: ManagedFieldsEntry = {
    manager: MANAGER,
    operation: "Apply",
    apiVersion: "v1",
    time,
    fieldsType: "FieldsV1",
    fieldsV1: {
      "f:data": Object.fromEntries([...keys].map((key) => [`f:${key}`, {}])),
      "f:metadata": {
        "f:annotations": { [`f:${secretMetadata.markAnnotation}`]: {} },
        "f:labels": { [`f:${secretMetadata.managedLabel}`]: {} },
      },
      "f:type": {},
    },
  };
  return [ours, ...others(metadata, (fields) => withoutOurFields(fields, adopting))];
}

/** managedFields after label and mark were set by a patch: they belong to our apply, everything else stays as it is. */
export function markTakenOver(metadata: KubeObject["metadata"], time: string): ManagedFieldsEntry[] {
  const owners = dataOwners(metadata);
  const [ours] = takenOver(metadata, owners.ours, time, false);
  return [...(ours === undefined ? [] : [ours]), ...others(metadata, (fields) => withoutMark(fields))];
}

/**
 * managedFields after a hand-back: nobody owns the data, so that any tool's update or apply takes it. They must not be
 * empty: the API server would then give everything to `before-first-apply`, which blocks the next tool's apply. So when
 * nobody else is left, an entry holds the type, which nobody can change anyway.
 */
export function releasedFields(metadata: KubeObject["metadata"], time: string): ManagedFieldsEntry[] {
  const left = others(metadata, (fields) => withoutMark(fields));
  if (left.length > 0) return left;
  return [
    {
      manager: RELEASED_MANAGER,
      operation: "Update",
      apiVersion: "v1",
      time,
      fieldsType: "FieldsV1",
      fieldsV1: { "f:type": {} },
    },
  ];
}

function isOurApply(entry: ManagedFieldsEntry): boolean {
  return entry.manager === MANAGER && entry.operation === "Apply" && (entry.subresource ?? "") === "";
}

/** Entries of other managers, each cut by `cut`; those that own nothing any more are left out. */
function others(
  metadata: KubeObject["metadata"],
  cut: (fields: Fields | undefined) => Fields | undefined,
): ManagedFieldsEntry[] {
  return (metadata.managedFields ?? []).flatMap((entry) => {
    if (entry.manager === MANAGER || entry.manager === RELEASED_MANAGER) return [];
    const fieldsV1 = cut(entry.fieldsV1);
    return fieldsV1 === undefined ? [] : [{ ...entry, fieldsV1 }];
  });
}

function withoutOurFields(fields: Fields | undefined, adopting: boolean): Fields | undefined {
  const cut = Object.fromEntries(
    Object.entries(fields ?? {}).filter(([name]) => name !== "f:data" && name !== "f:type"),
  );
  return withoutMetadata(cut, (key) => isOurKey(key) || (adopting && isToolKey(key)));
}

function withoutMark(fields: Fields | undefined): Fields | undefined {
  return withoutMetadata(fields ?? {}, isOurKey);
}

function isOurKey(key: string): boolean {
  return key === secretMetadata.managedLabel || key === secretMetadata.markAnnotation;
}

/** Takes labels and annotations out of a field set; undefined when nothing is left. */
function withoutMetadata(fields: Fields, drop: (key: string) => boolean): Fields | undefined {
  const metadata = mapOf(fields["f:metadata"]);
  const kept: Record<string, unknown> = { ...fields };
  if (metadata !== undefined) {
    const inner: Record<string, unknown> = { ...metadata };
    for (const part of ["f:labels", "f:annotations"]) {
      const entries = Object.entries(mapOf(metadata[part]) ?? {});
      const left = entries.filter(([name]) => !drop(name.slice(2)));
      // Only the map itself (".") is left: it goes too, when it was there for the sake of what went.
      if (left.length < entries.length && left.every(([name]) => name === ".")) delete inner[part];
      else if (entries.length > 0) inner[part] = Object.fromEntries(left);
    }
    if (Object.keys(inner).length === 0) delete kept["f:metadata"];
    else kept["f:metadata"] = inner;
  }
  return Object.keys(kept).length === 0 ? undefined : kept;
}

function mapOf(value: unknown): Fields | undefined {
  return typeof value === "object" && value !== null ? (value as Fields) : undefined;
}
