import type { WorkResult } from "../runtime/index.ts";
import type { SyncRequestResult } from "./registration-look.ts";
import type { RegistrationMemory } from "./registration-state.ts";
import type { World } from "./world.ts";

/** No backend's status is asked for more often than this when nothing is awaited. */
const LOOK_MS = 60_000;
/** Until a backend settles (its first sync, a store that comes back) it is looked at this often. */
export const SETTLE_MS = 20_000;
/** Part of the calls a minute that routine looks may take; the rest is for people's changes. */
const ROUTINE_PART = 0.4;
/** The same for those that are not as they should be. */
const SETTLE_PART = 0.2;
/** Calls that a look at one backend takes, its conflicts among them. */
const CALLS_A_LOOK = 1.5;

type Memories = Iterable<RegistrationMemory>;

/** When a registration is looked at next. */
export function nextLook(
  world: World,
  all: Memories,
  memory: RegistrationMemory,
  request: SyncRequestResult,
): WorkResult {
  if (request.kind === "Later") return { requeueAfterMs: request.inMs, lane: "change" };
  const known = [...all];
  const every = lookEveryMs(world, known);
  if (isSettled(memory)) return { requeueAfterMs: every };
  return { requeueAfterMs: Math.min(every, Math.max(SETTLE_MS, settleMs(world, known))) };
}

/** Whether something is awaited of ScaiVault, or it is time for a look. While marks are released it was asked already. */
export function isLookDue(world: World, all: Memories, memory: RegistrationMemory): boolean {
  const { pendingSync, lookedMs, under, marked } = memory;
  if (pendingSync !== undefined || lookedMs === undefined || (under !== undefined && marked === undefined)) return true;
  return world.clock.monotonic() - lookedMs >= lookEveryMs(world, all) - 1_000;
}

/** How often each registration is looked at when nothing is awaited, in milliseconds. */
function lookEveryMs(world: World, all: Memories): number {
  const many = [...all].filter(({ id }) => id !== undefined).length;
  return Math.max(LOOK_MS, spreadMs(world, many, ROUTINE_PART));
}

/** How often those that are not as they should be may be looked at, in milliseconds. */
export function settleMs(world: World, all: Memories): number {
  return spreadMs(world, [...all].filter((one) => !isSettled(one)).length, SETTLE_PART);
}

/** Looks at each are spread so far that all of them together stay within a part of the budget. */
function spreadMs(world: World, many: number, part: number): number {
  const perMinute = (world.scaivault?.federation.perMinute() ?? 1) * part;
  return (many * CALLS_A_LOOK * 60_000) / Math.max(perMinute, 0.2);
}

/** Nothing of it is under way, and ScaiVault has all that it should have. */
function isSettled({ under, health, mode, problem }: RegistrationMemory): boolean {
  return (
    problem === undefined &&
    under === undefined &&
    health?.status === "healthy" &&
    (mode === "proxy" || health.lastSyncMs !== undefined)
  );
}
