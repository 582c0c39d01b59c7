/** Longest pause that another side may ask for: 15 minutes. */
const MAX_RETRY_AFTER_MS = 15 * 60_000;

/**
 * A `Retry-After` header in milliseconds, clamped to 0 to 15 minutes; undefined when it is absent or no sane number or date.
 * @param nowMs for the form with a date
 */
export function clampRetryAfter(header: string | undefined, nowMs: number): number | undefined {
  if (header === undefined || header.length > 64) return undefined;
  const text = header.trim();
  // Dates begin with the day's name; Date.parse would take almost anything else for a year.
  const ms = /^[A-Z][a-z]{2}, /.test(text)
    ? Date.parse(text) - nowMs
    : /^-?\d+(?:\.\d+)?$/.test(text)
      ? Number(text) * 1000
      : Number.NaN;
  if (Number.isNaN(ms)) return undefined;
  return Math.min(Math.max(0, ms), MAX_RETRY_AFTER_MS);
}
