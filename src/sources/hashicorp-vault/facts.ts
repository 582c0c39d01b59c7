import type { SourceFact } from "../../ports/index.ts";
import { bodyOf, objectOf } from "./answers.ts";
import type { VaultAnswer } from "./api.ts";

/**
 * Vault's own time of an answer, since only that can be compared with its deletion times. The header has whole seconds,
 * cut: what was deleted just before the answer would lie in the future, so the end of the second is meant.
 */
export function serverNowMs(answer: VaultAnswer, fallbackMs: number): number {
  const date = Date.parse(answer.headers["date"] ?? "");
  return Number.isNaN(date) ? fallbackMs : date + 999;
}

/** A version is gone when it is destroyed, or its deletion time has come (KV can delete at a future time). */
function isGone(version: Readonly<Record<string, unknown>>, nowMs: number): boolean {
  if (version["destroyed"] === true) return true;
  const at = typeof version["deletion_time"] === "string" ? Date.parse(version["deletion_time"]) : Number.NaN;
  return !Number.isNaN(at) && at <= nowMs;
}

/** What `metadata/<path>` says. Undefined when it is not the answer that KV v2 gives. */
export function factOfMetadata(path: string, answer: VaultAnswer, nowMs: number): SourceFact | undefined {
  const data = objectOf(bodyOf(answer)["data"]);
  const current = data["current_version"];
  if (typeof current !== "number" || !Number.isSafeInteger(current) || current < 0) return undefined;
  const now = serverNowMs(answer, nowMs);
  const versions = new Set<string>();
  let newestGone = false;
  for (const [number, value] of Object.entries(objectOf(data["versions"]))) {
    const gone = isGone(objectOf(value), now);
    if (!gone) versions.add(number);
    else if (Number(number) === current) newestGone = true;
  }
  if (newestGone) return { state: "Gone", path, how: "Deleted" };
  const changed = typeof data["updated_time"] === "string" ? Date.parse(data["updated_time"]) : Number.NaN;
  const tags = Object.entries(objectOf(data["custom_metadata"])).flatMap(([key, value]) =>
    typeof value === "string" ? [`${key}=${value}`] : [],
  );
  return {
    state: "Present",
    path,
    // A secret may have metadata and no version at all.
    stages: current === 0 ? new Map() : new Map([["latest", String(current)]]),
    versions,
    versionKind: "Number",
    writtenAt: writtenAt(objectOf(data["versions"])),
    tags,
    ...(Number.isNaN(changed) ? {} : { changedAtMs: changed }),
  };
}

function writtenAt(versions: Readonly<Record<string, unknown>>): ReadonlyMap<string, string> {
  const times = Object.entries(versions).map(([number, value]) => [number, createdTime(objectOf(value))] as const);
  return new Map(times.filter((entry): entry is [string, string] => entry[1] !== undefined));
}

/** `created_time` where it is a time of the form that Vault writes. */
function createdTime(metadata: Readonly<Record<string, unknown>>): string | undefined {
  const text = metadata["created_time"];
  return typeof text === "string" && /^[\dT:.Z+-]{20,35}$/.test(text) ? text : undefined;
}

/** What an answer of `data/<path>` says of the version; its value is not looked at. */
export function versionOfData(
  answer: VaultAnswer,
  nowMs: number,
):
  | {
      readonly version: string;
      readonly gone: boolean;
      readonly createdMs: number;
      readonly writtenAt: string | undefined;
    }
  | undefined {
  const metadata = objectOf(objectOf(bodyOf(answer)["data"])["metadata"]);
  const version = metadata["version"];
  if (typeof version !== "number" || !Number.isSafeInteger(version) || version < 1) return undefined;
  const created = typeof metadata["created_time"] === "string" ? Date.parse(metadata["created_time"]) : Number.NaN;
  return {
    version: String(version),
    gone: isGone(metadata, serverNowMs(answer, nowMs)),
    createdMs: created,
    writtenAt: createdTime(metadata),
  };
}
