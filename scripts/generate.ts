// Writes what is made from the code: the CRDs, the chart's copies of them, the dashboard, tables in docs/, and the health script for Argo CD as a ConfigMap. With --check nothing is written; drift is said and the exit code is 1.
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { stringify } from "yaml";
import { customResourceDefinitions } from "../src/api/crds.ts";
import { dashboard } from "./dashboard.ts";
import { generateArgocd } from "./generate-argocd.ts";
import { generateDocs } from "./generate-docs.ts";
import { syncChartCrds } from "./sync-chart-crds.ts";

const MAX_CRD_BYTES = 256 * 1024;
const root = dirname(dirname(fileURLToPath(import.meta.url)));
const folder = join(root, "crds");
const checkOnly = process.argv.includes("--check");

function current(file: string): string | undefined {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return undefined;
  }
}

const wanted = new Map(
  [...customResourceDefinitions()].map(([name, crd]) => [
    name,
    `# Generated from src/api by \`npm run generate\`; do not edit.\n${stringify(crd, { lineWidth: 120, aliasDuplicateObjects: false })}`,
  ]),
);

const drift: string[] = [];
mkdirSync(folder, { recursive: true });
for (const [name, text] of wanted) {
  if (Buffer.byteLength(text) >= MAX_CRD_BYTES) {
    process.stderr.write(
      `crds/${name} has ${Buffer.byteLength(text)} bytes; Helm and etcd need less than ${MAX_CRD_BYTES}.\n`,
    );
    process.exitCode = 1;
  }
  if (current(join(folder, name)) === text) continue;
  drift.push(`crds/${name}`);
  if (!checkOnly) writeFileSync(join(folder, name), text);
}
for (const name of readdirSync(folder)) {
  if (!name.endsWith(".yaml") || wanted.has(name)) continue;
  drift.push(`crds/${name} (not generated any more)`);
  if (!checkOnly) rmSync(join(folder, name));
}
const dashboardFile = "charts/scaivault-operator/files/monitoring/dashboard.json";
if (current(join(root, dashboardFile)) !== dashboard()) {
  drift.push(dashboardFile);
  if (!checkOnly) writeFileSync(join(root, dashboardFile), dashboard());
}
drift.push(...syncChartCrds({ checkOnly }), ...(await generateDocs({ checkOnly })), ...generateArgocd({ checkOnly }));
if (drift.length === 0) process.stdout.write("Generated files are up to date.\n");
else if (checkOnly) {
  process.stderr.write(
    `These files differ from the code; run \`npm run generate\`:\n${drift.map((f) => `  ${f}\n`).join("")}`,
  );
  process.exitCode = 1;
} else process.stdout.write(`Written: ${drift.join(", ")}\n`);
