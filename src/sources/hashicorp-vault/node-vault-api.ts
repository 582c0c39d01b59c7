import { isUtf8 } from "node:buffer";
import nodeVault from "node-vault";
import { SyncError } from "../../errors/index.ts";
import { type Destination, type HttpClient, type HttpResponse, NetError, type Network } from "../../net/index.ts";
import type { VaultAnswer, VaultAPI, VaultCall } from "./api.ts";
import { encodePath, type Segments } from "./paths.ts";

export interface NodeVaultOptions {
  readonly destination: Destination;
  /** Vault Enterprise namespace, sent with every request. */
  readonly namespace?: string | undefined;
  readonly network: Network;
  readonly connections?: number | undefined;
  readonly userAgent?: string | undefined;
}

/** What travels with one request through node-vault to our transport. */
interface Context {
  readonly call: VaultCall;
  /** The path that the final URL must have, exactly. */
  readonly path: string;
}

/** What node-vault hands to its HTTP library. */
interface LibraryRequest {
  readonly uri: string;
  readonly method: string;
  readonly json?: unknown;
  readonly context?: Context;
}

/** The part of node-vault that is used. */
interface NodeVaultClient {
  token: string | undefined;
  namespace: string | undefined;
  pathPrefix: string;
  handleVaultResponse: (answer: unknown) => Promise<unknown>;
  read(path: string, options: { context: Context }): Promise<unknown>;
  list(path: string, options: { context: Context }): Promise<unknown>;
  write(path: string, data: unknown, options: { context: Context }): Promise<unknown>;
}

/**
 * The port over node-vault, whose HTTP library is replaced by our transport: axios would follow redirects with the
 * token, has no limits, and puts token and body into its errors. Paths are encoded before node-vault sees them, which
 * would not; token and namespace go into each request here, since node-vault would pin or overwrite them; answers come
 * back untouched, since node-vault drops headers and turns statuses into errors. Its renewal is not used.
 */
export function createNodeVaultAPI(options: NodeVaultOptions): VaultAPI {
  const { namespace } = options;
  if (namespace !== undefined && !/^[\w.-]+(?:\/[\w.-]+)*\/?$/.test(namespace))
    throw new SyncError("InvalidSpec", "the Vault namespace has characters that no namespace has");
  const http = options.network.open(options.destination, options.connections ?? 8);
  const transport = async (request: LibraryRequest): Promise<VaultAnswer> => {
    const { context } = request;
    const url = URL.parse(request.uri);
    if (context === undefined || url === null || url.origin !== http.origin || url.pathname !== context.path)
      throw new SyncError("InvalidPath", "the path would reach something else in Vault");
    const token = context.call.token?.text();
    const json = typeof request.json === "object" ? JSON.stringify(request.json) : undefined;
    const headers = {
      "x-vault-request": "true",
      ...(token === undefined ? {} : { "x-vault-token": token }),
      ...(namespace === undefined ? {} : { "x-vault-namespace": namespace }),
      ...(json === undefined ? {} : { "content-type": "application/json" }),
      ...(options.userAgent === undefined ? {} : { "user-agent": options.userAgent }),
    };
    const sent = { method: request.method, path: url.pathname + url.search, headers, body: json };
    let answer = await http.send(sent, context.call.signal);
    if (isOwnRedirect(answer, http, options.destination, sent.path))
      answer = await http.send(sent, context.call.signal);
    return answerOf(answer);
  };
  const client = nodeVault({
    endpoint: http.origin,
    // LIST is no method that every proxy lets through; `?list=1` is the same to Vault.
    noCustomHTTPVerbs: true,
    "request-promise": { defaults: () => transport },
  } as unknown as Parameters<typeof nodeVault>[0]) as unknown as NodeVaultClient;
  // node-vault fills these from VAULT_* variables.
  client.token = undefined;
  client.namespace = undefined;
  client.pathPrefix = "";
  client.handleVaultResponse = (answer) => Promise.resolve(answer);

  const prepare = (under: Segments, rest: Segments, call: VaultCall): { path: string; context: Context } => {
    const path = encodePath([...under, ...rest]);
    const full = `/v1/${path}`;
    if (!full.startsWith(`/v1/${encodePath(under)}`)) throw new SyncError("InvalidPath", "the path leaves its mount");
    return { path, context: { call, path: full } };
  };
  return {
    async read(under, rest, call) {
      const { path, context } = prepare(under, rest, call);
      const query = call.version === undefined ? "" : `?version=${encodeURIComponent(call.version)}`;
      return (await client.read(path + query, { context })) as VaultAnswer;
    },
    async list(under, rest, call) {
      const { path, context } = prepare(under, rest, call);
      return (await client.list(path, { context })) as VaultAnswer;
    },
    async write(under, rest, data, call) {
      const { path, context } = prepare(under, rest, call);
      return (await client.write(path, data, { context })) as VaultAnswer;
    },
    close: () => http.close(),
  };
}

/**
 * Whether an answer sends us to the configured address itself, same scheme, host, port and path (a load balancer does so
 * in front of standbys). Any other redirect is an answer that cannot be used: the token is not sent elsewhere.
 */
function isOwnRedirect(answer: HttpResponse, http: HttpClient, destination: Destination, path: string): boolean {
  if (answer.status !== 307 && answer.status !== 308) return false;
  const target = URL.parse(answer.headers["location"] ?? "", http.origin + path);
  if (target === null || target.pathname + target.search !== path || target.username !== "") return false;
  return target.origin === http.origin || target.origin === destination.url.origin;
}

function answerOf(answer: HttpResponse): VaultAnswer {
  if (!isUtf8(answer.body)) throw new NetError("BadResponse", "NOT_UTF8");
  const text = answer.body.toString("utf8");
  answer.body.fill(0);
  return { status: answer.status, headers: answer.headers, text };
}
