/** The operator's ScaiVault client and target on a reference server in this process, over plain loopback HTTP. */
import { Agent, request as send } from "node:http";
import type { ScaiVaultServer } from "../../../scaivault-server/server.ts";
import { Observations } from "../../../src/catalogue/index.ts";
import type { World } from "../../../src/controllers/index.ts";
import { createMarkSeal } from "../../../src/decide/index.ts";
import { SecretValue } from "../../../src/model/index.ts";
import { type HttpClient, type HttpRequest, type HttpResponse, NetError } from "../../../src/net/index.ts";
import { RateBudget, ScaiVaultClient } from "../../../src/scaivault/index.ts";
import { createScaiVaultTarget } from "../../../src/targets/scaivault/index.ts";
import { settle, type VirtualClock } from "../../../src/time/clock.ts";
import { memoryRing } from "../memory-operator.ts";

/** Connections to one server; knows when no call is in flight, so that a virtual clock moves on only then. */
export class Wire {
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 8 });
  readonly #url: () => string;
  #inFlight = 0;

  constructor(url: () => string) {
    this.#url = url;
  }

  /** Until no call has been in flight for a few turns of the event loop. */
  async quiet(): Promise<void> {
    for (let calm = 0; calm < 2;) {
      await settle(2);
      calm = this.#inFlight === 0 ? calm + 1 : 0;
    }
  }

  send({ method, path, headers, body }: HttpRequest, signal: AbortSignal): Promise<HttpResponse> {
    this.#inFlight += 1;
    return new Promise<HttpResponse>((resolve, reject) => {
      const fail = (error: NodeJS.ErrnoException): void =>
        reject(new NetError(error.code === "ECONNREFUSED" ? "Refused" : "Reset", error.code ?? "ECONNRESET"));
      const call = send(this.#url() + path, { method, headers, agent: this.#agent, signal }, (answer) => {
        const parts: Buffer[] = [];
        answer.on("data", (part: Buffer) => parts.push(part));
        answer.on("error", fail);
        answer.on("end", () =>
          resolve({
            status: answer.statusCode ?? 0,
            headers: answer.headers as Record<string, string>,
            body: Buffer.concat(parts),
          }),
        );
      });
      call.on("error", fail);
      call.end(body);
    }).finally(() => (this.#inFlight -= 1));
  }

  close(): void {
    this.#agent.destroy();
  }
}

/** ScaiVault as one process of the operator knows it: its memory is new. */
export function scaivaultSide(
  server: ScaiVaultServer,
  parts: { readonly wire: Wire; readonly clock: VirtualClock; readonly token: string; readonly cluster: string },
): Pick<NonNullable<World["scaivault"]>, "target" | "observations" | "list"> {
  const { wire, clock, token, cluster } = parts;
  const secret = SecretValue.fromText(token);
  const client = new ScaiVaultClient({
    http: wire as unknown as HttpClient,
    clock,
    userAgent: "scaivault-operator/test",
    cluster,
    budget: new RateBudget({ clock }),
    tokens: { token: () => Promise.resolve(secret), renew: () => Promise.resolve(undefined) },
  });
  const target = createScaiVaultTarget({ client, seal: createMarkSeal(memoryRing), clock });
  return {
    target,
    observations: new Observations({ target, clock, onReachability: () => undefined }),
    list: async (prefix, signal) => {
      const paths: string[] = [];
      for await (const page of client.list(prefix, { signal, lane: "verification" }))
        for (const { path } of page) paths.push(path);
      return paths;
    },
  };
}
