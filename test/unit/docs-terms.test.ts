// One spelling of each term, the glossary's.
import { describe, expect, it } from "vitest";
import { readPages } from "../docs/markdown.ts";

const pages = await readPages();

/** Spellings that pages do not use, and what they say instead. */
const terms: readonly (readonly [RegExp, string])[] = [
  [/\bk8s\b/i, "Kubernetes"],
  [/\bAWS ?SM\b/, "ASM, or AWS Secrets Manager"],
  [/\bsecret manager\b/i, "AWS Secrets Manager"],
  [/\b(?:Secret Sync|Secretsync|secret sync)s?\b/, "SecretSync"],
  [/\b(?:Federation Backend|Federationbackend)s?\b/, "FederationBackend"],
  [/\bScai Vault\b|\bScaivault\b/, "ScaiVault"],
  [/\bHashicorp\b/, "HashiCorp"],
  [/\b(?:sub-tree|sub tree)\b/, "subtree"],
  [/\bback-end\b/, "FederationBackend, or store"],
  [/\b(?:sync|syncing|polling|refresh) (?:period|frequency)\b/, "interval"],
  [/\b(?:white|black)list/i, "list"],
  [/\bvalue hash\b/, "fingerprint"],
];

/** Text of a page outside of code and targets of links. */
const prose = (text: string): string =>
  text
    .replaceAll(/```[\s\S]*?```/g, "")
    .replaceAll(/`[^`\n]*`/g, "``")
    .replaceAll(/\]\([^)\s]*\)/g, "]");

describe("terms", () => {
  it.each(pages.map(({ name, text }) => ({ name, text })))("of $name are the glossary's", ({ name, text }) => {
    const found = terms.flatMap(([wrong, right]) => {
      const match = wrong.exec(prose(text));
      return match === null ? [] : [`${name}: "${match[0]}": write ${right}`];
    });
    expect(found).toEqual([]);
  });

  it("of the glossary stand in the order of the alphabet, each once", () => {
    const words = pages
      .find(({ name }) => name === "docs/glossary.md")
      ?.tables[0]?.rows.map(([word = ""]) => word.toLowerCase());
    expect(words).toEqual([...new Set(words)].toSorted((a, b) => a.localeCompare(b)));
  });
});
