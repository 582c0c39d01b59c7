/**
 * The ScaiVault reference server: ScaiVault's HTTP API as far as its public documentation tells it, for trying workflows
 * on a laptop, for tests and for benchmarks. Not a product to keep secrets in: values lie in memory or, with a data
 * file, unencrypted on disk.
 */
import { createServer as createHttpServer } from "node:http";
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import { createServer as createHttpsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { systemClock } from "../src/time/clock.ts";
import { Admin } from "./admin/admin.ts";
import { openAdminPort } from "./admin/admin-port.ts";
import type { AdminPort } from "./admin/admin-port.ts";
import { Counters } from "./admin/counters.ts";
import { Faults } from "./admin/faults.ts";
import type { App } from "./app.ts";
import { CAS_BY_DEFAULT, RETENTION_MS } from "./assumptions.ts";
import { buildEvents } from "./events/wiring.ts";
import { Exchange } from "./auth/exchange.ts";
import { Policies } from "./auth/policies.ts";
import { knownScopes } from "./auth/principal.ts";
import { Tenants } from "./auth/tenancy.ts";
import { TokenRegistry } from "./auth/token-registry.ts";
import { Syncs } from "./federation/scheduler.ts";
import { Federation } from "./federation/service.ts";
import { isLoopback } from "./http/guard.ts";
import { handle } from "./http/pipeline.ts";
import { Router } from "./http/router.ts";
import { Cursors } from "./limits/cursor.ts";
import { RateLimiter } from "./limits/rate-limiter.ts";
import { Metrics } from "./metrics.ts";
import { routes } from "./routes.ts";
import { buildSchedule } from "./rotation/wiring.ts";
import { SecretService } from "./secrets/service.ts";
import type { ServerOptions } from "./settings.ts";
import { MemoryStore } from "./store/memory.ts";
import type { Store } from "./store/store.ts";

export type { AccessLine, ExchangeMapping, ExchangeTrust, IdentitySpec, ServerOptions } from "./settings.ts";
export type { Admin, EventEnvelope, StoredSecret } from "./admin/admin.ts";
export type { AdminPort } from "./admin/admin-port.ts";
export type { CounterSnapshot, RequestEntry } from "./admin/counters.ts";
export type { Fault, FaultAction, FaultMatch, InjectedFault } from "./admin/faults.ts";
export type { OutgoingOptions } from "./federation/outgoing.ts";
export type { CallCounts } from "./federation/remote.ts";
export type { SyncReport } from "./federation/sync-run.ts";
export type { PolicyRule } from "./auth/policies.ts";
export type { Category } from "./limits/rate-limiter.ts";

/** A running server. */
export interface ScaiVaultServer {
  /** Such as `http://127.0.0.1:41234`. Stays the same across `stopListening` and `listenAgain`. */
  readonly url: string;
  readonly host: string;
  readonly port: number;
  /** The first token, random: identity `sa:local-admin`, all scopes, all paths of the home tenant, partner admin. */
  readonly token: string;
  readonly tenantId: string;
  readonly partnerId: string;
  readonly admin: Admin;
  /** The admin port, when `adminPort` was set. */
  readonly adminPort: AdminPort | undefined;
  /** Closes the port and cuts connections, so that clients see a refused connection; what is stored stays. */
  stopListening(): Promise<void>;
  /** Opens the same port again. */
  listenAgain(): Promise<void>;
  /** Ends everything. May be called more than once. */
  stop(): Promise<void>;
}

const defaultTenant = "tnt_local";
const defaultPartner = "ptn_local";
const defaultLifetimeMs = 3_600_000;

/**
 * Starts the server; resolves when it listens.
 * @throws Error for settings that are not safe (an address other than loopback without `allowNonLoopback`), and when the port is taken.
 */
export async function startServer(options: ServerOptions = {}): Promise<ScaiVaultServer> {
  const host = options.host ?? "127.0.0.1";
  checkSafety(options, host);
  const stopped = new AbortController();
  let ready = true;
  const app = await buildApp(options, host, () => ready);
  const admin = new Admin(app, (value) => {
    ready = value;
  });
  const router = new Router(routes);
  const parts = {
    app,
    router,
    allowedHosts: new Set(
      [...(options.allowedHosts ?? []), ...(isLoopback(host) ? [] : [host])].map((name) => name.toLowerCase()),
    ),
    onAccess: options.onAccess,
    stopped: stopped.signal,
  };
  const onRequest = (message: IncomingMessage, response: ServerResponse): void => {
    // handle() answers its own errors; what is left is a connection that is gone.
    handle(parts, message, response).catch(() => message.socket.destroy());
  };
  const open = (port: number): Promise<Server> => listen(options, host, port, onRequest);

  let server: Server | undefined;
  let adminPort: AdminPort | undefined;
  try {
    server = await open(options.port ?? 0);
    if (options.adminPort !== undefined) adminPort = await openAdminPort(admin, options.adminPort);
  } catch (error) {
    if (server !== undefined) await close(server);
    app.store.close();
    throw error;
  }
  app.sync.begin();
  app.dispatcher.begin();
  app.expiry.begin();
  app.rotation.begin();
  const { port } = server.address() as AddressInfo;
  const token = admin.createToken({
    identity: "sa:local-admin",
    displayName: "Local administrator",
    scopes: [...knownScopes],
    roles: ["partner_admin"],
    rules: [{ path_pattern: "**", permissions: ["admin"] }],
  });
  const stopListening = async (): Promise<void> => {
    const closing = server;
    server = undefined;
    if (closing !== undefined) await close(closing);
  };
  let ended = false;
  return {
    url: `${options.tls === undefined ? "http" : "https"}://${host.includes(":") ? `[${host}]` : host}:${port}`,
    host,
    port,
    token,
    tenantId: app.homeTenantId,
    partnerId: options.partnerId ?? defaultPartner,
    admin,
    adminPort,
    stopListening,
    listenAgain: async () => {
      if (!ended) server ??= await open(port);
    },
    stop: async () => {
      if (ended) return;
      ended = true;
      stopped.abort();
      app.faults.clear();
      await stopListening();
      await adminPort?.close();
      app.expiry.stop();
      app.rotation.stop();
      await app.sync.stop();
      await app.dispatcher.stop();
      await app.federation.close();
      app.store.close();
    },
  };
}

function checkSafety(options: ServerOptions, host: string): void {
  if (isLoopback(host)) return;
  if (options.allowNonLoopback !== true)
    throw new Error(
      `${host} can be reached from other machines; the server holds values unprotected, so this needs --i-know (allowNonLoopback)`,
    );
}

/** SQLite is loaded only when it is used. */
async function openStore(dataFile: string | undefined): Promise<Store> {
  if (dataFile === undefined) return new MemoryStore();
  const { SqliteStore } = await import("./store/sqlite.ts");
  return new SqliteStore(dataFile);
}

async function buildApp(options: ServerOptions, host: string, isReady: () => boolean): Promise<App> {
  const clock = options.clock ?? systemClock;
  const store = await openStore(options.dataFile);
  const counters = new Counters();
  const metrics = new Metrics();
  const faults = new Faults();
  const tenants = new Tenants();
  const homeTenantId = options.tenantId ?? defaultTenant;
  tenants.add(homeTenantId, options.partnerId ?? defaultPartner);
  const policies = new Policies();
  const news = buildEvents({ store, clock, policies, tenants });
  const secrets = new SecretService({
    store,
    clock,
    events: news.events,
    retentionMs: options.retentionMs ?? RETENTION_MS,
    cas: options.cas ?? CAS_BY_DEFAULT,
    onVersion: () => {
      counters.versionWritten();
      metrics.versionWritten();
    },
    filterMetadata: (members) => faults.filterMetadata(members),
  });
  const schedule = buildSchedule({ store, clock, events: news.events, webhooks: news.webhooks, secrets });
  const federation = new Federation({ store, clock, outgoing: options.federation ?? {} });
  return {
    clock,
    store,
    counters,
    metrics,
    faults,
    tenants,
    homeTenantId,
    isReady,
    secrets,
    federation,
    sync: new Syncs({ store, secrets, clock, federation }),
    tokens: new TokenRegistry(clock, `http://${host}/tenants/${homeTenantId}`, options.jwtAlgorithm ?? "RS256"),
    policies,
    ...news,
    ...schedule,
    reload: () => {
      const { rotationPolicies, rotationHistory, secretPolicies, rotation, expiry } = schedule;
      const { webhooks, dispatcher, subscriptions } = news;
      // Those that plan by others come behind them.
      for (const part of [rotationPolicies, rotationHistory, secretPolicies, webhooks, rotation, expiry, dispatcher])
        part.reload();
      subscriptions.reload();
    },
    exchange: new Exchange(clock, options.exchange ?? [], isLoopback(host)),
    limiter: new RateLimiter(clock, options.limits ?? {}),
    cursors: new Cursors(clock),
    tokenLifetimeMs: options.tokenLifetimeMs ?? defaultLifetimeMs,
    startedAt: clock.monotonic(),
  };
}

function listen(
  options: ServerOptions,
  host: string,
  port: number,
  onRequest: (message: IncomingMessage, response: ServerResponse) => void,
): Promise<Server> {
  // Longer than clients keep idle connections, so that a request does not meet a connection that is just being closed.
  const settings = { keepAliveTimeout: 75_000, maxHeaderSize: 65_536 };
  const server =
    options.tls === undefined
      ? createHttpServer(settings, onRequest)
      : createHttpsServer({ ...settings, ...options.tls }, onRequest);
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, () => {
      server.removeListener("error", reject);
      resolve(server);
    });
  });
}

function close(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}
