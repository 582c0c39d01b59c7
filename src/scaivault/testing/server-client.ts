import { expect } from "vitest";
import { type ScaiVaultServer, startServer } from "../../../scaivault-server/server.ts";
import { SyncError } from "../../errors/index.ts";
import { SecretValue } from "../../model/index.ts";
import { type HttpClient, Network } from "../../net/index.ts";
import { type Clock, systemClock } from "../../time/clock.ts";
import {
  RateBudget,
  ScaiVaultClient,
  type ScaiVaultOptions,
  type SecretMetadata,
  type TokenProvider,
} from "../index.ts";

/** For tests of the client on the reference server: the server, and clients that talk to it. */
export class ServerAndClients {
  readonly server: ScaiVaultServer;
  readonly http: HttpClient;
  readonly #network: Network;

  private constructor(server: ScaiVaultServer) {
    this.server = server;
    this.#network = new Network({ userAgent: "scaivault-operator/test", allowLoopback: true });
    this.http = this.#network.open({ url: this.#network.endpoint(server.url) });
  }

  static async start(clock?: Clock): Promise<ServerAndClients> {
    return new ServerAndClients(await startServer(clock === undefined ? {} : { clock }));
  }

  client(more: Partial<ScaiVaultOptions> = {}): ScaiVaultClient {
    return new ScaiVaultClient({
      http: this.http,
      tokens: fixedToken(this.server.token),
      clock: systemClock,
      userAgent: "scaivault-operator/test",
      cluster: "eu-1",
      budget: new RateBudget({ clock: systemClock }),
      timeoutMs: 2000,
      ...more,
    });
  }

  /** A client with the rights of an identity. */
  as(identity: string, scopes: readonly string[], more: Partial<ScaiVaultOptions> = {}): ScaiVaultClient {
    return this.client({ tokens: fixedToken(this.server.admin.createToken({ identity, scopes }, null)), ...more });
  }

  async stop(): Promise<void> {
    await this.#network.close();
    await this.server.stop();
  }
}

export const noMetadata: SecretMetadata = { description: undefined, owner: undefined, tags: [], custom: new Map() };

export function fixedToken(token: string): TokenProvider {
  return { token: async () => SecretValue.fromText(token), renew: async () => undefined };
}

/** The error of a call that fails, which says nothing of the canary. */
export async function failureOf(promise: Promise<unknown>, canary = "canary-7f3a9c"): Promise<SyncError> {
  const error: unknown = await promise.then(
    () => undefined,
    (found: unknown) => found,
  );
  if (!(error instanceof SyncError)) throw new Error(`no SyncError but ${String(error)}`);
  expect(JSON.stringify({ ...error, message: error.message })).not.toContain(canary);
  return error;
}

/** All items of a listing. */
export async function allOf<T>(pages: AsyncIterable<readonly T[]>): Promise<T[]> {
  const items: T[] = [];
  for await (const page of pages) items.push(...page);
  return items;
}
