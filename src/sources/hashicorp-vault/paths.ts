import { SyncError } from "../../errors/index.ts";

/** A path as segments; mounts may have several. */
export type Segments = readonly string[];

const MAX_PATH = 512;

/** Mounts that are never read, whatever Vault says of them. */
const system = new Set(["sys", "auth", "identity", "cubbyhole"]);

/** What Vault calls unprintable, and everything else that cannot be seen; a plain space is allowed inside. */
const UNSEEN = /[\p{C}\p{Zl}\p{Zp}]/u;
const OTHER_SPACE = /[^\S ]/;

/**
 * Splits a logical path (`mount/key`, without `data/`) into segments. Refused are empty, `.` and `..` segments, control
 * and invisible characters, `%` (so that nothing changes its meaning by decoding), and space at the ends of a segment.
 *
 * @throws SyncError InvalidPath; UnsupportedMount for Vault's own mounts
 */
export function splitPath(path: string): Segments {
  const segments = path.split("/");
  if (path.length > MAX_PATH || segments.some((segment) => !goodSegment(segment)))
    throw new SyncError("InvalidPath", "a Vault path has no empty, . or .. segment, no % and no invisible characters");
  if (system.has(segments[0] ?? "")) throw new SyncError("UnsupportedMount", `${segments[0]} is no KV mount`);
  return segments;
}

/** Whether a segment, as asked for or as a server lists it, can be asked for. */
export function goodSegment(segment: string): boolean {
  if (segment === "" || segment === "." || segment === ".." || segment.includes("/") || segment.includes("%"))
    return false;
  return segment === segment.trim() && !UNSEEN.test(segment) && !OTHER_SPACE.test(segment) && segment.isWellFormed();
}

/** Each segment encoded by itself; slashes stay slashes. */
export function encodePath(segments: Segments): string {
  return segments
    .map((segment) => {
      if (!goodSegment(segment)) throw new SyncError("InvalidPath", "the path has a segment that cannot be sent");
      return encodeURIComponent(segment);
    })
    .join("/");
}

/** Whether `segments` begins with `prefix`. */
export function beginsWith(segments: Segments, prefix: Segments): boolean {
  return prefix.length <= segments.length && prefix.every((segment, index) => segments[index] === segment);
}
