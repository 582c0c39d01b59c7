/** Audit rows as [reference/audit] describes them. */

/** Actions that the documentation names. */
export const auditActions = [
  "read",
  "write",
  "delete",
  "list",
  "rotate",
  "policy_create",
  "policy_update",
  "policy_delete",
  "policy_bind",
  "policy_unbind",
  "pki_issue",
  "pki_sign",
  "pki_revoke",
  "pki_ca_create",
  "dynamic_generate",
  "dynamic_renew",
  "dynamic_revoke",
  "webhook_delivery",
  "subscription_event",
  "federation_sync",
  "identity_sync",
  "export_created",
] as const;

export type AuditAction = (typeof auditActions)[number];

/** A row about to be written. Times in ms since the epoch; no values anywhere. */
export interface NewAuditRow {
  readonly id: string;
  readonly tenantId: string;
  readonly timestamp: number;
  readonly action: AuditAction;
  readonly identityType: string;
  readonly identityId: string;
  readonly secretPath: string | null;
  readonly sourceIp: string;
  readonly userAgent: string;
  readonly success: boolean;
  readonly durationMs: number;
  readonly requestId: string;
  /** JSON text of an object. */
  readonly extraData: string;
}

/** A stored row; `sequence` grows with every row. */
export interface AuditRow extends NewAuditRow {
  readonly sequence: number;
}

/** All given fields must match. */
export interface AuditFilter {
  readonly tenantId: string;
  readonly from?: number | undefined;
  readonly to?: number | undefined;
  readonly actions?: readonly string[] | undefined;
  readonly identityId?: string | undefined;
  readonly identityType?: string | undefined;
  readonly pathPrefix?: string | undefined;
  readonly secretPath?: string | undefined;
  readonly success?: boolean | undefined;
  readonly sourceIp?: string | undefined;
  readonly requestId?: string | undefined;
}

export interface AuditSummary {
  readonly total: number;
  readonly successful: number;
  readonly byAction: ReadonlyMap<string, number>;
}
