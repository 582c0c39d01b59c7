import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import type { Registry } from "prom-client";

/** What the probes ask. */
export interface HealthChecks {
  /** Loops and reflectors that made no attempt for too long; empty is alive. */
  live(): readonly string[];
  /** What is not ready yet, such as a cache that has not synced; empty is ready. */
  ready(): readonly string[];
}

/** A listener that can be closed. */
export interface Listening {
  readonly port: number;
  close(): Promise<void>;
}

function listen(server: Server, address: string, port: number): Promise<Listening> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, address, () => {
      resolve({
        port: (server.address() as AddressInfo).port,
        close: () =>
          new Promise((done) => {
            server.close(() => done());
            server.closeAllConnections();
          }),
      });
    });
  });
}

/** `/livez` and `/readyz`; 200 with `ok`, else 503 with one failing item a line. */
export function startHealthServer(checks: HealthChecks, address: string, port: number): Promise<Listening> {
  const server = createServer((request, response) => {
    const path = (request.url ?? "/").split("?")[0];
    const failing = path === "/livez" ? checks.live() : path === "/readyz" ? checks.ready() : undefined;
    response.setHeader("content-type", "text/plain; charset=utf-8");
    if (failing === undefined) response.writeHead(404).end("not found\n");
    else if (failing.length === 0) response.writeHead(200).end("ok\n");
    else response.writeHead(503).end(`${failing.join("\n")}\n`);
  });
  server.requestTimeout = 10_000;
  return listen(server, address, port);
}

/** `/metrics` in the Prometheus text format. */
export function startMetricsServer(registry: Registry, address: string, port: number): Promise<Listening> {
  const server = createServer((request, response) => {
    if ((request.url ?? "/").split("?")[0] !== "/metrics") {
      response.writeHead(404).end("not found\n");
      return;
    }
    registry.metrics().then(
      (text) => response.writeHead(200, { "content-type": registry.contentType }).end(text),
      () => response.writeHead(500).end("metrics could not be collected\n"),
    );
  });
  server.requestTimeout = 10_000;
  return listen(server, address, port);
}
