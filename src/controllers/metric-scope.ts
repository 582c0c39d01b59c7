import { keyOf, type KubeObject } from "../runtime/index.ts";
import type { MetricScope } from "../telemetry/index.ts";
import type { Subject } from "./subject.ts";
import { backendKeyOf } from "./views.ts";

/**
 * Namespace of an object, and the backend that it reads or is. Read as it stands: a replica that waits for the lease parses
 * no object.
 */
export function metricScope(kind: string, object: KubeObject): MetricScope {
  const { namespace = "" } = object.metadata;
  if (kind === "FederationBackend") return { namespace, backend: keyOf(object) };
  const { spec } = object as { spec?: { source?: { backendRef?: { name?: string; namespace?: string } } } };
  const { name = "", namespace: other = namespace } = spec?.source?.backendRef ?? {};
  return { namespace, backend: `${other}/${name}` };
}

/** The same of an object that was parsed. */
export function scopeOf({ sync }: Pick<Subject, "sync">): MetricScope {
  return { namespace: sync.metadata.namespace, backend: backendKeyOf(sync) };
}
