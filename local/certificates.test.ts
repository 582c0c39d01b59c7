import { X509Certificate } from "node:crypto";
import { createServer } from "node:https";
import { get } from "node:https";
import type { AddressInfo } from "node:net";
import { describe, expect, it } from "vitest";
import { createAuthority, loadAuthority } from "./certificates.ts";

describe("the local certificate authority", () => {
  it("issues certificates that verify against it and carry names, user and groups", () => {
    const ca = createAuthority();
    const pair = ca.issue({
      commonName: "admin",
      organizations: ["system:masters"],
      names: ["localhost", "127.0.0.1", "::1"],
    });
    const cert = new X509Certificate(pair.cert);
    const root = new X509Certificate(ca.cert);
    expect(root.ca).toBe(true);
    expect(cert.ca).toBe(false);
    expect(cert.checkIssued(root)).toBe(true);
    expect(cert.verify(root.publicKey)).toBe(true);
    expect(cert.subject.split("\n").sort()).toEqual(["CN=admin", "O=system:masters"]);
    expect(cert.checkHost("localhost")).toBe("localhost");
    expect(cert.checkIP("127.0.0.1")).toBe("127.0.0.1");
    expect(cert.checkIP("::1")).toBe("::1");
    expect(cert.checkHost("example.com")).toBeUndefined();
  });

  it("serves TLS that only clients of this authority accept", async () => {
    const ca = createAuthority();
    const pair = ca.issue({ commonName: "server", names: ["127.0.0.1"] });
    const server = createServer(pair, (_request, response) => response.end("hello"));
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as AddressInfo;
    const ask = (trusted: string): Promise<string> =>
      new Promise((resolve, reject) => {
        get({ host: "127.0.0.1", port, ca: trusted, agent: false }, (answer) => {
          answer.setEncoding("utf8").on("data", resolve);
        }).on("error", reject);
      });
    try {
      await expect(ask(ca.cert)).resolves.toBe("hello");
      await expect(ask(createAuthority().cert)).rejects.toMatchObject({
        code: expect.stringMatching(/CERT|SIGNATURE|VERIFY/) as string,
      });
    } finally {
      server.close();
    }
  });

  it("can issue an expired certificate for tests", () => {
    const cert = new X509Certificate(createAuthority().issue({ commonName: "old", validMs: -1000 }).cert);
    expect(Date.parse(cert.validTo)).toBeLessThan(Date.now());
    expect(Date.parse(cert.validFrom)).toBeLessThan(Date.parse(cert.validTo));
  });

  it("goes on issuing in another process, from its PEM texts", () => {
    const ca = createAuthority();
    const root = new X509Certificate(ca.cert);
    const cert = new X509Certificate(loadAuthority({ cert: ca.cert, key: ca.key }).issue({ commonName: "x" }).cert);
    expect([cert.checkIssued(root), cert.verify(root.publicKey)]).toEqual([true, true]);
    expect(cert.checkIssued(new X509Certificate(createAuthority().cert))).toBe(false);
  });
});
