import type { SecretMetadata } from "../../scaivault/index.ts";

/**
 * Where our mark stands in ScaiVault: one custom metadata key a field, a string each. This file is all that knows it;
 * should a tenant drop custom keys, the mark moves to tags here.
 */
const PREFIX = "scaivault_operator_";

function isMarkKey(key: string): boolean {
  return key.startsWith(PREFIX);
}

/** Fields of the mark as stored; a value that is no string is kept as its JSON text, which no proof fits. */
export function storedMark(metadata: SecretMetadata): ReadonlyMap<string, string> {
  const fields = new Map<string, string>();
  for (const [key, text] of metadata.custom) {
    if (!isMarkKey(key)) continue;
    const value: unknown = JSON.parse(text);
    fields.set(key.slice(PREFIX.length).replaceAll("_", "-"), typeof value === "string" ? value : text);
  }
  return fields;
}

/** The metadata with this mark instead of whatever mark it had. */
export function withMark(metadata: SecretMetadata, fields: ReadonlyMap<string, string>): SecretMetadata {
  const custom = new Map(withoutMark(metadata).custom);
  for (const [name, value] of fields) custom.set(PREFIX + name.replaceAll("-", "_"), JSON.stringify(value));
  return { ...metadata, custom };
}

/** The metadata without our mark. */
export function withoutMark(metadata: SecretMetadata): SecretMetadata {
  return { ...metadata, custom: new Map([...metadata.custom].filter(([key]) => !isMarkKey(key))) };
}

/** Keys that our mark takes in this metadata. */
export function markKeys(metadata: SecretMetadata): readonly string[] {
  return [...metadata.custom.keys()].filter(isMarkKey);
}
