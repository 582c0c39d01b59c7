/** A TLS server before another server, whose certificate can be replaced while it runs. */
import { request } from "node:http";
import { request as secureRequest } from "node:https";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";

/** PEM texts. */
export interface CertificatePair {
  readonly cert: string;
  readonly key: string;
}

export interface TlsFront {
  /** `https://127.0.0.1:PORT` */
  readonly url: string;
  /** New connections get this certificate; those that are open are cut when they are idle. */
  replace(pair: CertificatePair): void;
  /** Connections that were made with the certificate of now. */
  connections(): number;
  stop(): Promise<void>;
}

/** @param ca of the server behind, when it speaks TLS */
export async function startTlsFront(to: string, pair: CertificatePair, ca?: string): Promise<TlsFront> {
  const target = new URL(to);
  const server = createServer({ cert: pair.cert, key: pair.key }, (incoming, answer) => {
    const send = target.protocol === "https:" ? secureRequest : request;
    const outgoing = send(
      target,
      { method: incoming.method, path: incoming.url, headers: incoming.headers, ...(ca === undefined ? {} : { ca }) },
      (response) => {
        answer.writeHead(response.statusCode ?? 502, response.headers);
        response.pipe(answer);
      },
    );
    outgoing.on("error", () => answer.destroy());
    incoming.pipe(outgoing);
  });
  let connections = 0;
  server.on("secureConnection", () => (connections += 1));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `https://127.0.0.1:${(server.address() as AddressInfo).port}`,
    replace(next) {
      connections = 0;
      server.setSecureContext({ cert: next.cert, key: next.key });
      server.closeIdleConnections();
    },
    connections: () => connections,
    async stop() {
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
    },
  };
}
