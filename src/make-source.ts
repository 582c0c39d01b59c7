import { type ResolvedBackend, credentialText, type SourceInput, type SourceMaker } from "./controllers/index.ts";
import { identityKey, type KeyRing } from "./decide/index.ts";
import { SyncError } from "./errors/index.ts";
import type { Network } from "./net/index.ts";
import {
  type AwsCredential,
  awsEndpoint,
  createAwsSource,
  createVaultSource,
  operatorCredentials,
  sourceIdentityKey,
  type VaultAuth,
} from "./sources/index.ts";
import type { Clock } from "./time/clock.ts";

/** Makes a source for a backend; the one place where a credential meets the host that it is sent to. */
export function sourceMaker(parts: {
  /** Product part of the User-Agent. */
  product: string;
  network: Network;
  clock: Clock;
  ring: KeyRing;
  environment: NodeJS.ProcessEnv;
}): SourceMaker {
  const { product, network, clock, ring, environment } = parts;
  const print = (bytes: Uint8Array) => identityKey(ring, [bytes]);
  const operator = new Map<string, ReturnType<typeof operatorCredentials>>();
  const ownKeys = (region: string) => {
    const known =
      operator.get(region) ?? operatorCredentials({ network, region, environment, nowMs: () => clock.now() });
    operator.set(region, known);
    return known;
  };
  return (input: SourceInput): ResolvedBackend => {
    const { namespace, name } = input.backend.metadata;
    const { awsSecretsManager, hashicorpVault } = input.backend.spec;
    const owner =
      input.credential === "operator" ? ({ kind: "Operator" } as const) : ({ kind: "Namespace", namespace } as const);
    const common = { network, clock: clock, userAgent: `${product} (${namespace}/${name})` };
    if (awsSecretsManager !== undefined) {
      const { region } = awsSecretsManager;
      const access = network.bind<AwsCredential>({
        service: "AWS",
        owner,
        credential: awsCredential(input, ownKeys(region)),
        endpoint: awsEndpoint(region),
        allowed: [...input.endpoints],
      });
      const key = sourceIdentityKey({ type: "aws-secrets-manager", access, region }, print);
      const id = access.credential.kind === "Static" ? access.credential.accessKeyID : "operator";
      return {
        identityKey: key,
        identity: `${region}/${id === "operator" ? id : `${id.slice(0, 4)}...${id.slice(-4)}`}`,
        create: () => createAwsSource({ ...common, access, region }),
      };
    }
    if (hashicorpVault === undefined) throw new SyncError("InvalidSpec", "the backend names no store");
    const access = network.bind<VaultAuth>({
      service: "Vault",
      owner,
      credential: vaultCredential(input),
      endpoint: hashicorpVault.address,
      allowed: [...input.endpoints],
      ...(input.ca === undefined ? {} : { ca: input.ca }),
    });
    const inside = hashicorpVault.namespace === undefined ? {} : { namespace: hashicorpVault.namespace };
    const key = sourceIdentityKey({ type: "hashicorp-vault", access, ...inside }, print);
    const identity = `${access.destination.url.host}${inside.namespace === undefined ? "" : `/${inside.namespace}`}`;
    const contentVersion = (bytes: Uint8Array) =>
      `content-${identityKey(ring, [access.destination.url.host, bytes]).slice(0, 22)}`;
    return {
      identityKey: key,
      identity,
      create: () => createVaultSource({ ...common, ...inside, access, contentVersion }),
    };
  };
}

function awsCredential(input: SourceInput, provider: ReturnType<typeof operatorCredentials>): AwsCredential {
  if (input.credential === "operator") return { kind: "Operator", provider };
  const session = input.credential.data.get("session_token");
  return {
    kind: "Static",
    accessKeyID: credentialText(input.credential, "access_key_id").bytes().toString("utf8"),
    secretAccessKey: credentialText(input.credential, "secret_access_key"),
    ...(session === undefined ? {} : { sessionToken: credentialText(input.credential, "session_token") }),
  };
}

function vaultCredential(input: SourceInput): VaultAuth {
  const auth = input.backend.spec.hashicorpVault?.auth;
  if (input.credential === "operator" || auth === undefined)
    throw new SyncError("InvalidSpec", "Vault needs a credential Secret");
  if (auth.appRole !== undefined) {
    return {
      kind: "AppRole",
      mount: auth.appRole.mount ?? "approle",
      roleID: credentialText(input.credential, "role_id"),
      secretID: credentialText(input.credential, "secret_id"),
    };
  }
  return { kind: "Token", token: credentialText(input.credential, "token") };
}
