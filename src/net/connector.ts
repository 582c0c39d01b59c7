import { lookup as dnsLookup, type LookupAddress, type LookupOptions } from "node:dns";
import { isIP, type LookupFunction } from "node:net";
import { buildConnector } from "undici";
import { addressAllowed, type AddressRules, bareHost } from "./address.ts";
import { NetError } from "./errors.ts";

/** Name resolution to all addresses. */
export type Lookup = (
  hostname: string,
  options: LookupOptions & { all: true },
  callback: (error: NodeJS.ErrnoException | null, addresses: LookupAddress[]) => void,
) => void;

/**
 * A connector that checks the address which the socket really goes to, at each connect: a name that is harmless when
 * the spec is checked may resolve to something else later (DNS rebinding).
 */
export function checkedConnector(
  tls: buildConnector.BuildOptions,
  rules: AddressRules,
  resolve: Lookup = dnsLookup,
): buildConnector.connector {
  const lookup: LookupFunction = (hostname, options, callback) => {
    resolve(hostname, { ...options, all: true }, (error, addresses) => {
      if (error !== null) {
        callback(error, []);
        return;
      }
      const allowed = addresses.filter(({ address }) => addressAllowed(address, rules));
      const first = allowed[0];
      if (first === undefined) callback(refused(), []);
      else if (options.all === true) callback(null, allowed);
      else callback(null, first.address, first.family);
    });
  };
  const connect = buildConnector({ ...tls, lookup } as buildConnector.BuildOptions);
  return (options, callback) => {
    const host = bareHost(options.hostname);
    // Literals never reach the lookup.
    if (isIP(host) !== 0 && !addressAllowed(host, rules)) {
      callback(refused(), null);
      return;
    }
    connect(options, (error, socket) => {
      if (error !== null) {
        callback(error, null);
        return;
      }
      const remote = socket.remoteAddress;
      if (remote !== undefined && !addressAllowed(remote, rules)) {
        socket.destroy();
        callback(refused(), null);
        return;
      }
      callback(null, socket);
    });
  };
}

function refused(): NetError {
  return new NetError("Address", "ADDRESS_REFUSED");
}
