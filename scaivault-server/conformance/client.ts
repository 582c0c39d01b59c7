import { Agent, request } from "undici";
import type { Clock } from "../../src/time/clock.ts";

/** One answer. `text` may hold values and is never printed. */
export interface Reply {
  readonly status: number;
  readonly text: string;
  /** Undefined when the answer is no JSON. */
  readonly json: unknown;
  header(name: string): string | undefined;
  /** Time from sending to the answer, in ms. */
  readonly tookMs: number;
}

export interface RequestOptions {
  /** An object becomes JSON; a string goes as it is. */
  readonly body?: object | string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Instead of the client's own token; null sends none. */
  readonly token?: string | null;
  /** Give a 429 back instead of waiting. */
  readonly takeRefusal?: boolean;
  /** Another URL than the base URL's. */
  readonly url?: string;
}

/** Settings of the client. */
export interface ClientOptions {
  readonly url: string;
  readonly token: string;
  /** PEM of a certificate authority besides the system's. */
  readonly ca?: string;
  readonly clock: Clock;
  /** Told before each wait for a rate limit. */
  readonly onWait?: (seconds: number) => void;
}

const timeoutMs = 30_000;
const longestWaitSeconds = 120;
const tries = 5;

/** A plain client for checks: one request at a time, no redirects, waits when the server says so. */
export class Client {
  readonly clock: Clock;
  readonly #options: ClientOptions;
  readonly #agent: Agent;

  constructor(options: ClientOptions) {
    this.clock = options.clock;
    this.#options = options;
    this.#agent = new Agent({
      headersTimeout: timeoutMs,
      bodyTimeout: timeoutMs,
      connect: { timeout: timeoutMs, ...(options.ca === undefined ? {} : { ca: options.ca }) },
    });
  }

  get(path: string, options: RequestOptions = {}): Promise<Reply> {
    return this.send("GET", path, options);
  }

  put(path: string, body: object | string, options: RequestOptions = {}): Promise<Reply> {
    return this.send("PUT", path, { ...options, body });
  }

  post(path: string, body: object | string, options: RequestOptions = {}): Promise<Reply> {
    return this.send("POST", path, { ...options, body });
  }

  delete(path: string, options: RequestOptions = {}): Promise<Reply> {
    return this.send("DELETE", path, options);
  }

  /** @throws Error (undici's) when no answer comes. */
  async send(
    method: "GET" | "PUT" | "POST" | "PATCH" | "DELETE",
    path: string,
    options: RequestOptions = {},
  ): Promise<Reply> {
    for (let attempt = 1; ; attempt++) {
      const reply = await this.#once(method, path, options);
      if (reply.status !== 429 || options.takeRefusal === true || attempt === tries) return reply;
      const asked = Number(reply.header("retry-after"));
      const seconds = Number.isFinite(asked) ? Math.min(Math.max(asked, 1), longestWaitSeconds) : 10;
      this.#options.onWait?.(seconds);
      await this.clock.sleep(seconds * 1000);
    }
  }

  close(): Promise<void> {
    return this.#agent.close();
  }

  async #once(
    method: "GET" | "PUT" | "POST" | "PATCH" | "DELETE",
    path: string,
    options: RequestOptions,
  ): Promise<Reply> {
    const token = options.token === undefined ? this.#options.token : options.token;
    const startedAt = this.clock.monotonic();
    const { statusCode, headers, body } = await request(options.url ?? this.#options.url.replace(/\/$/, "") + path, {
      method,
      dispatcher: this.#agent,
      headers: {
        "user-agent": "scaivault-conformance",
        ...(token === null ? {} : { authorization: `Bearer ${token}` }),
        ...(options.body === undefined ? {} : { "content-type": "application/json" }),
        ...options.headers,
      },
      ...(options.body === undefined
        ? {}
        : { body: typeof options.body === "string" ? options.body : JSON.stringify(options.body) }),
    });
    const text = await body.text();
    const tookMs = this.clock.monotonic() - startedAt;
    let json: unknown;
    try {
      json = JSON.parse(text);
    } catch {
      json = undefined;
    }
    return {
      status: statusCode,
      text,
      json,
      tookMs,
      header: (name) => {
        const value = headers[name.toLowerCase()];
        return Array.isArray(value) ? value[0] : value;
      },
    };
  }
}
