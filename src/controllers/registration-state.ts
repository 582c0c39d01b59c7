import type { FederationBackend } from "../api/index.ts";
import { effectiveBackend, effectiveFederation, type EffectiveFederation } from "../api/index.ts";
import { registrationName, type RegistrationView } from "../decide/index.ts";
import type { TargetObservation } from "../ports/index.ts";
import type { Reason } from "../errors/index.ts";
import type { RegistrationConflicts, RegistrationHealth } from "../model/index.ts";

/** A sync that was asked for, until ScaiVault's last sync moves. */
export interface PendingSync {
  readonly value: string;
  /** ScaiVault's last sync before it; undefined when there was none. */
  readonly beforeMs: number | undefined;
  /** How often it was looked for since. */
  looks: number;
}

/** What this term knows of one object's registration. */
export interface RegistrationMemory {
  readonly uid: string;
  readonly name: string;
  id: string | undefined;
  announcedMs: number | undefined;
  /** Where copies of the operator's stand, as mappings name them: those to be taken over, and orphans. */
  copies: readonly string[];
  /** While their marks are released: those that still bear one, and how they were seen. */
  marked: Map<string, TargetObservation> | undefined;
  /** ScaiVault takes no metadata on paths that it syncs: marks stay. */
  keepsMarks: boolean;
  /** The operator runs the federation now, and the registration is gone; status has to drop its id yet. */
  retired: boolean;
  /** The answer to a creation was lost: it may have been made all the same. */
  uncertain: boolean;
  mode: "proxy" | "sync";
  registeredMode: "proxy" | "sync" | undefined;
  syncIntervalMs: number;
  problem: { readonly reason: Reason; readonly message: string } | undefined;
  under: string | undefined;
  health: RegistrationHealth | undefined;
  conflicts: RegistrationConflicts | undefined;
  /** Monotonic time of the last look at health; undefined before the first. */
  lookedMs: number | undefined;
  /** When we last changed what is registered, by the clock: an older sync says nothing about it. */
  changedMs: number | undefined;
  /** Generation for which the registration was as declared. */
  settledGeneration: number | undefined;
  /** The generation that it was last compared with, or brought to. */
  takenInGeneration: number | undefined;
  /** Monotonic times of changes by us over changes by others. */
  repairs: number[];
  pendingSync: PendingSync | undefined;
  handledSyncRequest: string | undefined;
}

/** A FederationBackend that ScaiVault runs. */
export interface RegistrationSubject {
  readonly key: string;
  readonly backend: FederationBackend;
  readonly federation: NonNullable<FederationBackend["spec"]["federation"]>;
  readonly effective: EffectiveFederation;
}

/** The object as one that ScaiVault runs; undefined when it is none. */
export function registrationSubject(backend: FederationBackend): RegistrationSubject | undefined {
  const { federation } = backend.spec;
  if (federation?.runsIn !== "ScaiVault") return undefined;
  const key = `${backend.metadata.namespace}/${backend.metadata.name}`;
  return { key, backend, federation, effective: effectiveFederation(federation) };
}

/** The id that status has recorded; undefined when it has none. */
export function recordedID(backend: FederationBackend): string | undefined {
  const id = backend.status?.federation?.id;
  return id === "" ? undefined : id;
}

/** When status says that a creation was about to be sent. */
export function announcedMs(backend: FederationBackend): number | undefined {
  const since = backend.status?.federation?.creatingSince;
  const ms = since === undefined ? Number.NaN : Date.parse(since);
  return Number.isNaN(ms) ? undefined : ms;
}

/** What is known at first: what status says. */
export function newMemory(cluster: string, backend: FederationBackend): RegistrationMemory {
  const { uid, namespace, name } = backend.metadata;
  const id = recordedID(backend);
  return {
    uid,
    name: registrationName(cluster, namespace, name),
    id,
    announcedMs: announcedMs(backend),
    copies: backend.status?.federation?.copies ?? [],
    marked: undefined,
    keepsMarks: false,
    retired: false,
    // A creation that was announced before this term may have been sent.
    uncertain: announcedMs(backend) !== undefined,
    mode: backend.spec.federation?.mode ?? "sync",
    registeredMode: id === undefined ? undefined : backend.status?.federation?.mode,
    syncIntervalMs: effectiveBackend(backend.spec).syncIntervalMs,
    problem: undefined,
    under: undefined,
    health: undefined,
    conflicts: undefined,
    lookedMs: undefined,
    changedMs: undefined,
    settledGeneration: undefined,
    takenInGeneration: undefined,
    repairs: [],
    pendingSync: undefined,
    handledSyncRequest: undefined,
  };
}

/** The memory as status is computed from. */
export function viewOf(memory: RegistrationMemory): RegistrationView {
  const { name, id, announcedMs: since, mode, registeredMode, syncIntervalMs, problem, under } = memory;
  const { health, conflicts, handledSyncRequest } = memory;
  return {
    name,
    id,
    announcedMs: since,
    copies: memory.copies,
    mode,
    registeredMode,
    takenInGeneration: memory.takenInGeneration,
    syncIntervalMs,
    problem,
    under,
    health,
    conflicts,
    handledSyncRequest,
  };
}
