/** Starts, watches, pauses, kills and restarts the programs of the local environment. */
import { spawn, type ChildProcess } from "node:child_process";
import { closeSync, fstatSync, mkdirSync, openSync, readSync } from "node:fs";
import { dirname } from "node:path";
import { systemClock } from "../src/time/clock.ts";
import { reaped, reapWithUs } from "./reaper.ts";

/** A program to run. The same arguments are used for each restart, so ports and data folders stay. */
export interface ProgramSpec {
  readonly name: string;
  readonly file: string;
  readonly args: readonly string[];
  /** Added to the environment of this process; `undefined` takes a variable away. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly cwd?: string;
  /** Standard output and error are appended here. */
  readonly logFile: string;
  /** Asked every 50 ms until it gives true. Errors count as "not yet". */
  readonly ready: () => Promise<boolean>;
  /** Longest wait for readiness; default 60 s. */
  readonly readyMs?: number;
  /** Time between SIGTERM and SIGKILL; default 5 s. */
  readonly graceMs?: number;
}

/** A running (or stopped) program. */
export interface Program {
  readonly name: string;
  readonly logFile: string;
  /** Process id while it runs. */
  readonly pid: number | undefined;
  readonly running: boolean;
  /** Starts it again after `stop` or `kill`, on the same ports and data; resolves when it is ready. */
  start(): Promise<void>;
  /** SIGTERM, then SIGKILL after the grace; resolves when the process is gone. */
  stop(): Promise<void>;
  /** SIGKILL; resolves when the process is gone. */
  kill(): Promise<void>;
  /** SIGSTOP: connections stay open and nothing answers. */
  pause(): void;
  /** SIGCONT. */
  resume(): void;
  /** `kill` (or, with `graceful`, `stop`), then `start`. */
  restart(options?: { graceful?: boolean }): Promise<void>;
  /** The last lines of its log. */
  logTail(lines?: number): string;
}

/** A program ended or did not become ready. The message has the end of its log. */
export class ProgramFailed extends Error {
  override readonly name = "ProgramFailed";
}

/** Polls a condition. @returns false after `timeoutMs` */
export async function waitFor(condition: () => Promise<boolean>, timeoutMs: number, everyMs = 50): Promise<boolean> {
  const end = systemClock.monotonic() + timeoutMs;
  for (;;) {
    if (await condition().catch(() => false)) return true;
    if (systemClock.monotonic() >= end) return false;
    await systemClock.sleep(everyMs);
  }
}

/** The last lines of a file. */
export function tail(file: string, lines: number): string {
  let handle: number;
  try {
    handle = openSync(file, "r");
  } catch {
    return "";
  }
  try {
    const { size } = fstatSync(handle);
    const length = Math.min(size, 64 * 1024);
    const buffer = Buffer.alloc(length);
    readSync(handle, buffer, 0, length, size - length);
    return buffer.toString("utf8").trimEnd().split("\n").slice(-lines).join("\n");
  } finally {
    closeSync(handle);
  }
}

class ChildProgram implements Program {
  readonly #spec: ProgramSpec;
  #child: ChildProcess | undefined;
  #gone: Promise<void> = Promise.resolve();
  #paused = false;

  constructor(spec: ProgramSpec) {
    this.#spec = spec;
  }

  get name(): string {
    return this.#spec.name;
  }
  get logFile(): string {
    return this.#spec.logFile;
  }
  get pid(): number | undefined {
    return this.#child?.pid;
  }
  get running(): boolean {
    return this.#child !== undefined;
  }

  async start(): Promise<void> {
    if (this.#child !== undefined) return;
    this.#spawn();
    const ready = await waitFor(
      async () => this.#child === undefined || (await this.#spec.ready()),
      this.#spec.readyMs ?? 60_000,
    );
    if (ready && this.#child !== undefined) return;
    const ended = this.#child === undefined;
    await this.kill();
    throw new ProgramFailed(
      `${this.name} ${ended ? "ended while it started" : "did not become ready in time"}. Its log ${this.logFile} ends with:\n${this.logTail(8)}`,
    );
  }

  #spawn(): void {
    const { file, args, env, cwd, logFile } = this.#spec;
    mkdirSync(dirname(logFile), { recursive: true });
    const log = openSync(logFile, "a", 0o600);
    // Its own process group: Ctrl-C reaches only us, and we end it in order.
    const child = spawn(file, args, {
      cwd,
      env: { ...process.env, ...env },
      stdio: ["ignore", log, log],
      detached: true,
    });
    closeSync(log);
    const { pid } = child;
    if (pid !== undefined) reapWithUs(pid);
    this.#child = child;
    this.#paused = false;
    this.#gone = new Promise((resolve) => {
      const end = (): void => {
        if (pid !== undefined) reaped(pid);
        if (this.#child === child) this.#child = undefined;
        resolve();
      };
      child.once("exit", end);
      child.once("error", end);
    });
  }

  #signal(signal: NodeJS.Signals): void {
    const pid = this.#child?.pid;
    if (pid === undefined) return;
    try {
      process.kill(-pid, signal);
    } catch {
      // It ended this moment.
    }
  }

  async stop(): Promise<void> {
    if (this.#child === undefined) return;
    this.#signal("SIGTERM");
    if (this.#paused) this.resume();
    const grace = systemClock.sleep(this.#spec.graceMs ?? 5_000, undefined, { unref: true }).then(() => "late");
    if ((await Promise.race([this.#gone, grace])) === "late") await this.kill();
  }

  async kill(): Promise<void> {
    this.#signal("SIGKILL");
    await this.#gone;
  }

  pause(): void {
    this.#signal("SIGSTOP");
    this.#paused = true;
  }

  resume(): void {
    this.#signal("SIGCONT");
    this.#paused = false;
  }

  async restart(options: { graceful?: boolean } = {}): Promise<void> {
    await (options.graceful === true ? this.stop() : this.kill());
    await this.start();
  }

  logTail(lines = 20): string {
    return tail(this.logFile, lines);
  }
}

/** A program that is not started yet. */
export function createProgram(spec: ProgramSpec): Program {
  return new ChildProgram(spec);
}

/** Starts a program and waits until it is ready. @throws ProgramFailed */
export async function startProgram(spec: ProgramSpec): Promise<Program> {
  const program = new ChildProgram(spec);
  await program.start();
  return program;
}
