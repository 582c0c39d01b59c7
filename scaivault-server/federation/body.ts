import { z } from "zod";
import { BACKEND_NAME, CONFLICT_RESOLUTIONS, SYNC_INTERVAL_BOUNDS, WRITE_MODES } from "../assumptions.ts";
import { ApiError, validationError } from "../errors.ts";
import { checkBody } from "../secrets/body.ts";
import { durationMs } from "../secrets/duration.ts";
import { checkConfig } from "./config.ts";
import { PathMapping } from "./mapping.ts";
import type { BackendSpec, BackendType, ConflictResolution } from "./record.ts";

/** The documented types; `supported` are those that this server reads. [reference/federation] */
const types = ["hashicorp-vault", "aws-secrets-manager", "azure-key-vault", "google-secret-manager"];
const supported: readonly string[] = ["hashicorp-vault", "aws-secrets-manager"] satisfies BackendType[];

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

const name = z.string().regex(BACKEND_NAME);
const config = z.custom<Record<string, unknown>>(isObject, "must be an object");
const pathMapping = z.record(z.string(), z.string());
const mode = z.enum(["proxy", "sync"]);
const resolution = z.enum([...CONFLICT_RESOLUTIONS.words, CONFLICT_RESOLUTIONS.alias]);
const writeMode = z.enum(WRITE_MODES as [string, ...string[]]).optional();

const createBody = z.object({
  name,
  type: z.enum(types as [string, ...string[]]),
  config,
  path_mapping: pathMapping,
  mode,
  sync_interval: z.string().nullish(),
  conflict_resolution: resolution.nullish(),
  write_mode: writeMode,
});

const patchBody = z.object({
  name: name.optional(),
  type: z.string().optional(),
  config: config.optional(),
  path_mapping: pathMapping.optional(),
  mode: mode.optional(),
  sync_interval: z.string().nullish(),
  conflict_resolution: resolution.nullish(),
  write_mode: writeMode,
});

/** A checked POST body. @throws ApiError `validation_error`, `invalid_config`, `invalid_duration`. */
export function parseCreate(body: unknown): BackendSpec {
  const given = checkBody(createBody, body);
  if (!supported.includes(given.type))
    throw new ApiError("invalid_config", "this type is not supported here", {
      details: { fields: { type: "is not supported here; use hashicorp-vault or aws-secrets-manager" } },
    });
  return checkSpec({
    name: given.name,
    type: given.type as BackendType,
    config: given.config as BackendSpec["config"],
    pathMapping: given.path_mapping,
    mode: given.mode,
    syncInterval: given.sync_interval ?? null,
    conflictResolution: resolutionOf(given.conflict_resolution),
  });
}

/** What a PATCH body makes of `old`. @throws ApiError `validation_error`, `invalid_config`, `invalid_duration`. */
export function parsePatch(old: BackendSpec, body: unknown): BackendSpec {
  const given = checkBody(patchBody, body);
  if (given.type !== undefined && given.type !== old.type) throw validationError({ type: "cannot be changed" });
  const changedMode = given.mode ?? old.mode;
  const keptInterval = changedMode === "sync" ? old.syncInterval : null;
  return checkSpec({
    name: given.name ?? old.name,
    type: old.type,
    config: merged(old.config, given.config),
    pathMapping: given.path_mapping ?? old.pathMapping,
    mode: changedMode,
    syncInterval: given.sync_interval === undefined ? keptInterval : given.sync_interval,
    conflictResolution:
      given.conflict_resolution === undefined ? old.conflictResolution : resolutionOf(given.conflict_resolution),
  });
}

function merged(old: BackendSpec["config"], change: Record<string, unknown> | undefined): BackendSpec["config"] {
  const result = new Map<string, unknown>(Object.entries(old));
  for (const [key, value] of Object.entries(change ?? {})) {
    if (value === null) result.delete(key);
    else result.set(key, value);
  }
  return Object.fromEntries(result) as BackendSpec["config"];
}

function resolutionOf(word: string | null | undefined): ConflictResolution {
  if (word === null || word === undefined) return CONFLICT_RESOLUTIONS.byDefault;
  return (word === CONFLICT_RESOLUTIONS.alias ? CONFLICT_RESOLUTIONS.byDefault : word) as ConflictResolution;
}

function checkSpec(spec: BackendSpec): BackendSpec {
  const mapping = new PathMapping(spec.pathMapping);
  checkInterval(spec);
  const checked = checkConfig(spec.type, spec.config);
  const credentials = String(checked[spec.type === "hashicorp-vault" ? "auth_config_path" : "credentials_path"]);
  if (mapping.covers(credentials))
    throw validationError({ path_mapping: "may not cover the backend's own credentials path" });
  if (spec.type === "hashicorp-vault")
    for (const { remote } of mapping.ranges())
      if (!/^[^/].*\//s.test(remote)) throw validationError({ path_mapping: "a Vault template starts with its mount" });
  return { ...spec, config: checked };
}

function checkInterval({ mode: wanted, syncInterval }: BackendSpec): void {
  if (wanted === "proxy") {
    if (syncInterval !== null) throw validationError({ sync_interval: "is for sync mode only" });
    return;
  }
  if (syncInterval === null) throw validationError({ sync_interval: "is needed in sync mode" });
  const ms = durationMs(syncInterval);
  if (ms < SYNC_INTERVAL_BOUNDS.leastMs || ms > SYNC_INTERVAL_BOUNDS.mostMs)
    throw validationError({ sync_interval: "must be from 1m to 24h" });
}
