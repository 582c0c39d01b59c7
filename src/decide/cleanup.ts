import { parsePolicyField } from "./mark.ts";
import type { Action, ActionKind, Brakes, TargetInput, TargetOutcome } from "./types.ts";

/** An object is deleted, or a target or path left its spec. */
export interface CleanupInput {
  readonly path: string;
  readonly why: "ObjectDeleted" | "TargetRemoved";
  readonly cleanupPolicy: "Retain" | "Release" | "Delete";
  readonly targets: readonly Pick<
    TargetInput,
    "kind" | "ref" | "observation" | "incumbent" | "rights" | "claimedBy" | "markMoved" | "readOnly"
  >[];
  readonly brakes: Pick<Brakes, "deletion">;
  readonly approved: boolean;
  /** Namespace or CRD is being deleted: nothing outside the cluster is touched, and nothing is waited for. */
  readonly dying: boolean;
}

export interface CleanupPlan {
  readonly actions: readonly Action[];
  readonly held: readonly Action[];
  readonly outcomes: readonly TargetOutcome[];
  /** Copies that stay; with their marks they are free for this namespace. */
  readonly orphans: readonly { readonly kind: TargetInput["kind"]; readonly ref: string; readonly why: string }[];
  /** Whether the object's finalizer may go after the actions. Only a target that could not be asked keeps it. */
  readonly releaseFinalizer: boolean;
}

type Target = CleanupInput["targets"][number];
type Fate =
  | { readonly do: "Release" | "Delete"; readonly held?: "DeletionBraked" }
  | { readonly do: "Keep"; readonly why: string }
  | { readonly do: "Retry" }
  | { readonly do: "Nothing" };

/**
 * What becomes of the copies of an object that goes. Retain leaves everything; Release takes label, mark and field
 * ownership off; Delete removes what is provably ours and unchanged, under the brake. A deletion that is held lets the
 * object go and leaves an orphan: the object must be able to go (F5).
 */
export function planCleanup(input: CleanupInput): CleanupPlan {
  const fates = input.targets.map((target) => ({ target, fate: fateOf(input, target) }));
  const orphans: { kind: TargetInput["kind"]; ref: string; why: string }[] = [];
  const [actions, held]: [Action[], Action[]] = [[], []];
  const outcomes: TargetOutcome[] = [];
  for (const { target, fate } of fates) {
    const { kind, ref } = target;
    const say = (state: TargetOutcome["state"], reason: TargetOutcome["reason"], message: string): void => {
      outcomes.push({ kind, ref, state, reason, message });
    };
    if (fate.do === "Keep") {
      orphans.push({ kind, ref, why: fate.why });
      say("Retained", "InSync", `${ref} stays: ${fate.why}`);
    } else if (fate.do === "Retry")
      say("Unknown", target.observation.failure?.reason ?? "Unexpected", `${ref} was not seen`);
    else if (fate.do !== "Nothing") {
      const action = actionOf(input, target, fate.do);
      if (fate.held === undefined) {
        actions.push(action);
        say("Pending", "Progressing", "");
      } else {
        held.push(action);
        orphans.push({ kind, ref, why: "its deletion is held by the brake" });
        say("Held", fate.held, `${ref} stays until its deletion is safe`);
      }
    }
  }
  return { actions, held, outcomes, orphans, releaseFinalizer: !fates.some(({ fate }) => fate.do === "Retry") };
}

function fateOf(input: CleanupInput, target: Target): Fate {
  for (const check of fates) {
    const fate = check(input, target);
    if (fate !== undefined) return fate;
  }
  return { do: "Delete" };
}

const keep = (why: string): Fate => ({ do: "Keep", why });

/** In this order; what none of them answers is deleted. */
const fates: readonly ((input: CleanupInput, target: Target) => Fate | undefined)[] = [
  ({ dying }) => (dying ? keep("its namespace or the CRD is being deleted") : undefined),
  ({ cleanupPolicy }) => (cleanupPolicy === "Retain" ? keep("cleanupPolicy is Retain") : undefined),
  (_, { readOnly }) => (readOnly === true ? keep("this operator only reads ScaiVault") : undefined),
  (_, { observation }) => (observation.presence === "Unknown" ? { do: "Retry" } : undefined),
  (_, { observation }) => (observation.presence !== "Present" ? { do: "Nothing" } : undefined),
  (_, { observation }) => (observation.mark.state === "None" ? { do: "Nothing" } : undefined),
  (_, { observation }) => (observation.mark.state === "Unverified" ? keep("its mark cannot be checked") : undefined),
  (_, { incumbent, claimedBy, markMoved }) =>
    incumbent !== "Self" || claimedBy !== undefined || markMoved === true ? keep("another object keeps it") : undefined,
  ({ cleanupPolicy }, { rights }) => {
    if (cleanupPolicy !== "Release") return undefined;
    return rights.write ? { do: "Release" } : keep("there is no right to write it");
  },
  (_, target) => notDeletable(target),
  ({ brakes, approved }) =>
    brakes.deletion === "Held" && !approved ? { do: "Delete", held: "DeletionBraked" } : undefined,
];

/** A copy is deleted only with a policy that stood in its mark, as we left it, and with the right to it. */
function notDeletable({ kind, observation, rights }: Target): Fate | undefined {
  const mark = observation.mark.state === "Valid" ? observation.mark.mark : undefined;
  if (parsePolicyField(mark?.policy ?? "")?.cleanupPolicy !== "Delete")
    return keep("cleanupPolicy was not Delete when it was written");
  if (kind === "ScaiVault" && mark?.authority === "ScaiVault") return keep("ScaiVault is its authority");
  if (observation.content !== "AsMarked") return keep("another writer changed it");
  return rights.delete ? undefined : keep("there is no right to delete it");
}

function actionOf(input: CleanupInput, target: Target, kind: Extract<ActionKind, "Release" | "Delete">): Action {
  return {
    kind,
    target: target.kind,
    path: input.path,
    ref: target.ref,
    from: "Source",
    fromVersion: "",
    why: input.why,
    over: target.observation.version,
  };
}
