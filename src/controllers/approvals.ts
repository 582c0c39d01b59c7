import { annotations } from "../api/index.ts";
import { heldActions, type HeldPlan, planApproved, planHash } from "../decide/index.ts";
import type { Action, Choice, PairPlan } from "../decide/types.ts";
import type { Authority } from "../model/index.ts";
import type { Subject } from "./subject.ts";
import type { World } from "./world.ts";

/** How what an object holds back stands with approvals. */
export interface Approval {
  /** Name of what is held, to be approved; empty when nothing is. */
  readonly hash: string;
  /** `Given`: the annotation approves exactly this, and was not used yet. `Running`: it was used, and this is what is left of it. */
  readonly state: "None" | "Given" | "Running";
}

/** The answer that people gave to the conflict of one secret. */
export interface Answer extends Choice {
  /** See {@link Approval}. */
  readonly state: "Given" | "Running";
}

/** A secret and its plan. */
export interface Planned {
  readonly context: { readonly path: string };
  readonly plan: PairPlan;
}

/** An approval that was used: what it named and was not done yet goes on by it, and nothing else does. */
interface Used {
  readonly uid: string;
  readonly generation: number;
  readonly hash: string;
  readonly atMs: number;
  /** Held actions by their text, each with what it would write. */
  readonly left: Map<string, string>;
}

const LASTS_MS = 24 * 3_600_000;

/**
 * Approvals are used once (R31). A used one is named in status before anything is done by it, and the hash of whatever is
 * held later is made with that name: the same annotation approves nothing any more, not even the very same plan.
 */
export class Approvals {
  readonly #world: World;
  readonly #used = new Map<string, Used>();

  constructor(world: World) {
    this.#world = world;
  }

  of(subject: Subject, plans: readonly PairPlan[]): Approval {
    if (plans.every(({ held }) => held.length === 0)) return { hash: "", state: "None" };
    const input = this.#input(subject, plans);
    const annotation = subject.sync.metadata.annotations?.[annotations.approve];
    const given = annotation !== undefined && planApproved(this.#world.ring, input, annotation);
    const state = given ? "Given" : this.#isLeft(subject, plans) ? "Running" : "None";
    return { hash: planHash(this.#world.ring, input), state };
  }

  /** Whether these plans are left of an approval that was used. */
  isRunning(subject: Subject, plans: readonly PairPlan[]): boolean {
    return plans.some(({ held }) => held.length > 0) && this.#isLeft(subject, plans);
  }

  /** The annotation is used for these plans from now on; the status that says so has to stand before. */
  use(subject: Subject, plans: HeldPlan["plans"]): void {
    const { uid, generation } = subject.sync.metadata;
    const left = new Map([...heldActions(plans)].map(([text, action]) => [text, placeOf(action)]));
    const hash = subject.sync.metadata.annotations?.[annotations.approve] ?? "";
    this.#used.set(subject.key, { uid, generation, hash, atMs: this.#world.clock.monotonic(), left });
  }

  /** The answers that the annotation gives to conflicts, or gave and that are not carried out yet, by source path. */
  answers(subject: Subject, results: readonly Planned[]): ReadonlyMap<string, Answer> {
    const annotation = subject.sync.metadata.annotations?.[annotations.approve];
    const found = new Map<string, Answer>();
    for (const { context, plan } of results) {
      for (const choice of plan.choices) {
        const plans = [{ held: [choice.action] }];
        const given =
          annotation !== undefined && planApproved(this.#world.ring, this.#input(subject, plans), annotation);
        if (given || this.#isLeft(subject, plans))
          found.set(context.path, { ...choice, state: given ? "Given" : "Running" });
      }
    }
    return found;
  }

  /** Hashes that settle the conflict of one secret, by the side that is kept. */
  hashes(subject: Subject, { choices }: PairPlan): ReadonlyMap<Authority, string> {
    return new Map(
      choices.map(({ keep, action }) => {
        const shown = subject.sync.status?.problems?.find(({ path, conflict }) => path === action.ref && conflict);
        const previous = keep === "Source" ? shown?.conflict?.keepSource : shown?.conflict?.keepScaiVault;
        const input = { ...this.#input(subject, [{ held: [action] }]), previous };
        return [keep, planHash(this.#world.ring, input)];
      }),
    );
  }

  /** It was carried out. */
  done(key: string, action: Action): void {
    const used = this.#used.get(key);
    for (const [text, place] of used?.left ?? []) if (place === placeOf(action)) used?.left.delete(text);
  }

  /** The approval of this object that was used last. */
  lastUsed(subject: Subject): string | undefined {
    const used = this.#used.get(subject.key);
    return used?.uid === subject.sync.metadata.uid ? used.hash : subject.sync.status?.lastHandledApproval;
  }

  forget(key: string): void {
    this.#used.delete(key);
  }

  #isLeft(subject: Subject, plans: HeldPlan["plans"]): boolean {
    const used = this.#used.get(subject.key);
    const { uid, generation } = subject.sync.metadata;
    if (used?.uid !== uid || used.generation !== generation) return false;
    if (this.#world.clock.monotonic() - used.atMs >= LASTS_MS) return false;
    return [...heldActions(plans).keys()].every((text) => used.left.has(text));
  }

  #input(subject: Subject, plans: HeldPlan["plans"]): HeldPlan {
    const { uid, generation } = subject.sync.metadata;
    const previous = subject.sync.status?.plan?.hash;
    const nowMs = this.#world.clock.now();
    return {
      uid,
      generation,
      plans,
      nowMs,
      used: this.lastUsed(subject),
      previous: previous === "" ? undefined : previous,
    };
  }
}

/** One action for one target, whatever it turned out to be when values were read. */
function placeOf({ path, target, ref }: Action): string {
  return JSON.stringify([path, target, ref]);
}
