/** Grammar of durations in our kinds and configuration: one number, one unit. The same that ScaiVault takes. */
export const DURATION_PATTERN = "^[1-9]\\d{0,4}[smh]$";

const GRAMMAR = new RegExp(DURATION_PATTERN);
const unitMs: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000 };

/** Milliseconds of a duration such as `15m`; undefined when the text is not one. */
export function parseDuration(text: string): number | undefined {
  if (!GRAMMAR.test(text)) return undefined;
  const unit = unitMs[text.slice(-1)];
  return unit === undefined ? undefined : Number(text.slice(0, -1)) * unit;
}

/** The shortest text of a length in milliseconds, rounded up to whole seconds: `15m`, `90s`, `24h`. */
export function formatDuration(ms: number): string {
  const seconds = Math.max(1, Math.ceil(ms / 1000));
  if (seconds % 3600 === 0) return `${seconds / 3600}h`;
  if (seconds % 60 === 0) return `${seconds / 60}m`;
  return `${seconds}s`;
}
