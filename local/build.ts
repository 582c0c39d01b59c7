/** Builds a binary from its committed Go module. */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Step } from "./progress.ts";
import { compareVersions, type Recipe } from "./recipes.ts";
import { run } from "./run.ts";

/** Something that must be installed by hand is missing; the message says what and how. */
export class MissingTool extends Error {
  override readonly name = "MissingTool";
}

/** A pinned part could not be had; the message says why. */
export class PinnedPartFailed extends Error {
  override readonly name = "PinnedPartFailed";
}

const oldestGo = "1.21.0";

/** Digest over all that decides what a build gives, so that changed pins lead to a new build. */
export function recipeDigest(recipe: Recipe): string {
  const hash = createHash("sha256");
  // A module of ours has sources beside its pins.
  const own = readdirSync(recipe.module).filter((name) => name.endsWith(".go"));
  for (const file of ["go.mod", "go.sum", ...own.sort()])
    hash.update(readFileSync(join(recipe.module, file))).update("\0");
  const { goPackage, version, linkerFlags, tags } = recipe;
  hash.update(JSON.stringify([goPackage, version, linkerFlags, ...(tags === undefined ? [] : [tags])]));
  return hash.digest("hex");
}

/** The running Go's version. @throws MissingTool without a Go of at least 1.21 */
async function goVersion(what: string): Promise<string> {
  const asked = await run("go", ["version"], { timeoutMs: 20_000 });
  const version = /go(\d{1,3}\.\d{1,3}(?:\.\d{1,3})?)/.exec(asked.stdout)?.[1];
  if (asked.startError !== undefined || version === undefined) {
    throw new MissingTool(
      `${what} must be built from source, and Go is missing. Install Go 1.21 or newer (https://go.dev/dl, or your package manager: ` +
        "apt install golang-go, brew install go), then run the command again.",
    );
  }
  if (compareVersions(version, oldestGo) < 0) {
    throw new MissingTool(
      `${what} must be built from source, and this Go is ${version}. Install Go 1.21 or newer: it fetches the toolchain that the sources need by itself.`,
    );
  }
  return version;
}

/** The Go version that the module asks for. */
function wantedGo(recipe: Recipe): string {
  return (
    /^go (\d{1,3}\.\d{1,3}(?:\.\d{1,3})?)$/m.exec(readFileSync(join(recipe.module, "go.mod"), "utf8"))?.[1] ?? oldestGo
  );
}

/** `go build -v` names each package that it has compiled on a line of its own. */
const packageLine = /^[\w.~/-]{1,200}$/;

/** The last lines of a program's error output that say something. */
function lastLines(text: string, count: number): string {
  return text
    .split("\n")
    .filter((line) => line.trim() !== "" && !line.startsWith("go: downloading") && !packageLine.test(line))
    .slice(-count)
    .join("\n");
}

/**
 * Builds `recipe` and puts the binary at `target` in one step (temporary name, then rename).
 * @throws MissingTool, PinnedPartFailed
 */
export async function buildBinary(recipe: Recipe, target: string, step: Step): Promise<void> {
  const what = `${recipe.name} ${recipe.version}`;
  const go = await goVersion(what);
  const folder = join(target, "..");
  mkdirSync(folder, { recursive: true });
  // The lock is ours, so what lies there was left by a process that was killed.
  for (const name of readdirSync(folder))
    if (name.startsWith(".building-")) rmSync(join(folder, name), { force: true });
  const temporary = join(folder, `.building-${process.pid}`);
  step.update(`building from source, ${recipe.usualBuild} the first time`);
  const env: NodeJS.ProcessEnv = { ...process.env, CGO_ENABLED: "0", GOFLAGS: "-buildvcs=false", GOWORK: "off" };
  // Distributions switch the toolchain download off; without it an older Go cannot build these sources.
  if (compareVersions(go, wantedGo(recipe)) < 0) env["GOTOOLCHAIN"] = "auto";
  let compiled = 0;
  const flags = ["-s", "-w", ...recipe.linkerFlags].join(" ");
  const tags = recipe.tags === undefined ? [] : ["-tags", recipe.tags];
  try {
    const built = await run(
      "go",
      ["build", "-v", "-mod=readonly", "-trimpath", ...tags, "-ldflags", flags, "-o", temporary, recipe.goPackage],
      {
        cwd: recipe.module,
        env,
        background: true,
        onLine: (line) => {
          const fetched = /^go: downloading (\S{1,80})/.exec(line)?.[1];
          if (fetched !== undefined) step.update(`fetching sources, ${fetched}`);
          else if (packageLine.test(line)) step.update(`compiling, ${(compiled += 1)} packages so far`);
        },
      },
    );
    if (built.code !== 0 || !existsSync(temporary)) {
      throw new PinnedPartFailed(
        `${what} did not build (go build ended with ${built.code}):\n${lastLines(built.stderr, 6)}`,
      );
    }
    writeFileSync(join(folder, "recipe"), recipeDigest(recipe));
    renameSync(temporary, target);
  } finally {
    rmSync(temporary, { force: true });
  }
}
