import {
  createCredentialChain,
  fromContainerMetadata,
  fromEnv,
  fromHttp,
  fromInstanceMetadata,
  fromTokenFile,
} from "@aws-sdk/credential-providers";
import type { SecretValue } from "../../model/index.ts";
import { awsRequestHandler, type Network } from "../../net/index.ts";
import { SyncError } from "../../errors/index.ts";

/** Keys in the form that the AWS SDK takes. */
export interface AwsKeys {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
  readonly expiration?: Date;
}

/** How a backend authenticates at AWS. */
export type AwsCredential =
  | {
      readonly kind: "Static";
      readonly accessKeyID: string;
      readonly secretAccessKey: SecretValue;
      readonly sessionToken?: SecretValue | undefined;
    }
  /** The operator's own identity, made by the composition root (see {@link operatorCredentials}). */
  | { readonly kind: "Operator"; readonly provider: () => Promise<AwsKeys> };

/** The SDK's provider of a credential. */
export function credentialProvider(credential: AwsCredential): () => Promise<AwsKeys> {
  if (credential.kind === "Operator") return credential.provider;
  return async () => {
    const secret = credential.secretAccessKey.text();
    const session = credential.sessionToken?.text();
    if (secret === undefined || secret === "")
      throw new SyncError("CredentialInvalid", "secret_access_key is not text");
    return {
      accessKeyId: credential.accessKeyID,
      secretAccessKey: secret,
      ...(session === undefined || session === "" ? {} : { sessionToken: session }),
    };
  };
}

/** Keys are fetched anew this long before they expire. */
const EARLY_MS = 5 * 60_000;

/**
 * The operator's AWS identity: environment, web identity token file (IRSA), Pod Identity or container metadata, instance
 * metadata. Profiles, SSO and `credential_process` are never asked: they run programs or read files of the machine. One
 * provider is shared by all sources; keys are kept until shortly before they expire, and concurrent calls share one fetch.
 *
 * @param options.region of the STS endpoint for web identity
 */
export function operatorCredentials(options: {
  network: Network;
  region: string;
  environment?: NodeJS.ProcessEnv;
  nowMs: () => number;
}): () => Promise<AwsKeys> {
  const { network, region } = options;
  const environment = options.environment ?? process.env;
  const chain: Parameters<typeof createCredentialChain> = [fromEnv()];
  if (environment["AWS_WEB_IDENTITY_TOKEN_FILE"] !== undefined) {
    const suffix = region.startsWith("cn-") ? "amazonaws.com.cn" : "amazonaws.com";
    const sts = network.open({ url: network.endpoint(`https://sts.${region}.${suffix}`) }, 2);
    chain.push(
      fromTokenFile({
        clientConfig: {
          region,
          endpoint: sts.origin,
          requestHandler: awsRequestHandler(sts, network.userAgent) as never,
          maxAttempts: 1,
        },
      }),
    );
  }
  if (environment["AWS_CONTAINER_CREDENTIALS_FULL_URI"] !== undefined)
    chain.push(fromHttp({ timeout: 2_000, maxRetries: 1 }));
  else if (environment["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"] !== undefined)
    chain.push(fromContainerMetadata({ timeout: 2_000, maxRetries: 1 }));
  const disabled = environment["AWS_EC2_METADATA_DISABLED"];
  if (disabled === undefined || disabled === "false")
    chain.push(fromInstanceMetadata({ timeout: 1_000, maxRetries: 1 }));
  return memoized(createCredentialChain(...chain), options.nowMs);
}

function memoized(provider: () => Promise<AwsKeys>, nowMs: () => number): () => Promise<AwsKeys> {
  let keys: AwsKeys | undefined;
  let running: Promise<AwsKeys> | undefined;
  return () => {
    if (keys !== undefined && (keys.expiration === undefined || keys.expiration.getTime() - nowMs() > EARLY_MS))
      return Promise.resolve(keys);
    running ??= provider()
      .then((fetched) => (keys = fetched))
      .finally(() => (running = undefined));
    return running;
  };
}
