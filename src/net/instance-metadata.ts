import { Agent } from "undici";
import { SyncError } from "../errors/index.ts";
import { type Clock, systemClock } from "../time/clock.ts";
import { NetError } from "./errors.ts";
import { HttpClient } from "./http-client.ts";

/** Where an EC2 instance finds its metadata service. No spec and no configuration can name another address. */
const INSTANCE_METADATA = "http://169.254.169.254";
/** The service is next door: off EC2 nothing answers, and nobody should wait for that. Milliseconds. */
const TIMEOUT_MS = 1_500;
const TOKEN_SECONDS = "300";

/** Keys of an instance's role. */
export interface InstanceKeys {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken: string;
  readonly expiration: Date;
}

/**
 * The EC2 instance metadata service, version 2 only (a token for each look): region and keys of the role. It is the one place that
 * may connect to a link-local address, never through a proxy, and its address is fixed.
 */
export class InstanceMetadata {
  readonly #http: HttpClient;

  /** @param origin another address, for the local environment only */
  constructor(options: { readonly userAgent: string; readonly origin?: string; readonly clock?: Clock }) {
    this.#http = new HttpClient({
      origin: options.origin ?? INSTANCE_METADATA,
      dispatcher: new Agent({ connections: 2, connect: { timeout: TIMEOUT_MS } }),
      timeouts: { connectMs: TIMEOUT_MS, headersMs: TIMEOUT_MS, bodyMs: TIMEOUT_MS, totalMs: TIMEOUT_MS },
      userAgent: options.userAgent,
      clock: options.clock ?? systemClock,
      onClose: () => undefined,
    });
  }

  /** @throws SyncError SourceUnavailable when the service does not answer, or not with a region */
  async region(signal?: AbortSignal): Promise<string> {
    const token = await this.#token(signal);
    return (await this.#get("/latest/meta-data/placement/region", token, signal)).trim();
  }

  /** @throws SyncError SourceUnavailable when the service does not answer, LoginFailed when the instance has no role */
  async keys(signal?: AbortSignal): Promise<InstanceKeys> {
    const token = await this.#token(signal);
    const path = "/latest/meta-data/iam/security-credentials/";
    const [role = ""] = (await this.#get(path, token, signal)).trim().split("\n");
    if (!/^[\w+=,.@-]{1,128}$/.test(role)) throw noRole();
    const keys = keysOf(await this.#get(path + encodeURIComponent(role), token, signal));
    if (keys === undefined) throw noRole();
    return keys;
  }

  async close(): Promise<void> {
    await this.#http.close();
  }

  async #token(signal?: AbortSignal): Promise<string> {
    const headers = { "x-aws-ec2-metadata-token-ttl-seconds": TOKEN_SECONDS };
    return this.#text({ method: "PUT", path: "/latest/api/token", headers }, signal);
  }

  #get(path: string, token: string, signal?: AbortSignal): Promise<string> {
    return this.#text({ method: "GET", path, headers: { "x-aws-ec2-metadata-token": token } }, signal);
  }

  async #text(request: Parameters<HttpClient["send"]>[0], signal?: AbortSignal): Promise<string> {
    try {
      const answer = await this.#http.send(request, signal);
      if (answer.status === 200 && answer.body.length <= 16 * 1024) return answer.body.toString("utf8");
      if (answer.status === 404 && request.path.includes("security-credentials")) throw noRole();
      throw silent(`HTTP ${answer.status}`);
    } catch (error) {
      if (error instanceof NetError) throw silent(`${error.kind} ${error.code}`);
      throw error;
    }
  }
}

const silent = (detail: string): SyncError =>
  new SyncError("SourceUnavailable", "the EC2 instance metadata service does not answer", { detail });
const noRole = (): SyncError => new SyncError("LoginFailed", "the EC2 instance has no role");

function keysOf(text: string): InstanceKeys | undefined {
  let found: Record<string, unknown>;
  try {
    found = JSON.parse(text) as Record<string, unknown>;
  } catch {
    // The parser's message quotes the text, which holds keys.
    return undefined;
  }
  const { AccessKeyId, SecretAccessKey, Token, Expiration } = found;
  if (typeof AccessKeyId !== "string" || typeof SecretAccessKey !== "string") return undefined;
  if (typeof Token !== "string" || typeof Expiration !== "string") return undefined;
  const expiration = new Date(Expiration);
  if (Number.isNaN(expiration.getTime())) return undefined;
  return { accessKeyId: AccessKeyId, secretAccessKey: SecretAccessKey, sessionToken: Token, expiration };
}
