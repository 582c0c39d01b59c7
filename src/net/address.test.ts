import { describe, expect, it } from "vitest";
import { SyncError } from "../errors/index.ts";
import {
  addressAllowed,
  bindCredential,
  BoundCredential,
  clampRetryAfter,
  endpointListed,
  hostAllowed,
  isAwsHost,
  parseEndpoint,
} from "./index.ts";

describe("addressAllowed", () => {
  const refused = [
    "127.0.0.1", "127.9.9.9", "0.0.0.0", "0.1.2.3", "169.254.169.254", "169.254.170.2", "224.0.0.1", "239.1.1.1", "255.255.255.255", "100.100.100.200",
    "192.0.0.192", "168.63.129.16", "::", "::1", "fe80::1", "fe80::1%eth0", "ff02::1", "fd00:ec2::254", "fd00:ec2::23", "fd20:ce::254", "::ffff:127.0.0.1",
    "::ffff:a9fe:a9fe", "::127.0.0.1", "::169.254.169.254", "64:ff9b::169.254.169.254", "64:ff9b::127.0.0.1", "2002:7f00:1::", "2002:a9fe:a9fe::1",
    "", "localhost", "not an address",
  ]; // prettier-ignore
  it.each(refused)("refuses %s", (address) => expect(addressAllowed(address, {})).toBe(false));
  it.each([
    "10.0.0.1",
    "192.168.1.1",
    "172.16.0.1",
    "8.8.8.8",
    "2600::1",
    "fd12::1",
    "::ffff:10.0.0.1",
    "64:ff9b::808:808",
  ])("allows %s", (address) => expect(addressAllowed(address, {})).toBe(true));
  it("allows loopback, and only that, in the local environment", () => {
    expect(
      ["127.0.0.1", "::1", "::ffff:127.0.0.1"].every((address) => addressAllowed(address, { allowLoopback: true })),
    ).toBe(true);
    expect(addressAllowed("169.254.169.254", { allowLoopback: true })).toBe(false);
  });
  it("refuses what the composition root adds", () => {
    expect(addressAllowed("10.96.0.1", { deniedAddresses: ["10.96.0.1"] })).toBe(false);
    expect(addressAllowed("::ffff:10.96.0.1", { deniedAddresses: ["10.96.0.1"] })).toBe(false);
  });
  it("refuses names of this machine and of metadata services", () => {
    for (const host of ["localhost", "LOCALHOST.", "a.localhost", "[::1]", "metadata.google.internal", ""])
      expect(hostAllowed(host, {})).toBe(false);
    expect(hostAllowed("vault.example.com", {})).toBe(true);
  });
});

describe("parseEndpoint", () => {
  it.each([
    "https://vault.example.com",
    "https://vault.example.com:8200",
    "https://vault.example.com/",
    "https://10.0.0.1:8200",
    "https://[2600::1]:8200",
  ])("takes %s", (text) => expect(parseEndpoint(text, {}).protocol).toBe("https:"));
  it.each([
    "http://vault.example.com", "https://good@evil.example", "https://u:p@h", "https://h/path", "https://h?x", "https://h/?x=1", "https://h/#f", "https:h", "https:\\\\h",
    "https://h\\@evil", "ftp://h", "javascript:1", "", "vault", "//h", " https://h", "https://2852039166", "https://0xa9fea9fe", "https://0251.0376.0251.0376",
    "https://169.254.169.254", "https://[::ffff:169.254.169.254]", "https://127.1", "https://localhost:8200", "https://[::1]", "https://0", "http://127.0.0.1",
    "https://x/..", `https://${"a".repeat(600)}`, "https://metadata.google.internal",
  ])("refuses %s", (text) => expect(() => parseEndpoint(text, {})).toThrow(SyncError)); // prettier-ignore
  it("takes plain loopback in the local environment", () => {
    expect(parseEndpoint("http://127.0.0.1:5555", { allowLoopback: true }).port).toBe("5555");
    expect(() => parseEndpoint("http://vault.example.com", { allowLoopback: true })).toThrow(SyncError);
  });
});

describe("credentials and destinations", () => {
  it("matches hosts, ports and suffixes", () => {
    const url = new URL("https://vault.corp.example.com:8200");
    for (const pattern of [
      "vault.corp.example.com",
      "vault.corp.example.com:8200",
      "https://vault.corp.example.com:8200",
      "*.example.com",
      "*.corp.example.com:8200",
      "VAULT.corp.example.com",
    ])
      expect(endpointListed(url, [pattern]), pattern).toBe(true);
    for (const pattern of [
      "example.com",
      "*.vault.corp.example.com",
      "vault.corp.example.com:443",
      "*.ple.com",
      "http://vault.corp.example.com",
      "",
      "evil@vault.corp.example.com",
    ])
      expect(endpointListed(url, [pattern]), pattern).toBe(false);
    // Given by `tenancyMode: Open` only; the configuration takes no bare star.
    expect(endpointListed(url, ["*"])).toBe(true);
  });
  it("knows AWS's own hosts", () => {
    expect(isAwsHost(new URL("https://secretsmanager.us-east-1.amazonaws.com"))).toBe(true);
    for (const text of [
      "https://amazonaws.com.evil.example",
      "https://evilamazonaws.com",
      "http://secretsmanager.us-east-1.amazonaws.com",
      "https://x.amazonaws.com:8443",
    ])
      expect(isAwsHost(new URL(text)), text).toBe(false);
  });
  it("binds only what is listed for the owner, and nothing else makes a binding", () => {
    const owner = { kind: "Namespace", namespace: "team" } as const;
    const request = {
      service: "Vault",
      owner,
      credential: { token: "hvs.canary" },
      allowed: ["vault.example.com"],
    } as const;
    const bound = bindCredential({ ...request, endpoint: "https://vault.example.com:8200" }, {});
    expect(bound.destination.url.host).toBe("vault.example.com:8200");
    expect(JSON.stringify(bound)).not.toContain("canary");
    expect(() => bindCredential({ ...request, endpoint: "https://evil.example" }, {})).toThrow(
      expect.objectContaining({ reason: "EndpointNotAllowed" }),
    );
    // AWS's hosts are free for AWS credentials only.
    const aws = "https://secretsmanager.us-east-1.amazonaws.com";
    expect(() => bindCredential({ ...request, endpoint: aws }, {})).toThrow(SyncError);
    expect(bindCredential({ ...request, service: "AWS", endpoint: aws }, {}).owner).toEqual(owner);
    expect(() => new BoundCredential(Symbol("bound"), owner, 1, bound.destination)).toThrow(TypeError);
  });
  it("clamps Retry-After", () => {
    expect(
      ["5", "0", "1e9", "999999999", "-1", "NaN", "", undefined, "Wed, 21 Oct 2099 07:28:00 GMT"].map((text) =>
        clampRetryAfter(text, 0),
      ),
    ).toEqual([5000, 0, undefined, 900_000, 0, undefined, undefined, undefined, 900_000]);
  });
});
