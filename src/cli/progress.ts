import { type Clock, systemClock } from "../time/clock.ts";
import type { CommandIO } from "./command.ts";

/** Nobody is told of work that takes less, in milliseconds. */
const QUIET_MS = 2_000;

/** What a command is at: the current stage is told once the command has taken two seconds, and each later one at once. */
export interface Progress {
  stage(line: string): void;
  end(): void;
}

export function startProgress(io: Pick<CommandIO, "progress">, clock: Clock = systemClock): Progress {
  let current: string | undefined;
  let loud = false;
  const cancel = clock.setTimeout(
    () => {
      loud = true;
      if (current !== undefined) io.progress(current);
    },
    QUIET_MS,
    { unref: true },
  );
  return {
    stage(line) {
      current = line;
      if (loud) io.progress(line);
    },
    end: cancel,
  };
}
