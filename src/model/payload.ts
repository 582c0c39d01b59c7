import { SyncError } from "../errors/index.ts";
import { canonicalJSON, JSONError, type JSONProblem, type JSONSlice, parseJSON, valueText } from "./json.ts";
import { SecretValue } from "./secret-value.ts";

/**
 * One secret as a store holds it, whole and unshaped.
 *
 * - `Object`: a JSON object (ASM SecretString, Vault data). `raw` is its JSON text as the store sent it; numbers keep
 *   their source text.
 * - `Text`: any other text (ASM SecretString that is no JSON object, array, number, boolean or null). `raw` is the text.
 * - `JSON`: a JSON array, number, boolean or null, that ScaiVault carries as `{"value": <json>}`. `raw` is the JSON text.
 * - `Binary`: bytes (ASM SecretBinary). `raw` is the bytes.
 */
export type PayloadForm = "Object" | "Text" | "JSON" | "Binary";

/** A secret in the inner model: the original bytes, and its keys as bytes. */
export interface SecretPayload {
  readonly form: PayloadForm;
  /** The original bytes, never re-encoded. */
  readonly raw: SecretValue;
  /**
   * Top-level key to bytes: strings as their UTF-8 bytes, everything else as its source text. Forms other than
   * `Object` have the one key `value`.
   */
  readonly keys: ReadonlyMap<string, SecretValue>;
}

const problemText: Readonly<Record<JSONProblem, string>> = {
  NotJSON: "the secret is not valid JSON",
  DuplicateKey: "the secret is a JSON object with a key twice",
  TooDeep: "the secret is nested deeper than 64 levels",
  TooManyKeys: "the secret has more than 1000 keys in one object",
};

function refused(problem: JSONProblem): SyncError {
  return new SyncError("NotRepresentable", problemText[problem], { code: problem });
}

function tryParse(text: string): JSONSlice | undefined {
  try {
    return parseJSON(text);
  } catch (error) {
    if (error instanceof JSONError && error.problem === "NotJSON") return undefined;
    throw error instanceof JSONError ? refused(error.problem) : error;
  }
}

function single(form: PayloadForm, raw: SecretValue): SecretPayload {
  return { form, raw, keys: new Map([["value", raw]]) };
}

/** Text with a half surrogate has no UTF-8 form. */
function assertWellFormed(text: string): void {
  if (!text.isWellFormed()) throw new SyncError("NotRepresentable", "the secret holds text that has no UTF-8 form");
}

function objectPayload(raw: string, parsed: JSONSlice): SecretPayload {
  const keys = new Map<string, SecretValue>();
  for (const [key, value] of parsed.members) {
    const text = valueText(value);
    assertWellFormed(key);
    assertWellFormed(text);
    keys.set(key, SecretValue.fromText(text));
  }
  return { form: "Object", raw: SecretValue.fromText(raw), keys };
}

/**
 * A secret that a store holds as text, such as ASM's SecretString. A JSON text that ScaiVault could not give back
 * character by character (white space around a number, a JSON string with its quotes) stays `Text`.
 * @throws SyncError NotRepresentable: a JSON object with a duplicate key, too deep, too many keys; a half surrogate
 */
export function payloadFromText(text: string): SecretPayload {
  assertWellFormed(text);
  const parsed = tryParse(text);
  if (parsed?.kind === "object") return objectPayload(text, parsed);
  const plain = parsed === undefined || parsed.kind === "string" || parsed.text !== text;
  return single(plain ? "Text" : "JSON", SecretValue.fromText(text));
}

/**
 * A secret that a store holds as a JSON object, such as Vault's data, by its source text.
 * @throws SyncError NotRepresentable
 */
export function payloadFromObjectText(text: string): SecretPayload {
  const parsed = tryParse(text);
  if (parsed?.kind !== "object") throw refused("NotJSON");
  return objectPayload(text, parsed);
}

/** A secret that a store holds as bytes, such as ASM's SecretBinary. Takes the buffer over. */
export function payloadFromBinary(bytes: Uint8Array): SecretPayload {
  return single("Binary", SecretValue.fromBytes(bytes));
}

/** `secret_type` of an object, and of everything that is wrapped into one key. */
export const scaivaultTypes = { object: "json", wrapped: "kv" } as const;

/** What ScaiVault is sent: the text of `data`, and the `secret_type` that says how to read it back. */
export interface ScaiVaultData {
  readonly dataText: SecretValue;
  readonly secretType: string;
}

/**
 * A secret as ScaiVault carries it. Objects go as they are; text, JSON and bytes are wrapped into one key. The type
 * tells a wrapped text from an object that happens to look like one.
 */
export function toScaiVaultData(payload: SecretPayload): ScaiVaultData {
  switch (payload.form) {
    case "Object":
      return { dataText: payload.raw, secretType: scaivaultTypes.object };
    case "Text":
      return wrapped(`{"value":${JSON.stringify(payload.raw.text() ?? "")}}`);
    case "JSON":
      return wrapped(`{"value":${payload.raw.text() ?? "null"}}`);
    case "Binary":
      return wrapped(`{"value_base64":"${payload.raw.bytes().toString("base64")}"}`);
    default:
      return payload.form satisfies never;
  }
}

const wrapped = (text: string): ScaiVaultData => ({
  dataText: SecretValue.fromText(text),
  secretType: scaivaultTypes.wrapped,
});

/**
 * The reverse of {@link toScaiVaultData}, byte by byte.
 * @throws SyncError NotRepresentable
 */
export function fromScaiVaultData(dataText: SecretValue, secretType: string): SecretPayload {
  const text = dataText.text();
  const parsed = text === undefined ? undefined : tryParse(text);
  if (text === undefined || parsed?.kind !== "object") throw refused("NotJSON");
  if (secretType !== scaivaultTypes.wrapped || parsed.members.size !== 1) return objectPayload(text, parsed);
  const value = parsed.members.get("value");
  const base64 = parsed.members.get("value_base64");
  if (value?.kind === "string") {
    const inner = valueText(value);
    assertWellFormed(inner);
    return single("Text", SecretValue.fromText(inner));
  }
  if (value !== undefined && value.kind !== "object") return single("JSON", SecretValue.fromText(value.text));
  if (base64?.kind === "string") {
    const bytes = Buffer.from(valueText(base64), "base64");
    if (bytes.toString("base64") === valueText(base64)) return single("Binary", SecretValue.fromBytes(bytes));
  }
  return objectPayload(text, parsed);
}

/** One text for equal `data`, however it is laid out. @throws SyncError NotRepresentable */
export function canonicalData(dataText: SecretValue): SecretValue {
  const parsed = tryParse(dataText.text() ?? "");
  if (parsed === undefined) throw refused("NotJSON");
  return SecretValue.fromText(canonicalJSON(parsed));
}

/** The value at a field path such as `["db", "password"]`, as bytes; undefined when there is none. */
export function fieldValue(payload: SecretPayload, path: readonly string[]): SecretValue | undefined {
  if (payload.form !== "Object") return undefined;
  const [first] = path;
  if (first !== undefined && path.length === 1) return payload.keys.get(first);
  let at: JSONSlice | undefined = tryParse(payload.raw.text() ?? "");
  for (const name of path) at = at?.kind === "object" ? at.members.get(name) : undefined;
  if (at === undefined) return undefined;
  const text = valueText(at);
  assertWellFormed(text);
  return SecretValue.fromText(text);
}
