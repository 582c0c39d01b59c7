import { readFile } from "node:fs/promises";
import type { Clock } from "../time/clock.ts";
import { ApiConnectionError } from "./errors.ts";
import type { ClusterConfig, CredentialSource } from "./kubeconfig.ts";

/** What a TLS connection to the API server needs. */
export interface TlsMaterial {
  readonly ca?: Buffer;
  readonly cert?: Buffer;
  readonly key?: Buffer;
}

interface Loaded {
  readonly tls: TlsMaterial;
  readonly headers: Readonly<Record<string, string>>;
}

/** Kubernetes asks clients to read a mounted token again about once a minute. */
const refreshMs = 60_000;

/**
 * Token and certificates of the connection, read again once a minute in the background, and at once when the server or TLS
 * refuses them. A file that cannot be read leaves the last good content in use.
 */
export class Credentials {
  readonly #config: ClusterConfig;
  readonly #clock: Clock;
  #loaded: Loaded | undefined;
  #loadedAt = 0;
  #loading: Promise<void> | undefined;
  /** Counts changes of the TLS material. */
  tlsGeneration = 0;

  constructor(config: ClusterConfig, clock: Clock) {
    this.#config = config;
    this.#clock = clock;
  }

  /** The current material. Waits only the first time. */
  async current(): Promise<Loaded> {
    if (this.#loaded === undefined) await this.reload();
    else if (this.#clock.monotonic() - this.#loadedAt >= refreshMs) void this.reload().catch(() => undefined);
    if (this.#loaded === undefined) throw new ApiConnectionError("credentials", false);
    return this.#loaded;
  }

  /** Reads everything again; concurrent calls share one reading. @returns true when something changed */
  async reload(): Promise<boolean> {
    const before = this.#loaded;
    this.#loading ??= this.#load().finally(() => (this.#loading = undefined));
    await this.#loading;
    return before !== this.#loaded;
  }

  async #load(): Promise<void> {
    this.#loadedAt = this.#clock.monotonic();
    let next: Loaded;
    try {
      next = await readAll(this.#config);
    } catch {
      // The error may quote paths or an exec plugin's output; what matters is that there are no credentials.
      if (this.#loaded === undefined) throw new ApiConnectionError("credentials", false);
      return;
    }
    const old = this.#loaded;
    const tlsSame = old !== undefined && sameTls(old.tls, next.tls);
    if (!tlsSame) this.tlsGeneration += 1;
    if (!tlsSame || JSON.stringify(old.headers) !== JSON.stringify(next.headers)) this.#loaded = next;
  }
}

async function readAll(config: ClusterConfig): Promise<Loaded> {
  const dynamic = await config.dynamicAuth?.();
  const [ca, cert, key, token] = await Promise.all([
    read(config.ca),
    dynamic?.cert === undefined ? read(config.cert) : Buffer.from(dynamic.cert),
    dynamic?.key === undefined ? read(config.key) : Buffer.from(dynamic.key),
    read(config.token),
  ]);
  return { headers: { ...dynamic?.headers, ...loginHeaders(config, token) }, tls: present({ ca, cert, key }) };
}

function loginHeaders(config: ClusterConfig, token: Buffer | undefined): Record<string, string> {
  const { basic, impersonateUser } = config;
  const bearer = token?.toString("utf8").trim() ?? "";
  const headers: Record<string, string> = {};
  if (bearer !== "") headers.authorization = `Bearer ${bearer}`;
  else if (basic !== undefined) {
    headers.authorization = `Basic ${Buffer.from(`${basic.username}:${basic.password}`).toString("base64")}`;
  }
  if (impersonateUser !== undefined) headers["impersonate-user"] = impersonateUser;
  return headers;
}

/** @throws for an empty file: it is being rewritten right now */
async function read(source: CredentialSource | undefined): Promise<Buffer | undefined> {
  if (source === undefined) return undefined;
  if (!("file" in source)) return Buffer.from(source.text);
  const bytes = await readFile(source.file);
  if (bytes.length === 0) throw new Error("empty file");
  return bytes;
}

function present(tls: Record<keyof TlsMaterial, Buffer | undefined>): TlsMaterial {
  return Object.fromEntries(Object.entries(tls).filter(([, value]) => value !== undefined));
}

function sameTls(a: TlsMaterial, b: TlsMaterial): boolean {
  const same = (x: Buffer | undefined, y: Buffer | undefined): boolean =>
    x === undefined || y === undefined ? x === y : x.equals(y);
  return same(a.ca, b.ca) && same(a.cert, b.cert) && same(a.key, b.key);
}
