// Copies the generated CRDs into the chart, with the annotation that makes Helm leave them at an uninstall.
//
//   node scripts/with-node.mjs scripts/sync-chart-crds.ts            writes
//   node scripts/with-node.mjs scripts/sync-chart-crds.ts --check    writes nothing; drift is said and the exit code is 1
import { mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const from = join(root, "crds");
const to = join(root, "charts", "scaivault-operator", "files", "crds");

/** The chart's copy of one CRD. Only the annotation is added; the rest stays byte for byte. */
export function forChart(crd: string): string {
  const parts = /^metadata:\n {2}name: \S+\n(?! {2}annotations:)/m.exec(crd);
  if (parts === null) throw new Error("the CRD does not begin its metadata with a name and without annotations");
  const end = parts.index + parts[0].length;
  return `${crd.slice(0, end)}  annotations:\n    helm.sh/resource-policy: keep\n${crd.slice(end)}`;
}

function yamlFiles(folder: string): string[] {
  return readdirSync(folder).filter((name) => name.endsWith(".yaml"));
}

function current(file: string): string | undefined {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return undefined;
  }
}

/**
 * Makes the chart's folder equal to what `crds/` says.
 * @returns the files that differed, relative to the repository
 */
export function syncChartCrds({ checkOnly }: { readonly checkOnly: boolean }): string[] {
  mkdirSync(to, { recursive: true });
  const names = yamlFiles(from);
  const drift: string[] = [];
  for (const name of names) {
    const text = forChart(readFileSync(join(from, name), "utf8"));
    if (current(join(to, name)) === text) continue;
    drift.push(`charts/scaivault-operator/files/crds/${name}`);
    if (!checkOnly) writeFileSync(join(to, name), text);
  }
  for (const name of yamlFiles(to).filter((one) => !names.includes(one))) {
    drift.push(`charts/scaivault-operator/files/crds/${name} (not generated any more)`);
    if (!checkOnly) rmSync(join(to, name));
  }
  return drift;
}

if (import.meta.main) {
  const checkOnly = process.argv.includes("--check");
  const drift = syncChartCrds({ checkOnly });
  const lines = drift.map((file) => `  ${file}\n`).join("");
  if (drift.length === 0) process.stdout.write("The chart's CRDs are up to date.\n");
  else if (checkOnly) process.stderr.write(`These files differ from crds/; run scripts/sync-chart-crds.ts:\n${lines}`);
  else process.stdout.write(`Written:\n${lines}`);
  process.exitCode = checkOnly && drift.length > 0 ? 1 : 0;
}
