import { createServer as createHttp, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer as createHttps } from "node:https";
import type { AddressInfo, Socket } from "node:net";
import type { KubeObject } from "../types.ts";

/** A request as the server saw it. */
export interface SeenRequest {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingMessage["headers"];
  readonly body: unknown;
}

export type Responder = (request: SeenRequest, response: ServerResponse) => void | Promise<void>;

/** Answers JSON. */
export function answer(
  response: ServerResponse,
  code: number,
  body: unknown,
  headers: Record<string, string> = {},
): void {
  response.writeHead(code, { "content-type": "application/json", ...headers });
  response.end(body === undefined ? "" : JSON.stringify(body));
}

/** Answers a Status as the API server does, with a message that must never come out again. */
export function refuse(
  response: ServerResponse,
  code: number,
  reason: string,
  more: { readonly headers?: Record<string, string>; readonly causes?: readonly unknown[] } = {},
): void {
  answer(
    response,
    code,
    {
      kind: "Status",
      apiVersion: "v1",
      status: "Failure",
      message: "canary-7f3a: the server quotes a value",
      reason,
      code,
      ...(more.causes === undefined ? {} : { details: { causes: more.causes } }),
    },
    more.headers,
  );
}

/**
 * An HTTP server that plays an API server with the faults that the real one cannot be made to show. It answers 404 until told
 * otherwise by `respond`.
 */
export class FakeApiServer {
  readonly requests: SeenRequest[] = [];
  /** Answers every request. */
  respond: Responder = (_request, response) => refuse(response, 404, "NotFound");
  /** Connections accepted so far. */
  connections = 0;
  readonly #sockets = new Set<Socket>();
  readonly #server: Server;
  readonly #tls: boolean;
  readonly #port: number;

  private constructor(server: Server, tls: boolean, port: number) {
    this.#server = server;
    this.#tls = tls;
    this.#port = port;
  }

  static async start(
    options: { readonly tls?: { readonly cert: string; readonly key: string }; readonly port?: number } = {},
  ): Promise<FakeApiServer> {
    const { tls } = options;
    const server = tls === undefined ? createHttp() : createHttps(tls);
    await new Promise<void>((resolve) => server.listen(options.port ?? 0, "127.0.0.1", resolve));
    const fake = new FakeApiServer(server, tls !== undefined, (server.address() as AddressInfo).port);
    server.on("connection", (socket: Socket) => {
      fake.connections += 1;
      fake.#sockets.add(socket);
      socket.on("close", () => fake.#sockets.delete(socket));
      socket.on("error", () => undefined);
    });
    server.on("request", (request: IncomingMessage, response: ServerResponse) => void fake.#take(request, response));
    return fake;
  }

  get url(): string {
    return `${this.#tls ? "https" : "http"}://127.0.0.1:${this.#port}`;
  }

  get port(): number {
    return this.#port;
  }

  /** Resets every connection. */
  cut(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #take(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? "/", this.url);
    const parts: Buffer[] = [];
    try {
      for await (const part of request) parts.push(part as Buffer);
    } catch {
      return;
    }
    const text = Buffer.concat(parts).toString("utf8");
    const seen: SeenRequest = {
      method: request.method ?? "",
      path: url.pathname,
      query: url.searchParams,
      headers: request.headers,
      body: text === "" ? undefined : (JSON.parse(text) as unknown),
    };
    this.requests.push(seen);
    await this.respond(seen, response);
  }
}

/** An object of the fake type `things`. */
export interface Thing extends KubeObject {
  readonly spec?: { readonly color: string };
}

/** Plays list and watch of one type, correctly until a fault is asked for. */
export class ThingApi {
  readonly server: FakeApiServer;
  version = 100;
  /** Refuses all versions below this with 410. */
  compactedTo = 0;
  readonly things = new Map<string, Thing>();
  readonly log: { readonly version: number; readonly type: string; readonly object: Thing }[] = [];
  readonly open = new Set<ServerResponse>();
  readonly lists: URLSearchParams[] = [];
  readonly watches: URLSearchParams[] = [];
  /** Asked first; returning true means that it took the request. */
  fault: ((request: SeenRequest, response: ServerResponse) => boolean) | undefined;

  constructor(server: FakeApiServer) {
    this.server = server;
    server.respond = (request, response) => this.#respond(request, response);
  }

  put(name: string, color: string, uid = `uid-${name}`): void {
    this.version += 1;
    const key = name;
    const type = this.things.has(key) ? "MODIFIED" : "ADDED";
    const object: Thing = {
      metadata: { namespace: "ns", name, uid, resourceVersion: String(this.version) },
      spec: { color },
    };
    this.things.set(key, object);
    this.#publish(type, object);
  }

  delete(name: string): void {
    const old = this.things.get(name);
    if (old === undefined) return;
    this.version += 1;
    this.things.delete(name);
    this.#publish("DELETED", { ...old, metadata: { ...old.metadata, resourceVersion: String(this.version) } });
  }

  bookmark(): void {
    this.version += 1;
    const object = { metadata: { name: "", resourceVersion: String(this.version) } };
    this.raw(JSON.stringify({ type: "BOOKMARK", object }) + "\n");
  }

  /** Sends text to all open watches. */
  raw(text: string): void {
    for (const response of this.open) response.write(text);
  }

  /** Ends all watches in good order. */
  endWatches(): void {
    for (const response of this.open) response.end();
  }

  #publish(type: string, object: Thing): void {
    this.log.push({ version: this.version, type, object });
    this.raw(JSON.stringify({ type, object }) + "\n");
  }

  #respond(request: SeenRequest, response: ServerResponse): void {
    const watch = request.query.get("watch") === "true";
    (watch ? this.watches : this.lists).push(request.query);
    if (this.fault?.(request, response) === true) return;
    if (watch) this.#watch(request, response);
    else this.#list(request, response);
  }

  #watch(request: SeenRequest, response: ServerResponse): void {
    const from = Number(request.query.get("resourceVersion"));
    if (from < this.compactedTo) {
      refuse(response, 410, "Expired");
      return;
    }
    response.writeHead(200, { "content-type": "application/json" });
    response.flushHeaders();
    for (const { version, type, object } of this.log) {
      if (version > from) response.write(JSON.stringify({ type, object }) + "\n");
    }
    this.open.add(response);
    response.on("close", () => this.open.delete(response));
  }

  #list(request: SeenRequest, response: ServerResponse): void {
    const limit = Number(request.query.get("limit") ?? "100000");
    const [offset = "0", version = String(this.version)] = (request.query.get("continue") ?? "")
      .split("@")
      .filter(Boolean);
    const all = [...this.things.values()];
    const start = Number(offset);
    const items = all.slice(start, start + limit);
    const more = start + limit < all.length;
    answer(response, 200, {
      metadata: { resourceVersion: version, ...(more ? { continue: `${start + limit}@${version}` } : {}) },
      items,
    });
  }
}

/** Waits for a condition in real time, without touching a virtual clock. Fails after five seconds with what it waited for. */
export async function until(what: string, condition: () => boolean): Promise<void> {
  const end = performance.now() + 5000;
  while (!condition()) {
    if (performance.now() > end) throw new Error(`waited in vain for: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}
