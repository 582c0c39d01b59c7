import { LABEL_TRUE, secretMetadata } from "../../api/index.ts";
import type { JsonPatchOperation, KubeObject, ManagedFieldsEntry } from "../../runtime/index.ts";
import { isToolKey } from "./ownership.ts";

type Metadata = KubeObject["metadata"];

/**
 * The JSON patches of take-over and hand-back (security rule R28): they touch managedFields, our label, our mark and
 * other operators' labels, carry no value, and test uid and resource version first, so that they hit exactly the state
 * that was looked at.
 */
export function fencedPatch(metadata: Metadata, operations: readonly JsonPatchOperation[]): JsonPatchOperation[] {
  return [
    { op: "test", path: "/metadata/uid", value: metadata.uid },
    { op: "test", path: "/metadata/resourceVersion", value: metadata.resourceVersion },
    ...operations,
  ];
}

export function setManagedFields(entries: readonly ManagedFieldsEntry[]): JsonPatchOperation {
  return { op: "add", path: "/metadata/managedFields", value: entries };
}

/** Sets label and mark. */
export function setMark(metadata: Metadata, markText: string): JsonPatchOperation[] {
  return [
    ...setLabel(metadata),
    ...setIn("annotations", metadata.annotations, secretMetadata.markAnnotation, markText),
  ];
}

/** Sets the label alone. */
export function setLabel(metadata: Metadata): JsonPatchOperation[] {
  return setIn("labels", metadata.labels, secretMetadata.managedLabel, LABEL_TRUE);
}

/** Takes label and mark off. */
export function removeMark(metadata: Metadata): JsonPatchOperation[] {
  return [
    ...removeFrom("labels", metadata.labels, (key) => key === secretMetadata.managedLabel),
    ...removeFrom("annotations", metadata.annotations, (key) => key === secretMetadata.markAnnotation),
  ];
}

/** Takes other operators' labels and annotations off. */
export function removeToolKeys(metadata: Metadata): JsonPatchOperation[] {
  return [
    ...removeFrom("labels", metadata.labels, isToolKey),
    ...removeFrom("annotations", metadata.annotations, isToolKey),
  ];
}

type Texts = Readonly<Record<string, string>> | undefined;

function setIn(part: "labels" | "annotations", have: Texts, key: string, value: string): JsonPatchOperation[] {
  if (have === undefined) return [{ op: "add", path: `/metadata/${part}`, value: { [key]: value } }];
  return [{ op: "add", path: `/metadata/${part}/${pointer(key)}`, value }];
}

function removeFrom(part: "labels" | "annotations", have: Texts, drop: (key: string) => boolean): JsonPatchOperation[] {
  return Object.keys(have ?? {})
    .filter(drop)
    .map((key) => ({ op: "remove", path: `/metadata/${part}/${pointer(key)}` }));
}

/** One segment of a JSON pointer (RFC 6901). */
function pointer(key: string): string {
  return key.replaceAll("~", "~0").replaceAll("/", "~1");
}
