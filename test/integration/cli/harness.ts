import { LEASE_NAME, OPERATOR_NAMESPACE } from "../../support/operator-account.ts";

export { Harness, pathTo, sync } from "../../support/operator.ts";

/** REST path of the operator's Lease. */
export const LEASE = `/apis/coordination.k8s.io/v1/namespaces/${OPERATOR_NAMESPACE}/leases/${LEASE_NAME}`;
