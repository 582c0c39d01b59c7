// Every code block of every page has a check, and what needs no real parts is checked here. The rest is done by test/docs.
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { findingLine } from "../../src/cli/findings.ts";
import { validateManifests } from "../../src/cli/validate.ts";
import { configProblemLine, loadConfig } from "../../src/config/index.ts";
import { stringify } from "yaml";
import { type Check, checkOf, documentsOf, isOurs } from "../docs/checks.ts";
import { consoleCommands, entryFor, notRun, scriptCommands } from "../docs/commands.ts";
import { type Block, parsePage, readPages, root } from "../docs/markdown.ts";

const pages = await readPages();
const blocks = pages.flatMap((page) => page.blocks);
const checked = blocks.flatMap((block) => {
  const check = checkOf(block);
  return typeof check === "string" ? [] : [{ at: block.at, block, check }];
});
const of = (kind: Check["kind"]) => checked.filter(({ check }) => check.kind === kind);

/** What bash says about commands that it only parses. */
function syntaxProblems(commands: string): string {
  return spawnSync("bash", ["-n"], { input: commands, encoding: "utf8" }).stderr;
}
const commandsOf = (block: Block): string[] =>
  block.lang === "console" ? consoleCommands(block.text).map(({ text }) => text) : scriptCommands(block.text);

describe("code blocks", () => {
  it.each(blocks.map((block) => ({ at: block.at, block })))("$at has a check", ({ block }) => {
    const check = checkOf(block);
    expect(typeof check === "string" ? check : "").toBe("");
  });

  it.each([...of("shell"), ...of("console")])("$at is understood by bash", ({ block }) => {
    const commands = commandsOf(block);
    expect(commands.filter((text) => text.trim() === "")).toEqual([]);
    expect(syntaxProblems(commands.join("\n"))).toBe("");
  });

  it.each(of("objects"))("$at passes validate", ({ block }) => {
    const ours = documentsOf(block.text).filter(isOurs);
    const { findings } = validateManifests([
      { file: block.page, text: ours.map((one) => stringify(one)).join("---\n") },
    ]);
    expect(findings.map((finding) => findingLine(finding))).toEqual([]);
  });

  it.each(of("config"))("$at is a configuration", ({ block }) => {
    const result = loadConfig({ file: block.page, text: block.text }, {});
    expect(result.ok ? [] : result.problems.map(configProblemLine)).toEqual([]);
  });

  it.each([...of("foreign"), ...of("patch")])("$at is one YAML mapping", ({ block }) => {
    expect(documentsOf(block.text)).toHaveLength(1);
  });

  it.each(of("excerpt"))("$at stands in its file", ({ block, check }) => {
    const file = check.kind === "excerpt" ? check.file : "";
    expect(existsSync(join(root, file)), file).toBe(true);
    const lines = (text: string) =>
      text
        .split("\n")
        .map((line) => line.trim())
        .filter((line) => line !== "")
        .join("\n");
    expect(lines(readFileSync(join(root, file), "utf8"))).toContain(lines(block.text));
  });
});

describe("commands that do not run in tests", () => {
  const commands = [...of("shell"), ...of("console")].flatMap(({ block }) => commandsOf(block));
  it.each(notRun)("$command is needed, and says why", ({ command, why, instead }) => {
    expect(commands.some((text) => command.test(text.trim()))).toBe(true);
    expect(why).not.toBe("");
    if (instead !== undefined) expect(existsSync(join(root, instead)), instead).toBe(true);
  });

  it("are few", () => {
    const left = commands.filter((text) => entryFor(text) !== undefined);
    expect(left.length).toBeLessThan(commands.length / 2);
  });
});

describe("a block that nobody can check", () => {
  it.each([
    ["without a language", "```\nls\n```\n"],
    ["of an unknown language", "```lua\nreturn 1\n```\n"],
    ["indented", "text\n\n    npm test\n"],
    ["of YAML that is anything", "```yaml\nfoo: 1\n```\n"],
    ["of JSON that is anything", '```json\n{"a": 1}\n```\n'],
    ["of broken YAML", "```yaml\na: [1\n```\n"],
  ])("%s has no check", async (_what, text) => {
    const page = await parsePage("x.md", text);
    expect(page.blocks.map((block) => typeof checkOf(block))).toEqual(["string"]);
  });

  it("is told apart from one with a note", async () => {
    const page = await parsePage(
      "x.md",
      "- a\n\n  <!-- check: patch secretsync/stripe file=a.yaml -->\n\n  ```yaml\n  spec: {}\n  ```\n",
    );
    expect(page.blocks.map(checkOf)).toEqual([{ kind: "patch", of: "secretsync/stripe" }]);
    expect(page.blocks[0]?.note?.options).toEqual({ file: "a.yaml" });
  });
});
