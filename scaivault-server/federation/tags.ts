import { ORPHANED_TAG } from "../assumptions.ts";
import { joinMembers, rawMembers } from "../json/raw-json.ts";

/** The tags in the JSON text of metadata; what is no text is left out. */
export function tagsOf(metadata: string): string[] {
  const tags = JSON.parse(rawMembers(metadata).get("tags") ?? "[]") as unknown;
  return Array.isArray(tags) ? tags.filter((tag): tag is string => typeof tag === "string") : [];
}

/**
 * Metadata with the tags of a federated secret: the store's when it has tags, else those that are there, without the mark
 * of an orphan.
 * @returns the whole metadata as JSON text, undefined when nothing changes
 */
export function withTags(metadata: string, remote: readonly string[] | undefined): string | undefined {
  const before = tagsOf(metadata);
  const after = remote === undefined ? before.filter((tag) => tag !== ORPHANED_TAG) : remote;
  return changed(metadata, before, after);
}

/** Metadata with the mark of an orphan; undefined when it is there already. */
export function asOrphan(metadata: string): string | undefined {
  const before = tagsOf(metadata);
  return changed(metadata, before, before.includes(ORPHANED_TAG) ? before : [...before, ORPHANED_TAG]);
}

function changed(metadata: string, before: readonly string[], after: readonly string[]): string | undefined {
  if (JSON.stringify([...before].sort()) === JSON.stringify([...after].sort())) return undefined;
  const members = rawMembers(metadata);
  members.set("tags", JSON.stringify(after));
  return joinMembers(members);
}
