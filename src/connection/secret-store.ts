import { randomUUID } from "node:crypto";
import {
  DescribeSecretCommand,
  GetSecretValueCommand,
  PutSecretValueCommand,
  SecretsManagerClient,
  UpdateSecretVersionStageCommand,
} from "@aws-sdk/client-secrets-manager";
import { type AwsSecretRef, parseAwsSecretRef } from "../config/index.ts";
import { SyncError } from "../errors/index.ts";
import type { SecretValue } from "../model/index.ts";
import { awsRequestHandler, type HttpClient, type Network } from "../net/index.ts";
import { AsmFailure, type AwsCredential, type AwsKeys, awsEndpoint, classifyAwsError } from "../sources/index.ts";

const CURRENT = "AWSCURRENT";

/** The secret as it was read. */
export interface SecretRead {
  /** Id of the version that is current; undefined when the secret has none yet. */
  readonly version: string | undefined;
  /** Its text; undefined when there is none or it is binary. */
  readonly text: string | undefined;
}

/** How {@link SecretStore} reaches its secret. */
export interface SecretStoreOptions {
  /** Name, id or ARN; checked. */
  readonly name: string;
  readonly region: string;
  readonly network: Network;
  readonly credentials: () => Promise<AwsKeys>;
}

/**
 * The one secret of AWS that holds the ScaiVault connection. It is never made and never deleted here. The SDK retries nothing; callers
 * ask again.
 */
export class SecretStore {
  readonly name: string;
  readonly region: string;
  readonly #client: SecretsManagerClient;
  readonly #http: HttpClient;
  readonly #ref: AwsSecretRef;
  /** What AWS knows it by, once that was found out. */
  #id: string;
  #mayDescribe = true;

  constructor({ name, region, network, credentials }: SecretStoreOptions) {
    this.name = name;
    this.region = region;
    this.#ref = parseAwsSecretRef(name) ?? { id: name, region: undefined, nameOfID: undefined };
    this.#id = this.#ref.id;
    const access = network.bind<AwsCredential>({
      service: "AWS",
      owner: { kind: "Operator" },
      credential: { kind: "Operator", provider: credentials },
      endpoint: awsEndpoint(region),
      allowed: [],
    });
    this.#http = network.open(access.destination, 2);
    this.#client = new SecretsManagerClient({
      region,
      endpoint: this.#http.origin,
      credentials,
      requestHandler: awsRequestHandler(this.#http, network.userAgent) as never,
      maxAttempts: 1,
      retryMode: "standard",
      // Everything that the SDK would look up in files and environment otherwise.
      defaultsMode: "standard",
      useFipsEndpoint: false,
      useDualstackEndpoint: false,
      userAgentAppId: "scaivault-operator",
      authSchemePreference: [],
    });
  }

  /** The current version with its text. @throws SyncError CredentialNotFound, AccessDenied, LoginFailed, SourceUnavailable, RateLimited */
  async read(signal?: AbortSignal): Promise<SecretRead> {
    try {
      return await this.#value(this.#id, signal);
    } catch (error) {
      if (!isMissing(error)) throw this.#failed(error, "secretsmanager:GetSecretValue");
    }
    const byID = await this.#valueOfID(signal);
    if (byID !== undefined) return byID;
    // AWS says the same of a secret without a value.
    await this.#describe("secretsmanager:DescribeSecret", signal);
    return { version: undefined, text: undefined };
  }

  /**
   * The same as {@link read} when the current version is another one than `known`; else undefined. It reads no value to find that
   * out, unless `secretsmanager:DescribeSecret` is denied.
   */
  async readUnless(known: string | undefined, signal?: AbortSignal): Promise<SecretRead | undefined> {
    if (this.#mayDescribe) {
      try {
        const current = await this.#describe("secretsmanager:DescribeSecret", signal);
        if (current !== undefined && current === known) return undefined;
      } catch (error) {
        if (!(error instanceof SyncError) || error.reason !== "AccessDenied") throw error;
        this.#mayDescribe = false;
      }
    }
    const now = await this.read(signal);
    return now.version === known ? undefined : now;
  }

  /**
   * Makes `text` the current version if that is still `before`: the new version is stored beside it, and AWS moves the label only
   * from the version that is named. Of two writers one wins and the other is told.
   *
   * @returns the id of the new version
   * @throws SyncError Conflict, and nothing has changed; else as {@link read}
   */
  async replace(before: string | undefined, text: SecretValue, signal?: AbortSignal): Promise<string> {
    const version = randomUUID();
    const label = `scaivault-operator-${version}`;
    const put = new PutSecretValueCommand({
      SecretId: this.#id,
      ClientRequestToken: version,
      SecretString: text.text() ?? "",
      VersionStages: [label],
    });
    await this.#send("secretsmanager:PutSecretValue", (options) => this.#client.send(put, options), signal);
    try {
      // A first version is made current by AWS itself.
      const now = before === undefined ? await this.#describe("secretsmanager:DescribeSecret", signal) : before;
      if (now === undefined || (before !== undefined && now === before)) await this.#move(version, before, signal);
      else if (now !== version) throw conflict(this.name);
    } finally {
      // Without a label AWS forgets a version; the label has no other use.
      await this.#unlabel(label, version, signal).catch(() => undefined);
    }
    return version;
  }

  async close(): Promise<void> {
    this.#client.destroy();
    await this.#http.close();
  }

  async #value(id: string, signal?: AbortSignal): Promise<SecretRead & { arn: string }> {
    const command = new GetSecretValueCommand({ SecretId: id, VersionStage: CURRENT });
    const answer = await this.#client.send(command, { ...(signal === undefined ? {} : { abortSignal: signal }) });
    return { version: answer.VersionId, text: answer.SecretString, arn: answer.ARN ?? "" };
  }

  /** The text may be an id as an ARN ends in: then the name in it has to lead to just that ARN. */
  async #valueOfID(signal?: AbortSignal): Promise<SecretRead | undefined> {
    const { nameOfID, id } = this.#ref;
    if (nameOfID === undefined || this.#id !== id) return undefined;
    try {
      const found = await this.#value(nameOfID, signal);
      if (!found.arn.endsWith(`:secret:${id}`)) return undefined;
      this.#id = found.arn;
      return found;
    } catch {
      // Another secret's name, and maybe not ours to read.
      return undefined;
    }
  }

  /** Id of the current version. */
  #describe(right: string, signal?: AbortSignal): Promise<string | undefined> {
    return this.#send(
      right,
      async (options) => {
        const answer = await this.#client.send(new DescribeSecretCommand({ SecretId: this.#id }), options);
        if (answer.DeletedDate !== undefined) throw this.#deleted();
        return Object.entries(answer.VersionIdsToStages ?? {}).find(([, stages]) => stages.includes(CURRENT))?.[0];
      },
      signal,
    );
  }

  async #move(version: string, before: string | undefined, signal?: AbortSignal): Promise<void> {
    const command = new UpdateSecretVersionStageCommand({
      SecretId: this.#id,
      VersionStage: CURRENT,
      MoveToVersionId: version,
      ...(before === undefined ? {} : { RemoveFromVersionId: before }),
    });
    try {
      await this.#client.send(command, { ...(signal === undefined ? {} : { abortSignal: signal }) });
    } catch (error) {
      const failure = classifyAwsError(error, "move AWSCURRENT", () => 0);
      if (
        failure instanceof AsmFailure &&
        /^Invalid(?:Parameter|Request)Exception$|^ValidationException$/.test(failure.code)
      )
        throw conflict(this.name);
      throw this.#failed(error, "secretsmanager:UpdateSecretVersionStage");
    }
  }

  async #unlabel(label: string, version: string, signal?: AbortSignal): Promise<void> {
    const command = new UpdateSecretVersionStageCommand({
      SecretId: this.#id,
      VersionStage: label,
      RemoveFromVersionId: version,
    });
    await this.#client.send(command, { ...(signal === undefined ? {} : { abortSignal: signal }) });
  }

  async #send<T>(
    right: string,
    work: (options: { abortSignal?: AbortSignal }) => Promise<T>,
    signal?: AbortSignal,
  ): Promise<T> {
    try {
      return await work(signal === undefined ? {} : { abortSignal: signal });
    } catch (error) {
      throw this.#failed(error, right);
    }
  }

  /** @param right the IAM action that was used */
  #failed(error: unknown, right: string): SyncError {
    const action = `read the AWS secret ${this.name}`;
    const failure = classifyAwsError(error, action, () => 1_000);
    if (!(failure instanceof AsmFailure)) return failure;
    const { code } = failure;
    if (isMissing(failure)) return this.#missing();
    if (failure.deletion) return this.#deleted();
    const needed = failure.kms || code === "DecryptionFailure" ? "kms:Decrypt" : right;
    if (/^AccessDenied|^DecryptionFailure$/.test(code)) {
      const message = `AWS denies ${needed} on the secret ${this.name} in ${this.region}; allow it to the operator's identity (docs/rights.md)`;
      return new SyncError("AccessDenied", message, { action, right: needed, code });
    }
    return new SyncError("SourceUnavailable", `AWS refuses ${right} on the secret ${this.name}`, { action, code });
  }

  #missing(): SyncError {
    const { id, region } = this.#ref;
    const make =
      region === undefined
        ? `aws secretsmanager create-secret --region ${this.region} --name ${id} --secret-string '{}'`
        : "make it with aws secretsmanager create-secret --secret-string '{}', and write its ARN";
    return new SyncError("CredentialNotFound", `there is no AWS secret ${id} in ${this.region}: ${make}`, {
      code: "ResourceNotFoundException",
    });
  }

  #deleted(): SyncError {
    const restore = `aws secretsmanager restore-secret --region ${this.region} --secret-id ${this.#ref.id}`;
    return new SyncError("CredentialNotFound", `the AWS secret ${this.#ref.id} is scheduled for deletion: ${restore}`, {
      code: "InvalidRequestException",
    });
  }
}

function isMissing(error: unknown): boolean {
  const failure = classifyAwsError(error, "", () => 0);
  return failure instanceof AsmFailure && failure.code === "ResourceNotFoundException";
}

function conflict(name: string): SyncError {
  const message = `somebody else wrote the AWS secret ${name} at the same time, and that stands; nothing of yours was taken in: look with config show, then decide`;
  return new SyncError("Conflict", message, { code: "VersionMoved" });
}
