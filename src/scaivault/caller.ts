import { SyncError } from "../errors/index.ts";
import type { SecretValue } from "../model/index.ts";
import type { HttpClient, HttpRequest, HttpResponse } from "../net/index.ts";
import type { Clock } from "../time/clock.ts";
import type { RateBudget } from "./budget.ts";
import { answerError, type ErrorAnswer, ONCE_MORE, readErrorAnswer, renewableCodes } from "./errors.ts";
import { BROKEN, exchange } from "./http.ts";
import type { TokenProvider } from "./tokens/provider.ts";
import type { CallContext, CallReport, RateCategory } from "./types.ts";

/** Settings of the connection to one ScaiVault tenant. */
export interface ScaiVaultOptions {
  /** Connections to ScaiVault's host (`network.open(...)`). */
  readonly http: HttpClient;
  /** What stands before `/v1` in the base URL's path; default nothing. */
  readonly basePath?: string;
  readonly tokens: TokenProvider;
  readonly clock: Clock;
  /** Product part of the User-Agent, such as `scaivault-operator/0.1.0`. */
  readonly userAgent: string;
  /** `cluster.name`; named in the User-Agent of each call. */
  readonly cluster: string;
  /** Shared by all clients of the process that use the same identity. */
  readonly budget: RateBudget;
  /** Tenant to work in; needed only when the identity serves several tenants. */
  readonly tenant?: string;
  /** How the tenant is named: by the header `X-Tenant-ID` (default), or by the path prefix `/v1/t/{tenant}/`, which goes before it. */
  readonly tenantIn?: "Header" | "Path";
  /** Deadline of one exchange, in milliseconds. Default 15,000. */
  readonly timeoutMs?: number;
  /** True forbids every call that changes something: values, metadata, deletions (`scaivault.role: Reader`). Default false. */
  readonly readOnly?: boolean;
  /** Asked right before anything is sent that changes something, after all waiting; throws when that may not be any more. */
  readonly guard?: () => void;
  /** Told of every finished call. */
  readonly onCall?: (call: CallReport) => void;
}

/** One call of ScaiVault's API. */
export interface ScaiVaultCall {
  readonly method: "GET" | "PUT" | "POST" | "PATCH" | "DELETE";
  /** Path and query below the base URL, such as `/v1/secrets/batch`. */
  readonly path: string;
  readonly body?: Uint8Array;
  readonly category: RateCategory;
  readonly scope: string;
  /** For messages. */
  readonly action: string;
  /** Paths asked for, for metrics; default 1. */
  readonly paths?: number;
  /** True when doing it twice is harmless: a broken connection is then tried once more. */
  readonly safe: boolean;
  /** True for what a reader may do too although it changes something: its own subscription. */
  readonly ownOnly?: boolean;
  /** Deadline of the exchange in milliseconds, where it is not that of the connection. */
  readonly timeoutMs?: number;
  /** Error codes that the caller handles itself: the answer comes back instead of an error. */
  readonly expected?: readonly string[];
}

/** An answer that is a success, or an error whose code the caller expected. */
export interface CallAnswer {
  readonly status: number;
  readonly body: Buffer;
  /** Set when the answer is one of the expected errors. */
  readonly errorCode: string | undefined;
}

/** Characters of cluster and object names; anything else must not get into a header. */
const notHeaderSafe = /[^\w./:-]/g;

/**
 * Makes calls: rate budget, token, one exchange, the token once more when it was refused, and errors by code. It knows
 * nothing of secrets.
 */
export class Caller {
  readonly #options: ScaiVaultOptions;
  readonly #base: string;

  constructor(options: ScaiVaultOptions) {
    this.#options = options;
    this.#base = (options.basePath ?? "").replace(/\/$/, "");
  }

  /** @throws SyncError by the table of error codes; the signal's reason when it aborts */
  async call(call: ScaiVaultCall, context: CallContext): Promise<CallAnswer> {
    const { budget } = this.#options;
    this.#assertMayWrite(call);
    if (context.permit?.use() !== true) {
      await budget.acquire(call.category, 1, context.lane ?? "new", context.signal);
    }
    const { answer, failure } = await this.#answered(call, context);
    if (failure === undefined) return { status: answer.status, body: answer.body, errorCode: undefined };
    if (call.expected?.includes(failure.code) === true) {
      return { status: answer.status, body: answer.body, errorCode: failure.code };
    }
    const error = answerError({ action: call.action, scope: call.scope }, failure);
    if (error.reason === "RateLimited") budget.limited(call.category, error.retryAfterMs ?? 0);
    throw error;
  }

  /** One answer; where that helps and is harmless, of a second attempt: with a fresh token, or the same once more. */
  async #answered(
    call: ScaiVaultCall,
    context: CallContext,
  ): Promise<{ readonly answer: HttpResponse; readonly failure: ErrorAnswer | undefined }> {
    const { tokens } = this.#options;
    const token = await tokens.token(context.signal);
    const attempt = async (value: SecretValue) => {
      const answer = await this.#send(call, context, value.text() ?? "");
      return { answer, failure: this.#failure(answer) };
    };
    const first = await attempt(token);
    const { failure } = first;
    if (failure === undefined) return first;
    if (failure.code === ONCE_MORE && call.safe) return attempt(token);
    if (failure.status !== 401 || !renewableCodes.has(failure.code)) return first;
    const renewed = await tokens.renew(token, context.signal);
    return renewed === undefined ? first : attempt(renewed);
  }

  /** @throws SyncError WaitingForWriter */
  #assertMayWrite({ safe, category, action, ownOnly }: ScaiVaultCall): void {
    if (this.#options.readOnly !== true || ownOnly === true) return;
    if (safe && category !== "write" && category !== "delete") return;
    const message = "this operator only reads ScaiVault (scaivault.role: Reader), so nothing was sent";
    throw new SyncError("WaitingForWriter", message, { action });
  }

  /** One exchange without token and budget, for the health endpoint. */
  async open(path: string, action: string, signal: AbortSignal): Promise<number> {
    const request = { method: "GET", path: `${this.#base}${path}`, headers: this.#agent(undefined) };
    return (await this.#exchange(request, action, { category: "health", paths: 0 }, signal)).status;
  }

  async #send(call: ScaiVaultCall, context: CallContext, token: string): Promise<HttpResponse> {
    const request: HttpRequest = {
      method: call.method,
      path: `${this.#base}${this.#inTenant(call.path)}`,
      timeoutMs: call.timeoutMs ?? this.#options.timeoutMs ?? 15_000,
      headers: {
        accept: "application/json",
        authorization: `Bearer ${token}`,
        ...this.#agent(context.object),
        ...(call.body === undefined ? {} : { "content-type": "application/json" }),
        ...(this.#options.tenant === undefined || this.#options.tenantIn === "Path"
          ? {}
          : { "x-tenant-id": this.#options.tenant }),
      },
      ...(call.body === undefined ? {} : { body: call.body }),
    };
    const report = { category: call.category, paths: call.paths ?? 1 };
    const once = (): Promise<HttpResponse> => this.#exchange(request, call.action, report, context.signal);
    if (!call.safe) this.#options.guard?.();
    try {
      return await once();
    } catch (error) {
      // A kept connection that the server closed at the same moment: reading again costs nothing and helps.
      if (!call.safe || !(error instanceof SyncError) || error.code !== BROKEN) throw error;
      return once();
    }
  }

  /** The path below the tenant's prefix, where the tenant is named so. */
  #inTenant(path: string): string {
    const { tenant, tenantIn } = this.#options;
    if (tenant === undefined || tenantIn !== "Path") return path;
    return path.replace(/^\/v1\//, `/v1/t/${encodeURIComponent(tenant)}/`);
  }

  async #exchange(
    request: HttpRequest,
    action: string,
    report: Pick<CallReport, "category" | "paths">,
    signal: AbortSignal,
  ): Promise<HttpResponse> {
    const { clock, http, onCall, budget } = this.#options;
    const started = clock.monotonic();
    let status = 0;
    try {
      const answer = await exchange(http, request, action, signal);
      status = answer.status;
      if (report.category !== "health") {
        budget.observe(report.category, {
          limit: answer.headers["x-ratelimit-limit"],
          remaining: answer.headers["x-ratelimit-remaining"],
        });
      }
      return answer;
    } finally {
      onCall?.({ ...report, status, ms: clock.monotonic() - started });
    }
  }

  #failure(answer: HttpResponse): ErrorAnswer | undefined {
    if (answer.status >= 200 && answer.status < 300) return undefined;
    return readErrorAnswer(answer.status, answer.body, answer.headers["retry-after"], this.#options.clock.now());
  }

  #agent(object: string | undefined): Record<string, string> {
    const clean = (text: string): string => text.replace(notHeaderSafe, "_").slice(0, 256);
    const whom =
      object === undefined ? clean(this.#options.cluster) : `${clean(this.#options.cluster)}; ${clean(object)}`;
    return { "user-agent": `${this.#options.userAgent} (${whom})` };
  }
}
