/** The real program: bundled as for the image, started as a process of its own. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { bundle } from "../../../scripts/build.ts";

/** What a run came to. */
export interface Ran {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A program that runs. */
export interface Running {
  readonly child: ChildProcess;
  readonly ended: Promise<Ran>;
  stdout(): string;
  stderr(): string;
}

/** The bundle in a folder of its own, and the ways to start it. */
export class Program {
  readonly folder = mkdtempSync(join(tmpdir(), "cli-test-"));
  readonly file = join(this.folder, "operator.mjs");
  readonly #running = new Set<ChildProcess>();

  static async build(): Promise<Program> {
    const program = new Program();
    await bundle({ entry: "src/main.ts", outfile: program.file });
    return program;
  }

  /** Writes a file into the program's folder. @returns its path */
  write(name: string, content: string | object): string {
    const path = join(this.folder, name);
    writeFileSync(path, typeof content === "string" ? content : JSON.stringify(content));
    return path;
  }

  start(
    args: readonly string[],
    options: { env?: Record<string, string>; stdin?: string; flags?: string[] } = {},
  ): Running {
    const child = spawn(process.execPath, [...(options.flags ?? []), this.file, ...args], {
      // Nothing of this machine's own environment: it may hold proxies.
      env: { PATH: process.env["PATH"] ?? "", HOME: this.folder, ...options.env },
      stdio: ["pipe", "pipe", "pipe"],
    });
    this.#running.add(child);
    let [stdout, stderr] = ["", ""];
    child.stdout.setEncoding("utf8").on("data", (part: string) => (stdout += part));
    child.stderr.setEncoding("utf8").on("data", (part: string) => (stderr += part));
    child.stdin.on("error", () => undefined);
    child.stdin.end(options.stdin ?? "");
    const ended = new Promise<Ran>((resolve, reject) => {
      child.on("error", reject);
      child.on("close", (code, signal) => {
        this.#running.delete(child);
        resolve({ code, signal, stdout, stderr });
      });
    });
    return { child, ended, stdout: () => stdout, stderr: () => stderr };
  }

  run(args: readonly string[], options?: { env?: Record<string, string>; stdin?: string }): Promise<Ran> {
    return this.start(args, options).ended;
  }

  async close(): Promise<void> {
    const ended = [...this.#running].map((child) => new Promise((resolve) => child.on("close", resolve)));
    for (const child of this.#running) child.kill("SIGKILL");
    await Promise.all(ended);
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** A port that was free a moment ago. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.on("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" && address !== null ? address.port : 0));
    });
  });
}
