import { createSecureContext } from "node:tls";
import { Agent, ProxyAgent, type Dispatcher } from "undici";
import type { TlsMaterial } from "./credentials.ts";
import type { ClusterConfig } from "./kubeconfig.ts";

/** Connections to one API server, made with one set of certificates. */
export interface Agents {
  /** For calls: few connections, kept and shared. */
  readonly calls: Dispatcher;
  /** For watches and urgent calls: as many connections as needed, so that nothing queues behind a call that hangs. */
  readonly direct: Dispatcher;
  readonly tlsGeneration: number;
}

/** Below the 90 s after which kube-apiserver closes an idle connection. */
const keepAliveMs = 60_000;
const connectTimeoutMs = 10_000;
/** Second net below the call's own time-out, which also covers waiting and retries. */
const headersTimeoutMs = 30_000;

/**
 * HTTP/1.1 on purpose: over HTTP/2 all streams share one connection, and one dead peer (measured: a stopped server, no reset)
 * holds all of them until a headers time-out; here it costs one socket, and dropping the call closes it.
 */
export function buildAgents(
  config: ClusterConfig,
  tls: TlsMaterial,
  tlsGeneration: number,
  callConnections: number,
): Agents {
  const tlsOptions = {
    // Made once: otherwise each connection would read the certificates anew.
    secureContext: createSecureContext(tls),
    ...(config.skipTlsVerify === true ? { rejectUnauthorized: false } : {}),
    ...(config.tlsServerName === undefined ? {} : { servername: config.tlsServerName }),
  };
  const common = {
    allowH2: false,
    pipelining: 1,
    keepAliveTimeout: keepAliveMs,
    keepAliveMaxTimeout: keepAliveMs,
    headersTimeout: headersTimeoutMs,
    bodyTimeout: headersTimeoutMs,
  };
  const connect = { timeout: connectTimeoutMs, keepAlive: true, keepAliveInitialDelay: 30_000 };
  const make = (connections: number | null): Dispatcher =>
    config.proxyUrl === undefined
      ? new Agent({ ...common, connections, connect: { ...connect, ...tlsOptions } })
      : new ProxyAgent({ ...common, connections, uri: config.proxyUrl, requestTls: { ...connect, ...tlsOptions } });
  return { calls: make(callConnections), direct: make(null), tlsGeneration };
}

/** Lets running calls and watches end and closes the connections behind them. */
export function retireAgents(agents: Agents): void {
  void agents.calls.close().catch(() => undefined);
  void agents.direct.close().catch(() => undefined);
}

/** Cuts everything. */
export async function destroyAgents(agents: Agents): Promise<void> {
  await Promise.allSettled([agents.calls.destroy(), agents.direct.destroy()]);
}
