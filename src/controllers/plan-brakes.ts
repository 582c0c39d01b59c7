import type { Condition } from "../api/index.ts";
import { type BrakeKey, type BrakeKind, BrakeWindows } from "../decide/index.ts";
import type { KubeObject } from "../runtime/index.ts";

const heldBy: Readonly<Record<BrakeKind, { readonly type: string; readonly reason: string }>> = {
  deletion: { type: "DeletionHeld", reason: "DeletionBraked" },
  change: { type: "ChangeHeld", reason: "ManyChanges" },
};

/**
 * The brakes as an operator has them that runs for long: open for deletions, unlike after a start. What the operator
 * holds now, as the object's status says, is held here too.
 */
export class PlanBrakes extends BrakeWindows {
  readonly #find: (key: string) => KubeObject | undefined;

  /** @param find the SecretSync with this `namespace/name` */
  constructor(find: (key: string) => KubeObject | undefined) {
    super({ startedMs: -Infinity });
    this.#find = find;
  }

  override check(key: BrakeKey, kind: BrakeKind, item: string, total: number, nowMs: number): "Open" | "Held" {
    const object = this.#find(item.slice(0, item.indexOf(" ")));
    const { conditions } = (object as { status?: { conditions?: readonly Condition[] } } | undefined)?.status ?? {};
    const { type, reason } = heldBy[kind];
    if (conditions?.some((one) => one.type === type && one.status === "True" && one.reason === reason)) return "Held";
    return super.check(key, kind, item, total, nowMs);
  }
}
