import { readFile } from "node:fs/promises";
import { fromIni } from "@aws-sdk/credential-providers";
import type { AwsLogin } from "../config/index.ts";
import { errorCode, SyncError } from "../errors/index.ts";
import { awsRequestHandlerOf, type InstanceMetadata, type Network } from "../net/index.ts";
import { type AwsKeys, operatorCredentials } from "../sources/index.ts";

/** Keys that may be replaced at any time are asked for anew after so long, milliseconds. */
const LOOK_AGAIN_MS = 60_000;

/** What logins are made with. */
export interface LoginParts {
  readonly network: Network;
  readonly metadata: InstanceMetadata;
  /** Of the secret; where STS is asked. */
  readonly region: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** The machine's time: the SDK compares ends of keys with it. */
  readonly nowMs: () => number;
}

/**
 * The keys that the secret is read with, by mode:
 * - `InstanceRole`: the role of the EC2 instance; where there is none, `Default`.
 * - `Default`: environment, web identity, Pod Identity or container, instance, then the default profile.
 * - `Profile`: that profile, with what it names: a key, a role to assume, a program.
 * - `Explicit`: files, read again at each use, or the environment's variables.
 *
 * @returns a provider that throws SyncError LoginFailed when the mode gives no keys
 */
export function awsLogin(login: AwsLogin, parts: LoginParts): () => Promise<AwsKeys> {
  const { mode } = login;
  const named = (keys: Promise<AwsKeys>): Promise<AwsKeys> =>
    keys.catch((error: unknown) => {
      if (error instanceof SyncError) throw error;
      const why = `credentials of mode ${mode} are not to be had${hints[mode]}`;
      throw new SyncError("LoginFailed", why, { action: "log in to AWS", code: "CredentialsProviderError" });
    });
  const provider = providerOf(login, parts);
  return () => named(provider());
}

const hints: Readonly<Record<AwsLogin["mode"], string>> = {
  InstanceRole: ": the instance has no role, and the default chain found nothing",
  Default: ": no environment, web identity, Pod Identity, instance role or default profile",
  Profile: ": there is no such profile, or it names no usable key or role",
  Explicit: "",
};

function providerOf(login: AwsLogin, parts: LoginParts): () => Promise<AwsKeys> {
  switch (login.mode) {
    case "InstanceRole": {
      const otherwise = defaultChain(parts);
      return () => parts.metadata.keys().catch(otherwise);
    }
    case "Default":
      return defaultChain(parts);
    case "Profile":
      return () => profile(login, parts);
    case "Explicit":
      return () => (login.files === undefined ? fromEnvironment(parts) : fromFiles(login.files, parts));
    default:
      return login satisfies never;
  }
}

function defaultChain(parts: LoginParts): () => Promise<AwsKeys> {
  const { network, region, environment, nowMs } = parts;
  const chain = operatorCredentials({ network, region, environment, nowMs });
  return () => chain().catch(() => profile({}, parts));
}

async function profile(named: { profile?: string; profileFile?: string }, parts: LoginParts): Promise<AwsKeys> {
  const keys = await fromIni({
    ...(named.profile === undefined ? {} : { profile: named.profile }),
    ...(named.profileFile === undefined ? {} : { filepath: named.profileFile }),
    ignoreCache: true,
    clientConfig: {
      requestHandler: awsRequestHandlerOf(parts.network, parts.network.userAgent) as never,
      maxAttempts: 1,
    },
  })();
  return { ...keys, expiration: keys.expiration ?? again(parts) };
}

async function fromFiles(
  files: NonNullable<Extract<AwsLogin, { mode: "Explicit" }>["files"]>,
  parts: LoginParts,
): Promise<AwsKeys> {
  const session = files.sessionToken === undefined ? undefined : await fileText(files.sessionToken);
  return {
    accessKeyId: await fileText(files.accessKeyID),
    secretAccessKey: await fileText(files.secretAccessKey),
    ...(session === undefined ? {} : { sessionToken: session }),
    expiration: again(parts),
  };
}

function fromEnvironment({ environment }: LoginParts): Promise<AwsKeys> {
  const { AWS_ACCESS_KEY_ID: id, AWS_SECRET_ACCESS_KEY: secret, AWS_SESSION_TOKEN: session } = environment;
  if (id === undefined || secret === undefined) {
    const what = "mode Explicit without files needs the variables AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY";
    return Promise.reject(new SyncError("LoginFailed", what, { action: "log in to AWS" }));
  }
  return Promise.resolve({
    accessKeyId: id,
    secretAccessKey: secret,
    ...(session === undefined ? {} : { sessionToken: session }),
  });
}

const again = ({ nowMs }: LoginParts): Date => new Date(nowMs() + LOOK_AGAIN_MS);

async function fileText(path: string): Promise<string> {
  let text: string;
  try {
    text = (await readFile(path, "utf8")).trim();
  } catch (error) {
    throw new SyncError("LoginFailed", `the credential file ${path} cannot be read (${errorCode(error) ?? "EIO"})`);
  }
  if (text === "") throw new SyncError("LoginFailed", `the credential file ${path} is empty`);
  return text;
}
