import {
  BatchGetSecretValueCommand,
  DescribeSecretCommand,
  GetSecretValueCommand,
  ListSecretsCommand,
  ListSecretVersionIdsCommand,
  SecretsManagerClient,
} from "@aws-sdk/client-secrets-manager";
import { awsRequestHandler, type BoundCredential, type HttpClient, type Network } from "../../net/index.ts";
import { Semaphore } from "../concurrency.ts";
import { aborted, trouble } from "../limits.ts";
import type { StorePause } from "../pause.ts";
import type { AsmApi, AsmSecret, AsmValue, BatchAnswer, GetRequest, ListPage, ListRequest } from "./api.ts";
import type { AwsCredential } from "./credentials.ts";
import { credentialProvider } from "./credentials.ts";
import { classify } from "./errors.ts";

/** Sockets to one endpoint; calls beyond wait in order. */
const CONNECTIONS = 12;
const MAX_VERSION_PAGES = 20;

export interface SdkApiOptions {
  readonly access: BoundCredential<AwsCredential>;
  readonly region: string;
  readonly network: Network;
  readonly pause: StorePause;
  readonly userAgent?: string | undefined;
}

/** The port over the AWS SDK. The SDK retries nothing: its retries would sleep in our workers. */
export function createSdkApi(options: SdkApiOptions): AsmApi {
  return new SdkApi(options);
}

class SdkApi implements AsmApi {
  readonly #client: SecretsManagerClient;
  readonly #http: HttpClient;
  readonly #pause: StorePause;
  readonly #places = new Semaphore(CONNECTIONS);

  constructor(options: SdkApiOptions) {
    const { access, network } = options;
    this.#pause = options.pause;
    this.#http = network.open(access.destination, CONNECTIONS);
    this.#client = new SecretsManagerClient({
      region: options.region,
      endpoint: this.#http.origin,
      credentials: credentialProvider(access.credential),
      requestHandler: awsRequestHandler(this.#http, options.userAgent ?? network.userAgent) as never,
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

  list(request: ListRequest, signal: AbortSignal): Promise<ListPage> {
    return this.#call("list secrets", signal, async () => {
      const answer = await this.#client.send(
        new ListSecretsCommand({
          MaxResults: request.limit,
          IncludePlannedDeletion: true,
          ...(request.token === undefined ? {} : { NextToken: request.token }),
          ...(request.prefixes === undefined ? {} : { Filters: [{ Key: "name", Values: [...request.prefixes] }] }),
        }),
        { abortSignal: signal },
      );
      const secrets = (answer.SecretList ?? []).map((entry) =>
        secretOf({ ...entry, VersionIdsToStages: entry.SecretVersionsToStages }),
      );
      return { secrets, next: answer.NextToken === "" ? undefined : answer.NextToken };
    });
  }

  describe(name: string, signal: AbortSignal): Promise<AsmSecret> {
    return this.#call(`describe ${name}`, signal, async () =>
      secretOf(await this.#client.send(new DescribeSecretCommand({ SecretId: name }), { abortSignal: signal })),
    );
  }

  versions(name: string, signal: AbortSignal): Promise<ReadonlyMap<string, number>> {
    const action = `list versions of ${name}`;
    return this.#call(action, signal, async () => {
      const created = new Map<string, number>();
      let token: string | undefined;
      for (let page = 0; page < MAX_VERSION_PAGES; page++) {
        const answer = await this.#client.send(
          new ListSecretVersionIdsCommand({
            SecretId: name,
            IncludeDeprecated: true,
            MaxResults: 100,
            ...(token === undefined ? {} : { NextToken: token }),
          }),
          { abortSignal: signal },
        );
        for (const { VersionId, CreatedDate } of answer.Versions ?? [])
          if (VersionId !== undefined && CreatedDate !== undefined) created.set(VersionId, CreatedDate.getTime());
        token = answer.NextToken;
        if (token === undefined || token === "") return created;
      }
      throw trouble(action, "TooManyVersions");
    });
  }

  get(request: GetRequest, signal: AbortSignal): Promise<AsmValue> {
    return this.#call(`read ${request.name}`, signal, async () => {
      const command = new GetSecretValueCommand({
        SecretId: request.name,
        ...(request.stage === undefined ? {} : { VersionStage: request.stage }),
        ...(request.version === undefined ? {} : { VersionId: request.version }),
      });
      return valueOf(await this.#client.send(command, { abortSignal: signal }));
    });
  }

  batchGet(names: readonly string[], signal: AbortSignal): Promise<BatchAnswer> {
    return this.#call(`read ${names.length} secrets`, signal, async () => {
      const command = new BatchGetSecretValueCommand({ SecretIdList: [...names] });
      const answer = await this.#client.send(command, { abortSignal: signal });
      return {
        values: (answer.SecretValues ?? []).map(valueOf),
        errors: (answer.Errors ?? []).map((error) => ({
          id: error.SecretId ?? "",
          code: error.ErrorCode ?? "Unknown",
        })),
      };
    });
  }

  async close(): Promise<void> {
    this.#client.destroy();
    await this.#http.close();
  }

  #call<T>(action: string, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    const pause = this.#pause;
    return pause.sending(signal, (refused) =>
      this.#places.run(
        async () => {
          pause.check(action);
          try {
            const answer = await work();
            pause.answered();
            return answer;
          } catch (error) {
            throw classify(error, action, () => refused(undefined));
          }
        },
        signal,
        () => aborted(action),
      ),
    );
  }
}

interface SdkSecret {
  Name?: string | undefined;
  ARN?: string | undefined;
  VersionIdsToStages?: Record<string, string[]> | undefined;
  DeletedDate?: Date | undefined;
  LastChangedDate?: Date | undefined;
  Tags?: { Key?: string | undefined; Value?: string | undefined }[] | undefined;
  Description?: string | undefined;
  OwningService?: string | undefined;
}

function secretOf(entry: SdkSecret): AsmSecret {
  const stages = new Map<string, string>();
  for (const [version, names] of Object.entries(entry.VersionIdsToStages ?? {}))
    for (const stage of names) stages.set(stage, version);
  return {
    name: entry.Name ?? "",
    arn: entry.ARN ?? "",
    stages,
    pendingDeletion: entry.DeletedDate !== undefined,
    changedAtMs: entry.LastChangedDate?.getTime(),
    tags: (entry.Tags ?? []).map((tag) => `${tag.Key ?? ""}=${tag.Value ?? ""}`),
    description: entry.Description,
    owningService: entry.OwningService,
  };
}

interface SdkValue {
  Name?: string | undefined;
  ARN?: string | undefined;
  VersionId?: string | undefined;
  SecretString?: string | undefined;
  SecretBinary?: Uint8Array | undefined;
}

function valueOf(entry: SdkValue): AsmValue {
  return {
    name: entry.Name ?? "",
    arn: entry.ARN ?? "",
    version: entry.VersionId ?? "",
    text: entry.SecretString,
    binary: entry.SecretBinary,
  };
}
