/**
 * Finds or makes the binaries of the local environment.
 *
 * Order: environment variable, PATH (if the version is in the accepted range), cache, published archive with a pinned sum,
 * build from the committed Go module. The cache is shared by all checkouts; a lock keeps two of them from building twice.
 */
import { accessSync, constants, readFileSync, statSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { buildBinary, MissingTool, recipeDigest } from "./build.ts";
import { download } from "./download.ts";
import { withLock } from "./lock.ts";
import { cacheFolder } from "./paths.ts";
import { silentProgress, type Progress, type Step } from "./progress.ts";
import { inRange, parseVersion, recipes, type BinaryName, type Recipe, type VersionRange } from "./recipes.ts";
import { run } from "./run.ts";

export { MissingTool, PinnedPartFailed } from "./build.ts";
export type { BinaryName } from "./recipes.ts";

/** Where a binary came from. */
export type BinaryOrigin = "environment" | "path" | "cache" | "download" | "build";

/** A binary that can be started. */
export interface Binary {
  readonly name: BinaryName;
  readonly path: string;
  readonly version: string;
  readonly origin: BinaryOrigin;
}

/** What resolving needs of the machine; tests give a fake. */
export interface BinaryHost {
  readonly env: NodeJS.ProcessEnv;
  readonly platform: string;
  readonly cache: string;
  isExecutable(path: string): boolean;
  /** The version that the binary prints, `undefined` when it does not run. */
  versionOf(path: string, recipe: Recipe): Promise<string | undefined>;
  /** The digest that the build left beside the binary. */
  recipeStamp(path: string): string | undefined;
  /** The digest of the committed recipe. */
  recipeDigest(recipe: Recipe): string;
}

/** An environment variable names something that cannot be used. */
export class UnusableBinary extends Error {
  override readonly name = "UnusableBinary";
}

/** The real machine. */
export function realHost(env: NodeJS.ProcessEnv = process.env): BinaryHost {
  return {
    env,
    platform: `${process.platform}-${process.arch}`,
    cache: cacheFolder(env),
    isExecutable(path) {
      try {
        accessSync(path, constants.X_OK);
        return statSync(path).isFile();
      } catch {
        return false;
      }
    },
    async versionOf(path, recipe) {
      const asked = await run(path, recipe.versionArguments, { timeoutMs: 30_000 });
      return asked.code === 0 ? parseVersion(asked.stdout) : undefined;
    },
    recipeStamp(path) {
      try {
        return readFileSync(join(dirname(path), "recipe"), "utf8").trim();
      } catch {
        return undefined;
      }
    },
    recipeDigest,
  };
}

/** Where a version of a binary is cached. */
export function cachedPath(cache: string, name: BinaryName, version: string): string {
  return join(cache, "bin", `${name}-${version}`, name);
}

const rangeText = (range: VersionRange): string => `at least ${range.atLeast} and below ${range.below}`;

async function fromEnvironment(recipe: Recipe, host: BinaryHost): Promise<Binary | undefined> {
  const direct = host.env[recipe.variable];
  const folder = recipe.folderVariable === undefined ? undefined : host.env[recipe.folderVariable];
  const inFolder = folder === undefined || folder === "" ? undefined : join(folder, recipe.name);
  let path: string | undefined;
  let variable = recipe.variable;
  if (direct !== undefined && direct !== "") path = direct;
  else if (inFolder !== undefined && host.isExecutable(inFolder)) {
    // The folder of envtest has no kube-controller-manager: what is not in it is looked for elsewhere.
    path = inFolder;
    variable = recipe.folderVariable ?? variable;
  }
  if (path === undefined) return undefined;
  const version = host.isExecutable(path) ? await host.versionOf(path, recipe) : undefined;
  if (version === undefined)
    throw new UnusableBinary(`${variable} names ${path}, which is no ${recipe.name} that runs.`);
  if (!inRange(version, recipe.acceptsChosen)) {
    throw new UnusableBinary(
      `${variable} names ${recipe.name} ${version}; it must be ${rangeText(recipe.acceptsChosen)}. Unset it to take ${recipe.version}.`,
    );
  }
  return { name: recipe.name, path, version, origin: "environment" };
}

async function fromPath(recipe: Recipe, host: BinaryHost): Promise<Binary | undefined> {
  for (const folder of (host.env["PATH"] ?? "").split(delimiter)) {
    if (folder === "") continue;
    const path = join(folder, recipe.name);
    if (!host.isExecutable(path)) continue;
    const version = await host.versionOf(path, recipe);
    if (version !== undefined && inRange(version, recipe.acceptsFromPath))
      return { name: recipe.name, path, version, origin: "path" };
  }
  return undefined;
}

function fromCache(recipe: Recipe, host: BinaryHost): Binary | undefined {
  const built = cachedPath(host.cache, recipe.name, recipe.version);
  if (host.isExecutable(built) && host.recipeStamp(built) === host.recipeDigest(recipe))
    return { name: recipe.name, path: built, version: recipe.version, origin: "cache" };
  const pin = recipe.downloads[host.platform];
  if (pin === undefined) return undefined;
  const fetched = cachedPath(host.cache, recipe.name, pin.version);
  return host.isExecutable(fetched)
    ? { name: recipe.name, path: fetched, version: pin.version, origin: "cache" }
    : undefined;
}

/**
 * Looks for a binary that is there already.
 * @returns `undefined` when it must be downloaded or built
 * @throws UnusableBinary when an environment variable names something that does not fit: a choice is never passed over
 */
export async function findBinary(recipe: Recipe, host: BinaryHost): Promise<Binary | undefined> {
  return (await fromEnvironment(recipe, host)) ?? (await fromPath(recipe, host)) ?? fromCache(recipe, host);
}

async function make(recipe: Recipe, host: BinaryHost, step: Step): Promise<Binary> {
  const pin = recipe.downloads[host.platform];
  if (pin !== undefined) {
    step.update(`downloading ${pin.version}`);
    const path = cachedPath(host.cache, recipe.name, pin.version);
    if (await download(pin, path)) return { name: recipe.name, path, version: pin.version, origin: "download" };
  }
  const path = cachedPath(host.cache, recipe.name, recipe.version);
  await buildBinary(recipe, path, step);
  return { name: recipe.name, path, version: recipe.version, origin: "build" };
}

/** Options of {@link ensureBinary}. */
export interface EnsureOptions {
  readonly progress?: Progress;
  readonly host?: BinaryHost;
  /** Shown before the name, e.g. `2/6 `. */
  readonly prefix?: string;
}

/**
 * Gives a binary that runs, and makes it when there is none. Safe to call from several processes at once.
 * @throws MissingTool (with what to install), UnusableBinary, PinnedPartFailed, SumMismatch
 */
export async function ensureBinary(name: BinaryName, options: EnsureOptions = {}): Promise<Binary> {
  const recipe = recipes[name];
  const host = options.host ?? realHost();
  const found = await findBinary(recipe, host);
  if (found !== undefined) return found;
  const step = (options.progress ?? silentProgress).step(`${options.prefix ?? ""}${name} ${recipe.version}`);
  try {
    // One lock for all of them: a build uses every core anyway.
    const made = await withLock(
      join(host.cache, "bin", "build.lock"),
      async () => fromCache(recipe, host) ?? (await make(recipe, host, step)),
      (pid) => step.update(`waiting for process ${pid}, which builds`),
    );
    step.done(made.origin === "build" ? "built" : made.origin === "download" ? "downloaded" : "ready");
    return made;
  } catch (error) {
    step.fail(error instanceof MissingTool ? "something is missing" : "failed");
    throw error;
  }
}

/** {@link ensureBinary} for several, one after another, in the order of the recipes. */
export async function ensureBinaries(
  names: readonly BinaryName[],
  options: EnsureOptions = {},
): Promise<ReadonlyMap<BinaryName, Binary>> {
  const ordered = Object.values(recipes).filter((recipe) => names.includes(recipe.name));
  const result = new Map<BinaryName, Binary>();
  for (const [index, recipe] of ordered.entries()) {
    result.set(recipe.name, await ensureBinary(recipe.name, { ...options, prefix: `${index + 1}/${ordered.length} ` }));
  }
  return result;
}
