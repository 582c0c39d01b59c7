import * as z from "zod";
import { SyncError } from "../errors/index.ts";
import type {
  FederatedBackend,
  RegistrationConflict,
  RegistrationConflicts,
  RegistrationPatch,
  WantedRegistration,
  RegistrationHealth,
} from "../model/index.ts";

/** Answers and bodies of the federation endpoints. Unknown fields are ignored; none of these answers holds a value. */

/** Goes into URLs: nothing in it may mean anything there. */
const id = z.string().regex(/^[A-Z0-9][\w-]{0,127}$/i);
const text = (max: number) => z.string().max(max).nullish().catch(undefined);
/** A word of ScaiVault, shown to people as it is: never a sentence, which could quote anything. */
const word = z
  .string()
  .regex(/^[A-Z][\w-]{0,63}$/i)
  .nullish()
  .catch(undefined);
const count = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER).nullish().catch(undefined);
const time = z.iso
  .datetime({ offset: true })
  .transform((given) => Date.parse(given))
  .nullish()
  .catch(undefined);

const backendAnswer = z.object({
  id,
  name: z.string().max(512).catch(""),
  type: text(64),
  config: z.record(z.string(), z.unknown()).nullish().catch(undefined),
  path_mapping: z.record(z.string(), z.string()).nullish().catch(undefined),
  mode: text(64),
  sync_interval: text(64),
  conflict_resolution: text(64),
  status: word,
  created_at: time,
});
const statusAnswer = z.object({
  status: z
    .string()
    .regex(/^[A-Z][\w-]{0,63}$/i)
    .catch("unknown"),
  last_sync: time,
  last_sync_duration_ms: count,
  secrets_synced: count,
  secrets_failed: count,
  secrets_skipped: count,
  conflicts: count,
  connection: z.object({ status: word, latency_ms: count }).nullish().catch(undefined),
  last_error: z.unknown().optional(),
});
const conflictEntry = z.object({
  path: z.string().min(1).max(1024),
  backend_path: text(1024),
  local_version: count,
  detected_at: time,
  resolution: word,
});
const pageRest = z.object({ cursor: z.string().max(2048).nullish(), has_more: z.boolean().nullish() });
const MAX_ITEMS = 10_000;

function bad(action: string): SyncError {
  return new SyncError("ScaiVaultUnavailable", `ScaiVault's answer cannot be read (${action})`, {
    action,
    code: "bad_answer",
  });
}

/** The parser's message quotes the text, so it is dropped. */
function parsed(body: Uint8Array, action: string): unknown {
  try {
    return JSON.parse(Buffer.from(body).toString("utf8")) as unknown;
  } catch {
    throw bad(action);
  }
}

export function readBackend(body: Uint8Array, action: string): FederatedBackend {
  return backendOf(parsed(body, action), action);
}

function backendOf(answer: unknown, action: string): FederatedBackend {
  const known = backendAnswer.safeParse(answer);
  if (!known.success) throw bad(action);
  const { data } = known;
  return {
    id: data.id,
    name: data.name,
    type: data.type ?? undefined,
    config: mapOf(data.config),
    pathMapping: mapOf(data.path_mapping),
    mode: data.mode ?? undefined,
    syncInterval: data.sync_interval ?? undefined,
    conflictResolution: data.conflict_resolution ?? undefined,
    status: data.status ?? undefined,
    createdMs: data.created_at ?? undefined,
  };
}

function mapOf<T>(record: Readonly<Record<string, T>> | null | undefined): ReadonlyMap<string, T> | undefined {
  return record === null || record === undefined ? undefined : new Map(Object.entries(record));
}

/**
 * One page of backends: `backends`, else `data`, else a bare array (the documentation does not say). An entry that cannot
 * be read fails the page: it might be the one that is looked for.
 */
export function readBackends(
  body: Uint8Array,
  action: string,
): { readonly backends: readonly FederatedBackend[]; readonly cursor: string | undefined } {
  const { items, cursor } = readPage(parsed(body, action), "backends", action);
  return { backends: items.map((item) => backendOf(item, action)), cursor };
}

function readPage(
  answer: unknown,
  name: "backends" | "conflicts",
  action: string,
): { readonly items: readonly unknown[]; readonly cursor: string | undefined } {
  if (Array.isArray(answer)) return { items: answer.slice(0, MAX_ITEMS) as unknown[], cursor: undefined };
  const page = z.record(z.string(), z.unknown()).safeParse(answer);
  const rest = pageRest.safeParse(answer);
  const items = page.success ? (page.data[name] ?? page.data["data"]) : undefined;
  if (!rest.success || !Array.isArray(items) || items.length > MAX_ITEMS) throw bad(action);
  const { cursor, has_more } = rest.data;
  const more = has_more !== false && cursor !== null && cursor !== undefined && cursor !== "";
  return { items: items as unknown[], cursor: more ? cursor : undefined };
}

export function readStatus(body: Uint8Array, action: string): RegistrationHealth {
  const known = statusAnswer.safeParse(parsed(body, action));
  if (!known.success) throw bad(action);
  const { data } = known;
  return {
    status: data.status,
    connection: data.connection?.status ?? undefined,
    latencyMs: data.connection?.latency_ms ?? undefined,
    lastSyncMs: data.last_sync ?? undefined,
    lastSyncDurationMs: data.last_sync_duration_ms ?? undefined,
    secretsSynced: data.secrets_synced ?? undefined,
    secretsFailed: data.secrets_failed ?? undefined,
    secretsSkipped: data.secrets_skipped ?? undefined,
    conflictCount: data.conflicts ?? undefined,
    errorCode: errorCodeOf(data.last_error),
  };
}

/** `last_error` is a text or an object with a code (not documented); of both only what looks like a code is kept. */
function errorCodeOf(lastError: unknown): string | undefined {
  const code = typeof lastError === "object" && lastError !== null ? (lastError as { code?: unknown }).code : lastError;
  return typeof code === "string" && /^[a-z][a-z0-9_]{0,63}$/.test(code) ? code : undefined;
}

export function readConflicts(body: Uint8Array, action: string): RegistrationConflicts {
  const { items, cursor } = readPage(parsed(body, action), "conflicts", action);
  const conflicts = items.map((item): RegistrationConflict => {
    const known = conflictEntry.safeParse(item);
    if (!known.success) throw bad(action);
    const { data } = known;
    return {
      path: data.path,
      backendPath: data.backend_path ?? undefined,
      localVersion: data.local_version ?? undefined,
      detectedMs: data.detected_at ?? undefined,
      resolution: data.resolution ?? undefined,
    };
  });
  return { conflicts, more: cursor !== undefined };
}

export function createBody(registration: WantedRegistration): Buffer {
  const { name, type, config, pathMapping, mode, syncInterval, conflictResolution } = registration;
  return jsonBody({
    name,
    type,
    config: Object.fromEntries(config),
    path_mapping: Object.fromEntries(pathMapping),
    mode,
    sync_interval: syncInterval,
    conflict_resolution: conflictResolution,
  });
}

export function patchBackendBody(patch: RegistrationPatch): Buffer {
  const { config, pathMapping, mode, syncInterval, conflictResolution } = patch;
  return jsonBody({
    config: config === undefined ? undefined : Object.fromEntries(config),
    path_mapping: pathMapping === undefined ? undefined : Object.fromEntries(pathMapping),
    mode,
    sync_interval: syncInterval,
    conflict_resolution: conflictResolution,
  });
}

function jsonBody(members: Readonly<Record<string, unknown>>): Buffer {
  return Buffer.from(JSON.stringify(members), "utf8");
}
