/** Kubernetes MicroTime: RFC 3339 with six digits. Kept as text everywhere; parsing it as a Date loses digits. */
export function microTime(epochMs: number): string {
  return new Date(epochMs).toISOString().replace("Z", "000Z");
}
