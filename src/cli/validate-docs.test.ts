import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { configProblemLine, loadConfig } from "../config/index.ts";
import { findingLine } from "./findings.ts";
import { validateManifests } from "./validate.ts";

interface Block {
  readonly page: string;
  readonly line: number;
  readonly info: string;
  readonly text: string;
}

const pages = [
  "README.md",
  ...readdirSync("docs")
    .filter((name) => name.endsWith(".md"))
    .map((name) => `docs/${name}`),
];

function blocksOf(page: string): readonly Block[] {
  let text: string;
  try {
    text = readFileSync(page, "utf8");
  } catch {
    return [];
  }
  return [...text.matchAll(/^```(yaml[^\n]*)\n(.*?)^```$/gms)].map((match) => ({
    page,
    line: text.slice(0, match.index).split("\n").length,
    info: match[1] ?? "",
    text: match[2] ?? "",
  }));
}

const blocks = pages.flatMap(blocksOf);

describe("YAML in the docs", () => {
  const manifests = blocks.filter((block) => block.text.includes("apiVersion: scaivault.scailabs.ai/"));
  it("has examples of both kinds", () => {
    for (const kind of ["FederationBackend", "SecretSync"])
      expect(manifests.some((block) => block.text.includes(`kind: ${kind}`))).toBe(true);
  });

  it.each(manifests)("$page:$line is valid", ({ page, text }) => {
    const { findings, objects } = validateManifests([{ file: page, text }]);
    expect(findings.map((finding) => findingLine(finding))).toEqual([]);
    expect(objects).toBeGreaterThan(0);
  });

  it.each(blocks.filter((block) => block.info === "yaml config"))(
    "$page:$line is a configuration",
    ({ page, text }) => {
      const result = loadConfig({ file: page, text }, {});
      expect(result.ok ? [] : result.problems.map(configProblemLine)).toEqual([]);
    },
  );
});
