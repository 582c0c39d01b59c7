/** The ScaiVault connection out of a secret of AWS: region, login, secret, as the configuration says. */
import { readFileSync } from "node:fs";
import type { AwsSecretLocation, Config } from "./config/index.ts";
import { awsLogin, FollowedConnection, SecretStore } from "./connection/index.ts";
import { SyncError } from "./errors/index.ts";
import { Network, readCAFile } from "./net/index.ts";
import { followNetworkFiles } from "./reload.ts";
import { type Logger, silentLogger } from "./telemetry/index.ts";
import { type Clock, systemClock } from "./time/clock.ts";
import { VERSION } from "./version.ts";

/** What of the configuration decides how the secret is reached. */
export type NetworkConfig = Pick<
  Config,
  "caFile" | "proxy" | "allowLoopback" | "endpointOverrides" | "localEnvironment"
>;

export interface ConnectOptions {
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly signal?: AbortSignal;
  readonly log?: Logger;
  readonly clock?: Clock;
  /** Told what is written to find the region, when it is not known. */
  readonly regionHint?: string;
}

/** A secret that can be reached, and what has to be closed with it. */
export interface OpenSecret {
  readonly store: SecretStore;
  readonly network: Network;
  close(): Promise<void>;
}

const REGION_FIELD = "write scaivault.connectionFrom.awsSecret.region";

/** Finds region and login out. @throws SyncError InvalidSpec when the region cannot be known */
export async function openSecret(
  config: NetworkConfig,
  secret: AwsSecretLocation,
  options: ConnectOptions,
): Promise<OpenSecret> {
  const { environment, signal, clock = systemClock, log = silentLogger } = options;
  const extraCA = config.caFile === undefined ? undefined : readCAFile(config.caFile);
  const proxyURL = config.proxy === undefined ? undefined : (config.proxy.url ?? proxyText(config.proxy.urlFile ?? ""));
  const network = new Network({
    userAgent: `scaivault-operator/${VERSION}`,
    allowLoopback: config.allowLoopback,
    endpointOverrides: config.endpointOverrides,
    ...(extraCA === undefined ? {} : { extraCA }),
    ...(proxyURL === undefined ? {} : { proxy: { url: proxyURL, exceptions: config.proxy?.noProxy } }),
  });
  const unfollow = followNetworkFiles(config, { extraCA, proxyURL }, { network, log, clock });
  const metadata = network.instanceMetadata();
  const close = async (): Promise<void> => {
    unfollow();
    await metadata.close();
    await network.close();
  };
  try {
    const region = secret.region ?? (await instanceRegion(metadata, options.regionHint ?? REGION_FIELD, signal));
    const nowMs = () => systemClock.now();
    const credentials = awsLogin(secret.credentials, { network, metadata, region, environment, nowMs });
    return { store: new SecretStore({ name: secret.name, region, network, credentials }), network, close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function instanceRegion(
  metadata: ReturnType<Network["instanceMetadata"]>,
  hint: string,
  signal: AbortSignal | undefined,
): Promise<string> {
  try {
    return await metadata.region(signal);
  } catch (error) {
    if (!(error instanceof SyncError)) throw error;
    const { detail = "" } = error;
    throw new SyncError(
      "InvalidSpec",
      `the region of the AWS secret is not known: no EC2 instance metadata (${detail}); ${hint}, or name the secret by its ARN`,
    );
  }
}

function proxyText(path: string): string {
  try {
    return readFileSync(path, "utf8").trim();
  } catch {
    throw new SyncError("InvalidSpec", `proxy.urlFile: ${path} cannot be read`);
  }
}

/**
 * The connection, where the configuration says that it is in a secret of AWS; loaded, not yet followed.
 * @throws SyncError with what to do
 */
export async function openConnection(config: Config, options: ConnectOptions): Promise<FollowedConnection | undefined> {
  const { scaivault } = config;
  if (scaivault?.auth.method !== "AwsSecret") return undefined;
  const { secret } = scaivault.auth;
  const { log = silentLogger, clock = systemClock } = options;
  const open = await openSecret(config, secret, options);
  const { store } = open;
  const follow = {
    store: {
      name: store.name,
      region: store.region,
      read: (signal?: AbortSignal) => store.read(signal),
      readUnless: (known: string | undefined, signal?: AbortSignal) => store.readUnless(known, signal),
      close: async () => {
        await store.close();
        await open.close();
      },
    },
    clock,
    log,
    intervalMs: secret.intervalMs,
    insecure: config.localEnvironment,
  };
  try {
    return await FollowedConnection.load(follow, options.signal);
  } catch (error) {
    await follow.store.close();
    throw error;
  }
}

/** The configuration with what the secret says in its place. */
export function withConnection(config: Config, connection: FollowedConnection | undefined): Config {
  const { scaivault } = config;
  if (scaivault === undefined || connection === undefined) return config;
  const { url, tenantID } = connection.settings;
  return { ...config, scaivault: { ...scaivault, url, ...(tenantID === undefined ? {} : { tenantID }) } };
}

/** The configuration for work that does not touch ScaiVault, when its connection was not read. */
export function withoutScaiVault(config: Config): Config {
  const { scaivault, ...rest } = config;
  return scaivault?.auth.method === "AwsSecret" ? rest : config;
}
