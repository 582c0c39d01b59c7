/**
 * Which check a code block gets: by its language, by what it holds, or by the note before it. A block without a known check is
 * a failed test. CONTRIBUTING.md tells writers of pages the notes.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parseAllDocuments } from "yaml";
import { type Block, root } from "./markdown.ts";

/** What is done with a block. */
export type Check =
  /** Objects for the API server: `validate` for those of our kinds, a server-side dry run for all; with `apply` for real. */
  | { readonly kind: "objects"; readonly apply: boolean }
  /** Values of the chart: rendered, the configuration loaded, the objects sent to the API server as a dry run. */
  | { readonly kind: "values" }
  /** The operator's configuration file. */
  | { readonly kind: "config" }
  /** A merge patch of an object of the stage, such as `secretsync/stripe`. */
  | { readonly kind: "patch"; readonly of: string }
  /** A part of an object of somebody else's kind, which is not served here: parsed only. */
  | { readonly kind: "foreign"; readonly what: string }
  /** Lines of a file that has tests of its own. */
  | { readonly kind: "excerpt"; readonly file: string }
  /** An IAM policy: the source works with exactly these rights (rights.test.ts). */
  | { readonly kind: "iam" }
  /** A Vault policy: the source works with exactly these rights (rights.test.ts). */
  | { readonly kind: "vault-policy" }
  /** A policy of ScaiVault with the scopes of its note: the operator works with exactly these rights (rights.test.ts). */
  | { readonly kind: "scaivault-policy" }
  /** A seed of the ScaiVault reference server. */
  | { readonly kind: "seed" }
  /** Commands for bash, run on the stage; with `until` in the background until that URL answers. */
  | { readonly kind: "shell"; readonly until: string | undefined }
  /** Commands after `$ ` and what they print, run on the stage. */
  | { readonly kind: "console" }
  /** A picture or free text. */
  | { readonly kind: "text" };

const ours = "scaivault.scailabs.ai/";

/** Top-level keys of the chart's values. */
const valueKeys = new Set(
  Object.keys(
    (
      JSON.parse(readFileSync(join(root, "charts/scaivault-operator/values.schema.json"), "utf8")) as {
        properties: object;
      }
    ).properties,
  ),
);

/** The documents of a YAML block. */
export function documentsOf(text: string): Record<string, unknown>[] {
  return parseAllDocuments(text)
    .map((one) => {
      if (one.errors[0] !== undefined) throw one.errors[0];
      return one.toJS() as Record<string, unknown> | null;
    })
    .filter((one): one is Record<string, unknown> => typeof one === "object" && one !== null);
}

/** Whether an object is of our kinds. */
export const isOurs = (object: Record<string, unknown>): boolean => String(object["apiVersion"]).startsWith(ours);

function yamlCheck(block: Block): Check | string {
  const { note } = block;
  const [operand] = note?.operands ?? [];
  if (note?.word === "values" || note?.word === "config") return { kind: note.word };
  if (note?.word === "apply") return { kind: "objects", apply: true };
  if (note?.word === "patch") return operand === undefined ? "patch of what?" : { kind: "patch", of: operand };
  if (note?.word === "foreign") return operand === undefined ? "foreign what?" : { kind: "foreign", what: operand };
  if (block.meta === "config") return { kind: "config" };
  const documents = documentsOf(block.text);
  if (documents.length > 0 && documents.every((one) => "apiVersion" in one && "kind" in one))
    return { kind: "objects", apply: false };
  const keys = documents.flatMap(Object.keys);
  if (keys.length > 0 && keys.every((key) => valueKeys.has(key))) return { kind: "values" };
  return "YAML that is neither objects nor values of the chart needs a note: config, patch KIND/NAME, foreign KIND";
}

function jsonCheck(block: Block): Check | string {
  if (block.note?.word === "seed") return { kind: "seed" };
  const value = JSON.parse(block.text) as Record<string, unknown>;
  if (Array.isArray(value["Statement"])) return { kind: "iam" };
  if (Array.isArray(value["rules"])) return { kind: "scaivault-policy" };
  if (typeof value["apiVersion"] === "string") return { kind: "objects", apply: false };
  return "JSON that is no policy of AWS or ScaiVault needs a note: seed, excerpt FILE";
}

/** The check of a block, or why there is none. */
export function checkOf(block: Block): Check | string {
  if (block.indented) return "an indented block says no language: use a fence";
  const { note } = block;
  if (note?.word === "excerpt")
    return note.operands[0] === undefined ? "excerpt of what?" : { kind: "excerpt", file: note.operands[0] };
  try {
    switch (block.lang) {
      case "yaml":
        return yamlCheck(block);
      case "json":
        return jsonCheck(block);
      case "hcl":
        return { kind: "vault-policy" };
      case "sh":
        return { kind: "shell", until: note?.word === "background" ? note.options["until"] : undefined };
      case "console":
        return { kind: "console" };
      case "text":
        return { kind: "text" };
    }
  } catch (error) {
    return error instanceof Error ? error.message : "not parsed";
  }
  return `no check is known for the language "${block.lang}": take yaml, json, hcl, sh, console or text, or the note excerpt FILE`;
}
