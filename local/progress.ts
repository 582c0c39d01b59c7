/**
 * Progress for people: on a terminal one line that is rewritten, elsewhere (CI, a pipe) a plain line when a step starts, every
 * 15 seconds while it goes on, and when it ends.
 */
import { systemClock, type Clock } from "../src/time/clock.ts";

/** One piece of work that is being shown. */
export interface Step {
  /** Says what happens right now; shown with the next refresh. */
  update(detail: string): void;
  /** The work is finished. With `quiet` nothing is printed (it took no time worth mentioning). */
  done(detail?: string, options?: { quiet?: boolean }): void;
  /** The work failed. */
  fail(detail?: string): void;
}

/** Shows steps. */
export interface Progress {
  step(name: string): Step;
  /** A line by itself. */
  note(line: string): void;
}

/** Shows nothing. */
export const silentProgress: Progress = {
  step: () => ({ update: () => undefined, done: () => undefined, fail: () => undefined }),
  note: () => undefined,
};

const plainEveryMs = 15_000;
const terminalEveryMs = 500;

/** Elapsed time as people say it: `4s`, `2m05s`. */
export function elapsedText(ms: number): string {
  const seconds = Math.floor(ms / 1000);
  return seconds < 60 ? `${seconds}s` : `${Math.floor(seconds / 60)}m${String(seconds % 60).padStart(2, "0")}s`;
}

/** What progress writes to; `process.stderr` fits. */
export interface ProgressStream {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

/** Progress on a stream, usually standard error so that standard output stays for results. */
export function streamProgress(stream: ProgressStream = process.stderr, clock: Clock = systemClock): Progress {
  const terminal = stream.isTTY === true;
  const running = new Map<number, () => string>();
  let sequence = 0;

  const clear = (): void => void (terminal && running.size > 0 && stream.write("\r\u001b[2K"));
  const draw = (): void => {
    if (!terminal || running.size === 0) return;
    const line = [...running.values()].map((render) => render()).join(" · ");
    const width = Math.max(20, (stream.columns ?? 80) - 1);
    stream.write(`\r\u001b[2K${line.length > width ? `${line.slice(0, width - 1)}…` : line}`);
  };
  const print = (line: string): void => {
    clear();
    stream.write(`${line}\n`);
    draw();
  };

  return {
    note: print,
    step(name) {
      const id = sequence++;
      const started = clock.monotonic();
      let detail = "";
      const render = (): string => `${name}${detail && `: ${detail}`} (${elapsedText(clock.monotonic() - started)})`;
      let cancel = (): void => undefined;
      const tick = (): void => {
        if (terminal) draw();
        else print(`  … ${render()}`);
        cancel = clock.setTimeout(tick, terminal ? terminalEveryMs : plainEveryMs, { unref: true });
      };
      cancel = clock.setTimeout(tick, terminal ? terminalEveryMs : plainEveryMs, { unref: true });
      running.set(id, render);
      draw();
      const end = (mark: string, text: string | undefined, quiet: boolean): void => {
        if (!running.has(id)) return;
        cancel();
        if (text !== undefined) detail = text;
        clear();
        running.delete(id);
        if (!quiet) stream.write(`${mark} ${render()}\n`);
        draw();
      };
      return {
        update: (text) => void (detail = text),
        done: (text, options) => end("✓", text, options?.quiet ?? false),
        fail: (text) => end("✗", text, false),
      };
    },
  };
}
