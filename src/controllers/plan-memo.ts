import type { ContentFacts, SourceState } from "../decide/types.ts";
import type { SyncError } from "../errors/index.ts";
import type { Authority } from "../model/index.ts";
import type { TargetObservation } from "../ports/index.ts";
import type { BoundTarget } from "./bound-target.ts";

/** What values said of one target, without the values. */
export interface RememberedTarget {
  readonly content: ContentFacts;
  readonly unrenderable: SyncError | undefined;
}

/** What reading the values of a pair came to. */
export interface Remembered {
  /** The side that Secrets were rendered from. */
  readonly secretsFrom: Authority;
  readonly byTarget: ReadonlyMap<string, RememberedTarget>;
}

/** What a pair is known by, and what a comparison of its values depends on. */
interface MemoPair {
  readonly owner: string;
  readonly path: string;
  readonly sourceID: string;
  readonly source: SourceState;
  readonly targets: readonly { readonly target: BoundTarget; readonly observation: TargetObservation }[];
}

const MAX_ENTRIES = 20_000;

/**
 * Pairs that wait (for an approval, for people to settle a conflict, for a value that can be written) are looked at each
 * interval. As long as neither side moves, what their values said the last time is said again without reading them.
 */
export class PlanMemo {
  readonly #byPair = new Map<string, { basis: string; said: Remembered }>();

  recall(pair: MemoPair): Remembered | undefined {
    const known = this.#byPair.get(keyOf(pair));
    return known !== undefined && known.basis === basisOf(pair) ? known.said : undefined;
  }

  keep(pair: MemoPair, said: Remembered): void {
    const key = keyOf(pair);
    this.#byPair.delete(key);
    this.#byPair.set(key, { basis: basisOf(pair), said });
    const [oldest] = this.#byPair.keys();
    if (this.#byPair.size > MAX_ENTRIES && oldest !== undefined) this.#byPair.delete(oldest);
  }

  forget(pair: MemoPair): void {
    this.#byPair.delete(keyOf(pair));
  }
}

function keyOf({ owner, path }: MemoPair): string {
  return `${owner}\n${path}`;
}

/** Everything that a comparison of values depends on. */
function basisOf({ source, sourceID, targets }: MemoPair): string {
  const version = source.state === "Present" ? source.version : source.state;
  return JSON.stringify([sourceID, version, ...targets.map(({ target, observation }) => sideOf(target, observation))]);
}

function sideOf(target: BoundTarget, observation: TargetObservation): readonly unknown[] {
  const print = observation.mark.state === "Valid" ? observation.mark.mark.fingerprint : observation.mark.state;
  return [target.targetID, target.shape, observation.presence, observation.version, observation.fence, print];
}
