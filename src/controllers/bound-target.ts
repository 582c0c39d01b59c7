import type { TargetKind } from "../decide/types.ts";
import type { SecretPayload } from "../model/index.ts";
import type { RenderedContent, SecretTarget, TargetObservation, WriteResult } from "../ports/index.ts";
import type { Mark } from "../model/index.ts";

/**
 * One target of one secret, its kind and address bound in, so that evaluation and execution are the same for ScaiVault
 * paths and for Kubernetes Secrets.
 */
export interface BoundTarget {
  readonly kind: TargetKind;
  /** Shown to people: the ScaiVault path or the Secret's name. */
  readonly ref: string;
  /** What marks and fingerprints are bound to. */
  readonly targetID: string;
  /** Digest of what shapes the content; stands in the mark's policy field. */
  readonly shape: string;
  /** Renders the payload for this target. @throws SyncError InvalidKey, ValueTooLarge, NotRepresentable, ... */
  render(payload: SecretPayload): RenderedContent;
  observe(signal: AbortSignal): Promise<TargetObservation>;
  read(signal: AbortSignal): Promise<RenderedContent | undefined>;
  write(content: RenderedContent, mark: Mark, observed: TargetObservation, signal: AbortSignal): Promise<WriteResult>;
  mark(mark: Mark, observed: TargetObservation, signal: AbortSignal): Promise<WriteResult>;
  adopt(content: RenderedContent, mark: Mark, observed: TargetObservation, signal: AbortSignal): Promise<WriteResult>;
  release(observed: TargetObservation, signal: AbortSignal): Promise<void>;
  remove(observed: TargetObservation, signal: AbortSignal): Promise<void>;
}

/** How to bind a target of some kind to an address. */
export interface TargetAddress<Ref> {
  readonly kind: TargetKind;
  readonly ref: string;
  readonly targetID: string;
  readonly shape: string;
  readonly address: Ref;
  readonly render: (payload: SecretPayload) => RenderedContent;
}

/** Looks a target up; the caller decides whether an answer of the last poll is good enough. */
export type Observe<Ref> = (ref: Ref, signal: AbortSignal) => Promise<TargetObservation>;

export function bindTarget<Ref>(target: SecretTarget<Ref>, at: TargetAddress<Ref>, observe: Observe<Ref>): BoundTarget {
  const { address } = at;
  return {
    kind: at.kind,
    ref: at.ref,
    targetID: at.targetID,
    shape: at.shape,
    render: at.render,
    observe: (signal) => observe(address, signal),
    read: (signal) => target.read(address, signal),
    write: (content, mark, observed, signal) => target.write(address, { content, mark, observed }, signal),
    mark: (mark, observed, signal) => target.mark(address, { mark, observed }, signal),
    adopt: (content, mark, observed, signal) => target.adopt(address, { content, mark, observed }, signal),
    release: (observed, signal) => target.release(address, observed, signal),
    remove: (observed, signal) => target.remove(address, observed, signal),
  };
}
