import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { createSecureContext, rootCertificates, type SecureContext } from "node:tls";
import { Agent, type Dispatcher, ProxyAgent } from "undici";
import { SyncError } from "../errors/index.ts";
import { type Clock, systemClock } from "../time/clock.ts";
import { type AddressRules, bareHost, hostAllowed } from "./address.ts";
import type { BindRequest, BoundCredential, Destination } from "./bound.ts";
import { bindCredential } from "./bound.ts";
import { checkedConnector, type Lookup } from "./connector.ts";
import { endpointListed, parseEndpoint } from "./endpoint.ts";
import { Examination } from "./examine.ts";
import { type Exchange, HttpClient, type Timeouts } from "./http-client.ts";
import { InstanceMetadata } from "./instance-metadata.ts";

/** Default limits in milliseconds: connect, until the headers, between two pieces of the body, and the whole exchange. */
export const defaultTimeouts: Timeouts = { connectMs: 3_000, headersMs: 10_000, bodyMs: 10_000, totalMs: 20_000 };

/** The proxy for everything but the kube-apiserver. Taken from the configuration, never from the environment. */
export interface ProxyOptions {
  /** `http://[user:password@]host:port` or `https://...`. */
  readonly url: string;
  /** Hosts that are reached directly: `host`, `host:port`, `*.suffix`, `.suffix`. */
  readonly exceptions?: readonly string[] | undefined;
}

/** How all clients but the Kubernetes client reach the world. */
export interface NetworkOptions extends AddressRules {
  readonly userAgent: string;
  readonly proxy?: ProxyOptions | undefined;
  /** PEM of authorities trusted besides the built-in ones, for every destination without its own CA. */
  readonly extraCA?: string | undefined;
  /** Local environment only (needs `allowLoopback`): host name to the URL that is connected to instead. */
  readonly endpointOverrides?: Readonly<Record<string, string>> | undefined;
  readonly timeouts?: Partial<Timeouts> | undefined;
  /** Guards real sockets: give the system's clock, also where the rest runs on a virtual one. */
  readonly clock?: Clock | undefined;
  /** Told of every exchange, for metrics. */
  readonly onExchange?: ((exchange: Exchange) => void) | undefined;
  /** Name resolution, for tests of rebinding. */
  readonly lookup?: Lookup | undefined;
}

/** Makes every HTTP client but the Kubernetes one: TLS 1.2 or newer, CAs, proxy, address check, timeouts, caps, no redirects. */
export class Network {
  #options: NetworkOptions;
  /** Open clients, and how to make their connections anew. */
  readonly #clients = new Map<HttpClient, () => Dispatcher>();

  constructor(options: NetworkOptions) {
    if (Object.keys(options.endpointOverrides ?? {}).length > 0 && options.allowLoopback !== true)
      throw new SyncError("InvalidSpec", "endpointOverrides is for the local environment only (allowLoopback)");
    this.#options = options;
  }

  /** Sent with every request; clients may add the object they work for. */
  get userAgent(): string {
    return this.#options.userAgent;
  }

  get allowLoopback(): boolean {
    return this.#options.allowLoopback === true;
  }

  /** See {@link bindCredential}; address rules are those of this network. */
  bind<C>(request: BindRequest<C>): BoundCredential<C> {
    return bindCredential(request, this.#options);
  }

  /** A checked address without a credential, such as STS or an OAuth token endpoint. */
  endpoint(text: string): URL {
    return parseEndpoint(text, this.#options);
  }

  /** The URL that a destination is really reached at: itself, or the local environment's replacement. */
  effectiveURL(url: URL): URL {
    const override =
      this.#options.endpointOverrides?.[url.host] ?? this.#options.endpointOverrides?.[bareHost(url.hostname)];
    return override === undefined ? url : parseEndpoint(override, this.#options);
  }

  /** The EC2 instance's metadata service; the local environment may put a stand-in at its place. */
  instanceMetadata(): InstanceMetadata {
    const at = this.#options.endpointOverrides?.["169.254.169.254"];
    const origin = at === undefined ? {} : { origin: parseEndpoint(at, this.#options).origin };
    return new InstanceMetadata({ userAgent: this.#options.userAgent, ...origin });
  }

  /**
   * A client with a connection pool of its own for one destination.
   * @param connections most sockets at a time
   */
  open(destination: Destination, connections = 16): HttpClient {
    const url = this.effectiveURL(destination.url);
    if (!hostAllowed(url.hostname, this.#options))
      throw new SyncError("EndpointNotAllowed", "loopback, link-local and metadata addresses are refused");
    const timeouts = { ...defaultTimeouts, ...this.#options.timeouts };
    const connect = () => this.#dispatcher(url, destination.ca, timeouts, connections);
    const client: HttpClient = new HttpClient({
      origin: url.origin,
      dispatcher: connect(),
      timeouts,
      userAgent: this.#options.userAgent,
      clock: this.#options.clock ?? systemClock,
      onClose: () => void this.#clients.delete(client),
      onExchange: this.#told(destination.url.host),
    });
    this.#clients.set(client, connect);
    return client;
  }

  /**
   * Takes a new extra CA or a new URL of the proxy in: all connections are made anew, calls under way come to their end.
   * @throws SyncError InvalidSpec, and nothing has changed
   */
  replace(parts: Pick<NetworkOptions, "extraCA"> & { readonly proxyURL?: string }): void {
    const before = this.#options;
    const proxy =
      before.proxy === undefined || parts.proxyURL === undefined
        ? before.proxy
        : { ...before.proxy, url: parts.proxyURL };
    this.#options = { ...before, proxy, extraCA: parts.extraCA ?? before.extraCA };
    try {
      const renewed = [...this.#clients].map(([client, connect]) => [client, connect()] as const);
      for (const [client, dispatcher] of renewed) client.renew(dispatcher);
    } catch (error) {
      this.#options = before;
      throw error;
    }
  }

  /** Exchanges are told under the host that people wrote, not under the local environment's replacement. */
  #told(host: string): ((exchange: Exchange) => void) | undefined {
    const { onExchange } = this.#options;
    return onExchange === undefined ? undefined : (exchange) => onExchange({ ...exchange, host });
  }

  /** The way to a destination, to be looked at step by step. */
  examine(destination: Destination): Examination {
    const url = this.effectiveURL(destination.url);
    const { proxy, lookup } = this.#options;
    const timeout = this.#options.timeouts?.connectMs ?? defaultTimeouts.connectMs;
    return new Examination(url, {
      proxied: proxy !== undefined && !isException(url, proxy.exceptions ?? []),
      connect: checkedConnector({ ...this.#tls(destination.ca), timeout }, this.#options, lookup),
      rules: this.#options,
    });
  }

  /** Closes every client that is still open. */
  async close(): Promise<void> {
    await Promise.all([...this.#clients.keys()].map((client) => client.close()));
  }

  /** One context for all connections of a destination: reading a hundred certificates takes longer than a handshake. */
  #tls(ca: string | undefined): { secureContext: SecureContext; rejectUnauthorized: true; allowH2: false } {
    const { extraCA } = this.#options;
    const trusted = ca !== undefined ? [ca] : extraCA !== undefined ? [...rootCertificates, extraCA] : undefined;
    if (!(ca === undefined || isCertificates(ca)) || !(extraCA === undefined || isCertificates(extraCA)))
      throw new SyncError("InvalidSpec", "the CA is not made of PEM certificates");
    const secureContext = createSecureContext({
      minVersion: "TLSv1.2",
      ...(trusted === undefined ? {} : { ca: trusted }),
    });
    return { secureContext, rejectUnauthorized: true, allowH2: false };
  }

  #dispatcher(url: URL, ca: string | undefined, timeouts: Timeouts, connections: number): Dispatcher {
    const { proxy } = this.#options;
    const tls = { ...this.#tls(ca), timeout: timeouts.connectMs };
    const common = {
      connections,
      allowH2: false,
      pipelining: 1,
      headersTimeout: timeouts.headersMs,
      bodyTimeout: timeouts.bodyMs,
      keepAliveTimeout: 4_000,
      keepAliveMaxTimeout: 60_000,
    };
    if (proxy !== undefined && !isException(url, proxy.exceptions ?? [])) {
      const proxyTls = this.#tls(undefined);
      return new ProxyAgent({
        ...common,
        uri: proxy.url,
        proxyTunnel: true,
        requestTls: tls,
        proxyTls,
        connectTimeout: timeouts.connectMs,
      });
    }
    return new Agent({ ...common, connect: checkedConnector(tls, this.#options, this.#options.lookup) });
  }
}

function isException(url: URL, exceptions: readonly string[]): boolean {
  return endpointListed(
    url,
    exceptions.map((entry) => (entry.startsWith(".") ? `*${entry}` : entry)),
  );
}

/** Whether a text holds PEM certificates, all of them readable: what cannot be read would just be left out. */
function isCertificates(pem: string): boolean {
  const blocks = pem.split("-----BEGIN CERTIFICATE-----").slice(1);
  try {
    for (const block of blocks) new X509Certificate(`-----BEGIN CERTIFICATE-----${block}`);
  } catch {
    return false;
  }
  return blocks.length > 0;
}

/**
 * Reads a PEM file of certificate authorities.
 * @throws SyncError InvalidSpec when it cannot be read or holds no certificate
 */
export function readCAFile(path: string): string {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch {
    throw new SyncError("InvalidSpec", `the CA file ${path} cannot be read`);
  }
  if (!isCertificates(text)) throw new SyncError("InvalidSpec", `the CA file ${path} is not made of PEM certificates`);
  return text;
}
