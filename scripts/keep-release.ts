// Keeps a release for the tests of upgrades: its bundle, its chart, and whose code the bundle holds.
//
//   node scripts/with-node.mjs scripts/keep-release.ts COMMIT VERSION
//
// It takes the commit's files, installs what its package-lock.json pins, and runs the commit's own build; nothing of the
// working tree goes in. Needs helm (HELM_BIN, PATH or the cache of the local environment).
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { brotliCompressSync, constants } from "node:zlib";
import { ensureBinary } from "../local/binaries.ts";
import { run } from "../local/run.ts";

const root = dirname(import.meta.dirname);

async function must(command: string, args: readonly string[], cwd: string): Promise<void> {
  const done = await run(command, args, { cwd });
  if (done.code !== 0) throw new Error(`${command} ${args.join(" ")}: ${done.stderr.slice(-2000)}`);
}

/** Licence texts of the packages whose code is in the bundle, each text once. Names come from esbuild's path comments. */
function licences(folder: string, bundle: string): string {
  const comment = /^\/\/ ((?:.*\/)?node_modules\/(?:@[\w.-]+\/)?[\w.-]+)\//gm;
  const homes = new Set([...bundle.matchAll(comment)].map(([, home = ""]) => join(folder, home)));
  const byText = new Map<string, string[]>();
  for (const home of [...homes].sort()) {
    const { name, version, license } = JSON.parse(readFileSync(join(home, "package.json"), "utf8")) as Record<
      string,
      string
    >;
    const file = readdirSync(home).find((one) => /^licen[cs]e/i.test(one));
    const text = file === undefined ? `(no file; package.json says ${license ?? "nothing"})` : read(join(home, file));
    const packages = byText.get(text) ?? [];
    byText.set(text, [...packages, `${name ?? ""} ${version ?? ""} (${license ?? "see text"})`]);
  }
  return [...byText].map(([text, packages]) => `${packages.join("\n")}\n\n${text}\n`).join(`\n${"-".repeat(80)}\n\n`);
}

const read = (file: string): string => readFileSync(file, "utf8").replaceAll("\r\n", "\n").trim();

async function keep(commit: string, version: string): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "keep-release-"));
  const target = join(root, "test", "upgrade", version);
  try {
    await must("sh", ["-c", `git archive ${commit} | tar x -C ${folder}`], root);
    const stated = (JSON.parse(read(join(folder, "package.json"))) as { version: string }).version;
    if (stated !== version) throw new Error(`${commit} is version ${stated}`);
    await must("npm", ["ci", "--ignore-scripts", "--no-audit", "--no-fund"], folder);
    await must(process.execPath, ["scripts/build.ts"], folder);
    const bundle = readFileSync(join(folder, "dist", "operator.mjs"));
    mkdirSync(target, { recursive: true });
    const params = { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_LGWIN]: 24 };
    writeFileSync(join(target, "operator.mjs.br"), brotliCompressSync(bundle, { params }));
    writeFileSync(join(target, "THIRD-PARTY.txt"), licences(folder, bundle.toString("utf8")));
    const { path } = await ensureBinary("helm");
    const chart = `scaivault-operator-${version}.tgz`;
    rmSync(join(target, chart), { force: true });
    await must(path, ["package", join(folder, "charts", "scaivault-operator"), "-d", target], folder);
    const release = {
      version,
      commit,
      bundle: { bytes: bundle.length, sha256: createHash("sha256").update(bundle).digest("hex") },
      chart,
    };
    writeFileSync(join(target, "release.json"), `${JSON.stringify(release, null, 2)}\n`);
    if (!existsSync(join(target, chart))) throw new Error("helm wrote no chart");
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const [commit, version] = process.argv.slice(2);
if (commit === undefined || version === undefined || !/^[0-9a-f]{40}$/.test(commit)) {
  process.stderr.write("usage: keep-release.ts COMMIT(40 hex digits) VERSION\n");
  process.exitCode = 2;
} else await keep(commit, version);
