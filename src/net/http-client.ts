import type { Dispatcher } from "undici";
import type { Clock } from "../time/clock.ts";
import { NetError, toNetError } from "./errors.ts";

/** Most bytes of one answer that are taken. */
export const MAX_BODY_BYTES = 8 * 1024 * 1024;

/** Limits of one exchange, milliseconds. */
export interface Timeouts {
  readonly connectMs: number;
  readonly headersMs: number;
  readonly bodyMs: number;
  /** Everything together, from the call to the last byte, waiting for a free socket included. */
  readonly totalMs: number;
}

/** One request. `path` begins with `/`, is encoded already and may carry a query. */
export interface HttpRequest {
  readonly method: string;
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>> | undefined;
  readonly body?: string | Uint8Array | undefined;
  /** Instead of the client's limit for the whole exchange, milliseconds. */
  readonly timeoutMs?: number | undefined;
}

/** One answer with its whole body. Header names are lower case. */
export interface HttpResponse {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

interface HttpClientOptions {
  readonly origin: string;
  readonly dispatcher: Dispatcher;
  readonly timeouts: Timeouts;
  readonly userAgent: string;
  readonly clock: Clock;
  readonly onClose: () => void;
  readonly onExchange?: ((exchange: Exchange) => void) | undefined;
}

/** One exchange that ended, for metrics. Paths are not told: they name secrets. */
export interface Exchange {
  /** Host that was asked, as people name it. */
  readonly host: string;
  /** API action: AWS's target (`ListSecrets`), or Vault's endpoint in general terms (`read data`, `list metadata`). */
  readonly action: string;
  /** HTTP status, or the kind of failure. */
  readonly outcome: string;
  readonly ms: number;
}

/** An action in general terms; nothing of a secret's path goes into it. */
function actionOf({ method, path, headers }: HttpRequest): string {
  const target = Object.entries(headers ?? {}).find(([name]) => name.toLowerCase() === "x-amz-target")?.[1];
  if (target !== undefined) return target.slice(target.lastIndexOf(".") + 1);
  if (path.startsWith("/v1/auth/")) return "auth";
  if (path.startsWith("/v1/sys/")) return "sys";
  const list = method === "LIST" || path.includes("?list=true");
  const kind = path.includes("/metadata/") ? "metadata" : path.includes("/data/") ? "data" : "other";
  return `${list ? "list" : method === "GET" ? "read" : "write"} ${kind}`;
}

/**
 * Exchanges with one destination. Redirects are answers like others, nothing is retried, compressed answers are
 * refused, and every exchange ends within its limits.
 */
export class HttpClient {
  readonly origin: string;
  readonly #options: HttpClientOptions;
  #dispatcher: Dispatcher;
  /** Those that still have calls under way. */
  readonly #retired = new Set<Dispatcher>();

  constructor(options: HttpClientOptions) {
    this.origin = options.origin;
    this.#options = options;
    this.#dispatcher = options.dispatcher;
  }

  /** Connections are made anew from now on; what is under way comes to its end on the old ones. */
  renew(dispatcher: Dispatcher): void {
    const old = this.#dispatcher;
    this.#dispatcher = dispatcher;
    this.#retired.add(old);
    const forget = (): void => void this.#retired.delete(old);
    old.close().then(forget, forget);
  }

  /**
   * @param signal ends the exchange at once
   * @throws NetError
   */
  async send(request: HttpRequest, signal?: AbortSignal): Promise<HttpResponse> {
    const { clock, timeouts } = this.#options;
    if (signal?.aborted === true) throw new NetError("Aborted", "ABORTED");
    const stop = new AbortController();
    let ended: NetError | undefined;
    const end = (kind: "Aborted" | "Timeout", code: string) => (): void => {
      ended ??= new NetError(kind, code);
      stop.abort();
    };
    const onAbort = end("Aborted", "ABORTED");
    signal?.addEventListener("abort", onAbort, { once: true });
    const cancel = clock.setTimeout(end("Timeout", "TOTAL_TIMEOUT"), request.timeoutMs ?? timeouts.totalMs, {
      unref: true,
    });
    const startedMs = clock.monotonic();
    const tell = (outcome: string): void =>
      this.#options.onExchange?.({
        host: new URL(this.origin).host,
        action: actionOf(request),
        outcome,
        ms: clock.monotonic() - startedMs,
      });
    try {
      const answer = await this.#exchange(request, stop.signal);
      tell(String(answer.status));
      return answer;
    } catch (error) {
      const failure = ended ?? toNetError(error);
      tell(failure.kind);
      throw failure;
    } finally {
      cancel();
      signal?.removeEventListener("abort", onAbort);
    }
  }

  /** Ends the connections; running exchanges fail. */
  async close(): Promise<void> {
    this.#options.onClose();
    await Promise.all([this.#dispatcher, ...this.#retired].map((one) => one.destroy()));
  }

  async #exchange(request: HttpRequest, signal: AbortSignal): Promise<HttpResponse> {
    const { origin, userAgent } = this.#options;
    const answer = await this.#dispatcher.request({
      origin,
      path: request.path,
      method: request.method as Dispatcher.HttpMethod,
      headers: { "user-agent": userAgent, ...lowerCased(request.headers ?? {}), "accept-encoding": "identity" },
      body: request.body ?? null,
      // A long poll is silent until it ends: its own deadline counts instead of that for the first header.
      ...(request.timeoutMs === undefined || request.timeoutMs <= this.#options.timeouts.totalMs
        ? {}
        : { headersTimeout: request.timeoutMs }),
      signal,
    });
    const headers = flat(answer.headers);
    const encoding = headers["content-encoding"];
    const length = Number(headers["content-length"] ?? 0);
    if ((encoding !== undefined && encoding !== "" && encoding !== "identity") || length > MAX_BODY_BYTES) {
      answer.body.on("error", () => undefined).destroy();
      throw length > MAX_BODY_BYTES
        ? new NetError("TooLarge", "BODY_TOO_LARGE")
        : new NetError("BadResponse", "CONTENT_ENCODING");
    }
    return { status: answer.statusCode, headers, body: await collect(answer.body) };
  }
}

/** The body up to the cap; what had been read is overwritten when the cap is passed. */
async function collect(body: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of body) {
    size += chunk.byteLength;
    chunks.push(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength));
    if (size > MAX_BODY_BYTES) {
      for (const piece of chunks) piece.fill(0);
      throw new NetError("TooLarge", "BODY_TOO_LARGE");
    }
  }
  const first = chunks[0];
  return chunks.length === 1 && first !== undefined ? first : Buffer.concat(chunks, size);
}

function lowerCased(headers: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
}

function flat(headers: Record<string, string | string[] | undefined>): Record<string, string> {
  const result: Record<string, string> = {};
  for (const [name, value] of Object.entries(headers))
    if (value !== undefined) result[name.toLowerCase()] = Array.isArray(value) ? value.join(", ") : value;
  return result;
}
