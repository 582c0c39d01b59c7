import type { IncomingMessage } from "node:http";
import { isIP } from "node:net";
import { FORBIDDEN_FOR_HOST } from "../assumptions.ts";
import { ApiError } from "../errors.ts";

/** Whether an address to listen on can be reached from this machine only. */
export function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || (isIP(host) === 4 && host.startsWith("127."));
}

/**
 * Refuses requests that a browser could be tricked into: a `Host` that is not ours (DNS rebinding) and anything that
 * carries an `Origin`. There is no page to serve, so there is no origin to allow.
 * @throws ApiError `forbidden`.
 */
export function checkHost(message: IncomingMessage, allowedHosts: ReadonlySet<string>): void {
  const name = hostName(message.headers.host ?? "");
  if (!isLoopback(name) && !allowedHosts.has(name))
    throw new ApiError(FORBIDDEN_FOR_HOST, "this host is not served here");
  if (message.headers.origin !== undefined)
    throw new ApiError(FORBIDDEN_FOR_HOST, "requests from web pages are refused");
}

/** The host name of a `Host` header, lower case, without port and brackets. */
function hostName(header: string): string {
  const text = header.toLowerCase();
  if (text.startsWith("[")) return text.slice(1, Math.max(1, text.indexOf("]")));
  const colon = text.indexOf(":");
  return colon < 0 ? text : text.slice(0, colon);
}
