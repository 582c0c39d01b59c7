// `npm test`: everything that must hold, in the order of what fails fastest. Ends with one line `N passed, N failed`.
//
//   npm test                   all
//   npm test -- unit lint      only the named steps
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";

// Tests on real parts mostly wait: two workers, each with an environment of its own, share the machine well.
const workers = process.env["SCAIVAULT_ENVIRONMENT"] ? "1" : "2";
const root = join(import.meta.dirname, "..");
const reports = join(root, ".local", "test-reports");
const tool = (name: string, ...args: string[]) => ["scripts/with-node.mjs", "--bin", name, ...args];
const own = (file: string, ...args: string[]) => ["scripts/with-node.mjs", file, ...args];
const suite = (project: string) =>
  tool(
    "vitest",
    "run",
    "--project",
    project,
    "--reporter=default",
    "--reporter=json",
    `--outputFile.json=${join(reports, `${project}.json`)}`,
  );

/** A step is one command; a suite counts its own tests, any other step counts as one. */
const steps: readonly { name: string; args: string[]; suite?: string }[] = [
  { name: "format", args: tool("prettier", "--check", "--log-level", "warn", ".") },
  { name: "types", args: tool("tsc", "--noEmit") },
  { name: "lint", args: tool("eslint", "--max-warnings", "15", ".") },
  { name: "generated", args: own("scripts/generate.ts", "--check") },
  { name: "lockfile", args: own("scripts/check-lockfile.ts") },
  { name: "unit", args: suite("unit"), suite: "unit" },
  { name: "binaries", args: own("local/make.ts") },
  { name: "integration", args: suite("integration"), suite: "integration" },
];

interface Count {
  passed: number;
  failed: number;
}

function run(args: readonly string[]): Promise<number> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, args, {
      cwd: root,
      stdio: "inherit",
      env: { SCAIVAULT_TEST_WORKERS: workers, ...process.env, FORCE_COLOR: "0" },
    });
    const forward = (signal: NodeJS.Signals) => child.kill(signal);
    process.once("SIGTERM", forward);
    child.on("error", () => resolve(1));
    child.on("exit", (code) => {
      process.removeListener("SIGTERM", forward);
      resolve(code ?? 1);
    });
  });
}

/** Counts of a vitest report; a suite that left none, or that failed outside its tests, counts one failure. */
function countsOf(name: string, exitCode: number): Count {
  const file = join(reports, `${name}.json`);
  if (!existsSync(file)) return { passed: 0, failed: 1 };
  const report = JSON.parse(readFileSync(file, "utf8")) as { numPassedTests: number; numFailedTests: number };
  const failed = report.numFailedTests > 0 || exitCode === 0 ? report.numFailedTests : 1;
  return { passed: report.numPassedTests, failed };
}

const only = process.argv.slice(2).filter((name) => !name.startsWith("-"));
const unknown = only.filter((name) => !steps.some((step) => step.name === name));
if (unknown.length > 0) {
  process.stderr.write(`no step ${unknown.join(", ")}; steps are ${steps.map((step) => step.name).join(", ")}\n`);
  process.exit(2);
}
rmSync(reports, { recursive: true, force: true });
mkdirSync(reports, { recursive: true });
const total: Count = { passed: 0, failed: 0 };
const rows: string[] = [];
for (const step of steps) {
  if (only.length > 0 && !only.includes(step.name)) continue;
  const started = Date.now();
  process.stdout.write(`\n== ${step.name}\n`);
  const exitCode = await run(step.args);
  const count =
    step.suite === undefined
      ? { passed: exitCode === 0 ? 1 : 0, failed: exitCode === 0 ? 0 : 1 }
      : countsOf(step.suite, exitCode);
  total.passed += count.passed;
  total.failed += count.failed;
  rows.push(
    `${step.name.padEnd(12)} ${count.passed} passed, ${count.failed} failed, ${Math.round((Date.now() - started) / 1000)} s`,
  );
}
process.stdout.write(`\n${rows.join("\n")}\n\n${total.passed} passed, ${total.failed} failed\n`);
process.exitCode = total.failed === 0 ? 0 : 1;
