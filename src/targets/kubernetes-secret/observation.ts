import { LABEL_TRUE, secretMetadata } from "../../api/index.ts";
import { cleanText, SyncError } from "../../errors/index.ts";
import type { TargetObservation } from "../../ports/target.ts";
import type { KubeObject, PartialObjectMetadata } from "../../runtime/index.ts";
import { markFields, type MarkSeal } from "../marks.ts";
import { allKeysOurs, dataOwners, keysVersion, MANAGER } from "./ownership.ts";
import type { KubernetesSecretRef } from "./types.ts";

/** What the proof of a Secret's mark is bound to. */
export function targetID(ref: KubernetesSecretRef): string {
  return `kubernetes-secret/${ref.namespace}/${ref.name}`;
}

const unasked = {
  version: "",
  mark: { state: "None" },
  content: "Unknown",
  metadataAsDeclared: false,
  fence: "",
} as const;

export const absent: TargetObservation = { presence: "Absent", ...unasked };

export function unknown(failure: unknown, action: string): TargetObservation {
  const error = failure instanceof SyncError ? failure : new SyncError("Unexpected", "an unexpected error", { action });
  return { presence: "Unknown", ...unasked, failure: error };
}

export function isLabelled(metadata: KubeObject["metadata"]): boolean {
  return metadata.labels?.[secretMetadata.managedLabel] === LABEL_TRUE;
}

export function markAnnotation(metadata: KubeObject["metadata"]): string | undefined {
  return metadata.annotations?.[secretMetadata.markAnnotation];
}

/** `Kind/name` of the controller owner; we never set one, so it is always somebody else's. */
export function controllerOwner(metadata: KubeObject["metadata"]): string | undefined {
  const owner = metadata.ownerReferences?.find((reference) => reference.controller === true);
  return owner === undefined ? undefined : cleanText(`${owner.kind}/${owner.name}`);
}

/** The fence of a state: this object in this version. */
export function fenceOf(metadata: KubeObject["metadata"]): string {
  return `${metadata.uid ?? ""}/${metadata.resourceVersion ?? ""}`;
}

export function uidOfFence(fence: string): string {
  return fence.slice(0, fence.indexOf("/"));
}

/**
 * What metadata alone says of a Secret. Without our label it is not ours, whatever else stands there: taking the label
 * off is how a person takes a Secret back.
 */
export function observationOf(
  ref: KubernetesSecretRef,
  { metadata }: PartialObjectMetadata,
  seal: MarkSeal,
): TargetObservation {
  const common = {
    presence: "Present",
    controllerOwner: controllerOwner(metadata),
    fence: fenceOf(metadata),
  } as const;
  const owners = dataOwners(metadata);
  const others = [...owners.foreign.keys()].map((name) => (name === "" ? "unnamed" : cleanText(name, 128)));
  const otherWriter = others[0] ?? (owners.written.size > 0 ? `${MANAGER} (Update)` : undefined);
  if (!isLabelled(metadata)) {
    const consent = metadata.annotations?.[secretMetadata.adoptAnnotation];
    return {
      ...common,
      version: "",
      mark: { state: "None" },
      content: "Unknown",
      metadataAsDeclared: true,
      otherWriter,
      ...(consent === undefined ? {} : { consent }),
    };
  }
  const text = markAnnotation(metadata);
  const mark = seal.read(targetID(ref), markFields(text));
  const version = keysVersion(owners.ours);
  const clean = allKeysOurs(owners);
  const asMarked = mark.state === "Valid" && clean && version === mark.mark.targetVersion;
  return {
    ...common,
    version,
    mark,
    content: mark.state === "Valid" ? (asMarked ? "AsMarked" : "Changed") : "Unknown",
    // Labels and annotations of people are theirs; ours are there, or this line is not reached.
    metadataAsDeclared: true,
    otherWriter,
    ...(text === undefined && clean ? { markLost: true } : {}),
  };
}

/** Whether two looks at a target show the same thing, as far as a plan rests on it. */
export function sameStand(a: TargetObservation, b: TargetObservation): boolean {
  if (a.fence === b.fence) return true;
  return (
    uidOfFence(a.fence) === uidOfFence(b.fence) &&
    a.presence === b.presence &&
    a.version === b.version &&
    a.content === b.content &&
    a.markLost === b.markLost &&
    a.otherWriter === b.otherWriter &&
    a.controllerOwner === b.controllerOwner &&
    JSON.stringify(a.mark) === JSON.stringify(b.mark)
  );
}
