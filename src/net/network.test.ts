import { createServer, type Server } from "node:http";
import { createServer as createTlsServer } from "node:https";
import { connect, createServer as createTcpServer, type AddressInfo, type Socket } from "node:net";
import { gzipSync } from "node:zlib";
import { afterEach, describe, expect, it } from "vitest";
import { createAuthority } from "../../local/certificates.ts";
import { SyncError } from "../errors/index.ts";
import { VirtualClock } from "../time/clock.ts";
import { MAX_BODY_BYTES, NetError, Network, type NetworkOptions, unavailable } from "./index.ts";

const closers: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

type Handler = Parameters<typeof createServer>[1];

async function listen(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  closers.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

function network(options: Partial<NetworkOptions> = {}): Network {
  const made = new Network({ userAgent: "test/1", allowLoopback: true, ...options });
  closers.push(() => made.close());
  return made;
}

async function client(handler: Handler, options: Partial<NetworkOptions> = {}) {
  const port = await listen(createServer(handler));
  return network(options).open({ url: new URL(`http://127.0.0.1:${port}`) });
}

async function failure(promise: Promise<unknown>): Promise<NetError> {
  const error = await promise.then(
    () => undefined,
    (caught: unknown) => caught,
  );
  expect(error).toBeInstanceOf(NetError);
  return error as NetError;
}

describe("exchanges", () => {
  it("sends method, headers and body, asks for identity encoding and reuses the connection", async () => {
    const seen: unknown[] = [];
    const sockets = new Set<unknown>();
    const http = await client((request, response) => {
      sockets.add(request.socket);
      const chunks: Buffer[] = [];
      request.on("data", (chunk: Buffer) => chunks.push(chunk));
      request.on("end", () => {
        seen.push([
          request.method,
          request.url,
          request.headers["accept-encoding"],
          request.headers["user-agent"],
          Buffer.concat(chunks).toString(),
        ]);
        response.setHeader("X-Thing", "1").end("ok");
      });
    });
    const answer = await http.send({ method: "PATCH", path: "/v1/a%2Eb?x=1" });
    await http.send({ method: "POST", path: "/p", headers: { "User-Agent": "other" }, body: "hello" });
    expect(answer).toMatchObject({ status: 200, headers: { "x-thing": "1" } });
    expect(answer.body.toString()).toBe("ok");
    expect(seen.slice(0, 2)).toEqual([
      ["PATCH", "/v1/a%2Eb?x=1", "identity", "test/1", ""],
      ["POST", "/p", "identity", "other", "hello"],
    ]);
    for (let n = 0; n < 6; n++) await http.send({ method: "GET", path: "/" });
    expect(sockets.size).toBeLessThanOrEqual(2);
  });

  it("does not follow redirects", async () => {
    let calls = 0;
    const http = await client((_request, response) => {
      calls++;
      response.writeHead(307, { location: "/elsewhere" }).end();
    });
    expect((await http.send({ method: "GET", path: "/" })).status).toBe(307);
    expect(calls).toBe(1);
  });

  it("refuses a compressed answer and one beyond the cap, announced or not", async () => {
    const http = await client((request, response) => {
      if (request.url === "/gzip") response.setHeader("content-encoding", "gzip").end(gzipSync("x"));
      else if (request.url === "/long") response.setHeader("content-length", MAX_BODY_BYTES + 1).write("x");
      else {
        const piece = Buffer.alloc(1024 * 1024);
        const more = (): void => void response.write(piece, (error) => (error ? undefined : more()));
        more();
      }
    });
    expect((await failure(http.send({ method: "GET", path: "/gzip" }))).kind).toBe("BadResponse");
    expect((await failure(http.send({ method: "GET", path: "/long" }))).kind).toBe("TooLarge");
    expect((await failure(http.send({ method: "GET", path: "/endless" }))).kind).toBe("TooLarge");
  });

  it("ends at the total limit, also while bytes trickle, and at once on abort", async () => {
    const clock = new VirtualClock();
    let arrived = 0;
    const http = await client(
      (_request, response) => {
        arrived++;
        response.write("x");
      },
      { clock, timeouts: { totalMs: 5_000 } },
    );
    const slow = failure(http.send({ method: "GET", path: "/" }));
    while (arrived < 1) await clock.advance(0);
    await clock.advance(5_000);
    expect(await slow).toMatchObject({ kind: "Timeout", code: "TOTAL_TIMEOUT" });

    const stop = new AbortController();
    const stopped = failure(http.send({ method: "GET", path: "/" }, stop.signal));
    while (arrived < 2) await clock.advance(0);
    stop.abort();
    expect((await stopped).kind).toBe("Aborted");
    expect((await failure(http.send({ method: "GET", path: "/" }, stop.signal))).kind).toBe("Aborted");
    expect(arrived).toBe(2);
    expect(clock.pending).toBe(0);
  });

  it("gives refused, reset and timed out connections one text", async () => {
    const refusedPort = await listen(createServer());
    await closers.splice(-1)[0]?.();
    const reset = createTcpServer((socket) => socket.on("data", () => socket.resetAndDestroy()));
    await new Promise<void>((resolve) => reset.listen(0, "127.0.0.1", resolve));
    closers.push(() => void reset.close());
    const silent = await client(() => undefined, { timeouts: { totalMs: 50 } });
    const open = (port: number) => network().open({ url: new URL(`http://127.0.0.1:${port}`) });
    const errors = [
      await failure(open(refusedPort).send({ method: "GET", path: "/" })),
      await failure(open((reset.address() as AddressInfo).port).send({ method: "GET", path: "/" })),
      await failure(silent.send({ method: "GET", path: "/" })),
    ];
    expect(errors.map((error) => error.kind)).toEqual(["Refused", "Reset", "Timeout"]);
    const shown = errors.map((error) => unavailable(error, "SourceUnavailable", "poll"));
    expect(new Set(shown.map((error) => `${error.reason} ${error.message}`)).size).toBe(1);
    expect(shown[0]?.detail).toContain("ECONNREFUSED");
  });
});

describe("TLS", () => {
  const authority = createAuthority("test");
  const other = createAuthority("other");
  async function tls(handler: Handler, options: object = {}): Promise<number> {
    return listen(
      createTlsServer(
        { ...authority.issue({ commonName: "vault", names: ["localhost", "127.0.0.1"] }), ...options },
        handler,
      ),
    );
  }
  const get = (port: number, ca: string | undefined, options: Partial<NetworkOptions> = {}, host = "127.0.0.1") =>
    network(options)
      .open({ url: new URL(`https://${host}:${port}`), ca })
      .send({ method: "GET", path: "/" });

  it("trusts the destination's CA alone, or the extra CA", async () => {
    const port = await tls((_request, response) => response.end("ok"));
    expect((await get(port, authority.cert)).status).toBe(200);
    expect((await get(port, undefined, { extraCA: authority.cert })).status).toBe(200);
    expect((await get(port, authority.cert, {}, "localhost")).status).toBe(200);
    expect((await failure(get(port, undefined))).kind).toBe("TLS");
    expect((await failure(get(port, other.cert, { extraCA: authority.cert }))).kind).toBe("TLS");
  });

  it("takes a new extra CA in: what is under way ends well, then connections are made anew", async () => {
    const sockets = new Set<Socket>();
    let release = (): void => undefined;
    const held = new Promise<void>((resolve) => (release = resolve));
    const port = await tls((request, response) => {
      sockets.add(request.socket);
      if (request.url === "/slow") void held.then(() => response.end("slow"));
      else response.end("ok");
    });
    const net = network({ extraCA: authority.cert });
    const http = net.open({ url: new URL(`https://127.0.0.1:${port}`) });
    const get = (path: string) => http.send({ method: "GET", path });
    await get("/");
    const slow = get("/slow");
    while (sockets.size < 1) await get("/");
    net.replace({ extraCA: `${authority.cert}\n${other.cert}` });
    const before = new Set(sockets);
    expect((await get("/")).status).toBe(200);
    expect([...sockets].some((socket) => !before.has(socket))).toBe(true);
    release();
    expect((await slow).body.toString()).toBe("slow");
    net.replace({ extraCA: other.cert });
    expect((await failure(get("/"))).kind).toBe("TLS");
    expect(() => net.replace({ extraCA: "-----BEGIN CERTIFICATE-----\nnone\n" })).toThrow("PEM");
    net.replace({ extraCA: authority.cert });
    expect((await get("/")).status).toBe(200);
  });

  it("refuses a certificate of another name and TLS 1.1", async () => {
    const named = await listen(
      createTlsServer(authority.issue({ commonName: "vault", names: ["vault.example.com"] }), (_request, response) =>
        response.end(),
      ),
    );
    expect((await failure(get(named, authority.cert))).kind).toBe("TLS");
    const old = await tls((_request, response) => response.end(), {
      minVersion: "TLSv1",
      maxVersion: "TLSv1.1",
      ciphers: "DEFAULT@SECLEVEL=0",
    });
    expect((await failure(get(old, authority.cert))).kind).toMatch(/TLS|Reset/);
  });

  it("refuses a CA that is none", () => {
    const open = () =>
      network().open({
        url: new URL("https://127.0.0.1:1"),
        ca: "-----BEGIN CERTIFICATE-----\ncanary\n-----END CERTIFICATE-----",
      });
    expect(open).toThrow(
      expect.objectContaining({ reason: "InvalidSpec", message: expect.not.stringContaining("canary") as string }),
    );
  });

  it("goes through the proxy by CONNECT, but for exceptions, and never by environment", async () => {
    const port = await tls((_request, response) => response.end("ok"));
    const connects: string[] = [];
    const proxy = createServer();
    proxy.on("connect", (request, socket: Socket) => {
      connects.push(`${request.url} ${request.headers["proxy-authorization"] ?? ""}`);
      const upstream = connect(port, "127.0.0.1", () => {
        socket.write("HTTP/1.1 200 ok\r\n\r\n");
        socket.pipe(upstream).pipe(socket);
      });
      for (const end of [socket, upstream]) end.on("error", () => undefined);
      closers.push(() => void (socket.destroy(), upstream.destroy()));
    });
    const proxyPort = await listen(proxy);
    const through = { url: `http://u:p@127.0.0.1:${proxyPort}` };
    process.env["HTTPS_PROXY"] = "http://127.0.0.1:1";
    try {
      expect((await get(port, authority.cert)).status).toBe(200);
      expect((await get(port, authority.cert, { proxy: through })).status).toBe(200);
      expect(connects).toEqual([`127.0.0.1:${port} Basic dTpw`]);
      expect((await get(port, authority.cert, { proxy: { ...through, exceptions: ["127.0.0.1"] } })).status).toBe(200);
      expect(connects).toHaveLength(1);
    } finally {
      delete process.env["HTTPS_PROXY"];
    }
    expect(() =>
      network({ allowLoopback: false, proxy: through }).open({ url: new URL("https://localhost:1") }),
    ).toThrow(SyncError);
  });
});

describe("addresses at connect", () => {
  it("refuses names that resolve to loopback or metadata, also when they did not before", async () => {
    let contacted = 0;
    const port = await listen(createServer((_request, response) => void (contacted++, response.end("ok"))));
    const answers = [["127.0.0.1"], ["169.254.169.254"], ["::ffff:127.0.0.1"], ["64:ff9b::7f00:1"], ["fe80::1"]];
    for (const addresses of answers) {
      const http = network({
        allowLoopback: false,
        lookup: (_host, _options, callback) =>
          callback(
            null,
            addresses.map((address) => ({ address, family: address.includes(":") ? 6 : 4 })),
          ),
      }).open({ url: new URL(`http://rebind.example.com:${port}`) });
      expect(await failure(http.send({ method: "GET", path: "/" }))).toMatchObject({ kind: "Address" });
    }
    expect(contacted).toBe(0);
    const allowed = network({
      lookup: (_host, _options, callback) => callback(null, [{ address: "127.0.0.1", family: 4 }]),
    });
    await allowed.open({ url: new URL(`http://rebind.example.com:${port}`) }).send({ method: "GET", path: "/" });
    expect(contacted).toBe(1);
  });

  it("maps hosts to the local environment's addresses, and only there", async () => {
    const port = await listen(createServer((request, response) => response.end(request.headers.host)));
    const overrides = { "secretsmanager.us-east-1.amazonaws.com": `http://127.0.0.1:${port}` };
    const http = network({ endpointOverrides: overrides }).open({
      url: new URL("https://secretsmanager.us-east-1.amazonaws.com"),
    });
    expect((await http.send({ method: "GET", path: "/" })).body.toString()).toBe(`127.0.0.1:${port}`);
    expect(() => network({ allowLoopback: false, endpointOverrides: overrides })).toThrow(SyncError);
  });
});
