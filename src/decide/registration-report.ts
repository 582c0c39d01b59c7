import type { FederationStatus } from "../api/index.ts";
import { type Reason, reasons } from "../errors/index.ts";
import type { RegistrationConflict, RegistrationConflicts, RegistrationHealth } from "../model/index.ts";
import { timeText } from "./conditions.ts";

/** What is known of a registration at ScaiVault. */
export interface RegistrationView {
  readonly name: string;
  /** Undefined until it is registered. */
  readonly id: string | undefined;
  readonly announcedMs: number | undefined;
  /** Where copies of the operator's stand yet. */
  readonly copies: readonly string[];
  /** Mode that is wanted; that is registered once no step waits. */
  readonly mode: "proxy" | "sync";
  readonly registeredMode: "proxy" | "sync" | undefined;
  /** Generation of the object that the registration was last compared with, or brought to. */
  readonly takenInGeneration: number | undefined;
  readonly syncIntervalMs: number;
  /** What keeps it from being as declared; undefined when nothing does. */
  readonly problem: { readonly reason: Reason; readonly message: string } | undefined;
  /** A step that is under way, for people. */
  readonly under: string | undefined;
  readonly health: RegistrationHealth | undefined;
  readonly conflicts: RegistrationConflicts | undefined;
  readonly handledSyncRequest: string | undefined;
}

/** What a registration says in the status of its object. */
export interface RegistrationReport {
  /** False after a start, until ScaiVault said how it stands: what status told before holds till then. */
  readonly seen: boolean;
  /** `InSync` when all is well. */
  readonly ready: { readonly reason: Reason; readonly message: string };
  /** How ScaiVault reaches the store; undefined when it does not say. */
  readonly source: { readonly reachable: boolean; readonly message: string } | undefined;
  /** Set while paths wait for somebody to decide. */
  readonly conflict: string | undefined;
  readonly problems: readonly { readonly path: string; readonly reason: Reason; readonly message: string }[];
  readonly status: FederationStatus;
  readonly handledSyncRequest: string | undefined;
}

/** A sync that is older than so many intervals is stale. */
const STALE_INTERVALS = 3;
const GRACE_MS = 60_000;
/** Words of ScaiVault for work that ends by itself. */
const working: ReadonlySet<string> = new Set(["pending", "syncing"]);
/** Words of ScaiVault for a conflict that somebody still has to decide. */
const open: ReadonlySet<string> = new Set(["manual", "pending", "unresolved", "open", "none"]);

/** What stands under problems path by path, or ends by itself. */
const summed: ReadonlySet<Reason> = new Set(["Progressing", "BothChanged", "Partial"]);

/** Whether a conflict waits for people; one that a rule decided does not. */
export function isOpenConflict({ resolution }: RegistrationConflict): boolean {
  return resolution === undefined || open.has(resolution);
}

/** The one place that says how a registration stands. @param generation of the object that status is written for */
export function reportRegistration(view: RegistrationView, generation: number, nowMs: number): RegistrationReport {
  const { health } = view;
  const conflicts = (view.conflicts?.conflicts ?? []).filter(isOpenConflict);
  const many = `${conflicts.length}${view.conflicts?.more === true ? " or more" : ""}`;
  const conflict =
    conflicts.length === 0
      ? undefined
      : `${many === "1" ? "1 path differs" : `${many} paths differ`} between ScaiVault and the store; see problems`;
  const ready = readyOf(view, generation, conflict, nowMs);
  const problems: RegistrationReport["problems"][number][] = conflicts.map((one) => ({
    path: one.path,
    reason: "BothChanged",
    message: conflictText(one),
  }));
  if (reasons[ready.reason].kind !== "ok" && !summed.has(ready.reason))
    problems.unshift({ path: `ScaiVault ${view.name}`, ...ready });
  return {
    seen: view.id === undefined || health !== undefined || view.problem !== undefined || view.under !== undefined,
    ready,
    source:
      view.id === undefined || health?.connection === undefined
        ? undefined
        : { reachable: health.connection === "connected", message: sightOf(health) },
    conflict,
    problems,
    status: statusOf(view, conflicts.length),
    handledSyncRequest: view.handledSyncRequest,
  };
}

function readyOf(
  view: RegistrationView,
  generation: number,
  conflict: string | undefined,
  nowMs: number,
): { readonly reason: Reason; readonly message: string } {
  const { problem, under, health, id, name } = view;
  if (problem !== undefined) return problem;
  const progressing = (message: string) => ({ reason: "Progressing" as const, message });
  if (id === undefined) return progressing(under ?? `${name} is being registered in ScaiVault`);
  if (under !== undefined) return progressing(under);
  if (view.registeredMode !== undefined && view.registeredMode !== view.mode)
    return progressing(`mode ${view.mode} is to come; it is registered as ${view.registeredMode}`);
  if (health === undefined) return progressing(`registered as ${name} (${id}); ScaiVault's first status is to come`);
  if (view.takenInGeneration !== generation) return progressing(`${name} is being compared with what is declared`);
  return healthOf(view, health, conflict, nowMs);
}

/** What ScaiVault says of a registration that is as declared. */
function healthOf(
  view: RegistrationView,
  health: RegistrationHealth,
  conflict: string | undefined,
  nowMs: number,
): { readonly reason: Reason; readonly message: string } {
  const progressing = (message: string) => ({ reason: "Progressing" as const, message });
  if (health.status !== "healthy") {
    const message = `ScaiVault says that ${view.name} is ${sightOf(health)}`;
    return working.has(health.status) ? progressing(message) : { reason: "RegistrationUnhealthy", message };
  }
  if (view.mode === "sync") {
    if (health.lastSyncMs === undefined) return progressing("ScaiVault's first sync is to come");
    if (nowMs - health.lastSyncMs > STALE_INTERVALS * view.syncIntervalMs + GRACE_MS)
      return { reason: "Stale", message: `ScaiVault's last sync ended ${timeText(health.lastSyncMs)}` };
  }
  if (conflict !== undefined) return { reason: "BothChanged", message: conflict };
  if (view.mode === "proxy") return { reason: "InSync", message: "ScaiVault reads the store through" };
  const left = (health.secretsFailed ?? 0) + (health.secretsSkipped ?? 0);
  return { reason: left > 0 ? "Partial" : "InSync", message: countsText(health) };
}

function countsText({ secretsSynced, secretsFailed = 0, secretsSkipped = 0 }: RegistrationHealth): string {
  const synced = secretsSynced === undefined ? "synced by ScaiVault" : `${secretsSynced} secrets synced by ScaiVault`;
  const failed = secretsFailed === 0 ? "" : `, ${secretsFailed} failed`;
  return `${synced}${failed}${secretsSkipped === 0 ? "" : `, ${secretsSkipped} left out for their names`}`;
}

/** `degraded, connection error (permission_denied)`: words of ScaiVault as they came. */
function sightOf({ status, connection, errorCode }: RegistrationHealth): string {
  const line = connection === undefined ? "" : `, connection ${connection}`;
  return `${status}${line}${errorCode === undefined ? "" : ` (${errorCode})`}`;
}

function conflictText({ backendPath, localVersion, detectedMs }: RegistrationConflict): string {
  const local = localVersion === undefined ? "ScaiVault" : `ScaiVault v${localVersion}`;
  const since = detectedMs === undefined ? "" : `, seen ${timeText(detectedMs)}`;
  return `${local} and ${backendPath ?? "the store"} have different values${since}`;
}

const connections: ReadonlyMap<string, NonNullable<FederationStatus["connection"]>> = new Map([
  ["connected", "Connected"],
  ["disconnected", "Disconnected"],
  ["error", "Error"],
]);

function statusOf(view: RegistrationView, conflicts: number): FederationStatus {
  const { health, id, announcedMs } = view;
  return {
    ...countsOf(view, conflicts),
    name: view.name,
    ...(view.copies.length === 0 ? {} : { copies: [...view.copies] }),
    ...(id === undefined ? {} : { id }),
    ...(view.registeredMode === undefined ? {} : { mode: view.registeredMode }),
    ...(health === undefined
      ? {}
      : { connection: connections.get(health.connection ?? "") ?? "Unknown", health: health.status }),
    ...(id !== undefined || announcedMs === undefined ? {} : { creatingSince: timeText(announcedMs) }),
    ...(health?.lastSyncMs === undefined ? {} : { lastSyncTime: timeText(health.lastSyncMs) }),
  };
}

/** A proxy copies nothing that could be counted. */
function countsOf({ mode, health }: RegistrationView, conflicts: number): Pick<FederationStatus, "counts"> {
  const synced = mode === "sync" ? health?.secretsSynced : undefined;
  if (synced === undefined) return {};
  const failed = (health?.secretsFailed ?? 0) + (health?.secretsSkipped ?? 0);
  return { counts: { found: synced + failed + conflicts, inSync: synced, failed, conflicts, held: 0 } };
}
