import type { KeyComparison } from "../decide/index.ts";
import type { BoundTarget } from "./bound-target.ts";

/** What a comparison said, for as long as neither side moves. */
interface Remembered {
  readonly basis: string;
  readonly equal: boolean;
  readonly keys: KeyComparison;
}

const MAX_TARGETS = 20_000;

/**
 * Objects with `apply: Never` have no mark on their targets that would settle a look. What the last comparison said is
 * remembered by the versions of both sides, so that a steady interval reads no value.
 */
export class ComparisonMemo {
  readonly #byTarget = new Map<string, Remembered>();

  get(target: BoundTarget, version: string, fence: string): Remembered | undefined {
    const known = this.#byTarget.get(target.targetID);
    return known?.basis === basisOf(target, version, fence) ? known : undefined;
  }

  set(target: BoundTarget, version: string, fence: string, said: { equal: boolean; keys: KeyComparison }): void {
    this.#byTarget.delete(target.targetID);
    this.#byTarget.set(target.targetID, { basis: basisOf(target, version, fence), ...said });
    const [oldest] = this.#byTarget.keys();
    if (this.#byTarget.size > MAX_TARGETS && oldest !== undefined) this.#byTarget.delete(oldest);
  }
}

function basisOf(target: BoundTarget, version: string, fence: string): string {
  return `${target.shape}\n${version}\n${fence}`;
}
