import { randomBytes } from "node:crypto";
import type { Clock } from "../../src/time/clock.ts";
import type { Store } from "../store/store.ts";
import type { AuditAction } from "./audit.ts";

/** A row about what the server did by itself. */
export interface SystemRow {
  readonly tenantId: string;
  readonly action: AuditAction;
  /** Such as `system:rotation-scheduler`. */
  readonly identityId: string;
  readonly path: string | null;
  readonly success: boolean;
  readonly durationMs: number;
  readonly requestId: string;
  readonly extra: Readonly<Record<string, unknown>>;
}

/** Writes an audit row that belongs to no request. */
export function auditSystem(store: Store, clock: Clock, row: SystemRow): void {
  store.appendAudit({
    id: `log_${randomBytes(12).toString("hex")}`,
    tenantId: row.tenantId,
    timestamp: clock.now(),
    action: row.action,
    identityType: "service_account",
    identityId: row.identityId,
    secretPath: row.path,
    sourceIp: "",
    userAgent: "scaivault",
    success: row.success,
    durationMs: row.durationMs,
    requestId: row.requestId,
    extraData: JSON.stringify(row.extra),
  });
}
