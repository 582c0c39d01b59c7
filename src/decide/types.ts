import type { Reason } from "../errors/index.ts";
import type { TargetObservation } from "../ports/target.ts";
import type { Authority, Mark } from "../model/index.ts";
import type { MarkNote } from "./mark.ts";

export type TargetKind = "ScaiVault" | "KubernetesSecret";

/** The declared policies of one SecretSync, defaults filled in. */
export interface Policies {
  readonly authority: Authority;
  readonly conflictResolution: "remote_wins" | "local_wins" | "manual";
  readonly deletionPolicy: "Retain" | "Delete";
  readonly cleanupPolicy: "Retain" | "Release" | "Delete";
  readonly adopt: "Never" | "IfEqual" | "WithApproval";
  readonly apply: "Automatic" | "OnApproval" | "Never";
}

/** What is known of the source version that is wanted. */
export type SourceState =
  | {
      readonly state: "Present";
      readonly version: string;
      /** Versions known to be older than `version`; undefined when the source cannot tell. */
      readonly older: ReadonlySet<string> | undefined;
      /** Whether versions are numbers that only grow (KV v2). */
      readonly numbered: boolean;
    }
  | { readonly state: "Gone"; readonly how: "NotFound" | "PendingDeletion" | "Deleted"; readonly believed: boolean }
  /** Error, denial, sealed, throttled, no poll yet: nothing is decided on it. */
  | { readonly state: "Unknown"; readonly reason: Reason; readonly message: string };

/**
 * Whose mark stands on the target.
 * - `Self`: this object's. - `Gone`: an object of this namespace and cluster that no longer exists; free to take over.
 * - `Other`: another living object of this cluster. - `OtherCluster`: another cluster of the fleet.
 * - `OtherNamespaceGone`: of another namespace, gone: not free.
 */
export type Incumbent = "None" | "Self" | "Gone" | "Other" | "OtherNamespaceGone" | "OtherCluster";

/** Comparisons that needed values; absent until the planner asked for them. */
export interface ContentFacts {
  /** The wanted content was read and rendered for this target; an executor could write it. */
  readonly rendered?: boolean;
  /** Rendered source content against what the target holds now. */
  readonly sourceEqualsTarget?: boolean;
  /** Secrets: the type there is not the one that would be written, and nobody can change a type. */
  readonly otherType?: boolean;
  /** What the target holds now was read. */
  readonly held?: boolean;
  /** What the target holds now against the mark's fingerprint. */
  readonly targetEqualsMark?: boolean;
  /** Rendered source content against the mark's fingerprint: equal means that nothing needs writing but the mark. */
  readonly sourceEqualsMark?: boolean;
}

/** What a look at ScaiVault says about the fence. */
export interface Sight {
  /** Authority that the mark there declares for this object; absent when no mark does. */
  readonly authority?: Authority;
  /** The mark there, when this object may act on it. */
  readonly mark?: Mark;
}

/** Everything that the planner may know of one target. */
export interface TargetInput {
  readonly kind: TargetKind;
  /** Shown to people: the ScaiVault path or the Secret's name. */
  readonly ref: string;
  readonly observation: TargetObservation;
  readonly incumbent: Incumbent;
  /** Shown name of the other owner, already cut to what this namespace may see. */
  readonly otherOwner?: string;
  /** Rights now: tenancy and grants. A missing right refuses the action with NotGranted. */
  readonly rights: { readonly read: boolean; readonly write: boolean; readonly delete: boolean };
  /** Digest of what shapes the content (declared keys, type, tags, ...); the mark carries the one it was written with. */
  readonly shape: string;
  /** The store's rate budget has no room for a write to it now: what would be written waits, and nothing is read for it. */
  readonly deferred?: boolean;
  /** The operator only looks at this target (`scaivault.role: Reader`): nothing may be planned for it. */
  readonly readOnly?: boolean;
  /** Another living claim on the same target that goes before ours: who, for the message. */
  readonly claimedBy?: string;
  /** How often we have written back over another writer within the last ten minutes for this source version. */
  readonly reverts: number;
  readonly content: ContentFacts;
  /** Why the content cannot be rendered for this target (InvalidKey, ValueTooLarge, ...). */
  readonly unrenderable?: { readonly reason: Reason; readonly message: string };
  /** ScaiVault: what the mark of a Secret says as its source when it is fed from here (`vaultSourceIDOf`). */
  readonly sourceID?: string;
  /** Status says that it was there before: its absence is a loss and not a beginning. */
  readonly knownBefore?: boolean;
  /** ScaiVault: what its last look said that told anything, since this process began to lead; absent: there was none. */
  readonly lastSeen?: Sight;
  /** `Absent` was seen on two polls at least one interval apart (ScaiVault as authority). */
  readonly goneBelieved?: boolean;
  /** Secrets: its owner consents to a take-over by this very object, whatever it holds. */
  readonly consented?: boolean;
  /** Our own mark changed without us while we held the lease: somebody else uses this cluster's name (R36). */
  readonly markMoved?: boolean;
}

/** Brakes as they stand for this object's store and namespace, before its own actions. */
export interface Brakes {
  /** `Held` also during the first ten minutes after a start or a take-over. */
  readonly deletion: "Open" | "Held";
  readonly change: "Open" | "Held";
}

/** Input of {@link planPair}: one source secret and its targets. */
export interface PairInput {
  readonly path: string;
  readonly owner: string;
  readonly sourceID: string;
  readonly policies: Policies;
  /** `deletionPolicy`/`cleanupPolicy` seen in an earlier generation: the mark's own policy field is what counts. */
  readonly source: SourceState;
  readonly targets: readonly TargetInput[];
  readonly brakes: Brakes;
  /** True when the plan's hash carries a valid approval. */
  readonly approved: boolean;
  /** The side that people keep in this pair's conflict: the plan is then that {@link Choice}, and nothing else. */
  readonly keep?: Authority;
}

/** What the executor is asked to do; it decides nothing. */
export type ActionKind =
  /** New target: content and mark. */
  | "Create"
  /** Content and mark from a newer source version. */
  | "Update"
  /** Content written back over another writer's change. */
  | "Restore"
  /** Mark and declared metadata only. */
  | "Mark"
  /** Equal content of another tool: field ownership and mark, never data. */
  | "Adopt"
  /** Label, mark and field ownership go; data stays. */
  | "Release"
  | "Delete";

/** What the mark must say after an action. Owner and policies come from the object, the fingerprint from the content. */
export interface MarkIntent {
  readonly source: string;
  /** The version that was planned for; a value that was read says what it really is. */
  readonly version: string;
  readonly authority: Authority;
  /** ScaiVault: the mark says that people kept its content, or how often it was restored. */
  readonly note?: MarkNote;
}

export interface Action {
  readonly kind: ActionKind;
  readonly target: TargetKind;
  readonly path: string;
  readonly ref: string;
  /** Where the content comes from: the old store, or ScaiVault after the flip (Secrets only). */
  readonly from: "Source" | "ScaiVault";
  readonly fromVersion: string;
  /** Why, as a short word for plan and events. */
  readonly why: Why;
  /** The target's own version that is written over; part of what an approval is bound to. */
  readonly over: string;
  /** Absent for Release and Delete. */
  readonly mark?: MarkIntent;
}

/**
 * - `NewTarget`: there was none. - `SourceChanged`, `BothChanged`: a newer version. - `SourceMoved`: the spec names another
 *   source. - `ShapeChanged`: declared keys or type changed. - `Drift`: another writer changed it. - `MarkLost`: our mark
 *   was taken off. - `NewBase`: equal already, the mark says so from now on. - `TakeOver`: its owner is gone.
 * - `Metadata`, `PolicyChanged`: mark or declared metadata only. - `Flip`, `FlipBack`: the authority moves.
 * - `Adopt`: equal content of another tool. - `AdoptDiffers`: content of another tool that is written over. - `SourceGone`, `TargetRemoved`, `ObjectDeleted`: clean-up.
 * - `Resolved`, `Kept`: people settled a conflict for the source, or for ScaiVault's content as it stands.
 */
export type Why =
  | "NewTarget"
  | "SourceChanged"
  | "BothChanged"
  | "SourceMoved"
  | "ShapeChanged"
  | "Drift"
  | "MarkLost"
  | "NewBase"
  | "TakeOver"
  | "Metadata"
  | "PolicyChanged"
  | "Flip"
  | "FlipBack"
  | "Adopt"
  | "AdoptDiffers"
  | "Resolved"
  | "Kept"
  | "SourceGone"
  | "TargetRemoved"
  | "ObjectDeleted";

/** How one target stands after planning. */
export interface TargetOutcome {
  readonly kind: TargetKind;
  readonly ref: string;
  readonly state: "InSync" | "Pending" | "Held" | "Conflict" | "Failed" | "Retained" | "Unknown";
  readonly reason: Reason;
  readonly message: string;
}

/** A value that has to be read before the plan is final. */
export type Need = { readonly kind: "SourceValue" } | { readonly kind: "TargetValue"; readonly target: TargetKind };

/** One answer that people can give to a conflict, and the one action at ScaiVault that it comes to. */
export interface Choice {
  readonly keep: Authority;
  readonly action: Action;
}

export interface PairPlan {
  readonly actions: readonly Action[];
  /** Actions that are held back by a brake, a fence, or a missing approval; they count into the plan's hash. */
  readonly held: readonly Action[];
  readonly outcomes: readonly TargetOutcome[];
  readonly needs: readonly Need[];
  /** Targets that are written, or would be but for {@link TargetInput.deferred}; certain before the needs are read. */
  readonly writes: readonly { readonly target: TargetKind; readonly kind: ActionKind }[];
  /** Answers that people may give to this pair's conflict; none where there is no conflict, or none that we may settle. */
  readonly choices: readonly Choice[];
  /** Authority in force: that of the spec, unless a flip is held. */
  readonly authority: Authority;
  /** The side that Secrets are rendered from: that of the authority, or ScaiVault where people kept its content. */
  readonly secretsFrom: Authority;
  readonly fence?: "FlipHeld" | "AuthorityFenced";
  /** After these actions the pair is worth planning again at once (a flip takes two steps). */
  readonly again: boolean;
}
