import { SyncError } from "../errors/index.ts";
import type { HttpClient, HttpRequest, HttpResponse } from "../net/index.ts";
import type { Clock } from "../time/clock.ts";
import type { RateBudget } from "./budget.ts";
import { answerError, readErrorAnswer, renewableCodes, type ErrorAnswer } from "./errors.ts";
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
  /** Sent as `X-Tenant-ID`; needed only when the identity serves several tenants. */
  readonly tenant?: string;
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
    const { budget, tokens } = this.#options;
    this.#assertMayWrite(call);
    if (context.permit?.use() !== true) {
      await budget.acquire(call.category, 1, context.lane ?? "new", context.signal);
    }
    let token = await tokens.token(context.signal);
    let answer = await this.#send(call, context, token.text() ?? "");
    let failure = this.#failure(answer);
    if (failure !== undefined && failure.status === 401 && renewableCodes.has(failure.code)) {
      const renewed = await tokens.renew(token, context.signal);
      if (renewed !== undefined) {
        token = renewed;
        answer = await this.#send(call, context, token.text() ?? "");
        failure = this.#failure(answer);
      }
    }
    if (failure === undefined) return { status: answer.status, body: answer.body, errorCode: undefined };
    if (call.expected?.includes(failure.code) === true) {
      return { status: answer.status, body: answer.body, errorCode: failure.code };
    }
    const error = answerError({ action: call.action, scope: call.scope }, failure);
    if (error.reason === "RateLimited") budget.limited(call.category, error.retryAfterMs ?? 0);
    throw error;
  }

  /** @throws SyncError WaitingForWriter */
  #assertMayWrite({ safe, category, action }: ScaiVaultCall): void {
    if (this.#options.readOnly !== true || (safe && category !== "write" && category !== "delete")) return;
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
      path: `${this.#base}${call.path}`,
      timeoutMs: this.#options.timeoutMs ?? 15_000,
      headers: {
        accept: "application/json",
        authorization: `Bearer ${token}`,
        ...this.#agent(context.object),
        ...(call.body === undefined ? {} : { "content-type": "application/json" }),
        ...(this.#options.tenant === undefined ? {} : { "x-tenant-id": this.#options.tenant }),
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
