import { SyncError } from "../errors/index.ts";
import { Redactor } from "./redact.ts";
import { holdsSecret, scrub } from "./scrub.ts";
import type { TarEntry } from "./tar.ts";

/** One part of a bundle: JSON data or text, or why it could not be had. */
export type Part =
  | { readonly name: string; readonly data: unknown }
  | { readonly name: string; readonly metrics: string }
  | { readonly name: string; readonly missing: string };

export interface BundleOptions {
  /** Ids in the place of names and paths; free texts are left out. */
  readonly redactPaths: boolean;
  /** Secrets that this process could read: the bundle is refused when one is in it, as a defect. */
  readonly secrets: readonly Buffer[];
}

/**
 * Files of a bundle. The order of parts decides the numbers of ids.
 * @throws SyncError Unexpected when a secret got in
 */
export function bundleEntries(parts: readonly Part[], options: BundleOptions): TarEntry[] {
  const redactor = options.redactPaths ? new Redactor() : undefined;
  const entries = parts.flatMap((part): TarEntry[] => {
    if ("missing" in part) return [];
    if ("metrics" in part)
      return [{ name: part.name, text: scrub(`${redactor?.metrics(part.metrics) ?? part.metrics}\n`) }];
    const data = redactor === undefined ? part.data : redactor.json(part.data);
    return [{ name: part.name, text: scrub(`${JSON.stringify(data, null, 2)}\n`) }];
  });
  const missing = parts.flatMap((part) => ("missing" in part ? [`${part.name}: ${part.missing}`] : []));
  const all = [{ name: "README.txt", text: readme(entries, missing, options.redactPaths) }, ...entries];
  for (const { name, text } of all)
    if (holdsSecret(text, options.secrets))
      throw new SyncError("Unexpected", `${name} would hold a credential of the operator; nothing was written`);
  return all;
}

function readme(entries: readonly TarEntry[], missing: readonly string[], redacted: boolean): string {
  return [
    "Support bundle of the ScaiVault operator.",
    "",
    "It holds no value, token, key or content of a Secret: every field in it is taken by name.",
    redacted
      ? "Names and paths are ids, the same id for the same word; free texts are left out."
      : "It names namespaces, objects, paths and hosts. With --redact-paths these are ids.",
    "",
    ...entries.map(({ name }) => `  ${name}`),
    ...(missing.length === 0 ? [] : ["", "Not in it:", ...missing.map((line) => `  ${line}`)]),
    "",
  ].join("\n");
}
