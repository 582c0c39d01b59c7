/** ScaiVault as the controllers see it: its client, login, rate budget, target, news and federation, wired together. */
import { Observations } from "./catalogue/index.ts";
import type { Config } from "./config/index.ts";
import type { FollowedConnection } from "./connection/index.ts";
import type { FederationSide, ScaiVaultSide } from "./controllers/index.ts";
import type { createMarkSeal } from "./decide/index.ts";
import type { SyncError } from "./errors/index.ts";
import { followedLogin, place } from "./make-login.ts";
import type { Destination, HttpClient, Network } from "./net/index.ts";
import { News, newsFeed } from "./news/index.ts";
import {
  clientCredentials,
  FederationClient,
  RateBudget,
  type RateBudgetOptions,
  ScaiVaultClient,
  type ScaiVaultOptions,
  secretFile,
  tokenExchange,
  tokenFile,
  type TokenProvider,
} from "./scaivault/index.ts";
import { allowedHosts, createScaiVaultTarget } from "./targets/index.ts";
import { errorFields, type Logger, type Metrics } from "./telemetry/index.ts";
import { type Clock, systemClock } from "./time/clock.ts";

/** The connection to ScaiVault, below the side that the controllers see. */
export interface ScaiVaultConnection {
  readonly client: ScaiVaultClient;
  readonly tokens: TokenProvider;
  readonly http: HttpClient;
  readonly destination: Destination;
  /** What stands before `/v1`. */
  readonly basePath: string;
}

/** What the ScaiVault side is made of. */
interface Parts {
  readonly network: Network;
  readonly clock: Clock;
  readonly metrics: Metrics;
  readonly log: Logger;
  readonly seal: ReturnType<typeof createMarkSeal>;
  /** Throws when writes must stop. */
  readonly guard: () => void;
  /** Product part of the User-Agent. */
  readonly product: string;
  /** Nothing is written, whatever the role. */
  readonly looksOnly: boolean;
  readonly limits: RateBudgetOptions["limits"];
  /** With `auth.method: AwsSecret`: the connection as it was loaded. */
  readonly loaded: FollowedConnection | undefined;
}

/** The ScaiVault side and the connection below it; undefined where the configuration has none. @throws SyncError InvalidSpec */
export function makeScaiVault(
  config: Config,
  parts: Parts,
): { readonly side: ScaiVaultSide; readonly connection: ScaiVaultConnection } | undefined {
  const { scaivault } = config;
  if (scaivault === undefined) return undefined;
  const { network, clock, log, seal } = parts;
  const { limits: configured, rateShare: share, role, tenantID } = scaivault;
  const budget = new RateBudget({ clock, share, limits: { ...configured, ...parts.limits } });
  const { connection, options } = connect(config, scaivault, budget, parts);
  const { client, destination, basePath } = connection;
  const target = createScaiVaultTarget({ client, seal, clock });
  const side: ScaiVaultSide = {
    role,
    takeOverFrom: new Set(scaivault.takeOverFrom),
    target,
    observations: observationsOf(target, parts),
    list: listingOf(client),
    federation: federationOf(new FederationClient(options), { client, budget, network }),
    id: `${destination.url.host}${basePath}/${tenantID ?? ""}`,
    ...newsOf(config, { client, clock, log }),
  };
  return { side, connection };
}

/** The connection, and the options that all its clients share. */
function connect(
  config: Config,
  scaivault: NonNullable<Config["scaivault"]>,
  budget: RateBudget,
  { network, clock, metrics, log, guard, product, looksOnly, loaded }: Parts,
): { readonly connection: ScaiVaultConnection; readonly options: ScaiVaultOptions } {
  const { url, path: basePath } = place(network, scaivault.url ?? "");
  const ca = loaded?.settings.ca;
  const destination: Destination = { url, ...(ca === undefined ? {} : { ca }) };
  const http = network.open(destination);
  const onFailure = (error: SyncError): void => log.warn("ScaiVault login failed", errorFields(error));
  const optionsWith = (tokens: TokenProvider): ScaiVaultOptions => ({
    http,
    basePath,
    clock: systemClock,
    userAgent: product,
    cluster: config.cluster.name,
    guard,
    readOnly: looksOnly || scaivault.role === "Reader",
    budget,
    tokens,
    ...(scaivault.tenantID === undefined ? {} : { tenant: scaivault.tenantID }),
    ...(scaivault.tenantIn === undefined ? {} : { tenantIn: scaivault.tenantIn }),
    onCall: ({ category, status, ms }) => metrics.scaivaultCall(category, String(status), ms),
  });
  const clientWith = (tokens: TokenProvider): ScaiVaultClient => new ScaiVaultClient(optionsWith(tokens));
  const tokens = tokensOf(scaivault.auth, { network, http, basePath, clock, product, onFailure, loaded, clientWith });
  const connection = { client: clientWith(tokens), tokens, http, destination, basePath };
  return { connection, options: optionsWith(tokens) };
}

function federationOf(
  backends: FederationClient,
  { client, budget, network }: { client: ScaiVaultClient; budget: RateBudget; network: Network },
): FederationSide {
  return {
    backends,
    perMinute: () => budget.perMinute("federation"),
    allowedHosts: async (path, signal) => {
      const found = await client.metadata(path, { signal, lane: "user" });
      return found === undefined ? undefined : allowedHosts(found.metadata.custom);
    },
    checkAddress: (address) => void network.endpoint(address),
  };
}

function observationsOf(
  target: ScaiVaultSide["target"],
  { clock, log }: Pick<Parts, "clock" | "log">,
): ScaiVaultSide["observations"] {
  return new Observations({
    target,
    clock,
    onReachability: (now) => {
      if (now.state === "Failing")
        log.warn("ScaiVault failing", { reason: now.error.reason, message: now.error.message });
      else log.info("ScaiVault reachable");
    },
  });
}

/** All paths below a prefix. */
function listingOf(client: ScaiVaultClient): ScaiVaultSide["list"] {
  return async (prefix, signal) => {
    const paths: string[] = [];
    for await (const page of client.list(prefix, { signal, lane: "verification" }))
      for (const { path } of page) paths.push(path);
    return paths;
  };
}

/** ScaiVault's news, unless they are off. What is said of them is said once for each way that they stand. */
function newsOf(
  { scaivault, cluster }: Config,
  { client, clock, log }: { client: ScaiVaultClient; clock: Clock; log: Logger },
): Pick<ScaiVaultSide, "news"> {
  if (scaivault?.news !== "Subscription") return {};
  const news = new News({
    feed: newsFeed(client, cluster.name),
    clock,
    onMode(mode, error) {
      const fields = error === undefined ? {} : errorFields(error);
      if (mode === "Refused" || mode === "Unsupported")
        log.warn("ScaiVault tells no news: changes there are seen by polling only", fields);
      else log.info(`ScaiVault news ${mode.toLowerCase()}`, fields);
    },
  });
  return { news };
}

function tokensOf(
  auth: NonNullable<Config["scaivault"]>["auth"],
  parts: {
    network: Network;
    http: ReturnType<Network["open"]>;
    basePath: string;
    clock: Clock;
    product: string;
    onFailure: (error: SyncError) => void;
    loaded: FollowedConnection | undefined;
    clientWith: (tokens: TokenProvider) => ScaiVaultClient;
  },
): TokenProvider {
  const { network, http, basePath, clock, product, onFailure, loaded } = parts;
  const common = { clock, userAgent: product, onFailure };
  switch (auth.method) {
    case "TokenFile":
      return tokenFile(auth.tokenFile, clock);
    case "ClientCredentials": {
      const { url, path } = place(network, auth.tokenURL);
      return clientCredentials({
        ...common,
        http: network.open({ url }, 2),
        tokenPath: path,
        clientID: secretFile(auth.clientIDFile, clock),
        clientSecret: secretFile(auth.clientSecretFile, clock),
        clientAuth: "Form",
        ...(auth.scope === undefined ? {} : { scope: auth.scope }),
      });
    }
    case "TokenExchange": {
      const own = auth.url === undefined ? undefined : place(network, auth.url);
      return tokenExchange({
        ...common,
        http: own === undefined ? http : network.open({ url: own.url }, 2),
        basePath: own === undefined ? basePath : own.path.replace(/\/v1\/auth\/exchange$/, ""),
        subjectToken: secretFile(auth.subjectTokenFile, clock),
        ...(auth.audience === undefined ? {} : { audience: auth.audience }),
        ...(auth.scope === undefined ? {} : { scope: auth.scope }),
        ...(auth.role === undefined ? {} : { role: auth.role }),
      });
    }
    case "AwsSecret":
      return followedLogin(loaded, { network, clock, onFailure, clientWith: parts.clientWith });
    default:
      return auth satisfies never;
  }
}
