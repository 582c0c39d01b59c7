import { annotations } from "../api/index.ts";
import type { PairPlan } from "../decide/types.ts";
import { planApproved, planHash } from "../decide/index.ts";
import type { Subject } from "./subject.ts";
import type { World } from "./world.ts";

/** The hash of what an object's plans hold, and whether its annotation approves exactly that. */
export interface Approval {
  readonly hash: string;
  readonly approved: boolean;
}

/** Plans without anything held have no hash. */
export function approvalOf(world: World, subject: Subject, plans: readonly PairPlan[]): Approval {
  if (plans.every((plan) => plan.held.length === 0)) return { hash: "", approved: false };
  const { uid, generation } = subject.sync.metadata;
  const previous = subject.sync.status?.plan?.hash;
  const input = { uid, generation, plans, nowMs: world.clock.now(), previous: previous === "" ? undefined : previous };
  const annotation = subject.sync.metadata.annotations?.[annotations.approve];
  return {
    hash: planHash(world.ring, input),
    approved: annotation !== undefined && planApproved(world.ring, input, annotation),
  };
}
