export { AsmFailure } from "./aws-secrets-manager/api.ts";
export { type AwsCredential, type AwsKeys, operatorCredentials } from "./aws-secrets-manager/credentials.ts";
export { classify as classifyAwsError } from "./aws-secrets-manager/errors.ts";
export { nameOfARN } from "./aws-secrets-manager/names.ts";
export { awsEndpoint, type AwsSourceOptions, createAwsSource } from "./aws-secrets-manager/source.ts";
export { createVaultSource, type VaultSourceOptions } from "./hashicorp-vault/source.ts";
export type { VaultAuth } from "./hashicorp-vault/token.ts";
export { type SourceIdentity, sourceIdentityKey } from "./identity.ts";
export { defaultLimits, type PollLimits } from "./limits.ts";
