import { SyncError } from "../errors/index.ts";
import { JSONError, type JSONProblem, type JSONSlice, parseJSON, valueText } from "./json.ts";
import { SecretValue } from "./secret-value.ts";

/**
 * One secret as a store holds it, whole and unshaped.
 *
 * - `Object`: a JSON object (ASM SecretString, Vault data). `raw` is its JSON text as the store sent it; numbers keep
 *   their source text.
 * - `Text`: any other text (ASM SecretString that is no JSON object or array). `raw` is the text.
 * - `JSON`: a JSON array or number and the like, that ScaiVault carries as `{"value": <json>}`. `raw` is the JSON text,
 *   in the one spelling that a server which parses and prints it again does not change.
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

/** Name of the only key of a secret that is no JSON object. */
export const VALUE_KEY = "value";

const explained: Readonly<Record<JSONProblem, string>> = {
  NotJSON: "the secret is no JSON object",
  DuplicateKey: "the secret's JSON has one key twice",
  TooDeep: "the secret's JSON is nested more than 64 levels deep",
  TooManyKeys: "the secret's JSON has more than 1000 keys in one object",
};

/** The error of a JSON text that cannot be carried; code and offset only, never the text. */
export function notRepresentable(error: unknown): SyncError {
  if (error instanceof SyncError) return error;
  if (!(error instanceof JSONError)) return new SyncError("NotRepresentable", "the secret cannot be carried as it is");
  const where = error.offset === undefined ? "" : ` (at offset ${error.offset})`;
  return new SyncError("NotRepresentable", explained[error.problem] + where, { code: error.problem });
}

/** The value that stands for the bytes of a member; lone surrogates have no bytes. */
export function sliceBytes(slice: JSONSlice): SecretValue {
  const text = valueText(slice);
  if (!text.isWellFormed()) throw lone();
  return SecretValue.fromText(text);
}

function lone(): SyncError {
  return new SyncError("NotRepresentable", "the secret has half of a surrogate pair, which has no UTF-8 bytes");
}

function single(form: "Text" | "JSON" | "Binary", raw: SecretValue): SecretPayload {
  return { form, raw, keys: new Map([[VALUE_KEY, raw]]) };
}

/**
 * The payload of a JSON object in its source text (Vault data).
 * @throws SyncError NotRepresentable when it is no object, or has duplicate keys, too many keys or too much depth
 */
export function payloadFromObjectText(json: string): SecretPayload {
  if (!json.isWellFormed()) throw lone();
  try {
    const root = parseJSON(json);
    if (root.kind !== "object") throw new JSONError("NotJSON");
    const keys = new Map<string, SecretValue>();
    for (const [key, member] of root.members) {
      if (!key.isWellFormed()) throw lone();
      keys.set(key, sliceBytes(member));
    }
    return { form: "Object", raw: SecretValue.fromText(json), keys };
  } catch (error) {
    throw notRepresentable(error);
  }
}

/**
 * The payload of a text (ASM SecretString). A JSON object becomes `Object`. Another JSON value becomes `JSON` only when
 * its text survives being parsed and printed, so that `007`, `1e5`, `[1, 2]` and numbers above 2^53 stay `Text`, byte by
 * byte; so does a JSON string, whose quotes may be part of the secret.
 * @throws SyncError NotRepresentable for an object with duplicate keys, too many keys or too much depth
 */
export function payloadFromText(text: string): SecretPayload {
  if (!text.isWellFormed()) throw lone();
  if (text.trimStart().startsWith("{")) {
    try {
      return payloadFromObjectText(text);
    } catch (error) {
      // Something that merely begins like an object is a text; a broken object is refused, since it would change form.
      if (!(error instanceof SyncError) || error.code !== "NotJSON") throw error;
    }
  } else if (survivesPrinting(text)) return single("JSON", SecretValue.fromText(text));
  return single("Text", SecretValue.fromText(text));
}

/** @param bytes taken over */
export function payloadFromBinary(bytes: Uint8Array): SecretPayload {
  return single("Binary", SecretValue.fromBytes(bytes));
}

/** True for a JSON array, number, `true`, `false` or `null` that prints exactly as it is written. */
export function survivesPrinting(text: string): boolean {
  if (!/^[-0-9[tfn]/.test(text)) return false;
  try {
    const root = parseJSON(text);
    return root.kind !== "string" && root.kind !== "object" && JSON.stringify(JSON.parse(text)) === text;
  } catch {
    return false;
  }
}
