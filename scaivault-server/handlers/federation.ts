import { BACKEND_CREATE_ANSWER, BACKEND_LIST_KEY, CONFLICTS_SHAPE, SYNC_ANSWER } from "../assumptions.ts";
import { parseCreate, parsePatch } from "../federation/body.ts";
import { credentialsPath } from "../federation/config.ts";
import type { LiveBackend } from "../federation/live.ts";
import type { BackendSpec, SyncedPath } from "../federation/record.ts";
import { sameConfig } from "../federation/service.ts";
import type { Answer, Call } from "../http/call.ts";
import { parseObject } from "../secrets/body.ts";
import { timestamp } from "../secrets/service.ts";
import { wholeNumber } from "./query.ts";

/** A backend as answers show it. Its configuration names paths of credentials, never credentials. */
function shown(call: Call, backend: LiveBackend): Record<string, unknown> {
  const { record } = backend;
  return {
    id: record.id,
    name: record.name,
    type: record.type,
    config: record.config,
    path_mapping: record.pathMapping,
    mode: record.mode,
    sync_interval: record.syncInterval,
    conflict_resolution: record.conflictResolution,
    status: call.app.sync.status(backend),
    created_at: timestamp(record.createdAt),
    updated_at: timestamp(record.updatedAt),
  };
}

/** The caller must be able to read what it sends to an address of its choice. */
function requireCredentials(call: Call, spec: BackendSpec): void {
  call.require(credentialsPath(spec.type, spec.config), "read");
}

function found(call: Call): LiveBackend {
  return call.app.federation.get(call.principal.tenantId, call.params["id"] ?? "");
}

/** GET /v1/federation/backends. */
export function listBackends(call: Call): Answer {
  const limit = wholeNumber(call.query, "limit", { least: 1, most: 1000 }) ?? 100;
  const { tenantId } = call.principal;
  const scope = JSON.stringify([call.route.pattern, tenantId]);
  const after = call.app.cursors.read(scope, call.query.get("cursor"));
  const rest = call.app.federation.list(tenantId).filter(({ record }) => after === undefined || record.name > after);
  const page = rest.slice(0, limit);
  const last = page.at(-1);
  const hasMore = rest.length > limit && last !== undefined;
  return {
    status: 200,
    body: {
      [BACKEND_LIST_KEY]: page.map((backend) => shown(call, backend)),
      cursor: hasMore ? call.app.cursors.issue(scope, last.record.name) : null,
      has_more: hasMore,
    },
  };
}

/** POST /v1/federation/backends. */
export async function createBackend(call: Call): Promise<Answer> {
  const spec = parseCreate(parseObject(await call.text()));
  requireCredentials(call, spec);
  const backend = await call.app.federation.create(call.principal.tenantId, spec);
  call.audit("federation_sync", null, { operation: "create", backend: backend.record.id, mode: spec.mode });
  call.app.sync.schedule(backend, { now: true });
  return { status: BACKEND_CREATE_ANSWER.created, body: shown(call, backend) };
}

/** GET /v1/federation/backends/{id}. */
export function readBackend(call: Call): Answer {
  return { status: 200, body: shown(call, found(call)) };
}

/** PATCH /v1/federation/backends/{id}. */
export async function patchBackend(call: Call): Promise<Answer> {
  const body = parseObject(await call.text());
  const backend = found(call);
  const before = backend.record;
  const spec = parsePatch(before, body);
  if (!sameConfig(before, spec)) requireCredentials(call, spec);
  await call.app.sync.change(backend, spec);
  call.audit("federation_sync", null, { operation: "update", backend: before.id, mode: spec.mode });
  return { status: BACKEND_CREATE_ANSWER.changed, body: shown(call, backend) };
}

/** DELETE /v1/federation/backends/{id}. */
export async function deleteBackend(call: Call): Promise<Answer> {
  const backend = found(call);
  await call.app.sync.remove(backend);
  call.audit("federation_sync", null, { operation: "delete", backend: backend.record.id });
  return { status: BACKEND_CREATE_ANSWER.deleted };
}

/** GET /v1/federation/backends/{id}/status: asks the store, unless a sync does. */
export async function backendStatus(call: Call): Promise<Answer> {
  const backend = found(call);
  if (call.app.sync.running(backend) === undefined) await backend.check();
  const { record, connection } = backend;
  const { outcome } = record;
  return {
    status: 200,
    body: {
      id: record.id,
      name: record.name,
      status: call.app.sync.status(backend),
      last_sync: outcome === null ? null : timestamp(outcome.lastSync),
      last_sync_duration_ms: outcome?.durationMs ?? null,
      secrets_synced: outcome?.synced ?? 0,
      secrets_skipped: outcome?.skipped ?? 0,
      secrets_failed: outcome?.failed ?? 0,
      conflicts: conflictsOf(call, backend).length,
      connection: {
        status: connection.status === "unknown" ? "disconnected" : connection.status,
        latency_ms: connection.latencyMs,
      },
      last_error: connection.failure ?? record.lastError ?? outcome?.failure ?? null,
    },
  };
}

/** POST /v1/federation/backends/{id}/sync: begins one and does not wait for it. */
export function syncBackend(call: Call): Answer {
  const backend = found(call);
  const { syncId, startedAt } = call.app.sync.start(backend);
  call.audit("federation_sync", null, { operation: "start", backend: backend.record.id, sync_id: syncId });
  return {
    status: SYNC_ANSWER.status,
    body: { sync_id: syncId, status: "running", started_at: timestamp(startedAt) },
  };
}

function conflictsOf(call: Call, backend: LiveBackend): SyncedPath[] {
  if (backend.record.mode !== "sync") return [];
  return call.app.store.federation
    .listPaths(backend.record.id)
    .filter(({ conflictSince, path }) => conflictSince !== null && call.may(path, "list"));
}

/** GET /v1/federation/backends/{id}/conflicts: paths that the caller may list, without values. */
export function backendConflicts(call: Call): Answer {
  const backend = found(call);
  const limit = wholeNumber(call.query, "limit", { least: 1, most: 1000 }) ?? 100;
  const scope = JSON.stringify([call.route.pattern, backend.record.id, call.principal.identityId]);
  const after = call.app.cursors.read(scope, call.query.get("cursor"));
  const rest = conflictsOf(call, backend).filter(({ path }) => after === undefined || path > after);
  const page = rest.slice(0, limit);
  const last = page.at(-1);
  const hasMore = rest.length > limit && last !== undefined;
  const resolution = backend.record.conflictResolution;
  return {
    status: 200,
    body: {
      [CONFLICTS_SHAPE]: page.map(({ path, backendPath, conflictSince }) => ({
        path,
        backend_path: backendPath,
        local_version: call.app.store.getSecret(call.owner, path)?.version ?? null,
        detected_at: conflictSince === null ? null : timestamp(conflictSince),
        resolution: resolution === "manual" ? null : resolution,
      })),
      cursor: hasMore ? call.app.cursors.issue(scope, last.path) : null,
      has_more: hasMore,
    },
  };
}
