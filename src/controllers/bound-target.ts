import type { TargetKind } from "../decide/types.ts";
import type { SecretPayload } from "../model/index.ts";
import type {
  Permit,
  RenderedContent,
  Reservation,
  SecretTarget,
  TargetObservation,
  WriteLane,
  WriteResult,
} from "../ports/index.ts";
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
  /** Room for one write in the store's rate budget. */
  reserve(lane: WriteLane): Reservation;
  read(signal: AbortSignal): Promise<RenderedContent | undefined>;
  write(content: RenderedContent, request: MarkRequest, signal: AbortSignal): Promise<WriteResult>;
  mark(request: MarkRequest, signal: AbortSignal): Promise<WriteResult>;
  adopt(content: RenderedContent, request: MarkRequest, signal: AbortSignal): Promise<WriteResult>;
  release(observed: TargetObservation, signal: AbortSignal): Promise<void>;
  remove(observed: TargetObservation, signal: AbortSignal): Promise<void>;
}

/** What goes with every write: the mark that must stand, what was seen before, and the call that was set aside. */
export interface MarkRequest {
  readonly mark: Mark;
  readonly observed: TargetObservation;
  readonly permit?: Permit | undefined;
  /** See {@link SecretTarget.adopt}. */
  readonly differs?: boolean | undefined;
}

/** Where no budget is short. */
const always: Reservation = { granted: true, permit: { use: () => true, release: () => undefined } };

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
    reserve: (lane) => target.reserve?.(address, lane) ?? always,
    read: (signal) => target.read(address, signal),
    write: (content, request, signal) => target.write(address, { content, ...request }, signal),
    mark: (request, signal) => target.mark(address, request, signal),
    adopt: (content, request, signal) => target.adopt(address, { content, ...request }, signal),
    release: (observed, signal) => target.release(address, observed, signal),
    remove: (observed, signal) => target.remove(address, observed, signal),
  };
}
