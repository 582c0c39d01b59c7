/** Percentiles of what was measured. */

/**
 * The value below or at which `share` of the samples lie (nearest rank); undefined without samples.
 * @param share in (0, 1]
 */
export function percentile(samples: readonly number[], share: number): number | undefined {
  const sorted = samples.toSorted((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)];
}

/** Two digits behind the point. */
export const round = (value: number): number => Math.round(value * 100) / 100;
