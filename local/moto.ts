/** The AWS emulator moto in a Python environment of its own, every package pinned by version and hash. */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { MissingTool, PinnedPartFailed } from "./build.ts";
import { withLock } from "./lock.ts";
import { cacheFolder, repositoryRoot } from "./paths.ts";
import { freePort, loopback } from "./ports.ts";
import { call } from "./http.ts";
import { createProgram, type Program } from "./process.ts";
import { silentProgress, type Progress } from "./progress.ts";
import { compareVersions, parseVersion } from "./recipes.ts";
import { run } from "./run.ts";

const requirements = join(repositoryRoot, "local", "python", "requirements.txt");
const oldestPython = "3.10.0";

/** A running moto. */
export interface Moto {
  /** `http://127.0.0.1:PORT` */
  readonly url: string;
  readonly program: Program;
  stop(): Promise<void>;
}

async function findPython(env: NodeJS.ProcessEnv): Promise<string> {
  const chosen = env["PYTHON"];
  for (const candidate of chosen === undefined || chosen === "" ? ["python3", "python"] : [chosen]) {
    const asked = await run(candidate, ["--version"], { timeoutMs: 20_000 });
    const version = asked.code === 0 ? parseVersion(asked.stdout + asked.stderr) : undefined;
    if (version === undefined || compareVersions(version, oldestPython) < 0) continue;
    const venv = await run(candidate, ["-c", "import venv, ensurepip"], { timeoutMs: 20_000 });
    if (venv.code === 0) return candidate;
    throw new MissingTool(
      `Python ${version} has no venv module. Install it (Debian and Ubuntu: apt install python3-venv), then run the command again.`,
    );
  }
  throw new MissingTool(
    "Python 3.10 or newer is missing: the AWS emulator needs it. Install it with venv (Debian and Ubuntu: apt install python3 python3-venv; " +
      "macOS: brew install python), then run the command again, or leave the emulator out with --without asm.",
  );
}

/**
 * Makes the Python environment once per set of pins and gives its interpreter.
 * @throws MissingTool, PinnedPartFailed (e.g. a package whose hash is not the pinned one)
 */
export async function ensureMoto(
  options: { progress?: Progress; env?: NodeJS.ProcessEnv; requirementsFile?: string; cache?: string } = {},
): Promise<string> {
  const env = options.env ?? process.env;
  const cache = options.cache ?? cacheFolder(env);
  const pins = options.requirementsFile ?? requirements;
  const digest = createHash("sha256").update(readFileSync(pins)).digest("hex").slice(0, 12);
  const folder = join(cache, "python", `moto-${digest}`);
  const interpreter = join(folder, "bin", "python");
  const stamp = join(folder, "complete");
  if (existsSync(stamp)) return interpreter;
  const python = await findPython(env);
  const step = (options.progress ?? silentProgress).step("AWS emulator");
  try {
    await withLock(
      join(cache, "python", "install.lock"),
      async () => {
        if (existsSync(stamp)) return;
        step.update("installing into a Python environment of its own");
        mkdirSync(join(cache, "python"), { recursive: true });
        // An environment cannot be moved, so it is built in place and counts only with its stamp.
        rmSync(folder, { recursive: true, force: true });
        const made = await run(python, ["-m", "venv", folder]);
        if (made.code !== 0)
          throw new PinnedPartFailed(`The Python environment could not be made:\n${made.stderr.trim()}`);
        const installed = await run(
          interpreter,
          [
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--no-input",
            "--require-hashes",
            "--only-binary",
            ":all:",
            "--no-deps",
            "-r",
            pins,
          ],
          { env, background: true },
        );
        if (installed.code !== 0) {
          const lines = installed.stderr.trim().split("\n").slice(-6).join("\n");
          throw new PinnedPartFailed(
            `The AWS emulator could not be installed (pip ended with ${installed.code}):\n${lines}`,
          );
        }
        writeFileSync(`${stamp}.new`, new Date().toISOString());
        renameSync(`${stamp}.new`, stamp);
      },
      (pid) => step.update(`waiting for process ${pid}, which installs it`),
    );
    step.done("installed");
  } catch (error) {
    step.fail(error instanceof MissingTool ? "something is missing" : "failed");
    throw error;
  }
  return interpreter;
}

/** Starts moto on a free loopback port. Nobody but the proxy should talk to it. @throws ProgramFailed */
export async function startMoto(options: { folder: string; interpreter: string }): Promise<Moto> {
  const port = await freePort();
  const url = `http://${loopback}:${port}`;
  const program = createProgram({
    name: "moto",
    file: options.interpreter,
    args: ["-m", "moto.server", "-H", loopback, "-p", String(port)],
    logFile: join(options.folder, "moto.log"),
    graceMs: 1_000,
    // moto would take the account from there instead of from the request.
    env: { MOTO_ACCOUNT_ID: undefined, PYTHONUNBUFFERED: "1" },
    ready: async () => (await call({ url: `${url}/moto-api/data.json`, timeoutMs: 2_000 })).status === 200,
  });
  await program.start();
  return { url, program, stop: () => program.stop() };
}
