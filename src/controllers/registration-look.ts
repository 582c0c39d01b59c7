import { isOpenConflict } from "../decide/index.ts";
import { annotations, SYNC_REQUEST_PATTERN } from "../api/index.ts";
import type { FederationCall } from "../ports/index.ts";
import { federationOf } from "./registration-checks.ts";
import type { RegistrationMemory, RegistrationSubject } from "./registration-state.ts";
import type { SyncRequests } from "./sync-requests.ts";
import type { World } from "./world.ts";

/** After a sync was asked for, it is looked for after these times, in milliseconds; then always after the last of them. */
const LOOKS_MS = [2_000, 5_000, 10_000, 20_000, 30_000] as const;

/**
 * Asks ScaiVault how the backend stands: one call, and one more for its conflicts where there may be some.
 * @returns false when it is gone
 */
export async function lookAtHealth(world: World, memory: RegistrationMemory, call: FederationCall): Promise<boolean> {
  const { backends } = federationOf(world);
  const id = memory.id ?? "";
  const before = memory.health;
  const health = await backends.status(id, call);
  if (health === undefined) return false;
  const { changedMs } = memory;
  // A sync that ended before the mode was changed says nothing about what is registered now.
  const old = changedMs !== undefined && health.lastSyncMs !== undefined && health.lastSyncMs < changedMs - 60_000;
  memory.health = old ? { ...health, lastSyncMs: undefined } : health;
  memory.lookedMs = world.clock.monotonic();
  if (memory.mode === "proxy") {
    memory.conflicts = undefined;
    return true;
  }
  const moved = before?.lastSyncMs !== health.lastSyncMs;
  const known = memory.conflicts?.conflicts.some(isOpenConflict) === true;
  const counted = health.conflictCount;
  const mayHave = counted === undefined ? moved || known || memory.conflicts === undefined : counted > 0;
  if (!mayHave) memory.conflicts = { conflicts: [], more: false };
  else memory.conflicts = (await backends.conflicts(id, call)) ?? memory.conflicts;
  return true;
}

/** How a request to sync now was met. */
export type SyncRequestResult =
  | { readonly kind: "None" }
  /** Its turn comes later, or its end is looked for then. */
  | { readonly kind: "Later"; readonly inMs: number }
  /** It is over and may be echoed. */
  | { readonly kind: "Done" };

/**
 * The annotation sync-requested-at, handed on to ScaiVault: at most one sync an object in thirty seconds. It is echoed when
 * ScaiVault's last sync has moved; of a proxy, which never syncs, when it was looked at.
 */
export async function handleSyncRequest(
  world: World,
  subject: RegistrationSubject,
  memory: RegistrationMemory,
  requests: SyncRequests,
  call: FederationCall,
): Promise<SyncRequestResult> {
  const { backend, key } = subject;
  const value = backend.metadata.annotations?.[annotations.syncRequestedAt];
  const pending = memory.pendingSync;
  if (pending !== undefined && pending.value === value) return afterSync(memory);
  memory.pendingSync = undefined;
  if (value === undefined || !SYNC_REQUEST_PATTERN.test(value)) return { kind: "None" };
  if (value === (memory.handledSyncRequest ?? backend.status?.lastHandledSyncRequest)) return { kind: "None" };
  const waitMs = requests.take(key, backend.metadata.namespace, value, world.clock.monotonic());
  if (waitMs === undefined) return { kind: "None" };
  if (waitMs > 0) return { kind: "Later", inMs: waitMs };
  if (memory.mode === "sync") {
    world.assertHeld();
    await federationOf(world).backends.sync(memory.id ?? "", { ...call, lane: "user" });
    memory.pendingSync = { value, beforeMs: memory.health?.lastSyncMs, looks: 0 };
    return { kind: "Later", inMs: LOOKS_MS[0] };
  }
  memory.handledSyncRequest = value;
  return { kind: "Done" };
}

function afterSync(memory: RegistrationMemory): SyncRequestResult {
  const pending = memory.pendingSync;
  if (pending === undefined) return { kind: "None" };
  const now = memory.health?.lastSyncMs;
  if (now !== undefined && (pending.beforeMs === undefined || now > pending.beforeMs)) {
    memory.handledSyncRequest = pending.value;
    memory.pendingSync = undefined;
    return { kind: "Done" };
  }
  pending.looks += 1;
  return { kind: "Later", inMs: LOOKS_MS[Math.min(pending.looks, LOOKS_MS.length - 1)] ?? LOOKS_MS[0] };
}
