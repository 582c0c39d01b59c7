/** Runs a program to its end and gives what it printed. */
import { spawn } from "node:child_process";
import { setPriority } from "node:os";
import { reaped, reapWithUs } from "./reaper.ts";

/** What a finished program left. */
export interface RunResult {
  /** Exit code; -1 when it was ended by a signal or could not be started. */
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
  /** Set when the program could not be started, e.g. `ENOENT`. */
  readonly startError?: string;
}

/** How a program is run. */
export interface RunOptions {
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
  readonly input?: string | Buffer;
  readonly timeoutMs?: number;
  /** For long work: low priority, so that the machine stays usable; and it ends with this process, with all it started. */
  readonly background?: boolean;
  /** Called with each line of standard error. */
  readonly onLine?: (line: string) => void;
}

const keepBytes = 8 * 1024 * 1024;

/** Runs `file` with `args`, without a shell. Never throws for a failing program. */
export function run(file: string, args: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  return new Promise((resolve) => {
    const child = spawn(file, args, {
      cwd: options.cwd,
      env: options.env ?? process.env,
      detached: options.background === true,
      stdio: [options.input === undefined ? "ignore" : "pipe", "pipe", "pipe"],
      ...(options.timeoutMs === undefined ? {} : { timeout: options.timeoutMs, killSignal: "SIGKILL" as const }),
    });
    const { pid } = child;
    if (options.background === true && pid !== undefined) {
      reapWithUs(pid);
      child.once("exit", () => reaped(pid));
      try {
        setPriority(pid, 10);
      } catch {
        // Priority is a courtesy.
      }
    }
    const out: Buffer[] = [];
    const err: Buffer[] = [];
    let outSize = 0;
    let errSize = 0;
    let rest = "";
    child.stdout?.on("data", (chunk: Buffer) => {
      outSize += chunk.length;
      if (outSize <= keepBytes) out.push(chunk);
    });
    child.stderr?.on("data", (chunk: Buffer) => {
      errSize += chunk.length;
      if (errSize <= keepBytes) err.push(chunk);
      if (options.onLine === undefined) return;
      const lines = (rest + chunk.toString("utf8")).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) options.onLine(line);
    });
    const finish = (code: number, startError?: string): void =>
      resolve({
        code,
        stdout: Buffer.concat(out).toString("utf8"),
        stderr: Buffer.concat(err).toString("utf8"),
        ...(startError === undefined ? {} : { startError }),
      });
    child.on("error", (error: NodeJS.ErrnoException) => finish(-1, error.code ?? "unknown"));
    child.on("close", (code) => finish(code ?? -1));
    child.stdin?.on("error", () => undefined);
    if (options.input !== undefined) child.stdin?.end(options.input);
  });
}
