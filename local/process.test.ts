import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { spawn } from "node:child_process";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { call } from "./http.ts";
import { isAlive } from "./lock.ts";
import { freePort, isListening } from "./ports.ts";
import { createProgram, ProgramFailed, startProgram, waitFor, type Program, type ProgramSpec } from "./process.ts";

const server = `
const { createServer } = require("node:http");
process.on("SIGTERM", () => { if (process.argv[2] !== "stubborn") process.exit(0); });
console.log("listening");
createServer((q, s) => s.end(String(process.pid))).listen(Number(process.argv[1]), "127.0.0.1");
`;

describe("programs", () => {
  let folder: string;
  let port: number;
  let program: Program | undefined;
  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), "local-process-"));
    port = await freePort();
  });
  afterEach(async () => {
    await program?.kill();
    program = undefined;
    rmSync(folder, { recursive: true, force: true });
  });

  const spec = (extra: Partial<ProgramSpec> = {}, ...args: string[]): ProgramSpec => ({
    name: "server",
    file: process.execPath,
    args: ["-e", server, String(port), ...args],
    logFile: join(folder, "server.log"),
    ready: () => isListening(port),
    ...extra,
  });
  const answer = async (): Promise<string> => (await call({ url: `http://127.0.0.1:${port}/`, timeoutMs: 300 })).text;

  it("is started when it answers, and killed and restarted on the same port", async () => {
    program = await startProgram(spec());
    const first = program.pid;
    expect(await answer()).toBe(String(first));
    await program.restart();
    expect(program.pid).not.toBe(first);
    expect(await answer()).toBe(String(program.pid));
    await program.stop();
    expect(program.running).toBe(false);
    expect(await isListening(port)).toBe(false);
    expect(readFileSync(join(folder, "server.log"), "utf8")).toBe("listening\nlistening\n");
  });

  it("answers nothing while it is paused, and goes on after", async () => {
    program = await startProgram(spec());
    program.pause();
    await expect(answer()).rejects.toThrow();
    program.resume();
    expect(await answer()).toBe(String(program.pid));
    program.pause();
    await program.stop();
    expect(program.running).toBe(false);
  });

  it("is killed when it does not heed SIGTERM", async () => {
    program = await startProgram(spec({ graceMs: 100 }, "stubborn"));
    await program.stop();
    expect(await isListening(port)).toBe(false);
  });

  it("shows the end of its log when it ends while it starts, or never gets ready", async () => {
    const dying = createProgram(spec({ args: ["-e", "console.error('no such flag'); process.exit(3)"] }));
    await expect(dying.start()).rejects.toThrow(/ended while it started[\s\S]*no such flag/);
    program = createProgram(spec({ ready: () => Promise.resolve(false), readyMs: 300 }));
    await expect(program.start()).rejects.toThrow(ProgramFailed);
    expect(program.running).toBe(false);
  });

  it("ends with the process that started it, even by SIGKILL", async () => {
    const pidFile = join(folder, "pid");
    const script = join(folder, "parent.ts");
    const here = import.meta.dirname;
    writeFileSync(
      script,
      `import { startProgram } from ${JSON.stringify(join(here, "process.ts"))};
       import { isListening } from ${JSON.stringify(join(here, "ports.ts"))};
       import { writeFileSync } from "node:fs";
       const p = await startProgram({ name: "s", file: process.execPath, args: ["-e", ${JSON.stringify(server)}, "${port}"],
         logFile: ${JSON.stringify(join(folder, "s.log"))}, ready: () => isListening(${port}) });
       writeFileSync(${JSON.stringify(pidFile)}, String(p.pid));
       setInterval(() => undefined, 1000);`,
    );
    const parent = spawn(process.execPath, [script], { stdio: "ignore" });
    let pid = 0;
    const started = await waitFor(async () => {
      pid = Number(await Promise.resolve(readFileSync(pidFile, "utf8")));
      return pid > 0;
    }, 15_000);
    expect(started).toBe(true);
    parent.kill("SIGKILL");
    expect(await waitFor(() => Promise.resolve(!isAlive(pid)), 10_000)).toBe(true);
    expect(await isListening(port)).toBe(false);
  });
});
