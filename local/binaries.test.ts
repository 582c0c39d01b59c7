import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { cachedPath, findBinary, UnusableBinary, type BinaryHost } from "./binaries.ts";
import { compareVersions, inRange, parseVersion, recipes, type Recipe } from "./recipes.ts";

/** A machine with the given files and what they print as their version. */
function machine(
  files: Record<string, string>,
  env: NodeJS.ProcessEnv = {},
  stamps: Record<string, string> = {},
): BinaryHost {
  return {
    env,
    platform: "linux-x64",
    cache: "/cache",
    isExecutable: (path) => path in files,
    versionOf: (path) => Promise.resolve(files[path]),
    recipeStamp: (path) => stamps[path],
    recipeDigest: (recipe: Recipe) => `digest of ${recipe.name}`,
  };
}

const built = cachedPath("/cache", "etcd", recipes.etcd.version);
const stamps = { [built]: "digest of etcd" };

describe("where a binary is taken from", () => {
  const everywhere = { "/chosen/etcd": "3.5.9", "/assets/etcd": "3.6.1", "/usr/bin/etcd": "3.6.2", [built]: "3.6.16" };

  it.each([
    [
      "its own variable",
      { ETCD_BIN: "/chosen/etcd", KUBEBUILDER_ASSETS: "/assets", PATH: "/usr/bin" },
      "/chosen/etcd",
      "environment",
    ],
    ["KUBEBUILDER_ASSETS", { KUBEBUILDER_ASSETS: "/assets", PATH: "/usr/bin" }, "/assets/etcd", "environment"],
    ["PATH", { PATH: "/nothing:/usr/bin" }, "/usr/bin/etcd", "path"],
    ["the cache", { PATH: "/nothing" }, built, "cache"],
  ])("%s comes first of what is left", async (_name, env, path, origin) => {
    expect(await findBinary(recipes.etcd, machine(everywhere, env, stamps))).toMatchObject({ path, origin });
  });

  it("PATH is passed over when the version is outside the accepted range, or the binary does not run", async () => {
    const old = machine({ "/a/etcd": "3.5.9", [built]: "3.6.16" }, { PATH: "/a" }, stamps);
    expect(await findBinary(recipes.etcd, old)).toMatchObject({ path: built });
    const broken = machine({ "/a/etcd": undefined as unknown as string, "/b/etcd": "3.6.4" }, { PATH: "/a:/b" });
    expect(await findBinary(recipes.etcd, broken)).toMatchObject({ path: "/b/etcd" });
  });

  it("an explicit choice that cannot be used is an error, never passed over", async () => {
    const host = (files: Record<string, string>): BinaryHost =>
      machine({ ...files, "/usr/bin/etcd": "3.6.2" }, { ETCD_BIN: "/mine", PATH: "/usr/bin" });
    await expect(findBinary(recipes.etcd, host({}))).rejects.toThrow(UnusableBinary);
    await expect(findBinary(recipes.etcd, host({ "/mine": "2.3.8" }))).rejects.toThrow(
      /ETCD_BIN names etcd 2\.3\.8.*at least 3\.5\.0/,
    );
  });

  it("KUBEBUILDER_ASSETS without this binary is no error: envtest has no kube-controller-manager", async () => {
    const host = machine({ "/assets/etcd": "3.6.1" }, { KUBEBUILDER_ASSETS: "/assets", PATH: "" });
    expect(await findBinary(recipes["kube-controller-manager"], host)).toBeUndefined();
  });

  it("a cached build counts only with the digest of today's pins", async () => {
    const stale = machine({ [built]: "3.6.16" }, {}, { [built]: "digest of other pins" });
    expect(await findBinary(recipes.etcd, stale)).toBeUndefined();
  });

  it("a cached download of the published archive is used", async () => {
    const fetched = cachedPath("/cache", "etcd", "envtest-1.35.0");
    expect(await findBinary(recipes.etcd, machine({ [fetched]: "3.6.6" }))).toMatchObject({
      path: fetched,
      origin: "cache",
    });
  });
});

describe("versions", () => {
  it("compares by number and parses what the programs print", () => {
    expect(compareVersions("1.10.0", "1.9.9")).toBeGreaterThan(0);
    expect(inRange("1.36.0", { atLeast: "1.35.0", below: "1.36.0" })).toBe(false);
    expect(parseVersion("Vault v1.21.0 (abc), built 2025")).toBe("1.21.0");
    expect(parseVersion("Client Version: v1.32.4-dispatcher")).toBe("1.32.4");
    expect(parseVersion("nothing")).toBeUndefined();
  });

  it.each(Object.values(recipes))("$name: the recipe's version is the one that its Go module pins", (recipe) => {
    const ours = recipe.goPackage === ".";
    // Of a program of ours the version stands in its source.
    const text = readFileSync(join(recipe.module, ours ? "main.go" : "go.mod"), "utf8");
    const root = recipe.goPackage.replace(/\/cmd\/.*$/, "").replaceAll(".", String.raw`\.`);
    const version = (recipe.moduleVersion ?? recipe.version).replaceAll(".", String.raw`\.`);
    expect(text).toMatch(new RegExp(ours ? `const version = "${version}"` : String.raw`${root} v${version}\b`));
    expect(inRange(recipe.version, recipe.acceptsChosen)).toBe(true);
    expect(inRange(recipe.version, recipe.acceptsFromPath)).toBe(true);
    expect(readFileSync(join(recipe.module, "go.sum"), "utf8").length).toBeGreaterThan(1000);
  });
});
