import type { IncomingMessage } from "node:http";
import type { App } from "../app.ts";
import type { AuditAction } from "../audit/audit.ts";
import { BODY_MAX_BYTES, CONTENT_TYPE_REQUIRED } from "../assumptions.ts";
import type { IssuedToken } from "../auth/token-registry.ts";
import type { AccessContext, Permission } from "../auth/policies.ts";
import type { Principal, Scope } from "../auth/principal.ts";
import { ApiError, validationError } from "../errors.ts";
import type { Origin } from "../events/hub.ts";
import type { Category } from "../limits/rate-limiter.ts";
import type { Owner } from "../store/store.ts";

/** What a handler answers. The body is written by `toJson`. */
export interface Answer {
  readonly status: number;
  readonly body?: unknown;
  /** Instead of `body`: text as it is. */
  readonly text?: { readonly content: string; readonly type: string };
  readonly headers?: Readonly<Record<string, string>>;
}

export type Handler = (call: Call) => Answer | Promise<Answer>;

/** One endpoint. */
export interface Route {
  readonly method: string;
  /** Segments; `{name}` is one segment, `{path+}` one or more. */
  readonly pattern: string;
  readonly category: Category;
  /** Without one, any valid token will do. */
  readonly scope?: Scope;
  /** False for the endpoints that need no token. Default true. */
  readonly token?: boolean;
  /** Action under which a denied or failed request is audited, on the path of the URL. */
  readonly action?: AuditAction;
  readonly handler: Handler;
}

/** An audit row in the making. */
export interface PendingRow {
  readonly action: AuditAction;
  readonly path: string | null;
  readonly success: boolean;
  readonly extra: Readonly<Record<string, unknown>>;
}

/** Reads the whole body. @throws ApiError `validation_error` above the cap. */
export async function readBody(message: IncomingMessage, mostBytes: number = BODY_MAX_BYTES): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of message as AsyncIterable<Buffer>) {
    size += chunk.length;
    // The rest is still taken in, up to a point, so that the client gets to read the answer.
    if (size > mostBytes * 8) break;
    if (size <= mostBytes) chunks.push(chunk);
  }
  if (size > mostBytes) throw validationError({ body: "too_big" });
  return Buffer.concat(chunks);
}

/** One request with everything a handler needs. */
export class Call {
  readonly app: App;
  readonly route: Route;
  readonly params: Readonly<Record<string, string>>;
  readonly query: URLSearchParams;
  readonly requestId: string;
  readonly sourceIp: string;
  readonly authorization: string | undefined;
  /** True for `/v1/partner/...`. */
  readonly partnerWide: boolean;
  readonly rows: PendingRow[] = [];
  token: IssuedToken | undefined;
  /** The caller as seen in the tenant of the request. */
  caller: Principal | undefined;
  /** Name of the caller's own buckets. */
  rateIdentity: string | undefined;
  readonly #message: IncomingMessage;
  readonly #stopped: AbortSignal;

  constructor(parts: {
    app: App;
    route: Route;
    params: Readonly<Record<string, string>>;
    query: URLSearchParams;
    requestId: string;
    partnerWide: boolean;
    message: IncomingMessage;
    stopped: AbortSignal;
  }) {
    this.app = parts.app;
    this.route = parts.route;
    this.params = parts.params;
    this.query = parts.query;
    this.requestId = parts.requestId;
    this.partnerWide = parts.partnerWide;
    this.#message = parts.message;
    this.#stopped = parts.stopped;
    this.sourceIp = (parts.message.socket.remoteAddress ?? "").replace("::ffff:", "");
    this.authorization = parts.message.headers.authorization;
  }

  /** The caller of an endpoint that needs a token. */
  get principal(): Principal {
    if (this.caller === undefined) throw new ApiError("authentication_required", "a bearer token is needed");
    return this.caller;
  }

  /** Whose secrets the request is about. */
  get owner(): Owner {
    return this.partnerWide ? `partner:${this.principal.partnerId}` : `tenant:${this.principal.tenantId}`;
  }

  /** Who makes this request, for events. */
  get origin(): Origin {
    return { identityId: this.principal.identityId, requestId: this.requestId };
  }

  get access(): AccessContext {
    return { sourceIp: this.sourceIp, now: this.app.clock.now() };
  }

  get path(): string {
    return this.params["path"] ?? "";
  }

  may(path: string, permission: Permission): boolean {
    return this.app.policies.allows(this.principal, path, permission, this.access);
  }

  /** @throws ApiError when no policy rule allows it. */
  require(path: string, permission: Permission): void {
    this.app.policies.require(this.principal, path, permission, this.access);
  }

  /** Runs work that waits, with a signal that aborts when the client hangs up or the server stops. */
  async whileWaited<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const gone = new AbortController();
    const hungUp = (): void => gone.abort();
    const { socket } = this.#message;
    socket.once("close", hungUp);
    try {
      return await work(AbortSignal.any([gone.signal, this.#stopped]));
    } finally {
      socket.removeListener("close", hungUp);
    }
  }

  /** Notes a successful action for the audit trail. */
  audit(action: AuditAction, path: string | null, extra: Readonly<Record<string, unknown>> = {}): void {
    this.rows.push({ action, path, success: true, extra });
  }

  /** The JSON body's text. @throws ApiError `invalid_request`, `validation_error`. */
  async text(): Promise<string> {
    const type = this.#message.headers["content-type"]?.split(";")[0]?.trim().toLowerCase();
    if (type !== CONTENT_TYPE_REQUIRED) throw new ApiError("invalid_request", "the body must be application/json");
    return this.#decode(await readBody(this.#message));
  }

  /** The JSON body's text, empty when there is no body. @throws ApiError like `text`. */
  optionalText(): Promise<string> {
    const { "content-length": length, "transfer-encoding": encoding } = this.#message.headers;
    return encoding === undefined && (length === undefined || length === "0") ? Promise.resolve("") : this.text();
  }

  /** The form body. */
  async form(): Promise<URLSearchParams> {
    const type = this.#message.headers["content-type"]?.split(";")[0]?.trim().toLowerCase();
    if (type !== "application/x-www-form-urlencoded") throw new ApiError("invalid_request", "the body must be a form");
    return new URLSearchParams(this.#decode(await readBody(this.#message, 65_536)));
  }

  #decode(body: Buffer): string {
    try {
      return new TextDecoder("utf-8", { fatal: true }).decode(body);
    } catch {
      throw new ApiError("invalid_request", "the body is not UTF-8");
    }
  }
}
