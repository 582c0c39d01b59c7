import { connect, createServer, type AddressInfo, type Socket } from "node:net";

/** A way to a server that can be made to hang, refuse or reset, whatever the server is. */
export interface TcpProxy {
  readonly port: number;
  /** From now on bytes go nowhere; connections are taken. */
  hang(on: boolean): void;
  /** Resets what is open, and everything new while it is on. */
  reset(on: boolean): void;
  /** Connections taken so far. */
  readonly connections: number;
  close(): Promise<void>;
}

/** Passes everything on to `port` on loopback. */
export async function startTcpProxy(port: number): Promise<TcpProxy> {
  const open = new Set<Socket>();
  let hanging = false;
  let resetting = false;
  let connections = 0;
  const server = createServer((socket) => {
    connections++;
    if (resetting) {
      socket.resetAndDestroy();
      return;
    }
    const upstream = connect(port, "127.0.0.1");
    for (const [from, to] of [
      [socket, upstream],
      [upstream, socket],
    ] as const) {
      open.add(from);
      from.on("data", (chunk) => void (hanging || to.write(chunk)));
      from.on("error", () => to.destroy());
      from.on("close", () => {
        open.delete(from);
        to.destroy();
      });
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const endAll = (): void => {
    for (const socket of open) socket.resetAndDestroy();
  };
  return {
    port: (server.address() as AddressInfo).port,
    hang(on) {
      hanging = on;
      // Half an exchange cannot be taken up again.
      if (!on) endAll();
    },
    reset(on) {
      resetting = on;
      if (on) endAll();
    },
    get connections() {
      return connections;
    },
    async close() {
      endAll();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}
