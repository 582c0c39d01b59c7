import { SyncError } from "../errors/index.ts";
import { canonicalJSON, JSONError, parseJSON, valueText } from "./json.ts";
import {
  notRepresentable,
  payloadFromBinary,
  payloadFromObjectText,
  type SecretPayload,
  survivesPrinting,
  VALUE_KEY,
} from "./payload.ts";
import { SecretValue } from "./secret-value.ts";

/**
 * How secrets look as ScaiVault's `data`, which is always a JSON object (API facts 4.4). `secret_type` tells the forms
 * apart, so that an object that happens to be `{"value": "x"}` is not taken for the text `x`:
 *
 * | form   | data                         | secret_type |
 * |--------|------------------------------|-------------|
 * | Object | its own text                 | json        |
 * | Text   | `{"value": "<text>"}`        | kv          |
 * | JSON   | `{"value": <json>}`          | kv          |
 * | Binary | `{"value_base64": "<base64>"}` | kv          |
 */
export interface ScaiVaultData {
  /** JSON text of an object. */
  readonly data: SecretValue;
  readonly secretType: "json" | "kv";
}

const BASE64_KEY = "value_base64";

/** @throws SyncError NotRepresentable for a text whose bytes are not UTF-8 */
export function toScaiVaultData(payload: SecretPayload): ScaiVaultData {
  const { form, raw } = payload;
  if (form === "Object") return { data: raw, secretType: "json" };
  if (form === "Binary") {
    const text = `{"${BASE64_KEY}":"${raw.bytes().toString("base64")}"}`;
    return { data: SecretValue.fromText(text), secretType: "kv" };
  }
  const text = raw.text();
  if (text === undefined) throw new SyncError("NotRepresentable", "the secret's text is not valid UTF-8");
  const value = form === "JSON" ? text : JSON.stringify(text);
  return { data: SecretValue.fromText(`{"${VALUE_KEY}":${value}}`), secretType: "kv" };
}

/**
 * The reverse of {@link toScaiVaultData}. Data of others is taken as an object unless it has exactly one of the forms
 * above; the keys come out the same either way.
 * @throws SyncError NotRepresentable when it is no JSON object, or one that cannot be taken
 */
export function fromScaiVaultData(data: SecretValue, secretType: string): SecretPayload {
  const text = data.text();
  if (text === undefined) throw new SyncError("NotRepresentable", "the secret's data is not valid UTF-8");
  return (secretType === "kv" ? wrapped(text) : undefined) ?? payloadFromObjectText(text);
}

function wrapped(text: string): SecretPayload | undefined {
  try {
    const root = parseJSON(text);
    if (root.kind !== "object" || root.members.size !== 1) return undefined;
    const plain = root.members.get(VALUE_KEY);
    if (plain?.kind === "string") {
      const value = valueText(plain);
      return value.isWellFormed() ? single("Text", value) : undefined;
    }
    if (plain !== undefined) return survivesPrinting(plain.text) ? single("JSON", plain.text) : undefined;
    const encoded = root.members.get(BASE64_KEY);
    if (encoded?.kind !== "string") return undefined;
    const base64 = valueText(encoded);
    const bytes = Buffer.from(base64, "base64");
    // Only the one spelling that we write: anything else is somebody's own text.
    return bytes.toString("base64") === base64 ? payloadFromBinary(bytes) : undefined;
  } catch (error) {
    throw notRepresentable(error);
  }
}

function single(form: "Text" | "JSON", text: string): SecretPayload {
  const raw = SecretValue.fromText(text);
  return { form, raw, keys: new Map([[VALUE_KEY, raw]]) };
}

/**
 * One text for equal data, however it is laid out: key order, white space and the spelling of numbers do not matter.
 * @throws SyncError NotRepresentable
 */
export function canonicalData(data: SecretValue): SecretValue {
  const text = data.text();
  if (text === undefined) throw new SyncError("NotRepresentable", "the secret's data is not valid UTF-8");
  try {
    const root = parseJSON(text);
    if (root.kind !== "object") throw new JSONError("NotJSON");
    return SecretValue.fromText(canonicalJSON(root));
  } catch (error) {
    throw notRepresentable(error);
  }
}

/** The three functions as one, as targets take them. */
export const scaiVaultCodec = {
  data: (payload: SecretPayload): SecretValue => toScaiVaultData(payload).data,
  canonical: canonicalData,
  payload: fromScaiVaultData,
} as const;
