import { BlockList, isIP, isIPv6 } from "node:net";

/**
 * Addresses that no client of the operator connects to, whatever a name resolves to: a backend's address is chosen by
 * people who may not reach the node's metadata service or its loopback.
 */
const forbidden = new BlockList();
const loopback = new BlockList();

/** IPv4 ranges as network and prefix length. Private ranges are allowed: Vault often runs inside. */
const v4: readonly (readonly [string, number])[] = [
  ["0.0.0.0", 8], // unspecified, "this network"
  ["169.254.0.0", 16], // link-local, with the metadata services of AWS, GCP, Azure and the ECS credentials endpoint
  ["224.0.0.0", 4], // multicast
  ["240.0.0.0", 4], // reserved, broadcast
  ["100.100.100.200", 32], // metadata, Alibaba
  ["192.0.0.192", 32], // metadata, Oracle
  ["168.63.129.16", 32], // Azure host
];
const v6: readonly (readonly [string, number])[] = [
  ["::", 128], // unspecified
  ["fe80::", 10], // link-local
  ["ff00::", 8], // multicast
  ["fd00:ec2::", 32], // metadata and Pod Identity, AWS
  ["fd20:ce::254", 128], // metadata, GCP
];

function hex(byte: string | undefined): string {
  return Number(byte).toString(16).padStart(2, "0");
}

/** The IPv4 range inside the IPv6 ranges that carry IPv4 addresses: compatible, NAT64 and 6to4. (Mapped ones are known to BlockList.) */
function addEmbedded(list: BlockList, network: string, prefix: number): void {
  const [a, b, c, d] = network.split(".").map(hex);
  list.addSubnet(`::${a}${b}:${c}${d}`, 96 + prefix, "ipv6");
  list.addSubnet(`64:ff9b::${a}${b}:${c}${d}`, 96 + prefix, "ipv6");
  list.addSubnet(`2002:${a}${b}:${c}${d}::`, 16 + prefix, "ipv6");
}

for (const [network, prefix] of v4) {
  forbidden.addSubnet(network, prefix, "ipv4");
  // ::/104 would hold ::1; loopback has its own list.
  if (network !== "0.0.0.0") addEmbedded(forbidden, network, prefix);
}
for (const [network, prefix] of v6) forbidden.addSubnet(network, prefix, "ipv6");
loopback.addSubnet("127.0.0.0", 8, "ipv4");
loopback.addAddress("::1", "ipv6");
addEmbedded(loopback, "127.0.0.0", 8);

/** What may be connected to beyond the built-in rules. */
export interface AddressRules {
  /** Only for the local environment. */
  readonly allowLoopback?: boolean | undefined;
  /** More addresses that are refused, such as the kube-apiserver's. */
  readonly deniedAddresses?: readonly string[] | undefined;
}

/**
 * Whether a resolved address (IPv4 or IPv6, without brackets) may be connected to. What is no address is refused.
 */
export function addressAllowed(address: string, rules: AddressRules): boolean {
  const plain = address.split("%", 1)[0] ?? "";
  if (isIP(plain) === 0) return false;
  const family = isIPv6(plain) ? "ipv6" : "ipv4";
  if (forbidden.check(plain, family)) return false;
  if (loopback.check(plain, family) && rules.allowLoopback !== true) return false;
  return !(rules.deniedAddresses ?? []).some((denied) => sameAddress(denied, plain));
}

function sameAddress(a: string, b: string): boolean {
  const list = new BlockList();
  if (isIP(a) === 0) return false;
  list.addAddress(a, isIPv6(a) ? "ipv6" : "ipv4");
  return list.check(b, isIPv6(b) ? "ipv6" : "ipv4");
}

/** Whether a URL's host names this machine: a loopback literal or a `localhost` name. */
export function isLoopbackHost(hostname: string): boolean {
  const host = bareHost(hostname);
  if (isIP(host) !== 0) return loopback.check(host, isIPv6(host) ? "ipv6" : "ipv4");
  return host === "localhost" || host.endsWith(".localhost");
}

/**
 * The check by name, for literals and for connections through a proxy, where the address cannot be seen. `hostname` is
 * that of a parsed URL, so decimal and hexadecimal forms are plain dotted ones by now.
 */
export function hostAllowed(hostname: string, rules: AddressRules): boolean {
  const host = bareHost(hostname);
  if (host === "") return false;
  if (isIP(host) !== 0) return addressAllowed(host, rules);
  if (isLoopbackHost(host)) return rules.allowLoopback === true;
  return host !== "metadata.google.internal" && host !== "metadata";
}

/** Lower case, without IPv6 brackets and without the root's dot. */
export function bareHost(hostname: string): string {
  const lower = hostname.toLowerCase();
  if (lower.startsWith("[") && lower.endsWith("]")) return lower.slice(1, -1);
  return lower.endsWith(".") ? lower.slice(0, -1) : lower;
}
