/**
 * A stable place for a key inside an interval: the same after every restart, so that stores are not all polled at once.
 * @returns milliseconds in `[0, intervalMs)`
 */
export function stableOffset(key: string, intervalMs: number): number {
  // FNV-1a: spread is all that is wanted here, no secrecy.
  let hash = 0x811c9dc5;
  for (let index = 0; index < key.length; index += 1) {
    hash ^= key.charCodeAt(index);
    hash = Math.imul(hash, 0x01000193);
  }
  return (hash >>> 0) % intervalMs;
}

/** The first moment after `nowMs` that lies on the key's place in the interval. */
export function nextTick(key: string, intervalMs: number, nowMs: number): number {
  const offset = stableOffset(key, intervalMs);
  const base = Math.floor((nowMs - offset) / intervalMs) * intervalMs + offset;
  return base + intervalMs;
}
