import { isBraked } from "./plan-context.ts";
import type { Action, PairPlan } from "./types.ts";

export const BRAKE_WINDOW_MS = 10 * 60_000;

/**
 * What a brake counts over: all objects of one namespace that read one store, through whatever backend and credential. With
 * `backend`: only those that read it through that backend, of which each may be another account of the same store.
 */
export interface BrakeKey {
  /** The store's place, without the credential: a rotated one must not begin a window anew. */
  readonly store: string;
  readonly namespace: string;
  readonly backend?: string;
}

/** Deletions of copies, or changes of values that exist already. First copies are neither. */
export type BrakeKind = "deletion" | "change";

/** What an action counts as; undefined for first copies, repairs, marks and what a spec edit asked for. */
export function brakeKindOf(action: Pick<Action, "kind" | "why">): BrakeKind | undefined {
  if (action.kind === "Delete") return "deletion";
  return action.kind === "Update" && isBraked(action.why) ? "change" : undefined;
}

interface Window {
  /** Secret to when it was deleted or changed, ms. */
  readonly done: Map<string, number>;
  /** Secrets whose deletion or change is held now. */
  readonly held: Set<string>;
}

const limits: Readonly<Record<BrakeKind, { readonly share: number; readonly atLeast: number }>> = {
  deletion: { share: 0.1, atLeast: 2 },
  change: { share: 0.5, atLeast: 20 },
};

/**
 * The brakes: more than 10 % and at least 2 deletions, or more than 50 % and at least 20 changed values, within ten
 * minutes, are held. A secret counts once however many targets it has. While anything is held the window stands still, so
 * that a mass deletion does not trickle through it; it moves on when what was held is approved, or no longer wanted.
 *
 * It lives in memory and starts full for deletions: nothing is deleted in the first ten minutes after a start. All times
 * are ms of the monotonic clock: setting the machine's time neither ends a window nor keeps it.
 */
export class BrakeWindows {
  readonly #startedMs: number;
  readonly #windows = new Map<string, Window>();

  constructor(options: { startedMs: number }) {
    this.#startedMs = options.startedMs;
  }

  /**
   * Whether one more secret may be deleted or changed now. Changes nothing.
   * @param item the secret, such as `namespace/name path`
   * @param total how many secrets there are in this namespace and store
   */
  check(key: BrakeKey, kind: BrakeKind, item: string, total: number, nowMs: number): "Open" | "Held" {
    if (kind === "deletion" && nowMs - this.#startedMs < BRAKE_WINDOW_MS) return "Held";
    const window = this.#windows.get(nameOf(key, kind));
    if (window !== undefined) prune(window, nowMs);
    const counted = window === undefined ? 1 : countWith(window, item);
    const { share, atLeast } = limits[kind];
    return counted >= atLeast && counted > total * share ? "Held" : "Open";
  }

  /**
   * Checks and records in one step, right before the action is carried out: what was planned at the same time by several
   * workers does not pass together. `Held`: it must not be done; it counts as held.
   */
  take(key: BrakeKey, kind: BrakeKind, item: string, total: number, nowMs: number): "Open" | "Held" {
    const verdict = this.check(key, kind, item, total, nowMs);
    if (verdict === "Open") this.record(key, kind, item, nowMs);
    else this.hold(key, kind, item);
    return verdict;
  }

  /** It was done, by itself or by approval. */
  record(key: BrakeKey, kind: BrakeKind, item: string, nowMs: number): void {
    const window = this.#window(key, kind);
    window.held.delete(item);
    prune(window, nowMs);
    window.done.set(item, nowMs);
  }

  /** It is wanted and held. */
  hold(key: BrakeKey, kind: BrakeKind, item: string): void {
    this.#window(key, kind).held.add(item);
  }

  /** It is no longer wanted: the secret is back, or its object is gone. */
  settle(key: BrakeKey, item: string): void {
    for (const kind of ["deletion", "change"] as const) this.#windows.get(nameOf(key, kind))?.held.delete(item);
  }

  /** Of an object's secrets only these are (still) spoken of: what was held for others of it is no longer wanted. */
  retain(object: string, items: ReadonlySet<string>): void {
    for (const { held } of this.#windows.values())
      for (const item of held) if (item.startsWith(`${object} `) && !items.has(item)) held.delete(item);
  }

  /** Takes over from a plan what is held by a brake and what is not (any more). Call it for each plan. */
  planned(key: BrakeKey, item: string, plan: Pick<PairPlan, "outcomes">): void {
    this.settle(key, item);
    if (plan.outcomes.some(({ reason }) => reason === "DeletionBraked")) this.hold(key, "deletion", item);
    if (plan.outcomes.some(({ reason }) => reason === "ManyChanges")) this.hold(key, "change", item);
  }

  #window(key: BrakeKey, kind: BrakeKind): Window {
    const name = nameOf(key, kind);
    const known = this.#windows.get(name);
    if (known !== undefined) return known;
    const made: Window = { done: new Map(), held: new Set() };
    this.#windows.set(name, made);
    return made;
  }
}

/** How many secrets are done or held in a window, with one more. Each is counted once; of a tree it may be thousands. */
function countWith({ done, held }: Window, item: string): number {
  const [few, many] = done.size < held.size ? [[...done.keys()], held] : [[...held], done];
  const both = few.reduce((sum, one) => (many.has(one) ? sum + 1 : sum), 0);
  return done.size + held.size - both + (done.has(item) || held.has(item) ? 0 : 1);
}

function nameOf({ store, namespace, backend = "" }: BrakeKey, kind: BrakeKind): string {
  return `${kind}\n${namespace}\n${store}\n${backend}`;
}

function prune(window: Window, nowMs: number): void {
  if (window.held.size > 0) return;
  for (const [item, at] of window.done) if (nowMs - at >= BRAKE_WINDOW_MS) window.done.delete(item);
}
