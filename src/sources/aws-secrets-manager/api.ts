/** The narrow port to AWS Secrets Manager: what is used of it, in plain types. */
export interface AsmApi {
  /** ListSecrets, one page of at most 100, pending deletions included; the list may lag five minutes. */
  list(request: ListRequest, signal: AbortSignal): Promise<ListPage>;
  /** DescribeSecret. */
  describe(name: string, signal: AbortSignal): Promise<AsmSecret>;
  /** ListSecretVersionIds with deprecated ones: creation time (ms) by version id. */
  versions(name: string, signal: AbortSignal): Promise<ReadonlyMap<string, number>>;
  /** GetSecretValue. */
  get(request: GetRequest, signal: AbortSignal): Promise<AsmValue>;
  /** BatchGetSecretValue: AWSCURRENT of at most 20. */
  batchGet(names: readonly string[], signal: AbortSignal): Promise<BatchAnswer>;
  close(): Promise<void>;
}

export interface ListRequest {
  /** Name prefixes, at most ten; absent: the whole account. */
  readonly prefixes: readonly string[] | undefined;
  readonly token?: string | undefined;
  readonly limit: number;
}

export interface ListPage {
  readonly secrets: readonly AsmSecret[];
  readonly next: string | undefined;
}

/** Metadata of one secret. */
export interface AsmSecret {
  readonly name: string;
  readonly arn: string;
  /** Version id by stage. */
  readonly stages: ReadonlyMap<string, string>;
  readonly pendingDeletion: boolean;
  readonly changedAtMs: number | undefined;
  readonly tags: readonly string[];
  readonly description: string | undefined;
  /** Set when another AWS service owns the secret, such as `rds`. */
  readonly owningService: string | undefined;
}

export interface GetRequest {
  readonly name: string;
  readonly stage?: string | undefined;
  readonly version?: string | undefined;
}

/** One value as answered. Exactly one of `text` and `binary`, or none. */
export interface AsmValue {
  readonly name: string;
  readonly arn: string;
  readonly version: string;
  readonly text: string | undefined;
  readonly binary: Uint8Array | undefined;
}

export interface BatchAnswer {
  readonly values: readonly AsmValue[];
  /** `id` as the request named it or as an ARN. */
  readonly errors: readonly { readonly id: string; readonly code: string }[];
}

/**
 * A refusal that concerns the secret that was asked for (everything store-wide is a SyncError already). `message` is a
 * fixed text; what AWS wrote was looked at for the two facts below and dropped.
 */
export class AsmFailure extends Error {
  override readonly name = "AsmFailure";
  /** AWS's error code, such as `ResourceNotFoundException`. */
  readonly code: string;
  /** The text names the KMS key as the cause. */
  readonly kms: boolean;
  /** The text says that the secret is marked for deletion. */
  readonly deletion: boolean;

  constructor(code: string, facts: { kms?: boolean; deletion?: boolean } = {}) {
    super(code);
    this.code = code;
    this.kms = facts.kms ?? false;
    this.deletion = facts.deletion ?? false;
  }
}
