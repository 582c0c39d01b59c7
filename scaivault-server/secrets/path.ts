import { RESERVED_WORDS } from "../assumptions.ts";
import { ApiError } from "../errors.ts";

/** At most 512 characters, at most 10 segments of `a-z0-9_-`. [core-concepts/secrets] */
const grammar = /^[a-z0-9_-]+(?:\/[a-z0-9_-]+){0,9}$/;
const prefixGrammar = /^[a-z0-9_/-]*$/;
const mostCharacters = 512;

/** @throws ApiError `invalid_path` when `path` is no secret path or a reserved word. */
export function checkPath(path: string): string {
  if (path.length > mostCharacters || !grammar.test(path)) throw new ApiError("invalid_path", "not a secret path");
  const last = path.slice(path.lastIndexOf("/") + 1);
  if (RESERVED_WORDS.last.includes(last) || RESERVED_WORDS.whole.includes(path))
    throw new ApiError("invalid_path", "a reserved word cannot be a secret path");
  return path;
}

/** @throws ApiError `invalid_path` when no secret path can start with `prefix`. */
export function checkPrefix(prefix: string): string {
  if (prefix.length > mostCharacters || !prefixGrammar.test(prefix))
    throw new ApiError("invalid_path", "no secret path can start like this");
  return prefix;
}
