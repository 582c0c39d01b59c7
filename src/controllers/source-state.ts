import { resolveVersion } from "../catalogue/index.ts";
import type { SourceState } from "../decide/types.ts";
import type { Pair, Subject } from "./subject.ts";

/** What the poll knows of the pair's source, as the planner takes it. */
export function sourceStateOf(subject: Subject, pair: Pair): SourceState | undefined {
  const poller = subject.store?.poller;
  if (poller === undefined) return undefined;
  const failure = poller.failure(pair.ref.path);
  if (failure !== undefined) return { state: "Unknown", reason: failure.reason, message: failure.message };
  // While the store fails nothing is known of it, whatever was known before: copies stay, and are stale in time.
  if (poller.state.state === "Failing") {
    const { error } = poller.state;
    return { state: "Unknown", reason: error.reason, message: error.message };
  }
  const known = poller.fact(pair.ref.path);
  if (known === undefined) return undefined;
  if (known.fact.state === "Gone") return { state: "Gone", how: known.fact.how, believed: known.believedGone };
  const resolved = resolveVersion(known.fact, pair.ref);
  if (!resolved.found) {
    const what = pair.ref.version === undefined ? `stage ${pair.ref.stage ?? ""}` : `version ${pair.ref.version}`;
    return { state: "Unknown", reason: "VersionNotFound", message: `${pair.ref.path} has no ${what}` };
  }
  return { state: "Present", version: resolved.version, older: resolved.older, numbered: resolved.numbered };
}

/** Tags of a source secret as the last poll saw them; none while nothing is known of it, or it is gone. */
export function sourceTagsOf({ store }: Pick<Subject, "store">, path: string): readonly string[] {
  const fact = store?.poller.fact(path)?.fact;
  return fact?.state === "Present" ? (fact.tags ?? []) : [];
}
