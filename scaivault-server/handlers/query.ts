import { LIMIT_TOO_HIGH_CODE } from "../assumptions.ts";
import { ApiError } from "../errors.ts";
import type { ErrorCode } from "../errors.ts";

function bad(name: string): ApiError {
  return new ApiError(LIMIT_TOO_HIGH_CODE as ErrorCode, `query parameter ${name} is not valid`, {
    details: { parameter: name },
  });
}

/** A whole number of a query, `undefined` when absent. @throws ApiError `invalid_request`. */
export function wholeNumber(
  query: URLSearchParams,
  name: string,
  range: { least: number; most: number },
): number | undefined {
  const text = query.get(name);
  if (text === null) return undefined;
  const number = /^\d{1,10}$/.test(text) ? Number(text) : Number.NaN;
  if (!(number >= range.least && number <= range.most)) throw bad(name);
  return number;
}

/** `true` or `false` of a query, `undefined` when absent. @throws ApiError `invalid_request`. */
export function trueOrFalse(query: URLSearchParams, name: string): boolean | undefined {
  const text = query.get(name);
  if (text === null) return undefined;
  if (text !== "true" && text !== "false") throw bad(name);
  return text === "true";
}

/** One of `allowed` (or several, comma separated), `undefined` when absent. @throws ApiError `invalid_request`. */
export function someOf(query: URLSearchParams, name: string, allowed: readonly string[]): string[] | undefined {
  const text = query.get(name);
  if (text === null || text === "") return undefined;
  const words = text.split(",");
  if (words.some((word) => !allowed.includes(word))) throw bad(name);
  return words;
}

const isoGrammar = /^\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(?:Z|[+-]\d\d:\d\d)$/;
const agoGrammar = /^(\d{1,6}) (second|minute|hour|day)s? ago$/;
const unitMs: Readonly<Record<string, number>> = { second: 1000, minute: 60_000, hour: 3_600_000, day: 86_400_000 };

/** A moment of a query (ISO 8601, or `<n> <unit> ago`) in ms, `undefined` when absent. @throws ApiError `invalid_request`. */
export function moment(query: URLSearchParams, name: string, now: number): number | undefined {
  const text = query.get(name);
  if (text === null || text === "") return undefined;
  const ago = agoGrammar.exec(text);
  if (ago !== null) return now - Number(ago[1]) * (unitMs[ago[2] ?? ""] ?? 0);
  const ms = isoGrammar.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(ms)) throw bad(name);
  return ms;
}
