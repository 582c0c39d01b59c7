import { type DataEntry, isAllowedSecretType, parseField, patterns } from "../api/index.ts";
import { cleanText, SyncError } from "../errors/index.ts";
import {
  canonicalData,
  fieldOf,
  type JSONSlice,
  notRepresentable,
  parseJSON,
  type SecretPayload,
  SecretValue,
  sliceBytes,
  toScaiVaultData,
} from "../model/index.ts";
import type { RenderedContent } from "../ports/index.ts";
import { checkTypeKeys } from "./secret-types.ts";

/** What a SecretSync declares of its Secret. */
export interface SecretShape {
  readonly type?: string | undefined;
  readonly data?: readonly DataEntry[] | undefined;
}

/** Most bytes of a Secret's values: 1 MiB (core/v1 MaxSecretSize) less room for key names, labels and the mark. */
export const MAX_SECRET_BYTES = 1024 * 1024 - 16 * 1024;
/** Most bytes of ScaiVault's `data` (API facts 5.3). */
export const MAX_SCAIVAULT_BYTES = 1024 * 1024;

const SECRET_KEY = new RegExp(patterns.secretKey, "u");
const BASE64 = /^[A-Z\d+/]*={0,2}$/i;
const SHOWN_KEYS = 5;

/**
 * The Secret that a payload becomes: every top-level key as it is, or the declared keys. Whole or not at all.
 * @throws SyncError TypeNotAllowed, InvalidKey, FieldNotFound, NotJSON, DecodeFailed, MissingKey, InvalidTLSPair,
 *   NotRepresentable, ValueTooLarge
 */
export function renderSecret(payload: SecretPayload, shape: SecretShape = {}): RenderedContent {
  const type = shape.type ?? "Opaque";
  if (!isAllowedSecretType(type))
    throw new SyncError("TypeNotAllowed", `Secrets of type ${cleanText(type, 64)} are not written`);
  const keys = shape.data === undefined ? new Map(payload.keys) : picked(payload, shape.data);
  checkKeys(keys);
  checkTypeKeys(type, keys);
  let size = 0;
  for (const value of keys.values()) size += value.length;
  if (size > MAX_SECRET_BYTES)
    throw new SyncError("ValueTooLarge", `the Secret would have ${size} bytes, at most ${MAX_SECRET_BYTES} fit`);
  return { keys, payload, type };
}

/**
 * What ScaiVault gets: the whole secret, unshaped; the canonical data under the key `data`, so that layout makes no
 * difference.
 * @throws SyncError NotRepresentable, ValueTooLarge
 */
export function renderScaiVault(payload: SecretPayload): RenderedContent {
  const { data, secretType } = toScaiVaultData(payload);
  if (data.length > MAX_SCAIVAULT_BYTES)
    throw new SyncError("ValueTooLarge", `the secret has ${data.length} bytes as ScaiVault's data, at most 1 MiB fits`);
  return { keys: new Map([["data", canonicalData(data)]]), payload, type: secretType };
}

function checkKeys(keys: ReadonlyMap<string, SecretValue>): void {
  const bad = [...keys.keys()].filter(
    (key) => key.length > 253 || !SECRET_KEY.test(key) || key === "." || key.startsWith(".."),
  );
  if (bad.length === 0) return;
  const shown = bad
    .slice(0, SHOWN_KEYS)
    .map((key) => JSON.stringify(cleanText(key, 32)))
    .join(", ");
  const more = bad.length > SHOWN_KEYS ? ` and ${bad.length - SHOWN_KEYS} more` : "";
  throw new SyncError("InvalidKey", `${bad.length} of ${keys.size} keys are no Secret keys: ${shown}${more}`);
}

function picked(payload: SecretPayload, entries: readonly DataEntry[]): Map<string, SecretValue> {
  const root = lazy(() => objectOf(payload));
  const keys = new Map<string, SecretValue>();
  for (const { key, field, decode } of entries) {
    const value = field === undefined ? payload.raw : fieldValue(root(), key, field);
    keys.set(key, decode === "Base64" ? decoded(value, key) : value);
  }
  return keys;
}

function fieldValue(root: JSONSlice | undefined, key: string, field: string): SecretValue {
  const path = parseField(field);
  if (root === undefined) throw new SyncError("NotJSON", `data[${key}].field needs a secret that is a JSON object`);
  const found = path === undefined ? undefined : fieldOf(root, path);
  if (found === undefined)
    throw new SyncError("FieldNotFound", `the secret has no ${cleanText(field, 128)} (for key ${key})`);
  return sliceBytes(found);
}

/** The payload as a JSON object; undefined when it is none. */
function objectOf(payload: SecretPayload): JSONSlice | undefined {
  const text = payload.form === "Object" ? payload.raw.text() : undefined;
  if (text === undefined) return undefined;
  try {
    return parseJSON(text);
  } catch (error) {
    throw notRepresentable(error);
  }
}

function lazy<T>(make: () => T): () => T {
  let made: { readonly value: T } | undefined;
  return () => (made ??= { value: make() }).value;
}

/** Standard Base64 with padding; line breaks, as tools put them in, do not matter. */
function decoded(value: SecretValue, key: string): SecretValue {
  const text = value
    .text()
    ?.replace(/[\r\n]/g, "")
    .trim();
  const bytes = text === undefined || !BASE64.test(text) ? undefined : Buffer.from(text, "base64");
  if (bytes === undefined || bytes.toString("base64") !== text)
    throw new SyncError("DecodeFailed", `the value for key ${key} is not Base64`);
  return SecretValue.fromBytes(bytes);
}
