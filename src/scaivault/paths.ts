import { SyncError } from "../errors/index.ts";

/** ScaiVault's path grammar (core-concepts/secrets): at most 10 levels of `a-z 0-9 - _`, 512 characters in all. */
const PATH = /^[a-z0-9_-]+(?:\/[a-z0-9_-]+){0,9}$/;
const MAX_PATH = 512;

/** Last segments and whole paths that name endpoints (assumed reserved, API facts 3.1). */
const RESERVED_LAST: ReadonlySet<string> = new Set(["metadata", "versions", "rotate"]);
const RESERVED_WHOLE: ReadonlySet<string> = new Set(["batch", "expiring"]);

/**
 * Refuses what is no ScaiVault path, before it gets near a URL. The grammar has no character that means anything in a
 * URL (no dots, no percent), so a path that passes goes into it as it is.
 * @throws SyncError InvalidPath
 */
export function checkPath(path: string): void {
  if (path.length > MAX_PATH || !PATH.test(path)) {
    throw new SyncError(
      "InvalidPath",
      `${path} is no ScaiVault path: 1 to 10 levels of a-z, 0-9, '-' and '_', at most ${MAX_PATH} characters`,
    );
  }
  if (RESERVED_WHOLE.has(path) || RESERVED_LAST.has(path.slice(path.lastIndexOf("/") + 1))) {
    throw new SyncError("InvalidPath", `${path} is reserved by ScaiVault's own endpoints; choose another last segment`);
  }
}
