import type { SourceFact } from "../ports/index.ts";

/** Whether two facts say the same of what is copied. */
export function sameFact(a: SourceFact | undefined, b: SourceFact): boolean {
  if (a === undefined || a.state !== b.state) return false;
  if (a.state === "Gone" || b.state === "Gone")
    return a.state === b.state && "how" in a && "how" in b && a.how === b.how;
  if (a.stages.size !== b.stages.size) return false;
  for (const [stage, version] of a.stages) if (b.stages.get(stage) !== version) return false;
  return (a.tags ?? []).join("\n") === (b.tags ?? []).join("\n");
}
