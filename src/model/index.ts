export type { Authority, Mark, MarkReading } from "./mark.ts";
export type { PayloadForm, SecretPayload } from "./payload.ts";
export { SecretValue } from "./secret-value.ts";
