import type { Condition } from "../api/index.ts";
import { type BrakeKey, type BrakeKind, BrakeWindows } from "../decide/index.ts";
import type { KubeObject } from "../runtime/index.ts";

/** The object that an item of the brakes is about: its key is followed by a path. */
function objectOf(item: string): string {
  const [key = "", name = ""] = item.split(" ");
  return key.endsWith("/FederationBackend") ? `${key} ${name}` : key;
}

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

  /** @param find the object with this key: a SecretSync by `namespace/name`, or a tree */
  constructor(find: (key: string) => KubeObject | undefined) {
    super({ startedMs: -Infinity });
    this.#find = find;
  }

  override check(key: BrakeKey, kind: BrakeKind, item: string, total: number, nowMs: number): "Open" | "Held" {
    const object = this.#find(objectOf(item));
    const { conditions } = (object as { status?: { conditions?: readonly Condition[] } } | undefined)?.status ?? {};
    const { type, reason } = heldBy[kind];
    if (conditions?.some((one) => one.type === type && one.status === "True" && one.reason === reason)) return "Held";
    return super.check(key, kind, item, total, nowMs);
  }
}
