import type { SourceFact } from "../ports/index.ts";

/** What an earlier poll knew of the path. */
interface Before {
  readonly fact: SourceFact;
  readonly changedMs?: number | undefined;
}

/**
 * When the source changed to the versions that a fact shows, ms since the epoch. As the store dates it: the version's own
 * time of writing (KV v2), else the time of the secret's last change (AWS, where moving a stage counts); never later than
 * the poll that first saw it, which also stands in for a store that tells no time. Undefined while the secret is gone.
 */
export function changedMs(before: Before | undefined, fact: SourceFact, nowMs: number): number | undefined {
  if (fact.state === "Gone") return undefined;
  if (before?.changedMs !== undefined && sameVersions(before.fact, fact)) return before.changedMs;
  const written = [...fact.stages.values()].map((version) => Date.parse(fact.writtenAt?.get(version) ?? ""));
  const said = written.length > 0 && !written.some(Number.isNaN) ? Math.max(...written) : fact.changedAtMs;
  return Math.min(said ?? nowMs, nowMs);
}

function sameVersions(a: SourceFact, b: SourceFact): boolean {
  if (a.state === "Gone" || b.state === "Gone" || a.stages.size !== b.stages.size) return false;
  for (const [stage, version] of b.stages)
    if (a.stages.get(stage) !== version || a.writtenAt?.get(version) !== b.writtenAt?.get(version)) return false;
  return true;
}
