import { federationBackendKind, GROUP, secretSyncKind } from "../api/index.ts";

/** One right of Kubernetes, as a SelfSubjectAccessReview asks for it. An empty namespace is all of them. */
export interface Right {
  readonly group: string;
  readonly resource: string;
  readonly subresource?: string;
  readonly verb: string;
  readonly namespace: string;
  readonly name?: string;
}

/** Readable: `patch secretsyncs/status.scaivault.scailabs.ai in billing`. */
export function rightName({ group, resource, subresource, verb, namespace, name }: Right): string {
  const what = `${resource}${subresource === undefined ? "" : `/${subresource}`}${group === "" ? "" : `.${group}`}`;
  return `${verb} ${what}${name === undefined ? "" : ` ${name}`}${namespace === "" ? "" : ` in ${namespace}`}`;
}

/**
 * Every right that the operator uses; the chart's roles give exactly these.
 * @param where.deletes whether an object wants Secrets deleted
 */
export function rightsNeeded(where: {
  readonly scopes: readonly string[];
  readonly deletes: boolean;
  readonly operatorNamespace: string;
  readonly leaseName: string;
}): Right[] {
  const kinds = [federationBackendKind.plural, secretSyncKind.plural];
  const watched = where.scopes.flatMap((namespace): Right[] => {
    const rights = (group: string, resource: string, verbs: readonly string[], more: object = {}): Right[] =>
      verbs.map((verb) => ({ group, resource, verb, namespace, ...more }));
    return [
      ...kinds.flatMap((plural) => [
        ...rights(GROUP, plural, ["get", "list", "watch", "patch"]),
        ...rights(GROUP, plural, ["patch"], { subresource: "status" }),
      ]),
      ...rights("events.k8s.io", "events", ["create", "patch"]),
      ...rights("", "secrets", [...["get", "list", "watch", "create", "patch"], ...(where.deletes ? ["delete"] : [])]),
      ...rights("", "namespaces", ["get"], namespace === "" ? {} : { name: namespace }),
    ];
  });
  const lease = { group: "coordination.k8s.io", resource: "leases", namespace: where.operatorNamespace };
  return [
    ...watched,
    { ...lease, verb: "create" },
    { ...lease, verb: "get", name: where.leaseName },
    { ...lease, verb: "update", name: where.leaseName },
  ];
}
