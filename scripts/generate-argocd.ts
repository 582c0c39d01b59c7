// The health script for Argo CD as people merge it into argocd-cm: made of health.lua, which tests run.
import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { federationBackendKind, GROUP, secretSyncKind } from "../src/api/names.ts";

const folder = join(dirname(dirname(fileURLToPath(import.meta.url))), "examples", "gitops", "argocd");

/** Writes `argocd-cm.yaml`. @returns the file when it differed */
export function generateArgocd({ checkOnly }: { readonly checkOnly: boolean }): string[] {
  const script = readFileSync(join(folder, "health.lua"), "utf8").trimEnd();
  const block = script
    .split("\n")
    .map((line) => (line === "" ? "" : `    ${line}`))
    .join("\n");
  const entries = [federationBackendKind, secretSyncKind].map(
    ({ kind }) => `  resource.customizations.health.${GROUP}_${kind}: |\n${block}\n`,
  );
  const text = [
    "# Generated from health.lua by `npm run generate`; do not edit.",
    "# kubectl -n argocd patch configmap argocd-cm --patch-file argocd-cm.yaml",
    "apiVersion: v1",
    "kind: ConfigMap",
    "metadata:",
    "  name: argocd-cm",
    "  namespace: argocd",
    "  labels:",
    "    app.kubernetes.io/name: argocd-cm",
    "    app.kubernetes.io/part-of: argocd",
    `data:\n${entries.join("")}`,
  ].join("\n");
  const file = join(folder, "argocd-cm.yaml");
  let current: string | undefined;
  try {
    current = readFileSync(file, "utf8");
  } catch {
    current = undefined;
  }
  if (current === text) return [];
  if (!checkOnly) writeFileSync(file, text);
  return ["examples/gitops/argocd/argocd-cm.yaml"];
}
