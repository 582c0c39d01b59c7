import type { CallOptions } from "./call-options.ts";
import type { KubeClient } from "./client.ts";
import { isConflict, isNotFound } from "./errors.ts";
import type { KubeObject, PartialObjectMetadata, Resource } from "./types.ts";

const maxTries = 5;

/**
 * Adds a finalizer by a patch of `metadata.finalizers` alone. It holds the resource version, so that finalizers that others add
 * at the same time stay.
 * @returns the metadata; `undefined` when the object (with this uid) is gone or is being deleted already
 */
export function addFinalizer(
  client: KubeClient,
  resource: Resource,
  object: KubeObject,
  finalizer: string,
  options: CallOptions = {},
): Promise<PartialObjectMetadata | undefined> {
  return edit(client, resource, object, options, (current) => {
    if (current.metadata.deletionTimestamp !== undefined) return "refuse";
    const finalizers = current.metadata.finalizers ?? [];
    return finalizers.includes(finalizer) ? "keep" : [...finalizers, finalizer];
  });
}

/**
 * Removes a finalizer in the same way.
 * @returns the metadata; `undefined` when the object (with this uid) is gone
 */
export function removeFinalizer(
  client: KubeClient,
  resource: Resource,
  object: KubeObject,
  finalizer: string,
  options: CallOptions = {},
): Promise<PartialObjectMetadata | undefined> {
  return edit(client, resource, object, options, (current) => {
    const finalizers = current.metadata.finalizers ?? [];
    return finalizers.includes(finalizer) ? finalizers.filter((one) => one !== finalizer) : "keep";
  });
}

async function edit(
  client: KubeClient,
  resource: Resource,
  object: KubeObject,
  options: CallOptions,
  change: (current: KubeObject) => readonly string[] | "keep" | "refuse",
): Promise<PartialObjectMetadata | undefined> {
  let current: KubeObject | undefined = object;
  for (let attempt = 1; ; attempt++) {
    const finalizers = change(current);
    if (finalizers === "keep") return current;
    if (finalizers === "refuse") return undefined;
    const { uid, resourceVersion } = current.metadata;
    try {
      // An empty list is written as null: the field goes away.
      const value = finalizers.length === 0 ? null : finalizers;
      const patch = { metadata: { uid, resourceVersion, finalizers: value } };
      return await client.mergePatch(resource, object.metadata, patch, options);
    } catch (error) {
      if (isNotFound(error)) return undefined;
      if (!isConflict(error) || attempt >= maxTries) throw error;
    }
    current = await client.findMetadata(resource, object.metadata, options);
    if (current === undefined || current.metadata.uid !== object.metadata.uid) return undefined;
  }
}
