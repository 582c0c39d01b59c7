import type { Mark, MarkReading, SecretPayload, SecretValue } from "../model/index.ts";

/** What a target says of itself without giving its value away. */
export interface TargetObservation {
  /** `Unknown`: it could not be asked (the error stands in the outcome of the reconcile). */
  readonly presence: "Absent" | "Present" | "SoftDeleted" | "Unknown";
  /** The target's own version (ScaiVault integer); empty for Kubernetes Secrets. */
  readonly version: string;
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
  /** Fences: `uid` for Secrets, the version for ScaiVault. Opaque to the planner. */
  readonly fence: string;
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

/** A write is one of these; both carry the mark that must stand with it. */
export interface WriteRequest {
  readonly content: RenderedContent;
  readonly mark: Mark;
  readonly observed: TargetObservation;
}

/**
 * One kind of target. `Ref` addresses one target (a ScaiVault path with its declared metadata, a Secret with its
 * declared shape). All writes check ownership again by fence and never force.
 */
export interface SecretTarget<Ref> {
  /** Metadata only; many at a time where the target can. Missing answers come as `Unknown`. */
  observe(refs: readonly Ref[], signal: AbortSignal): Promise<ReadonlyMap<string, TargetObservation>>;
  /** The key of a ref in the map of {@link observe}. */
  key(ref: Ref): string;
  /** The value as it is there now, for a comparison that metadata cannot settle. */
  read(ref: Ref, signal: AbortSignal): Promise<RenderedContent | undefined>;
  /** Creates or replaces the content together with its mark. */
  write(ref: Ref, request: WriteRequest, signal: AbortSignal): Promise<WriteResult>;
  /** Sets the mark (and declared metadata) only; never a value, never a version. */
  mark(ref: Ref, request: { mark: Mark; observed: TargetObservation }, signal: AbortSignal): Promise<WriteResult>;
  /** Takes label, mark and field ownership off; the data stays. */
  release(ref: Ref, observed: TargetObservation, signal: AbortSignal): Promise<void>;
  /** Deletes it, fenced; only ever called for an action that the planner allowed. */
  remove(ref: Ref, observed: TargetObservation, signal: AbortSignal): Promise<void>;
}
