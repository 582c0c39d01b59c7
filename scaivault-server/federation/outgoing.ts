import { rootCertificates } from "node:tls";
import { Agent } from "undici";
import { hostAllowed, toNetError } from "../../src/net/index.ts";
import { checkedConnector } from "../../src/net/connector.ts";
import { StoreFailure, transportFailure } from "./failure.ts";

/** How the server reaches stores. */
export interface OutgoingOptions {
  /** Host name (with or without port) to the URL that is asked instead, so that real names lead to local stores. */
  readonly overrides?: Readonly<Record<string, string>>;
  /** PEM of authorities that are trusted besides the built-in ones. */
  readonly ca?: string;
  /** Longest time of one call, in real ms. Default 10 seconds. */
  readonly timeoutMs?: number;
}

/** One exchange with a store. */
export interface OutgoingRequest {
  readonly method: string;
  /** Encoded path with its query. */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
  /** True for a call that may not be made twice, such as a login. */
  readonly once?: boolean;
}

export interface OutgoingAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

const mostBytes = 8 * 1024 * 1024;
const connectMs = 3_000;
const defaultTimeoutMs = 10_000;

/** Connections to one store. Redirects are answers like others: credentials go to one address only. */
export class Outgoing {
  readonly origin: string;
  readonly #agent: Agent;
  readonly #timeoutMs: number;

  /** @throws StoreFailure when the address is one that is never asked (link-local, metadata services). */
  constructor(
    endpoint: string,
    options: OutgoingOptions,
    tls: { readonly verify?: boolean; readonly ca?: string | undefined } = {},
  ) {
    const url = new URL(endpoint);
    const real = new URL(options.overrides?.[url.host] ?? options.overrides?.[url.hostname] ?? endpoint);
    if (!hostAllowed(real.hostname, { allowLoopback: true })) throw new StoreFailure("unreachable");
    this.origin = real.origin;
    this.#timeoutMs = options.timeoutMs ?? defaultTimeoutMs;
    const ca = tls.ca ?? (options.ca === undefined ? undefined : [...rootCertificates, options.ca]);
    this.#agent = new Agent({
      connections: 8,
      allowH2: false,
      headersTimeout: this.#timeoutMs,
      bodyTimeout: this.#timeoutMs,
      connect: checkedConnector(
        {
          rejectUnauthorized: tls.verify !== false,
          minVersion: "TLSv1.2",
          timeout: connectMs,
          allowH2: false,
          ...(ca === undefined ? {} : { ca }),
        },
        { allowLoopback: true },
      ),
    });
  }

  /**
   * A call whose kept connection turns out to be closed is made again on a new one, once.
   * @throws StoreFailure; the signal's reason when it ends the call
   */
  async send(request: OutgoingRequest, signal?: AbortSignal): Promise<OutgoingAnswer> {
    const limit = AbortSignal.timeout(this.#timeoutMs);
    const ends = signal === undefined ? limit : AbortSignal.any([limit, signal]);
    try {
      return await this.#once(request, ends).catch((error: unknown) => {
        if (request.once === true || toNetError(error).kind !== "Reset") throw error;
        return this.#once(request, ends);
      });
    } catch (error) {
      if (signal?.aborted === true) throw signal.reason;
      throw transportFailure(error);
    }
  }

  /** Cuts all connections. */
  close(): Promise<void> {
    return this.#agent.destroy();
  }

  async #once(request: OutgoingRequest, signal: AbortSignal): Promise<OutgoingAnswer> {
    const answer = await this.#agent.request({
      origin: this.origin,
      method: request.method as "GET",
      path: request.path,
      headers: { "user-agent": "scaivault-federation", ...request.headers },
      body: request.body ?? null,
      signal,
    });
    const chunks: Buffer[] = [];
    let size = 0;
    for await (const chunk of answer.body as AsyncIterable<Buffer>) {
      size += chunk.length;
      if (size > mostBytes) throw new StoreFailure("bad_answer");
      chunks.push(chunk);
    }
    return { status: answer.statusCode, headers: flat(answer.headers), body: Buffer.concat(chunks) };
  }
}

function flat(headers: Record<string, string | string[] | undefined>): Record<string, string> {
  const result: Record<string, string> = {};
  for (const [name, value] of Object.entries(headers))
    if (value !== undefined) result[name.toLowerCase()] = Array.isArray(value) ? value.join(", ") : value;
  return result;
}
