import type { LiveBackend } from "./live.ts";

/** `status` of a backend. */
export type BackendStatus = "pending" | "syncing" | "healthy" | "degraded" | "unhealthy";

/** What decides about the status. */
export interface Standing {
  readonly mode: "proxy" | "sync";
  readonly syncing: boolean;
  readonly connection: LiveBackend["connection"]["status"];
  /** Whether a whole sync ended since the backend exists. */
  readonly synced: boolean;
  /** Secrets that the last whole sync could not read or write. */
  readonly failed: number;
  /** Why the last sync did not come to its end. */
  readonly lastError: string | null;
}

/** One word for how a backend stands. */
export function statusOf(standing: Standing): BackendStatus {
  const { mode, syncing, connection, synced, failed, lastError } = standing;
  if (syncing) return "syncing";
  if (connection === "disconnected" || connection === "error") return "unhealthy";
  if (mode === "proxy") return connection === "connected" ? "healthy" : "pending";
  if (lastError !== null) return "unhealthy";
  if (!synced) return "pending";
  return failed > 0 ? "degraded" : "healthy";
}
