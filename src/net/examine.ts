import { lookup } from "node:dns/promises";
import { isIP } from "node:net";
import { TLSSocket } from "node:tls";
import type { buildConnector } from "undici";
import { addressAllowed, type AddressRules, bareHost } from "./address.ts";
import { NetError, toNetError } from "./errors.ts";

/** What a handshake showed of the other side. */
export interface Handshake {
  /** Undefined for plain connections. */
  readonly certificate:
    { readonly validFromMs: number; readonly validToMs: number; readonly protocol: string } | undefined;
}

/** The way to one destination, step by step, under the rules that all clients keep to. For `doctor`. */
export class Examination {
  readonly url: URL;
  /** True: a proxy resolves the name and connects; nothing of that is seen from here. */
  readonly proxied: boolean;
  readonly #connect: buildConnector.connector;
  readonly #rules: AddressRules;

  constructor(url: URL, options: { proxied: boolean; connect: buildConnector.connector; rules: AddressRules }) {
    this.url = url;
    this.proxied = options.proxied;
    this.#connect = options.connect;
    this.#rules = options.rules;
  }

  /** Addresses of the host. @throws NetError DNS, or Address when none may be connected to */
  async resolve(): Promise<readonly string[]> {
    const host = bareHost(this.url.hostname);
    const addresses = isIP(host) === 0 ? await resolved(host) : [host];
    const allowed = addresses.filter((address) => addressAllowed(address, this.#rules));
    if (allowed.length === 0) throw new NetError("Address", "ADDRESS_REFUSED");
    return allowed;
  }

  /** Connects, and ends the connection. @throws NetError Refused, Timeout, TLS ... */
  handshake(): Promise<Handshake> {
    const { protocol, hostname, host, port } = this.url;
    return new Promise((resolve, reject) => {
      const options = { protocol, hostname, host, port, servername: isIP(bareHost(hostname)) === 0 ? hostname : "" };
      this.#connect(options as buildConnector.Options, (error, socket) => {
        if (error !== null) {
          reject(toNetError(error));
          return;
        }
        const certificate = socket instanceof TLSSocket ? certificateOf(socket) : undefined;
        socket.on("error", () => undefined);
        socket.destroy();
        resolve({ certificate });
      });
    });
  }
}

async function resolved(host: string): Promise<string[]> {
  try {
    return (await lookup(host, { all: true })).map(({ address }) => address);
  } catch (error) {
    throw toNetError(error);
  }
}

function certificateOf(socket: TLSSocket): Handshake["certificate"] {
  const { valid_from: from, valid_to: to } = socket.getPeerCertificate();
  return { validFromMs: Date.parse(from), validToMs: Date.parse(to), protocol: socket.getProtocol() ?? "" };
}
