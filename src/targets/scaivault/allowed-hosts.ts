import type { RawMembers } from "../../scaivault/index.ts";

/** Metadata key by which the owner of credentials at a ScaiVault path says which hosts they may be sent to. */
const KEY = "allowed_hosts";

/**
 * The hosts that credentials allow, as `HOST`, `HOST:PORT` or `*.DOMAIN`: a list of texts, or one text with commas or spaces
 * between them. Anything else allows nothing.
 */
export function allowedHosts(custom: RawMembers): readonly string[] {
  const text = custom.get(KEY);
  const value: unknown = text === undefined ? undefined : JSON.parse(text);
  const parts = typeof value === "string" ? value.split(/[\s,]+/) : Array.isArray(value) ? (value as unknown[]) : [];
  return parts.filter((part): part is string => typeof part === "string" && part !== "").slice(0, 100);
}

/** One text, which every tenant's metadata can hold. */
export function withAllowedHosts(custom: RawMembers, hosts: readonly string[]): RawMembers {
  return new Map([...custom, [KEY, JSON.stringify(hosts.join(","))]]);
}

export function sameHosts(a: readonly string[], b: readonly string[]): boolean {
  return JSON.stringify([...a].sort()) === JSON.stringify([...b].sort());
}
