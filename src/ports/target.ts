import type { SyncError } from "../errors/index.ts";
import type { Mark, MarkReading, SecretPayload, SecretValue } from "../model/index.ts";

/** What a target says of itself without giving its value away. */
export interface TargetObservation {
  /** `Unknown`: it could not be asked (the error stands in the outcome of the reconcile). */
  readonly presence: "Absent" | "Present" | "SoftDeleted" | "Unknown";
  /** The target's own version (ScaiVault integer); empty for Kubernetes Secrets. */
  readonly version: string;
  /**
   * Changes when the path was deleted for good and made anew, such as its creation time in seconds: version numbers begin
   * again then, and the same number means another content (ScaiVault). At most 32 of `[A-Za-z0-9.-]`.
   */
  readonly lineage?: string | undefined;
  readonly mark: MarkReading;
  /**
   * Whether the target still holds what the mark was written for, as far as metadata tells.
   * ScaiVault: version equals mark.targetVersion. Secret: managedFields show exactly our keys and nobody else's.
   */
  readonly content: "AsMarked" | "Changed" | "Unknown";
  /** Metadata that we own and that is declared in the spec (tags, owner, labels) is as declared. */
  readonly metadataAsDeclared: boolean;
  /** Field manager or the like of whoever changed it, when the target tells. */
  readonly otherWriter?: string | undefined;
  /** A controller owner that is not ours (Secrets); adoption is refused while it is there. */
  readonly controllerOwner?: string | undefined;
  /** Name of the object by which the owner of an unmarked Secret lets it be taken over, whatever it holds. */
  readonly consent?: string | undefined;
  /**
   * The mark alone was taken off: our label is there and every key still belongs to our apply (Secrets). It is ours and
   * may be written or marked anew, although `mark` reads `None`.
   */
  readonly markLost?: boolean | undefined;
  /** Fences: uid and resource version for Secrets, the version for ScaiVault. Opaque to the planner. */
  readonly fence: string;
  /**
   * With `presence: "Absent"`: nothing is known of it, and nobody was asked. Good for one thing: to create it at once, which the
   * target refuses when the name is taken.
   */
  readonly assumed?: boolean | undefined;
  /** With `presence: "Unknown"`: why it could not be asked. With `NoRoomForMark`: our own write stands there without its mark. */
  readonly failure?: SyncError | undefined;
}

/** What a target should hold: the rendered content as keyed bytes or, for ScaiVault, the whole payload. */
export interface RenderedContent {
  /** Secret: data keys. ScaiVault: the canonical content (see the target) under the key `data`. */
  readonly keys: ReadonlyMap<string, SecretValue>;
  readonly payload: SecretPayload;
  /** The Secret's type, or ScaiVault's secret_type. */
  readonly type: string;
}

/** The outcome of a write: the target's version now, and the new fence. */
export interface WriteResult {
  readonly version: string;
  readonly fence: string;
}

/** One call to a target store that its rate budget has set aside. What is not used is given back by {@link Permit.release}. */
export interface Permit {
  /** Takes the call, right before it is made. @returns false when it was taken already, or the store asked to pause */
  use(): boolean;
  /** Gives it back when it was not used. Safe to call more than once. */
  release(): void;
}

/** A write may go now, or has to wait for its turn; then ask again. */
export type Reservation =
  { readonly granted: true; readonly permit: Permit } | { readonly granted: false; readonly turn: Promise<void> };

/** How urgent a write is: a person's change, a rotated value, a first copy, a mark. */
export type WriteLane = "user" | "rotated" | "new" | "verification";

/** A write is one of these; both carry the mark that must stand with it. */
export interface WriteRequest {
  readonly content: RenderedContent;
  /** `targetVersion` is filled in by the target: only it knows what the write will be. */
  readonly mark: Mark;
  readonly observed: TargetObservation;
  /** What {@link SecretTarget.reserve} gave. */
  readonly permit?: Permit | undefined;
}

/**
 * One kind of target. `Ref` addresses one target (a ScaiVault path with its declared metadata, a Secret with its
 * declared shape). All writes check ownership again by fence and never force.
 *
 * Every writing method throws SyncError. `code: "fence"` (reason TargetChanged for ScaiVault, Conflict for Secrets) means
 * that the target moved since it was observed and nothing was written: observe and plan again. `code: "taken"`: the same, of
 * what was created on an assumption. `NotOwned`: it is not ours.
 */
export interface SecretTarget<Ref> {
  /** Metadata only; many at a time where the target can. Missing answers come as `Unknown`. */
  observe(refs: readonly Ref[], signal: AbortSignal): Promise<ReadonlyMap<string, TargetObservation>>;
  /** What is known without a call, else an `assumed` absence; undefined when that would be no good guess. */
  assume?(ref: Ref): TargetObservation | undefined;
  /** Whether a state of a target that a watch brought is just what our last write left there: then it is no news. */
  isEcho?(ref: Ref, seen: object): boolean;
  /** The key of a ref in the map of {@link observe}. */
  key(ref: Ref): string;
  /** The value as it is there now, for a comparison that metadata cannot settle. */
  read(ref: Ref, signal: AbortSignal): Promise<RenderedContent | undefined>;
  /** Whether the store's rate budget has room for one write, asked before a value is read for it. Absent: always. */
  reserve?(ref: Ref, lane: WriteLane): Reservation;
  /** Creates or replaces the content together with its mark. */
  write(ref: Ref, request: WriteRequest, signal: AbortSignal): Promise<WriteResult>;
  /** Sets the mark (and declared metadata) only; never a value, never a version. */
  mark(ref: Ref, request: Omit<WriteRequest, "content">, signal: AbortSignal): Promise<WriteResult>;
  /**
   * Takes over what another tool made: reads it once, refuses unless content and type are equal (`AdoptDiffers`) and no
   * controller owns it (`AdoptRefused`), then sets field ownership and mark. Never writes a value, never makes a version.
   *
   * With `differs`, which people approved for exactly the state in `observed`: writes the content over what stands there. In
   * ScaiVault that is a new version; a Secret needs its owner's consent.
   */
  adopt(
    ref: Ref,
    request: WriteRequest & { readonly differs?: boolean | undefined },
    signal: AbortSignal,
  ): Promise<WriteResult>;
  /** Takes label, mark and field ownership off; the data stays. */
  release(ref: Ref, observed: TargetObservation, signal: AbortSignal): Promise<void>;
  /** Deletes it, fenced; only ever called for an action that the planner allowed. */
  remove(ref: Ref, observed: TargetObservation, signal: AbortSignal): Promise<void>;
}
