import { parseDuration } from "./durations.ts";
import type { FederationSpec, TagTransform } from "./federation.ts";
import type { FederationBackendSpec } from "./federation-backend.ts";
import type { SecretSyncSpec } from "./secret-sync.ts";

/**
 * What holds when a field is absent. Defaults live here and not in the CRDs, so that a spec stays byte-equal to what
 * people wrote; the values in force stand in `status.effective`.
 */
export const defaults = {
  syncInterval: "15m",
  appRoleMount: "approle",
  stage: "AWSCURRENT",
  nameTemplate: "{path}",
  secretType: "Opaque",
} as const;

/** Effective values of a FederationBackend. */
export interface EffectiveBackend {
  readonly syncInterval: string;
  readonly syncIntervalMs: number;
  readonly suspend: boolean;
}

/** Effective values of a SecretSync. */
export interface EffectiveSync {
  readonly syncInterval: string;
  readonly syncIntervalMs: number;
  readonly authority: "Source" | "ScaiVault";
  readonly conflictResolution: "remote_wins" | "local_wins" | "manual";
  readonly adopt: "Never" | "IfEqual" | "WithApproval";
  readonly deletionPolicy: "Retain" | "Delete";
  readonly cleanupPolicy: "Retain" | "Release" | "Delete";
  readonly apply: "Automatic" | "OnApproval" | "Never";
  readonly suspend: boolean;
}

/** Effective values of `spec.federation`. */
export interface EffectiveFederation {
  readonly mode: "sync" | "proxy";
  readonly runsIn: "Operator" | "ScaiVault";
  readonly authority: "Source" | "ScaiVault";
  readonly conflictResolution: "remote_wins" | "local_wins" | "manual";
  readonly adopt: "Never" | "IfEqual" | "WithApproval";
  readonly apply: "Automatic" | "OnApproval" | "Never";
  readonly deletionPolicy: "Retain" | "Delete";
  readonly cleanupPolicy: "Retain" | "Delete";
  readonly naming: "Strict" | "LowerDash";
  readonly tags: readonly TagTransform[];
}

function interval(text: string | undefined): { syncInterval: string; syncIntervalMs: number } {
  const chosen = text ?? defaults.syncInterval;
  const ms = parseDuration(chosen);
  // The schema was checked before; a text that is no duration cannot get here.
  if (ms === undefined) throw new RangeError("syncInterval is not a duration");
  return { syncInterval: chosen, syncIntervalMs: ms };
}

export function effectiveBackend(spec: FederationBackendSpec): EffectiveBackend {
  return { ...interval(spec.syncInterval), suspend: spec.suspend ?? false };
}

export function effectiveFederation(spec: FederationSpec): EffectiveFederation {
  const authority = spec.authority ?? "Source";
  return {
    mode: spec.mode,
    runsIn: spec.runsIn ?? "Operator",
    authority,
    conflictResolution: spec.conflictResolution ?? (authority === "Source" ? "remote_wins" : "local_wins"),
    adopt: spec.adopt ?? "Never",
    apply: spec.apply ?? "Automatic",
    deletionPolicy: spec.deletionPolicy ?? "Retain",
    cleanupPolicy: spec.cleanupPolicy ?? "Retain",
    naming: spec.naming ?? "Strict",
    tags: spec.tags ?? [],
  };
}

/** @param backend the backend that `backendRef` names, when it is known; its interval is inherited, nothing else is */
export function effectiveSync(spec: SecretSyncSpec, backend: FederationBackendSpec | undefined): EffectiveSync {
  const authority = spec.authority ?? "Source";
  return {
    ...interval(spec.syncInterval ?? backend?.syncInterval),
    authority,
    conflictResolution: spec.conflictResolution ?? (authority === "Source" ? "remote_wins" : "local_wins"),
    adopt: spec.adopt ?? "Never",
    deletionPolicy: spec.deletionPolicy ?? "Retain",
    cleanupPolicy: spec.cleanupPolicy ?? "Retain",
    apply: spec.apply ?? "Automatic",
    suspend: spec.suspend ?? false,
  };
}

/** Stage or version that the spec asks for; neither means the newest. A version number becomes decimal text. */
export function sourceSelector(spec: SecretSyncSpec): { readonly stage?: string; readonly version?: string } {
  const { stage, version } = spec.source;
  return {
    ...(stage === undefined ? {} : { stage }),
    ...(version === undefined ? {} : { version: String(version) }),
  };
}
