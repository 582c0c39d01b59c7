import { SyncError } from "../errors/index.ts";
import { type AddressRules, bareHost, hostAllowed, isLoopbackHost } from "./address.ts";

/**
 * The address of a store out of a spec or the configuration: https, host and port, nothing else (no user, query,
 * fragment or path). Plain http only to loopback and only with `allowLoopback`.
 *
 * @throws SyncError InvalidSpec when it is no such URL, EndpointNotAllowed when its host is refused by the address rules
 */
export function parseEndpoint(text: string, rules: AddressRules): URL {
  const url = URL.parse(text);
  const path = text.slice(text.indexOf("//") + 2);
  // The parser turns `https:\\host` and `https:host` into something else than what people read.
  const plain = /^https?:\/\//.test(text) && !/[\\?#\s]/.test(text) && text.length <= 512;
  if (url === null || !plain)
    throw new SyncError("InvalidSpec", "the address is not a URL of the form https://host:port");
  const slash = path.indexOf("/");
  if (url.username !== "" || url.password !== "" || (slash !== -1 && slash !== path.length - 1))
    throw new SyncError("InvalidSpec", "the address may only have a host and a port");
  if (url.protocol !== "https:" && !(rules.allowLoopback === true && isLoopbackHost(url.hostname)))
    throw new SyncError("InvalidSpec", "the address must begin with https://");
  if (!hostAllowed(url.hostname, rules))
    throw new SyncError("EndpointNotAllowed", "loopback, link-local and metadata addresses are refused");
  return url;
}

/**
 * Whether a host is on a list of `host`, `host:port`, `https://host[:port]` or `*.suffix[:port]`. Without a port every
 * port of the host is meant; `*.` stands for one or more labels, `*` alone for every host (`tenancyMode: Open`).
 */
export function endpointListed(url: URL, patterns: readonly string[]): boolean {
  return patterns.some((pattern) => pattern === "*" || matches(url, pattern));
}

function matches(url: URL, pattern: string): boolean {
  const scheme = pattern.startsWith("https://") ? "https:" : pattern.startsWith("http://") ? "http:" : undefined;
  const rest = scheme === undefined ? pattern : pattern.slice(scheme.length + 2);
  const wild = rest.startsWith("*.");
  const parsed = URL.parse(`${scheme ?? "https:"}//${wild ? rest.slice(2) : rest}`);
  if (parsed === null || parsed.pathname !== "/" || parsed.username !== "") return false;
  if (scheme !== undefined && scheme !== url.protocol) return false;
  if (/:\d+\/?$/.test(rest) && effectivePort(parsed) !== effectivePort(url)) return false;
  const wanted = bareHost(parsed.hostname);
  const host = bareHost(url.hostname);
  return wild ? host.endsWith(`.${wanted}`) : host === wanted;
}

function effectivePort(url: URL): string {
  if (url.port !== "") return url.port;
  return url.protocol === "http:" ? "80" : "443";
}

const awsSuffixes = [
  ".amazonaws.com",
  ".amazonaws.com.cn",
  ".api.aws",
  ".amazonaws.eu",
  ".c2s.ic.gov",
  ".sc2s.sgov.gov",
];

/** Whether a URL is one of AWS's own hosts on its standard port. */
export function isAwsHost(url: URL): boolean {
  const host = bareHost(url.hostname);
  return (
    url.protocol === "https:" && effectivePort(url) === "443" && awsSuffixes.some((suffix) => host.endsWith(suffix))
  );
}
