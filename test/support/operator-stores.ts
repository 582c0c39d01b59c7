/** The stores of one test file: an AWS account and a ScaiVault of its own, and what people do to them. */
import {
  CreateSecretCommand,
  DeleteSecretCommand,
  DescribeSecretCommand,
  GetSecretValueCommand,
  PutSecretValueCommand,
  ResourceExistsException,
  RestoreSecretCommand,
  SecretsManagerClient,
  TagResourceCommand,
  UpdateSecretVersionStageCommand,
} from "@aws-sdk/client-secrets-manager";
import type { AsmCall, AsmProxy } from "../../local/asm-proxy.ts";

export const REGION = "us-east-1";
/** Keys of the operator in the AWS emulator. */
export const operatorKey = { accessKeyId: "AKIAOPERATOROPERATOR", secretAccessKey: "operator-secret-access-key" };
const seedKey = { accessKeyId: "AKIASEEDSEEDSEEDSEED", secretAccessKey: "seed-secret-access-key" };

/** What the operator asked of AWS. */
export interface AwsCounts {
  readonly total: number;
  readonly byAction: Readonly<Record<string, number>>;
  readonly valueReads: number;
}

/** What a team does to its secrets in AWS; not counted. */
export class AwsTeam {
  readonly #asm: AsmProxy;
  readonly #client: SecretsManagerClient;

  constructor(asm: AsmProxy) {
    this.#asm = asm;
    this.#client = new SecretsManagerClient({
      region: REGION,
      endpoint: asm.url,
      credentials: seedKey,
      maxAttempts: 3,
    });
  }

  /** Writes a value as the current version, creating the secret when needed. @returns the version id */
  async put(name: string, value: string | Uint8Array): Promise<string> {
    const content = typeof value === "string" ? { SecretString: value } : { SecretBinary: value };
    try {
      return (await this.#client.send(new CreateSecretCommand({ Name: name, ...content }))).VersionId ?? "";
    } catch (error) {
      if (!(error instanceof ResourceExistsException)) throw error;
      return (await this.#client.send(new PutSecretValueCommand({ SecretId: name, ...content }))).VersionId ?? "";
    }
  }

  /** A secret without any value. */
  async putEmpty(name: string): Promise<void> {
    await this.#client.send(new CreateSecretCommand({ Name: name }));
  }

  /** Adds a version that only `stage` names. */
  async stage(name: string, value: string, stage: string): Promise<string> {
    const made = await this.#client.send(
      new PutSecretValueCommand({ SecretId: name, SecretString: value, VersionStages: [stage] }),
    );
    return made.VersionId ?? "";
  }

  /** Moves AWSCURRENT, such as back to an older version. */
  async moveCurrent(name: string, from: string, to: string): Promise<void> {
    await this.#client.send(
      new UpdateSecretVersionStageCommand({
        SecretId: name,
        VersionStage: "AWSCURRENT",
        MoveToVersionId: to,
        RemoveFromVersionId: from,
      }),
    );
  }

  /** The current text. */
  async read(name: string): Promise<string | undefined> {
    return (await this.#client.send(new GetSecretValueCommand({ SecretId: name }))).SecretString;
  }

  async arn(name: string): Promise<string> {
    return (await this.#client.send(new DescribeSecretCommand({ SecretId: name }))).ARN ?? "";
  }

  /** Stages by version id. */
  async stages(name: string): Promise<Readonly<Record<string, readonly string[]>>> {
    return (await this.#client.send(new DescribeSecretCommand({ SecretId: name }))).VersionIdsToStages ?? {};
  }

  async tag(name: string, tags: Readonly<Record<string, string>>): Promise<void> {
    const Tags = Object.entries(tags).map(([Key, Value]) => ({ Key, Value }));
    await this.#client.send(new TagResourceCommand({ SecretId: name, Tags }));
  }

  /** Removes it at once. */
  async remove(name: string): Promise<void> {
    await this.#client.send(new DeleteSecretCommand({ SecretId: name, ForceDeleteWithoutRecovery: true }));
  }

  /** Schedules the deletion. */
  async schedule(name: string): Promise<void> {
    await this.#client.send(new DeleteSecretCommand({ SecretId: name, RecoveryWindowInDays: 7 }));
  }

  async restore(name: string): Promise<void> {
    await this.#client.send(new RestoreSecretCommand({ SecretId: name }));
  }

  /** The operator's calls since the last reset. */
  calls(): AsmCall[] {
    return this.#asm.calls().filter((call) => call.accessKeyId !== seedKey.accessKeyId);
  }

  counts(): AwsCounts {
    const calls = this.calls();
    const byAction: Record<string, number> = {};
    for (const { action } of calls) byAction[action] = (byAction[action] ?? 0) + 1;
    return { total: calls.length, byAction, valueReads: calls.reduce((sum, call) => sum + call.valueReads, 0) };
  }

  close(): void {
    this.#client.destroy();
  }
}

/** Runs work on many things, some at a time. */
export async function each<T>(items: readonly T[], atOnce: number, work: (item: T) => Promise<void>): Promise<void> {
  const waiting = [...items];
  const worker = async (): Promise<void> => {
    for (let item = waiting.shift(); item !== undefined; item = waiting.shift()) await work(item);
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
}
