import { randomBytes } from "node:crypto";
import { SYNC_IDENTITY } from "../assumptions.ts";
import type { Clock } from "../../src/time/clock.ts";
import type { Store } from "../store/store.ts";

/** What a sync did, for the audit trail. Never a value. */
export interface SyncRow {
  readonly tenantId: string;
  /** Null for the sync as a whole. */
  readonly path: string | null;
  readonly success: boolean;
  readonly durationMs: number;
  /** Id of the sync. */
  readonly syncId: string;
  readonly extra: Readonly<Record<string, unknown>>;
}

/** Writes a `federation_sync` row by `system:federation-sync`. */
export function auditSync(store: Store, clock: Clock, row: SyncRow): void {
  store.appendAudit({
    id: `log_${randomBytes(12).toString("hex")}`,
    tenantId: row.tenantId,
    timestamp: clock.now(),
    action: "federation_sync",
    identityType: "service_account",
    identityId: SYNC_IDENTITY,
    secretPath: row.path,
    sourceIp: "",
    userAgent: "scaivault-federation",
    success: row.success,
    durationMs: row.durationMs,
    requestId: row.syncId,
    extraData: JSON.stringify(row.extra),
  });
}
