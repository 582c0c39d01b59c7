import { fingerprintMatches, type KeyRing, sameContent } from "../decide/index.ts";
import type { ContentFacts } from "../decide/types.ts";
import type { RenderedContent, TargetObservation } from "../ports/index.ts";
import type { BoundTarget } from "./bound-target.ts";

/** Contents of targets that were read so far: those they should have, and those they hold. */
interface ReadContents {
  readonly rendered: ReadonlyMap<BoundTarget, RenderedContent>;
  readonly held: ReadonlyMap<BoundTarget, RenderedContent>;
}

/** What the contents read so far say of one target, without the values. What was not read is not told. */
export function contentFacts(
  ring: KeyRing,
  target: BoundTarget,
  observation: TargetObservation,
  contents: ReadContents,
): ContentFacts {
  const wanted = contents.rendered.get(target);
  const held = contents.held.get(target);
  return {
    ...(wanted === undefined ? {} : { rendered: true }),
    ...(held === undefined ? {} : { held: true }),
    ...againstMark(ring, target, observation, wanted, held),
    ...(wanted === undefined || held === undefined ? {} : againstEachOther(target, wanted, held)),
  };
}

/**
 * The target holds what it should have. In ScaiVault the type is only a hint (people write `kv` where we write `json`): the
 * data decide.
 */
export function hasContent(target: BoundTarget, wanted: RenderedContent, held: RenderedContent): boolean {
  return sameContent(target.kind === "ScaiVault" ? { ...wanted, type: held.type } : wanted, held);
}

/** Both sides against the fingerprint of the mark that stands at the target. */
function againstMark(
  ring: KeyRing,
  { targetID }: BoundTarget,
  { mark }: TargetObservation,
  wanted: RenderedContent | undefined,
  held: RenderedContent | undefined,
): ContentFacts {
  if (mark.state !== "Valid") return {};
  const { fingerprint } = mark.mark;
  const matches = (content: RenderedContent) => fingerprintMatches(ring, targetID, content, fingerprint);
  return {
    ...(wanted === undefined ? {} : { sourceEqualsMark: matches(wanted) }),
    ...(held === undefined
      ? {}
      : { targetEqualsMark: matches(held) || (wanted !== undefined && matches({ ...held, type: wanted.type })) }),
  };
}

function againstEachOther(target: BoundTarget, wanted: RenderedContent, held: RenderedContent): ContentFacts {
  return {
    sourceEqualsTarget: hasContent(target, wanted, held),
    ...(target.kind === "KubernetesSecret" && wanted.type !== held.type ? { otherType: true } : {}),
  };
}
