import type { Dispatcher } from "undici";
import { settle, type Clock } from "../time/clock.ts";
import { buildAgents, destroyAgents, retireAgents, type Agents } from "./agents.ts";
import { Credentials } from "./credentials.ts";
import { type Answer, exchange, refusalBytes } from "./exchange.ts";
import { ApiConnectionError, ApiStatusError, connectionError, parseRetryAfter, statusError } from "./errors.ts";
import type { ClusterConfig } from "./kubeconfig.ts";
import { ConcurrencyLimit } from "./limiter.ts";

export type HttpMethod = "GET" | "POST" | "PUT" | "PATCH" | "DELETE";

/** One call of the API. */
export interface KubeRequest {
  /** For metrics: `get`, `list`, `watch`, `create`, `update`, `apply`, `patch`, `delete`. */
  readonly verb: string;
  /** For metrics: plural and subresource (`secretsyncs/status`). Never a name. */
  readonly resource: string;
  readonly method: HttpMethod;
  /** Path below the server's URL, already encoded. */
  readonly path: string;
  readonly query?: Readonly<Record<string, string | undefined>>;
  /** Sent as JSON. */
  readonly body?: unknown;
  /** Default `application/json`. */
  readonly contentType?: string;
  /** Default `application/json`. */
  readonly accept?: string;
  /** Default: the transport's. */
  readonly userAgent?: string;
  readonly signal?: AbortSignal | undefined;
  /** For the whole call with its waits and retries, ms. For streams: until the first byte of the answer. */
  readonly timeoutMs?: number | undefined;
  /** True when doing it twice is the same as doing it once; only then is it retried after a reset, 429 or 503. */
  readonly idempotent?: boolean;
  /** Does not wait behind other calls (leader election). */
  readonly urgent?: boolean | undefined;
  /**
   * Called directly before each attempt is sent, after all waiting; what it throws ends the call and is passed on. Give it
   * `leadership.assertHeld`: after a pause of the process a waiting write could otherwise go out before its signal aborts.
   */
  readonly guard?: (() => void) | undefined;
}

/** One attempt, for metrics: `code` is the HTTP code or the kind of the failure. */
export interface RequestObservation {
  readonly verb: string;
  readonly resource: string;
  readonly code: string;
  readonly ms: number;
}

export interface TransportOptions {
  readonly config: ClusterConfig;
  /** Guards real sockets: give it the system clock, also where the rest runs on a virtual one. */
  readonly clock: Clock;
  readonly userAgent: string;
  /** Calls at once and connections for them; others wait. Default 16. */
  readonly maxConcurrent?: number;
  /** Default time-out of a call in ms. Default 30 s. */
  readonly timeoutMs?: number;
  /** Largest answer in bytes. Default 64 MiB. */
  readonly maxBodyBytes?: number;
  readonly onRequest?: (observation: RequestObservation) => void;
  /** 0 <= x < 1, for jitter. Default Math.random. */
  readonly random?: () => number;
}

/** An answer that goes on: chunks as they come. Ending the loop over `body` or aborting the request's signal closes it. */
export interface StreamAnswer {
  readonly body: AsyncIterable<Uint8Array>;
}

const maxAttempts = 3;
/** A longer wish of the server is handed to the caller: its queue waits, not its worker. */
const maxWaitMs = 2000;

type Head = Pick<Answer, "statusCode" | "headers">;

/** How a request is sent, and what is made of its answer. */
interface Way<A extends Head, T> {
  readonly send: (dispatcher: Dispatcher, options: Dispatcher.DispatchOptions) => Promise<A>;
  /** Body of a refusal; when that fails the code is enough. */
  readonly refusal: (answer: A) => Promise<Buffer>;
  readonly use: (answer: A) => T;
}

/** All HTTP to the API server: one pool for calls, one for watches, time-outs on everything, JSON only. */
export class KubeTransport {
  readonly #options: TransportOptions;
  readonly #clock: Clock;
  readonly #origin: string;
  /** Path of the server's URL. */
  readonly #prefix: string;
  readonly #credentials: Credentials;
  readonly #limit: ConcurrencyLimit;
  readonly #maxConcurrent: number;
  readonly #random: () => number;
  #agents: Agents | undefined;
  #closed = false;
  #inFlight = 0;
  readonly #idleWaiters: (() => void)[] = [];
  /** Wall clock of the last answer of the server, whatever its code; 0 before the first. */
  lastContactMs = 0;

  constructor(options: TransportOptions) {
    this.#options = options;
    this.#clock = options.clock;
    const server = new URL(options.config.server);
    this.#origin = server.origin;
    this.#prefix = server.pathname.replace(/\/$/, "");
    this.#credentials = new Credentials(options.config, options.clock);
    this.#maxConcurrent = options.maxConcurrent ?? 16;
    this.#limit = new ConcurrencyLimit(this.#maxConcurrent);
    this.#random = options.random ?? Math.random;
  }

  /** Calls that have begun and not ended, streams apart. */
  get inFlight(): number {
    return this.#inFlight;
  }

  /** Calls that wait for a free place. */
  get waiting(): number {
    return this.#limit.waiting;
  }

  /** Resolves when no call is in flight and none was begun by what the last ones set off. For tests with a virtual clock. */
  async idle(): Promise<void> {
    await settle(2);
    while (this.#inFlight > 0) {
      await new Promise<void>((resolve) => this.#idleWaiters.push(resolve));
      await settle(2);
    }
  }

  /** Cuts all connections; calls after it fail. */
  async close(): Promise<void> {
    this.#closed = true;
    if (this.#agents !== undefined) await destroyAgents(this.#agents);
  }

  /**
   * Makes a call and parses its JSON answer (`undefined` for an empty one).
   * @throws ApiStatusError when the server refused, ApiConnectionError when no answer came
   */
  async request<T>(request: KubeRequest): Promise<T> {
    this.#inFlight += 1;
    const deadline = this.#deadline(request);
    let leave: (() => void) | undefined;
    try {
      if (request.urgent !== true) leave = await this.#limit.enter(deadline.signal);
      const limits = { signal: deadline.signal, maxBytes: this.#options.maxBodyBytes ?? 64 * 1024 * 1024 };
      const way: Way<Answer, T> = {
        send: (dispatcher, options) => exchange(dispatcher, options, limits),
        refusal: ({ body }) => Promise.resolve(body),
        use: ({ body }) => parseJson(body) as T,
      };
      return await this.#attempts(request, deadline.signal, way);
    } catch (error) {
      throw deadline.explain(error);
    } finally {
      leave?.();
      deadline.end();
      this.#inFlight -= 1;
      if (this.#inFlight === 0) for (const waiter of this.#idleWaiters.splice(0)) waiter();
    }
  }

  /**
   * Opens a watch. `timeoutMs` bounds the wait for the answer's head; afterwards the caller watches over silence.
   * @throws as `request`; errors while reading come out of `body` as ApiConnectionError
   */
  async stream(request: KubeRequest): Promise<StreamAnswer> {
    const deadline = this.#deadline(request);
    try {
      const way: Way<Dispatcher.ResponseData, StreamAnswer> = {
        send: (dispatcher, options) => dispatcher.request({ ...options, signal: deadline.signal }),
        refusal: ({ body }) => readBody(body),
        use: ({ body }) => {
          deadline.stopTimer();
          return { body: chunks(body, deadline) };
        },
      };
      return await this.#attempts({ ...request, urgent: true, idempotent: false }, deadline.signal, way);
    } catch (error) {
      deadline.end();
      throw deadline.explain(error);
    }
  }

  async #attempts<A extends Head, T>(request: KubeRequest, signal: AbortSignal, way: Way<A, T>): Promise<T> {
    let refreshed = false;
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#once(request, signal, way);
      } catch (error) {
        if (signal.aborted) throw error;
        if (!refreshed && refusesCredentials(error)) {
          refreshed = true;
          if (await this.#credentials.reload()) continue;
        }
        const waitMs = attempt < maxAttempts ? this.#retryWait(request, error, attempt) : undefined;
        if (waitMs === undefined) throw error;
        await this.#clock.sleep(waitMs, signal, { unref: true }).catch(() => undefined);
        if (signal.aborted) throw error;
      }
    }
  }

  /** How long to wait before another attempt; `undefined`: no other attempt. */
  #retryWait(request: KubeRequest, error: unknown, attempt: number): number | undefined {
    const backoff = 100 * 3 ** (attempt - 1) * (0.5 + 0.5 * this.#random());
    if (error instanceof ApiConnectionError) {
      if (error.kind !== "reset" && error.kind !== "refused") return undefined;
      return request.idempotent === true || !error.sent ? backoff : undefined;
    }
    if (!(error instanceof ApiStatusError) || request.idempotent !== true) return undefined;
    if (error.code !== 429 && error.code !== 503) return undefined;
    if (error.retryAfterMs === undefined || error.retryAfterMs > maxWaitMs) return undefined;
    return Math.max(error.retryAfterMs, backoff);
  }

  async #once<A extends Head, T>(request: KubeRequest, signal: AbortSignal, way: Way<A, T>): Promise<T> {
    const started = this.#clock.monotonic();
    let code = "other";
    let guarded = true;
    try {
      const { headers, tls } = await this.#credentials.current();
      const { calls, direct } = this.#agentsFor(tls);
      if (signal.aborted) throw new ApiConnectionError("aborted", false);
      const options = this.#dispatchOptions(request, headers);
      guarded = false;
      request.guard?.();
      guarded = true;
      // With a free connection the bytes go to the socket within this call.
      const answer = await way.send(request.urgent === true ? direct : calls, options);
      this.lastContactMs = this.#clock.now();
      code = String(answer.statusCode);
      if (answer.statusCode >= 200 && answer.statusCode < 300) return way.use(answer);
      throw await this.#refusal(answer, way.refusal);
    } catch (error) {
      if (error instanceof ApiStatusError) throw error;
      if (!guarded) {
        code = "guard";
        throw error;
      }
      const failure = connectionError(error);
      code = failure.kind;
      throw failure;
    } finally {
      const { verb, resource } = request;
      this.#observe({ verb, resource, code, ms: this.#clock.monotonic() - started });
    }
  }

  #dispatchOptions(request: KubeRequest, headers: Readonly<Record<string, string>>): Dispatcher.DispatchOptions {
    return {
      origin: this.#origin,
      path: this.#path(request),
      method: request.method,
      headers: {
        ...headers,
        accept: request.accept ?? "application/json",
        "user-agent": headerText(request.userAgent ?? this.#options.userAgent),
        ...(request.body === undefined ? {} : { "content-type": request.contentType ?? "application/json" }),
      },
      ...(request.body === undefined ? {} : { body: JSON.stringify(request.body) }),
      ...(request.verb === "watch" ? { bodyTimeout: 0 } : {}),
    };
  }

  #observe(observation: RequestObservation): void {
    try {
      this.#options.onRequest?.(observation);
    } catch {
      // A broken observer must not turn an answer into a failure.
    }
  }

  async #refusal<A extends Head>(answer: A, read: (answer: A) => Promise<Buffer>): Promise<ApiStatusError> {
    let body: unknown;
    try {
      body = parseJson(await read(answer));
    } catch {
      // The code is enough.
    }
    return statusError(answer.statusCode, body, parseRetryAfter(answer.headers["retry-after"], this.#clock.now()));
  }

  #agentsFor(tls: Parameters<typeof buildAgents>[1]): Agents {
    if (this.#closed) throw new ApiConnectionError("aborted", false);
    const generation = this.#credentials.tlsGeneration;
    if (this.#agents === undefined || this.#agents.tlsGeneration !== generation) {
      if (this.#agents !== undefined) retireAgents(this.#agents);
      this.#agents = buildAgents(this.#options.config, tls, generation, this.#maxConcurrent);
    }
    return this.#agents;
  }

  #path(request: KubeRequest): string {
    let query = "";
    for (const [name, value] of Object.entries(request.query ?? {}))
      if (value !== undefined) query += `${query === "" ? "?" : "&"}${name}=${encodeURIComponent(value)}`;
    return `${this.#prefix}${request.path}${query}`;
  }

  #deadline(request: KubeRequest): Deadline {
    return new Deadline(this.#clock, request.timeoutMs ?? this.#options.timeoutMs ?? 30_000, request.signal);
  }
}

/** The end of a call: its time-out or the caller's signal, whichever comes first. */
class Deadline {
  readonly #abort = new AbortController();
  readonly #caller: AbortSignal | undefined;
  #timedOut = false;
  readonly stopTimer: () => void;

  constructor(clock: Clock, timeoutMs: number, caller: AbortSignal | undefined) {
    this.#caller = caller;
    this.stopTimer = clock.setTimeout(() => this.#onTimeout(), timeoutMs, { unref: true });
    if (caller?.aborted === true) this.#abort.abort();
    else caller?.addEventListener("abort", this.#onAbort, { once: true });
  }

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  /** Says which of the two ended the call; other errors stay. */
  explain(error: unknown): unknown {
    if (error instanceof ApiStatusError || !this.#abort.signal.aborted) return error;
    const sent = error instanceof ApiConnectionError ? error.sent : true;
    return new ApiConnectionError(this.#timedOut ? "timeout" : "aborted", sent);
  }

  end(): void {
    this.stopTimer();
    this.#caller?.removeEventListener("abort", this.#onAbort);
  }

  #onTimeout(): void {
    this.#timedOut = true;
    this.#abort.abort();
  }

  readonly #onAbort = (): void => this.#abort.abort();
}

async function* chunks(body: AsyncIterable<Uint8Array>, deadline: Deadline): AsyncGenerator<Uint8Array> {
  try {
    yield* body;
  } catch (error) {
    throw deadline.explain(connectionError(error));
  } finally {
    deadline.end();
  }
}

function refusesCredentials(error: unknown): boolean {
  return (
    (error instanceof ApiStatusError && error.code === 401) ||
    (error instanceof ApiConnectionError && error.kind === "tls")
  );
}

async function readBody(body: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  let size = 0;
  for await (const part of body) {
    size += part.length;
    // Leaving the loop destroys the stream and with it the connection.
    if (size > refusalBytes) throw new ApiConnectionError("tooLarge", true);
    parts.push(part);
  }
  return Buffer.concat(parts);
}

/** Parse errors quote their input, so they end here. */
function parseJson(bytes: Buffer): unknown {
  if (bytes.length === 0) return undefined;
  try {
    return JSON.parse(bytes.toString("utf8"));
  } catch {
    throw new ApiConnectionError("badResponse", true);
  }
}

/** Printable ASCII, at most 256 characters: the User-Agent may carry names of objects. */
function headerText(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, "?").slice(0, 256);
}
