/** An HTTPS proxy in front of Vault that is as slow as a network, and that throttles, fails or hangs as told. */
import { Agent, request as send, type IncomingMessage, type ServerResponse } from "node:http";
import { createServer as createHttps } from "node:https";
import type { AddressInfo, Socket } from "node:net";
import type { CertificateAuthority } from "./certificates.ts";
import { loopback } from "./ports.ts";

/** What happens to calls. */
export type VaultMode = "serve" | "fail" | "hang";

/** One call. */
export interface VaultCall {
  /** Wall clock, milliseconds. */
  readonly at: number;
  /** `GET`, `LIST`, `PUT`, … */
  readonly method: string;
  /** Below `/v1/`, without query. */
  readonly path: string;
  /** HTTP status; 0 while there is no answer. */
  readonly status: number;
}

/** A running proxy. */
export interface VaultProxy {
  /** `https://127.0.0.1:PORT` */
  readonly url: string;
  /** Each call waits so long before it is passed on, milliseconds. */
  slow(ms: number): void;
  /** This share of calls, evenly spread, is answered 429 and not passed on; 0: none. */
  throttle(share: number): void;
  /** `fail`: 503; `hang`: no answer until `serve` is set again, then the connection is cut. */
  mode(mode: VaultMode): void;
  /** Calls that came in since the last reset, whatever became of them. */
  calls(): readonly VaultCall[];
  resetCalls(): void;
  /** Calls that hang now. */
  hanging(): number;
  stop(): Promise<void>;
}

const refused = (response: ServerResponse, status: number, error: string): void =>
  void response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify({ errors: [error] }));

/** Starts a proxy. @param options.target Vault without TLS, `http://HOST:PORT` */
export async function startVaultProxy(options: {
  readonly target: string;
  readonly authority: CertificateAuthority;
}): Promise<VaultProxy> {
  const target = new URL(options.target);
  const agent = new Agent({ keepAlive: true, maxSockets: 64 });
  const sockets = new Set<Socket>();
  let delayMs = 0;
  let share = 0;
  let mode: VaultMode = "serve";
  let seen: VaultCall[] = [];
  let struckOf = 0;
  const hanging = new Set<ServerResponse>();

  const pass = (request: IncomingMessage, response: ServerResponse): void => {
    const { method, url: path, headers } = request;
    const onward = send({ agent, host: target.hostname, port: target.port, method, path, headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(response);
    });
    onward.on("error", () => response.destroy());
    request.pipe(onward);
  };
  const answer = (request: IncomingMessage, response: ServerResponse): void => {
    if (mode === "hang") {
      hanging.add(response);
      response.once("close", () => hanging.delete(response));
      return;
    }
    if (mode === "fail") return refused(response, 503, "the proxy was told to fail");
    struckOf++;
    if (Math.floor(struckOf * share) > Math.floor((struckOf - 1) * share))
      return refused(response, 429, "request path exceeded its rate limit");
    pass(request, response);
  };
  const pair = options.authority.issue({ commonName: "vault", names: [loopback, "::1", "localhost"] });
  const server = createHttps({ ...pair, keepAliveTimeout: 120_000 }, (request, response) => {
    const { pathname, searchParams } = new URL(request.url ?? "/", "http://vault");
    const method = searchParams.get("list") === "true" ? "LIST" : (request.method ?? "GET");
    const call = { at: Date.now(), method, path: pathname.replace(/^\/v1\//, ""), status: 0 };
    seen.push(call);
    response.once("finish", () => void (call.status = response.statusCode));
    if (delayMs === 0) answer(request, response);
    else setTimeout(() => answer(request, response), delayMs);
  });
  server.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, loopback, resolve);
  });
  return {
    url: `https://${loopback}:${(server.address() as AddressInfo).port}`,
    slow: (ms) => void (delayMs = ms),
    throttle(next) {
      share = next;
      struckOf = 0;
    },
    mode(next) {
      mode = next;
      if (next !== "hang") for (const response of hanging) response.destroy();
    },
    calls: () => seen,
    resetCalls: () => void (seen = []),
    hanging: () => hanging.size,
    async stop() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const socket of sockets) socket.destroy();
      await closed;
      agent.destroy();
    },
  };
}
