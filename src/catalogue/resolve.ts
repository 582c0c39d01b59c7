import type { SourceFact, SourceRef } from "../ports/index.ts";

/** The version that a reference means right now, or why there is none. */
export type ResolvedVersion =
  | {
      readonly found: true;
      readonly version: string;
      readonly older: ReadonlySet<string> | undefined;
      readonly numbered: boolean;
    }
  | { readonly found: false };

/** A version with the time at which it was written, where the store tells: `7@2026-01-01T00:00:00Z`. */
export function datedVersion(version: string, writtenAt: string | undefined): string {
  return writtenAt === undefined ? version : `${version}@${writtenAt}`;
}

/** Turns stage or version of a reference into a version id. A pinned version has nothing older than itself. */
export function resolveVersion(fact: Extract<SourceFact, { state: "Present" }>, ref: SourceRef): ResolvedVersion {
  const numbered = fact.versionKind === "Number";
  if (ref.version !== undefined) {
    const readable = fact.versions === undefined || fact.versions.has(ref.version);
    const version = datedVersion(ref.version, fact.writtenAt?.get(ref.version));
    return readable ? { found: true, version, older: undefined, numbered: false } : { found: false };
  }
  const stage = ref.stage ?? (fact.stages.has("latest") ? "latest" : "AWSCURRENT");
  const version = fact.stages.get(stage);
  if (version === undefined) return { found: false };
  const isDefault = stage === "latest" || stage === "AWSCURRENT";
  return {
    found: true,
    version: datedVersion(version, fact.writtenAt?.get(version)),
    older: isDefault ? fact.olderThanCurrent : undefined,
    numbered: numbered && isDefault,
  };
}
