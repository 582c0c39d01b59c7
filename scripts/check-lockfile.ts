// Every package of the lockfile comes from the one registry and carries an integrity sum; none runs an install script
// (`.npmrc` says ignore-scripts).
import { readFileSync } from "node:fs";
import { join } from "node:path";

interface Entry {
  readonly resolved?: string;
  readonly integrity?: string;
  readonly link?: boolean;
}
const root = join(import.meta.dirname, "..");
const lock = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8")) as { packages: Record<string, Entry> };
const problems: string[] = [];
for (const [name, entry] of Object.entries(lock.packages)) {
  if (name === "") continue;
  if (entry.link === true) problems.push(`${name}: is a link`);
  if (entry.integrity === undefined) problems.push(`${name}: has no integrity sum`);
  if (entry.resolved !== undefined && !entry.resolved.startsWith("https://registry.npmjs.org/"))
    problems.push(`${name}: does not come from the npm registry`);
}
if (!/^ignore-scripts=true$/m.test(readFileSync(join(root, ".npmrc"), "utf8")))
  problems.push(".npmrc: set ignore-scripts=true");
for (const problem of problems) process.stderr.write(`${problem}\n`);
process.stdout.write(`${Object.keys(lock.packages).length - 1} packages checked, ${problems.length} problems\n`);
process.exitCode = problems.length === 0 ? 0 : 1;
