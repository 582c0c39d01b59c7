export type { PayloadForm, SecretPayload } from "./payload.ts";
export { SecretValue } from "./secret-value.ts";
