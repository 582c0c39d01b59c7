// The process: signals, environment, command line. What the commands are made of is wired in compose.ts.
import { readdir, readFile, stat, writeFile } from "node:fs/promises";
import { createInterface } from "node:readline/promises";
import { text as readText } from "node:stream/consumers";
import { configCommand, type ConnectionWork } from "./cli/config.ts";
import { conflictsCommand } from "./cli/conflicts.ts";
import { resolveCommand } from "./cli/resolve.ts";
import { doctorCommand } from "./cli/doctor.ts";
import { planCommand } from "./cli/plan.ts";
import { runProgram } from "./cli/program.ts";
import { runCommand } from "./cli/run.ts";
import { statusCommand } from "./cli/status.ts";
import { supportBundleCommand } from "./cli/support-bundle.ts";
import { validateCommand } from "./cli/validate.ts";
import { verifyCommand } from "./cli/verify.ts";
import { versionCommand } from "./cli/version.ts";
import type { CommandIO } from "./cli/command.ts";
import { refuseDangerousEnvironment } from "./config/index.ts";
import { VERSION } from "./version.ts";

const abort = new AbortController();
for (const signal of ["SIGTERM", "SIGINT"] as const) process.once(signal, () => abort.abort());

const verdict = refuseDangerousEnvironment(process.env);
for (const name of verdict.remove) delete process.env[name];

async function confirm(question: string): Promise<boolean> {
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  try {
    return /^y(?:es)?$/i.test((await terminal.question(`${question} [y/N] `, { signal: abort.signal })).trim());
  } catch {
    return false;
  } finally {
    terminal.close();
  }
}

const io: CommandIO = {
  environment: { ...process.env },
  readStdin: () => readText(process.stdin),
  readFile: (path) => readFile(path, "utf8"),
  async listFolder(path) {
    if (!(await stat(path)).isDirectory()) return undefined;
    const entries = await readdir(path, { withFileTypes: true });
    return entries.map((entry) => ({ name: entry.name, isFolder: entry.isDirectory() }));
  },
  writeNewFile: (path, content) => writeFile(path, content, { flag: "wx", mode: 0o600 }),
  writeBytes: (content) =>
    new Promise((resolve, reject) => {
      process.stdout.write(content, (error) => (error === null || error === undefined ? resolve() : reject(error)));
    }),
  ...(process.stdin.isTTY && process.stderr.isTTY ? { confirm } : {}),
  progress: (line) => void process.stderr.write(`${line}\n`),
  colours: process.stdout.isTTY && !("NO_COLOR" in process.env) && process.env["TERM"] !== "dumb",
  signal: abort.signal,
};

if (verdict.problems.length > 0) {
  for (const { message } of verdict.problems) process.stderr.write(`${message}\n`);
  process.exitCode = 1;
} else {
  // The parts that talk to clusters and stores are loaded only by the commands that need them.
  const connection = async (): Promise<ConnectionWork> => (await import("./configure.ts")).connectionWork;
  const commands = [
    runCommand(async (config, own, file) => (await import("./process.ts")).runOperator(config, own, file)),
    validateCommand,
    planCommand(async (config, objects, run) => (await import("./plan.ts")).planObjects(config, objects, run)),
    doctorCommand(async (config, scope, run) => (await import("./diagnose.ts")).diagnose(config, scope, run)),
    statusCommand(async (query, own) => (await import("./status.ts")).readStatus(query, own)),
    configCommand({
      show: async (place, own) => (await connection()).show(place, own),
      init: async (place, given, options, own) => (await connection()).init(place, given, options, own),
      clear: async (place, own) => (await connection()).clear(place, own),
    }),
    conflictsCommand(async (query, own) => (await import("./status.ts")).readStatus(query, own)),
    resolveCommand(async (query, own) => (await import("./conflicts.ts")).openConflict(query, own)),
    verifyCommand(async (config, query, run) => (await import("./verify.ts")).verifyObjects(config, query, run)),
    supportBundleCommand(async (query, run) => (await import("./gather-support.ts")).gatherSupport(query, run)),
    versionCommand(VERSION),
  ];
  process.exitCode = await runProgram(process.argv.slice(2), commands, io, {
    write: (text) => void process.stdout.write(text),
    error: (text) => void process.stderr.write(text),
  });
}
