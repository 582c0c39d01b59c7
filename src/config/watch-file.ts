import { readFileSync, statSync } from "node:fs";
import type { Clock } from "../time/clock.ts";

/** How often a file is looked at, in milliseconds. Kubelet brings changes of mounted objects within about a minute. */
export const WATCH_EVERY_MS = 10_000;

export interface WatchFileOptions {
  readonly path: string;
  /** What was read before; the file is told of when it holds something else. */
  readonly known: string;
  readonly clock: Clock;
  readonly everyMs?: number;
  /** The new content, once for each change. */
  onChange(text: string): void;
}

/**
 * Looks at a file again and again: a mounted ConfigMap or Secret is replaced by moving a link, which file system events
 * miss. One `stat` a look; the file is read when that differs. One that is away or empty is being replaced: what was known
 * holds.
 *
 * @returns ends it
 */
export function watchFile(options: WatchFileOptions): () => void {
  const { path, clock, everyMs = WATCH_EVERY_MS } = options;
  let { known } = options;
  let identity = "";
  let cancel: () => void = () => undefined;
  const look = (): void => {
    try {
      const { ino, size, mtimeMs, ctimeMs } = statSync(path);
      const now = `${ino}:${size}:${mtimeMs}:${ctimeMs}`;
      if (now === identity) return;
      const text = readFileSync(path, "utf8");
      if (text.trim() === "") return;
      identity = now;
      if (text.trim() === known.trim()) return;
      known = text;
    } catch {
      return;
    }
    options.onChange(known);
  };
  const arm = (): void => {
    cancel = clock.setTimeout(
      () => {
        arm();
        look();
      },
      everyMs,
      { unref: true },
    );
  };
  arm();
  return () => cancel();
}
