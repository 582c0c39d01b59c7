/**
 * A TCP relay in front of a server, to break connections as networks do: cut them, let them go silent (half open), refuse new ones.
 * TLS goes through untouched; certificates of the environment are valid for each loopback port.
 */
import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { loopback } from "./ports.ts";

/** A running relay. */
export interface Relay {
  /** The target's URL with the relay's port. */
  readonly url: string;
  readonly port: number;
  /** Connections that are open now. */
  readonly open: number;
  /** Connections since the start. */
  readonly accepted: number;
  /** Resets all open connections; new ones are served. */
  cut(): void;
  /** From now on nothing passes in either direction, and nobody is told: connections look alive. New ones too. */
  silence(): void;
  /** What was held back by `silence` passes again. */
  speak(): void;
  /** Closes the port and resets what is open; `serve` opens the same port again. */
  refuse(): Promise<void>;
  serve(): Promise<void>;
  stop(): Promise<void>;
}

class TcpRelay implements Relay {
  readonly #target: URL;
  readonly #pairs = new Set<readonly [Socket, Socket]>();
  #server: Server | undefined;
  #silent = false;
  port = 0;
  accepted = 0;

  constructor(targetUrl: string) {
    this.#target = new URL(targetUrl);
  }

  get url(): string {
    return `${this.#target.protocol}//${loopback}:${this.port}`;
  }
  get open(): number {
    return this.#pairs.size;
  }

  #accept(near: Socket): void {
    this.accepted++;
    const far = connect(Number(this.#target.port), this.#target.hostname);
    const pair = [near, far] as const;
    this.#pairs.add(pair);
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      from.on("data", (chunk: Buffer) => {
        if (!to.write(chunk)) from.pause();
      });
      to.on("drain", () => {
        if (!this.#silent) from.resume();
      });
      from.on("end", () => to.end());
      from.on("error", () => to.destroy());
      from.on("close", () => {
        this.#pairs.delete(pair);
        to.destroy();
      });
      if (this.#silent) from.pause();
    }
  }

  cut(): void {
    for (const [near, far] of this.#pairs) {
      near.resetAndDestroy();
      far.destroy();
    }
  }

  silence(): void {
    this.#silent = true;
    for (const socket of [...this.#pairs].flat()) socket.pause();
  }

  speak(): void {
    this.#silent = false;
    for (const socket of [...this.#pairs].flat()) socket.resume();
  }

  async refuse(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    if (server === undefined) return;
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    this.cut();
    await closed;
  }

  async serve(): Promise<void> {
    if (this.#server !== undefined) return;
    const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => this.#accept(socket));
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(this.port, loopback, resolve);
    });
    this.port = (server.address() as AddressInfo).port;
    this.#server = server;
  }

  async stop(): Promise<void> {
    this.#silent = false;
    await this.refuse();
  }
}

/** Starts a relay to the host and port of a URL, on a free loopback port. */
export async function startRelay(targetUrl: string): Promise<Relay> {
  const relay = new TcpRelay(targetUrl);
  await relay.serve();
  return relay;
}
