// Every example that people may copy: files below examples/, and blocks of our kinds in README.md and docs/.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { parseAllDocuments } from "yaml";
import { findingLine } from "../../src/cli/findings.ts";
import { validateManifests } from "../../src/cli/validate.ts";
import { testEnvironment } from "../support/environment.ts";

interface Example {
  readonly at: string;
  readonly text: string;
}

const apiVersion = "apiVersion: scaivault.scailabs.ai/";

function examplesOf(page: string): Example[] {
  const text = readFileSync(page, "utf8");
  return [...text.matchAll(/^```yaml[^\n]*\n(.*?)^```$/gms)]
    .map((match) => ({ at: `${page}:${text.slice(0, match.index).split("\n").length}`, text: match[1] ?? "" }))
    .filter((block) => block.text.includes(apiVersion));
}

const pages = ["README.md", ...readdirSync("docs").map((name) => join("docs", name))].filter((name) =>
  name.endsWith(".md"),
);
const files = readdirSync("examples", { recursive: true, encoding: "utf8" })
  // Folders for kustomize, with objects of other tools; test/gitops/ has them.
  .filter((name) => /\.ya?ml$/.test(name) && !name.startsWith("gitops/"))
  .map((name) => ({ at: join("examples", name), text: readFileSync(join("examples", name), "utf8") }));
const examples = [...files, ...pages.flatMap(examplesOf)];

interface Named {
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
}
const objectsOf = ({ text }: Example): Named[] => parseAllDocuments(text).map((one) => one.toJS() as Named);

beforeAll(async () => {
  const { kube } = testEnvironment();
  const applied = await kube.kubectl(["apply", "--server-side", "--force-conflicts", "-f", "crds/"]);
  expect(applied.stderr).toBe("");
  const established = await kube.kubectl(["wait", "--for=condition=Established", "-f", "crds/", "--timeout=60s"]);
  expect(established.code).toBe(0);
  const namespaces = new Set(examples.flatMap(objectsOf).map(({ metadata }) => metadata.namespace ?? "default"));
  for (const name of namespaces) await kube.ensureNamespace(name);
});

describe("examples", () => {
  it("are there, of both kinds, in every place", () => {
    expect(files.length).toBeGreaterThanOrEqual(5);
    const kinds = (list: readonly Example[]) => new Set(list.flatMap(objectsOf).map(({ kind }) => kind));
    expect(kinds(files)).toEqual(new Set(["FederationBackend", "SecretSync"]));
    expect(kinds(pages.flatMap(examplesOf))).toEqual(new Set(["FederationBackend", "SecretSync"]));
  });

  it.each(examples)("$at passes validate", ({ at, text }) => {
    const { findings, objects } = validateManifests([{ file: at, text }]);
    expect(findings.map((finding) => findingLine(finding))).toEqual([]);
    expect(objects).toBeGreaterThan(0);
  });

  it.each(examples)("$at is accepted by the API server", async (example) => {
    const { kube } = testEnvironment();
    // By create and not by apply: what another test left under the same name would be merged into it.
    for (const object of objectsOf(example)) {
      const { name, ...metadata } = object.metadata;
      const fresh = { ...object, metadata: { ...metadata, generateName: `${name}-` } };
      const made = await kube.kubectl(["create", "--dry-run=server", "--validate=strict", "-f", "-"], {
        input: JSON.stringify(fresh),
      });
      expect(made.stderr).toBe("");
      expect(made.stdout).toContain("created (server dry run)");
    }
  });
});
