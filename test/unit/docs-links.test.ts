import { existsSync, readFileSync, statSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { describe, expect, it } from "vitest";
import { pageNames as pages } from "../docs/markdown.ts";

const root = resolve(import.meta.dirname, "../..");

/** Text without code blocks, where brackets and hashes mean something else. */
function prose(page: string): string {
  let inCode = false;
  return readFileSync(join(root, page), "utf8")
    .split("\n")
    .filter((line) => {
      const fence = line.trimStart().startsWith("```");
      if (fence) inCode = !inCode;
      return !fence && !inCode;
    })
    .join("\n");
}

/** Targets of links to files of the repository. */
function linksOf(page: string): string[] {
  const targets = [...prose(page).matchAll(/\]\(([^()\s]+)\)/g)].map((match) => match[1] ?? "");
  return targets.filter((target) => !/^[a-z][a-z0-9+.-]*:/i.test(target));
}

/** Anchors that GitHub gives the headings of a page, and those that the page sets itself. */
function anchorsOf(page: string): Set<string> {
  const text = prose(page);
  const anchors = new Set([...text.matchAll(/<a id="([\w-]+)">/g)].map((match) => match[1] ?? ""));
  for (const [, heading = ""] of text.matchAll(/^#{1,6} (.*)$/gm)) {
    const slug = heading
      .trim()
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, "")
      .replaceAll(" ", "-");
    anchors.add(slug);
  }
  return anchors;
}

/** What is wrong with a link, or nothing. */
function problemOf(page: string, target: string): string | undefined {
  const [path = "", anchor] = target.split("#");
  const file = path === "" ? join(root, page) : resolve(root, dirname(page), path);
  const within = relative(root, file);
  if (within.startsWith("..")) return `${target} leaves the repository`;
  if (!existsSync(file)) return `${target} does not exist`;
  if (anchor === undefined || statSync(file).isDirectory()) return undefined;
  return anchorsOf(within).has(anchor) ? undefined : `${target} has no such heading`;
}

describe("relative links", () => {
  it("are looked for in pages that have some", () => {
    expect(pages.flatMap(linksOf).length).toBeGreaterThan(30);
  });

  it.each(pages)("of %s resolve", (page) => {
    expect(linksOf(page).flatMap((target) => problemOf(page, target) ?? [])).toEqual([]);
  });
});
