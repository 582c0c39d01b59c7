import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { call } from "./http.ts";
import { waitFor } from "./process.ts";
import { startRelay, type Relay } from "./relay.ts";

describe("the relay", () => {
  let server: Server;
  let relay: Relay;
  beforeEach(async () => {
    server = createServer((request, response) => {
      if (request.url === "/hold") response.write("start");
      else response.end("hello ".repeat(50_000));
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    relay = await startRelay(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  });
  afterEach(async () => {
    await relay.stop();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  const ask = (path = "/", timeoutMs = 5_000): Promise<string> =>
    call({ url: `${relay.url}${path}`, timeoutMs }).then(({ text }) => text);

  it("passes everything on", async () => {
    expect((await ask()).length).toBe(300_000);
    expect(relay.accepted).toBe(1);
  });

  it("cuts what is open and serves what comes after", async () => {
    const held = ask("/hold").catch((error: unknown) => (error as { code?: string }).code);
    expect(await waitFor(() => Promise.resolve(relay.open === 1), 2_000, 5)).toBe(true);
    relay.cut();
    expect(await held).toBe("ECONNRESET");
    expect((await ask()).length).toBe(300_000);
  });

  it("goes silent without closing, and speaks again", async () => {
    relay.silence();
    const waiting = ask();
    await expect(ask("/", 200)).rejects.toThrow();
    relay.speak();
    expect((await waiting).length).toBe(300_000);
  });

  it("refuses and serves again on the same port", async () => {
    const { port } = relay;
    await relay.refuse();
    await expect(ask()).rejects.toMatchObject({ code: "ECONNREFUSED" });
    await relay.serve();
    expect(relay.port).toBe(port);
    expect((await ask()).length).toBe(300_000);
  });
});
