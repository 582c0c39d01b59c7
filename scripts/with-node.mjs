// Starts a script of this project on the Node version that the project is built for.
//
// Runs on any Node from 20 on. It installs the dependencies when they are missing or stale, finds a Node that is new
// enough (the running one, or the binary that the optional dependencies carry) and hands over to it.
//
//   node scripts/with-node.mjs FILE.ts [ARGS...]        run a TypeScript file
//   node scripts/with-node.mjs --bin NAME [ARGS...]     run a development tool from node_modules
import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const WANTED_MAJOR = 24;
const OLDEST_LAUNCHER = 20;

function fail(line) {
  process.stderr.write(`${line}\n`);
  process.exit(1);
}

const major = Number(process.versions.node.split(".")[0]);
if (major < OLDEST_LAUNCHER) fail(`Node ${OLDEST_LAUNCHER} or newer is needed to start; this is ${process.version}.`);

/** Installs exactly what the lockfile says, once per lockfile and platform. */
function install() {
  const lock = readFileSync(join(root, "package-lock.json"));
  const stamp = join(root, "node_modules", ".installed-from");
  const want = `${createHash("sha256").update(lock).digest("hex")} ${process.platform}-${process.arch}`;
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === want) return;
  process.stderr.write("Installing dependencies from package-lock.json ...\n");
  const npm = process.platform === "win32" ? "npm.cmd" : "npm";
  const done = spawnSync(npm, ["ci", "--no-audit", "--no-fund", "--loglevel=error"], {
    cwd: root,
    stdio: ["ignore", 2, 2],
    env: { ...process.env, NODE_ENV: "development" },
  });
  if (done.error) fail(`npm could not be started (${done.error.code}). Install npm, it comes with Node.`);
  if (done.status !== 0) fail("npm ci failed; its own message stands above.");
  writeFileSync(stamp, want);
}

/** The binary of the wanted Node: this process's own, else the one in the optional dependencies. */
function nodeBinary() {
  if (major === WANTED_MAJOR) return process.execPath;
  const os = { linux: "linux", darwin: "darwin" }[process.platform];
  for (const name of [`node-${os}-${process.arch}`, `node-bin-${os}-${process.arch}`]) {
    const file = join(root, "node_modules", name, "bin", "node");
    if (existsSync(file) && statSync(file).isFile()) return file;
  }
  return major > WANTED_MAJOR
    ? process.execPath
    : fail(`Node ${WANTED_MAJOR} is needed and none is packaged for ${process.platform}-${process.arch}: install it.`);
}

/** The JavaScript entry of a development tool. */
function toolEntry(name) {
  const folder = join(root, "node_modules", name === "tsc" ? "typescript" : name);
  const { bin } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
  return join(folder, typeof bin === "string" ? bin : bin[name]);
}

install();
const args = process.argv.slice(2);
if (args.length === 0) fail("usage: node scripts/with-node.mjs FILE.ts [ARGS...] | --bin NAME [ARGS...]");
const target = args[0] === "--bin" ? [toolEntry(args[1]), ...args.slice(2)] : args;
const child = spawn(nodeBinary(), ["--disable-warning=ExperimentalWarning", ...target], {
  cwd: root,
  stdio: "inherit",
});
// Ctrl-C reaches the whole process group; the child decides when it is done.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) {
  process.on(signal, () => {
    if (signal !== "SIGINT") child.kill(signal);
  });
}
child.on("error", (error) => fail(`cannot start Node ${WANTED_MAJOR}: ${error.code ?? "unknown error"}`));
child.on("exit", (code, signal) => process.exit(signal ? 130 : (code ?? 1)));
