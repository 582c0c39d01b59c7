/** The layout for a fleet in examples/gitops: one base, an overlay and the chart's values for each cluster. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { findingLine } from "../../src/cli/findings.ts";
import { validateManifests } from "../../src/cli/validate.ts";
import { loadConfig, type Config } from "../../src/config/index.ts";
import { at, one, render } from "../chart/support.ts";
import { testEnvironment } from "../support/environment.ts";

const examples = join(import.meta.dirname, "../../examples/gitops");
const overlays = readdirSync(join(examples, "fleet/overlays"));
const read = (file: string): object => parse(readFileSync(join(examples, file), "utf8")) as object;

async function kustomize(folder: string): Promise<string> {
  const built = await testEnvironment().kube.kubectl(["kustomize", join(examples, folder)]);
  expect(built.stderr).toBe("");
  return built.stdout;
}

/** The configuration that the chart makes of an overlay's values. */
async function configOf(values: object): Promise<Config> {
  const { helm = "" } = testEnvironment().facts.binaries;
  const map = one(await render(helm, values), "ConfigMap");
  const [text = ""] = Object.values(map["data"] as Record<string, string>);
  const loaded = loadConfig({ file: "chart", text }, {});
  if (!loaded.ok) throw new Error(loaded.problems.map(({ field, message }) => `${field}: ${message}`).join("\n"));
  return loaded.config;
}

describe("every folder", () => {
  it.each(["fleet/base", ...overlays.map((name) => `fleet/overlays/${name}`)])(
    "%s renders, and passes validate",
    async (folder) => {
      const { findings, objects } = validateManifests([{ file: folder, text: await kustomize(folder) }]);
      expect(findings.map((finding) => findingLine(finding))).toEqual([]);
      expect(objects).toBeGreaterThan(0);
    },
  );

  it("that the ApplicationSet names is there", () => {
    const path = String(at(read("argocd/applicationset.yaml"), "spec.template.spec.source.path"));
    for (const overlay of overlays) {
      const found = path.replace("{{ .metadata.labels.overlay }}", overlay);
      expect(existsSync(join(examples, "../..", found, "kustomization.yaml")), found).toBe(true);
    }
  });
});

describe("the fleet", () => {
  const values = overlays.map((name) => read(`fleet/overlays/${name}/operator.yaml`));

  it("has one writer, names of its own for each cluster, one key, and shares that fit into one", async () => {
    const configs = await Promise.all(values.map(configOf));
    expect(configs.map((config) => at(config, "scaivault.role")).sort()).toEqual(["Reader", "Writer"]);
    expect(new Set(configs.map(({ cluster }) => cluster.name)).size).toBe(overlays.length);
    expect(configs.reduce((sum, config) => sum + Number(at(config, "scaivault.rateShare")), 0)).toBeLessThanOrEqual(1);
    expect(new Set(values.map((value) => JSON.stringify(at(value, "marks")))).size).toBe(1);
  });

  it("may do in each cluster what the objects ask for", async () => {
    for (const [index, name] of overlays.entries()) {
      const text = await kustomize(`fleet/overlays/${name}`);
      const { findings } = validateManifests([{ file: name, text }], await configOf(values[index] ?? {}));
      expect(findings.map((finding) => findingLine(finding))).toEqual([]);
    }
  });
});
