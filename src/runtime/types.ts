/** Shapes of the Kubernetes API as the wire carries them: plain JSON, times as strings. */

/** One entry of `metadata.managedFields`: who set which fields, and how. */
export interface ManagedFieldsEntry {
  readonly manager?: string;
  readonly operation?: string;
  readonly apiVersion?: string;
  readonly time?: string;
  readonly fieldsType?: string;
  readonly fieldsV1?: Readonly<Record<string, unknown>>;
  readonly subresource?: string;
}

/** `metadata.ownerReferences[]`. */
export interface OwnerReference {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  readonly uid: string;
  readonly controller?: boolean;
  readonly blockOwnerDeletion?: boolean;
}

/** The part of `metadata` that the runtime and its users read. */
export interface ObjectMeta {
  readonly name: string;
  readonly namespace?: string;
  readonly uid?: string;
  readonly resourceVersion?: string;
  readonly generation?: number;
  readonly creationTimestamp?: string;
  readonly deletionTimestamp?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly finalizers?: readonly string[];
  readonly ownerReferences?: readonly OwnerReference[];
  readonly managedFields?: readonly ManagedFieldsEntry[];
}

/** Any object of the API. */
export interface KubeObject {
  readonly apiVersion?: string;
  readonly kind?: string;
  readonly metadata: ObjectMeta;
}

/** What the server answers when asked for metadata only: no spec, no data, no status. */
export type PartialObjectMetadata = KubeObject;

/** One type of the API, as its URL needs it. The core group is `""`. */
export interface Resource {
  readonly group: string;
  readonly version: string;
  readonly plural: string;
  readonly namespaced: boolean;
  readonly kind: string;
}

/** Name of one object of a known type. */
export interface ObjectName {
  readonly namespace?: string | undefined;
  readonly name: string;
}

/** Descriptors of the built-in types that the runtime and its users touch. */
export const resources = {
  secrets: { group: "", version: "v1", plural: "secrets", namespaced: true, kind: "Secret" },
  configMaps: { group: "", version: "v1", plural: "configmaps", namespaced: true, kind: "ConfigMap" },
  namespaces: { group: "", version: "v1", plural: "namespaces", namespaced: false, kind: "Namespace" },
  leases: { group: "coordination.k8s.io", version: "v1", plural: "leases", namespaced: true, kind: "Lease" },
  events: { group: "events.k8s.io", version: "v1", plural: "events", namespaced: true, kind: "Event" },
} as const satisfies Record<string, Resource>;

/** `apiVersion` of a type: `v1` or `group/version`. */
export function apiVersionOf(resource: Resource): string {
  return resource.group === "" ? resource.version : `${resource.group}/${resource.version}`;
}

/** Key of an object within its type: `namespace/name`, or `name` for cluster-scoped ones. */
export function keyOf(object: KubeObject | ObjectName): string {
  const { namespace, name } = "metadata" in object ? object.metadata : object;
  return namespace === undefined || namespace === "" ? name : `${namespace}/${name}`;
}

/** The reverse of `keyOf`. */
export function splitKey(key: string): ObjectName {
  const slash = key.indexOf("/");
  return slash < 0 ? { name: key } : { namespace: key.slice(0, slash), name: key.slice(slash + 1) };
}
