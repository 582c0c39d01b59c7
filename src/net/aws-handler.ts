import { Readable } from "node:stream";
import type { HttpClient } from "./http-client.ts";
import type { Network } from "./network.ts";

/** What the AWS SDK hands to its request handler, as far as it is used here. */
interface SdkRequest {
  readonly method: string;
  readonly path: string;
  readonly query?: Readonly<Record<string, string | readonly string[] | null>>;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: unknown;
  readonly protocol?: string;
  readonly hostname?: string;
  readonly port?: number;
}

interface SdkResponse {
  readonly response: { statusCode: number; headers: Record<string, string>; body: Readable };
}

/** The AWS SDK's `requestHandler` over our transport. */
export interface AwsRequestHandler {
  readonly metadata: { readonly handlerProtocol: string };
  handle(request: SdkRequest, options?: { abortSignal?: unknown }): Promise<SdkResponse>;
  destroy(): void;
  updateHttpClientConfig(): void;
  httpHandlerConfigs(): Record<string, never>;
}

/**
 * Lets the AWS SDK send through `client`, so that proxy, CAs, address check, caps and timeouts hold for AWS too: the
 * SDK's own handler has no timeouts by default and only warns about those that are set.
 *
 * The request's host and port are not looked at: they are those that the client was configured with.
 * @param userAgent put before the SDK's own
 */
export function awsRequestHandler(client: HttpClient, userAgent?: string): AwsRequestHandler {
  return handlerOver(() => client, userAgent);
}

/**
 * The same for clients of the SDK whose host is not known before: the login of a profile asks STS or IAM Identity Center, each in a
 * region of its own. Each host goes through the network's checks.
 */
export function awsRequestHandlerOf(network: Network, userAgent?: string): AwsRequestHandler {
  const clients = new Map<string, HttpClient>();
  return handlerOver(({ protocol = "https:", hostname = "", port }) => {
    const origin = `${protocol}//${hostname}${port === undefined ? "" : `:${port}`}`;
    const client = clients.get(origin) ?? network.open({ url: network.endpoint(origin) }, 2);
    clients.set(origin, client);
    return client;
  }, userAgent);
}

function handlerOver(clientOf: (request: SdkRequest) => HttpClient, userAgent: string | undefined): AwsRequestHandler {
  return {
    metadata: { handlerProtocol: "http/1.1" },
    async handle(request, options) {
      const client = clientOf(request);
      const signal = options?.abortSignal;
      const answer = await client.send(
        {
          method: request.method,
          path: request.path + queryText(request.query),
          headers: sentHeaders(request.headers, userAgent),
          body: bodyOf(request.body),
        },
        signal instanceof AbortSignal ? signal : undefined,
      );
      return {
        response: { statusCode: answer.status, headers: { ...answer.headers }, body: Readable.from([answer.body]) },
      };
    },
    destroy: () => undefined,
    updateHttpClientConfig: () => undefined,
    httpHandlerConfigs: () => ({}),
  };
}

function bodyOf(body: unknown): string | Uint8Array | undefined {
  if (body === undefined || body === null || body === "") return undefined;
  if (typeof body === "string" || body instanceof Uint8Array) return body;
  throw new TypeError("streams are not sent");
}

/** The length is set by the transport; our name goes before the SDK's (the header is not signed). */
function sentHeaders(headers: Readonly<Record<string, string>>, userAgent: string | undefined): Record<string, string> {
  const sent = Object.fromEntries(
    Object.entries(headers)
      .map(([name, value]) => [name.toLowerCase(), value] as const)
      .filter(([name]) => name !== "content-length"),
  );
  if (userAgent !== undefined) sent["user-agent"] = `${userAgent} ${sent["user-agent"] ?? ""}`.trim();
  return sent;
}

function queryText(query: SdkRequest["query"]): string {
  const parts = Object.entries(query ?? {}).flatMap(([name, value]) =>
    (typeof value === "string" || value === null ? [value] : [...value]).map(
      (one) => encodeURIComponent(name) + (one === null ? "" : `=${encodeURIComponent(one)}`),
    ),
  );
  return parts.length === 0 ? "" : `?${parts.join("&")}`;
}
