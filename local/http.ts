/** One small HTTP client for the helpers of the local environment. Not for the operator. */
import { request as httpRequest } from "node:http";
import { request as httpsRequest } from "node:https";

/** A whole answer. */
export interface HttpAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
  /** The body as JSON. @throws SyntaxError */
  json<T = Record<string, unknown>>(): T;
}

/** A request. */
export interface HttpCall {
  readonly method?: string;
  readonly url: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** A string or bytes are sent as they are, anything else as JSON. */
  readonly body?: unknown;
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  /** Whole call; default 10 s. */
  readonly timeoutMs?: number;
}

/** Sends a request on a connection of its own, follows no redirects. */
export function call(options: HttpCall): Promise<HttpAnswer> {
  const url = new URL(options.url);
  const send = url.protocol === "https:" ? httpsRequest : httpRequest;
  const { body } = options;
  const payload =
    body === undefined ? undefined : typeof body === "string" || Buffer.isBuffer(body) ? body : JSON.stringify(body);
  return new Promise((resolve, reject) => {
    const outgoing = send(
      url,
      {
        method: options.method ?? "GET",
        agent: false,
        signal: AbortSignal.timeout(options.timeoutMs ?? 10_000),
        headers: {
          ...(payload === undefined
            ? {}
            : { "content-type": "application/json", "content-length": String(Buffer.byteLength(payload)) }),
          ...options.headers,
        },
        ...(options.ca === undefined ? {} : { ca: options.ca }),
        ...(options.cert === undefined ? {} : { cert: options.cert, key: options.key }),
      },
      (answer) => {
        const parts: Buffer[] = [];
        answer.on("data", (part: Buffer) => parts.push(part));
        answer.on("error", reject);
        answer.on("end", () => {
          const text = Buffer.concat(parts).toString("utf8");
          resolve({
            status: answer.statusCode ?? 0,
            headers: answer.headers,
            text,
            json: <T>() => JSON.parse(text) as T,
          });
        });
      },
    );
    outgoing.on("error", reject);
    outgoing.end(payload);
  });
}
