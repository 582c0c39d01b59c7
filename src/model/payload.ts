import type { SecretValue } from "./secret-value.ts";

/**
 * One secret as a store holds it, whole and unshaped.
 *
 * - `Object`: a JSON object (ASM SecretString, Vault data). `raw` is its JSON text as the store sent it; numbers keep
 *   their source text.
 * - `Text`: any other text (ASM SecretString that is no JSON object or array). `raw` is the text.
 * - `JSON`: a JSON array or number and the like, that ScaiVault carries as `{"value": <json>}`. `raw` is the JSON text.
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
