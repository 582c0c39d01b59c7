export { canonicalJSON, fieldOf, JSONError, type JSONProblem, type JSONSlice, parseJSON, valueText } from "./json.ts";
export type { Authority, Mark, MarkReading } from "./mark.ts";
export {
  notRepresentable,
  payloadFromBinary,
  payloadFromObjectText,
  payloadFromText,
  type PayloadForm,
  type SecretPayload,
  sliceBytes,
} from "./payload.ts";
export {
  canonicalData,
  fromScaiVaultData,
  type ScaiVaultData,
  scaiVaultCodec,
  toScaiVaultData,
} from "./scaivault-data.ts";
export { SecretValue } from "./secret-value.ts";
export type * from "./federation.ts";
