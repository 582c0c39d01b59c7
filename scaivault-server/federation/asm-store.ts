import {
  DescribeSecretCommand,
  GetSecretValueCommand,
  ListSecretsCommand,
  SecretsManagerClient,
} from "@aws-sdk/client-secrets-manager";
import { awsRequestHandler } from "../../src/net/aws-handler.ts";
import type { HttpClient } from "../../src/net/index.ts";
import { asmConfig } from "./config.ts";
import { contentOfBytes, contentOfText } from "./content.ts";
import type { Credentials } from "./credentials.ts";
import { StoreFailure, transportFailure } from "./failure.ts";
import type { RemoteRange } from "./mapping.ts";
import { Outgoing } from "./outgoing.ts";
import type { OutgoingOptions } from "./outgoing.ts";
import type { BackendConfig } from "./record.ts";
import type { CallCounts, RemoteEntry, RemoteInfo, RemoteSecret, RemoteStore } from "./remote.ts";

const mostPages = 2_000;
/** A page of ListSecrets at most. */
const pageSize = 100;

/** AWS Secrets Manager in one region. It calls ListSecrets, GetSecretValue and DescribeSecret, as the guide's policy allows. */
export class AsmStore implements RemoteStore {
  readonly calls: CallCounts = { login: 0, list: 0, read: 0, metadata: 0 };
  readonly #client: SecretsManagerClient;
  readonly #outgoing: Outgoing;

  /** @param credentials reads the credential secret as it is now */
  constructor(config: BackendConfig, options: OutgoingOptions, credentials: () => Credentials) {
    const { region, endpoint } = asmConfig(config);
    const suffix = region.startsWith("cn-") ? "amazonaws.com.cn" : "amazonaws.com";
    this.#outgoing = new Outgoing(endpoint ?? `https://secretsmanager.${region}.${suffix}`, options);
    // The handler needs `send` only.
    const transport = this.#outgoing as unknown as HttpClient;
    this.#client = new SecretsManagerClient({
      region,
      endpoint: this.#outgoing.origin,
      // Asked for at each call, so that new keys count at once. Nothing of this machine's own environment is ever used.
      credentials: () => Promise.resolve(keysOf(credentials())),
      requestHandler: awsRequestHandler(transport, "scaivault-federation") as never,
      maxAttempts: 1,
      retryMode: "standard",
      defaultsMode: "standard",
      useFipsEndpoint: false,
      useDualstackEndpoint: false,
      userAgentAppId: "scaivault-server",
      authSchemePreference: [],
    });
  }

  async check(signal?: AbortSignal): Promise<void> {
    this.calls.metadata++;
    try {
      await this.#client.send(new ListSecretsCommand({ MaxResults: 1 }), options(signal));
    } catch (error) {
      const failure = failureOf(error, signal);
      // Keys that may not list are keys that AWS knows.
      if (failure.code !== "access_denied") throw failure;
    }
  }

  async read(name: string, version?: number, signal?: AbortSignal): Promise<RemoteSecret | undefined> {
    if (version !== undefined && version !== 1) return undefined;
    this.calls.read++;
    const answer = await this.#asked(signal, () =>
      this.#client.send(new GetSecretValueCommand({ SecretId: name, VersionStage: "AWSCURRENT" }), options(signal)),
    );
    if (answer === undefined) return undefined;
    const { SecretString: text, SecretBinary: bytes } = answer;
    if (text === undefined && bytes === undefined) throw new StoreFailure("bad_answer");
    return {
      ...(text === undefined ? contentOfBytes(bytes as Uint8Array) : contentOfText(text)),
      version: 1,
      mark: answer.VersionId ?? "",
      createdAt: answer.CreatedDate?.getTime() ?? null,
    };
  }

  async describe(name: string, signal?: AbortSignal): Promise<RemoteInfo | undefined> {
    this.calls.metadata++;
    const answer = await this.#asked(signal, () =>
      this.#client.send(new DescribeSecretCommand({ SecretId: name }), options(signal)),
    );
    return answer === undefined || answer.DeletedDate !== undefined ? undefined : infoOf(answer);
  }

  async list(range: RemoteRange, signal?: AbortSignal): Promise<readonly RemoteEntry[]> {
    const entries: RemoteEntry[] = [];
    let token: string | undefined;
    for (let page = 0; page < mostPages; page++) {
      this.calls.list++;
      const next: string | undefined = token;
      const answer = await this.#listing(range.remote, next, signal);
      for (const entry of answer.SecretList ?? []) {
        const { Name: name, SecretVersionsToStages: stages } = entry;
        if (name === undefined || !(range.wild ? name.startsWith(range.remote) : name === range.remote)) continue;
        const current = Object.entries(stages ?? {}).find(([, labels]) => labels.includes("AWSCURRENT"));
        entries.push({ name, mark: current?.[0], info: infoOf(entry) });
      }
      token = answer.NextToken;
      if (token === undefined || token === "") return entries;
    }
    throw new StoreFailure("bad_answer");
  }

  close(): Promise<void> {
    this.#client.destroy();
    return this.#outgoing.close();
  }

  async #listing(prefix: string, token: string | undefined, signal: AbortSignal | undefined) {
    // A value that starts with `!` would be read as "not".
    const filter =
      prefix === "" || prefix.startsWith("!") ? {} : { Filters: [{ Key: "name" as const, Values: [prefix] }] };
    const command = new ListSecretsCommand({
      MaxResults: pageSize,
      ...filter,
      ...(token === undefined ? {} : { NextToken: token }),
    });
    try {
      return await this.#client.send(command, options(signal));
    } catch (error) {
      throw failureOf(error, signal);
    }
  }

  /** Undefined when AWS says that there is no such secret, or that it is to be deleted. */
  async #asked<T>(signal: AbortSignal | undefined, call: () => Promise<T>): Promise<T | undefined> {
    try {
      return await call();
    } catch (error) {
      const { name } = error as { name?: string };
      // InvalidRequestException: scheduled for deletion.
      if (name === "ResourceNotFoundException" || name === "InvalidRequestException") return undefined;
      throw failureOf(error, signal);
    }
  }
}

interface Described {
  readonly CreatedDate?: Date | undefined;
  readonly LastChangedDate?: Date | undefined;
  readonly Tags?: readonly { Key?: string | undefined; Value?: string | undefined }[] | undefined;
}

function infoOf({ CreatedDate: created, LastChangedDate: changed, Tags: tags }: Described): RemoteInfo {
  const createdAt = created?.getTime() ?? null;
  const updatedAt = changed?.getTime() ?? createdAt;
  return { version: 1, versions: [{ version: 1, createdAt: updatedAt }], tags: tagsOf(tags), createdAt, updatedAt };
}

const options = (signal: AbortSignal | undefined): { abortSignal?: AbortSignal } =>
  signal === undefined ? {} : { abortSignal: signal };

function keysOf({ fields }: Credentials): { accessKeyId: string; secretAccessKey: string; sessionToken?: string } {
  const session = fields["session_token"] ?? "";
  return {
    accessKeyId: fields["access_key_id"] ?? "",
    secretAccessKey: fields["secret_access_key"] ?? "",
    ...(session === "" ? {} : { sessionToken: session }),
  };
}

function tagsOf(tags: Described["Tags"]): string[] {
  return (tags ?? []).map(({ Key: key, Value: value }) => `${key ?? ""}=${value ?? ""}`).sort();
}

const refusals = new Set([
  "UnrecognizedClientException",
  "InvalidSignatureException",
  "InvalidClientTokenId",
  "ExpiredTokenException",
  "SignatureDoesNotMatch",
  "IncompleteSignature",
  "MissingAuthenticationTokenException",
]);
const denials = new Set(["AccessDeniedException", "AccessDenied", "DecryptionFailure"]);
const throttles = new Set(["ThrottlingException", "TooManyRequestsException", "RequestLimitExceeded", "Throttling"]);

/** By name only: AWS's own texts name accounts and quote requests. @throws the signal's reason when it ended the call */
function failureOf(error: unknown, signal?: AbortSignal): StoreFailure {
  if (signal?.aborted === true) throw signal.reason;
  if (error instanceof StoreFailure) return error;
  const { name = "", $metadata } = error as { name?: string; $metadata?: { httpStatusCode?: number } };
  if (refusals.has(name)) return new StoreFailure("credentials_refused");
  if (denials.has(name)) return new StoreFailure("access_denied");
  if (throttles.has(name)) return new StoreFailure("throttled");
  const status = $metadata?.httpStatusCode;
  if (status === undefined) return transportFailure(error);
  if (status === 429) return new StoreFailure("throttled");
  return new StoreFailure(status >= 500 ? "unavailable" : "bad_answer");
}
