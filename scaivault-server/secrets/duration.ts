import { DURATION_UNITS_MS } from "../assumptions.ts";
import { ApiError } from "../errors.ts";

/**
 * A duration string such as `90d` in ms.
 * @throws ApiError `invalid_duration`. [reference/error-codes]
 */
export function durationMs(text: string): number {
  const number = Number(text.slice(0, -1));
  const unit = DURATION_UNITS_MS[text.slice(-1)];
  const ms = unit === undefined ? Number.NaN : number * unit;
  // The farthest date JavaScript can write is 8.64e15 ms; 100 years leave room for any present moment.
  if (!/^[1-9]\d{0,11}[smhd]$/.test(text) || !(ms <= 3.2e12))
    throw new ApiError("invalid_duration", "not a duration such as 15m or 90d");
  return ms;
}
