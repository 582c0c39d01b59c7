// Bundles the operator into one ESM file and looks through what it contains.
//
//   npm run build                                   src/main.ts -> dist/operator.mjs
//   npm run build -- --entry FILE --outfile FILE    another entry, for tests
//
// The bundle is not minified: a stack trace names real functions and a reviewer can read what runs. The source map lies
// beside it and is not part of the image. The scan fails the build on anything that is not on its list.
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { basename, dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { build, type Plugin, transform } from "esbuild";
import { formatFindings, scanBundle } from "./bundle-scan.ts";

const root = dirname(dirname(fileURLToPath(import.meta.url)));

export interface BuildOptions {
  readonly entry: string;
  readonly outfile: string;
}

/** CommonJS packages inside an ES module ask for `require` of Node's builtins; this is the only thing they get. */
const banner = `import { createRequire as __createRequire } from "node:module";
const require = __createRequire(import.meta.url);`;

/**
 * jsonpath-plus, a dependency of the Kubernetes client for GCP logins, evaluates expressions with `vm`. Nothing here asks it
 * to; the module is replaced by one that throws, so that it cannot.
 */
const withoutVm: Plugin = {
  name: "without-vm",
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^(?:node:)?vm$/ }, () => ({ path: "vm", namespace: "left-out" }));
    onLoad({ filter: /.*/, namespace: "left-out" }, () => ({
      loader: "js",
      contents: `function refuse() { throw new Error("vm is not part of this build"); }
        module.exports = { Script: refuse, createContext: refuse, runInContext: refuse, runInNewContext: refuse, runInThisContext: refuse };`,
    }));
  },
};

/**
 * Of the Kubernetes client only `KubeConfig` is used, which reads kubeconfigs. Its one method that makes API clients brings in a
 * model for each kind of the API: a sixth of the file, which each start would parse and each process keep. They are replaced
 * by what throws.
 */
const kubeConfigAlone: Plugin = {
  name: "kube-config-alone",
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^@kubernetes\/client-node$/ }, ({ resolveDir }) => {
      const require = createRequire(join(resolveDir, "_"));
      return { path: join(dirname(require.resolve("@kubernetes/client-node")), "config.js"), sideEffects: false };
    });
    onResolve({ filter: /^\.\/gen\/index\.js$/ }, ({ importer }) =>
      /@kubernetes[\\/]client-node[\\/]dist[\\/]config\.js$/.test(importer)
        ? { path: "gen", namespace: "kube-models" }
        : undefined,
    );
    onLoad({ filter: /.*/, namespace: "kube-models" }, () => ({
      loader: "js",
      contents: `function refuse() { throw new Error("API clients of @kubernetes/client-node are not part of this build"); }
        export { refuse as createConfiguration, refuse as ServerConfiguration };`,
    }));
  },
};

/**
 * Packages come in without their comments (licences apart). The process keeps its source text for as long as it runs, with two
 * bytes a character as soon as one of them is not ASCII, and comments are where those are.
 */
const withoutComments: Plugin = {
  name: "without-comments",
  setup({ onLoad }) {
    onLoad({ filter: /[\\/]node_modules[\\/].*\.[cm]?js$/ }, async ({ path }) => {
      const { code } = await transform(await readFile(path, "utf8"), {
        loader: "js",
        minifyWhitespace: true,
        legalComments: "inline",
        sourcemap: "inline",
        sourcesContent: false,
        sourcefile: basename(path),
      });
      return { contents: code, loader: "js" };
    });
  },
};

/** Builds one bundle; throws when esbuild fails. */
export async function bundle({ entry, outfile }: BuildOptions): Promise<{ bytes: number; sha256: string }> {
  const version = (JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { version: string }).version;
  mkdirSync(dirname(outfile), { recursive: true });
  await build({
    absWorkingDir: root,
    entryPoints: [entry],
    outfile,
    bundle: true,
    platform: "node",
    target: "node24",
    format: "esm",
    mainFields: ["module", "main"],
    plugins: [withoutVm, kubeConfigAlone, withoutComments],
    banner: { js: banner },
    define: { "process.env.SCAIVAULT_OPERATOR_VERSION": JSON.stringify(version) },
    legalComments: "external",
    sourcemap: "external",
    sourcesContent: false,
    charset: "ascii",
    logLevel: "warning",
  });
  const content = readFileSync(outfile);
  return { bytes: content.length, sha256: createHash("sha256").update(content).digest("hex") };
}

async function main(): Promise<number> {
  const { values } = parseArgs({ options: { entry: { type: "string" }, outfile: { type: "string" } } });
  const outfile = resolve(root, values.outfile ?? "dist/operator.mjs");
  // esbuild has printed what it found by itself.
  const built = await bundle({ entry: resolve(root, values.entry ?? "src/main.ts"), outfile }).catch(() => undefined);
  if (built === undefined) return 1;
  process.stdout.write(
    `${relative(root, outfile)}  ${(built.bytes / 1024 / 1024).toFixed(1)} MiB  sha256 ${built.sha256}\n`,
  );
  const scan = scanBundle(readFileSync(outfile, "utf8"));
  process.stdout.write(formatFindings(scan));
  return scan.unexpected.length === 0 ? 0 : 1;
}

if (import.meta.main) process.exitCode = await main();
