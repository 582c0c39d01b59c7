export { canonicalJSON, JSONError, type JSONProblem, type JSONSlice, parseJSON, valueText } from "./json.ts";
export type { Authority, Mark, MarkReading } from "./mark.ts";
export {
  canonicalData,
  fieldValue,
  fromScaiVaultData,
  payloadFromBinary,
  payloadFromObjectText,
  payloadFromText,
  type PayloadForm,
  type ScaiVaultData,
  scaivaultTypes,
  type SecretPayload,
  toScaiVaultData,
} from "./payload.ts";
export { SecretValue } from "./secret-value.ts";
