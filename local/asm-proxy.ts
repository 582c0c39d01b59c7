/**
 * AWS Secrets Manager for tests, the quickstart and benchmarks: moto behind a server of ours that enforces what AWS enforces, counts
 * each call, knows access keys with rights, gives stale lists on request, and breaks as told.
 */
import { randomUUID } from "node:crypto";
import { createServer as createHttp, type IncomingMessage, type ServerResponse } from "node:http";
import { createServer as createHttps } from "node:https";
import type { AddressInfo, Server, Socket } from "node:net";
import { systemClock, type Clock } from "../src/time/clock.ts";
import { Counters, type AsmCall, type AsmCounts } from "./asm/counters.ts";
import { Faults, type FaultRule } from "./asm/faults.ts";
import {
  accessDenied,
  parseAuthorization,
  signatureFits,
  type AccessKey,
  type Role,
  type Scope,
} from "./asm/identity.ts";
import { AsmService, motoError, type MotoPort } from "./asm/service.ts";
import { answerSts, stsErrorXml, type StsPort } from "./asm/sts.ts";
import { AwsError, isKnownAction, matchGlob, type Json } from "./asm/wire.ts";
import type { CertificateAuthority } from "./certificates.ts";
import { call } from "./http.ts";
import { loopback } from "./ports.ts";

export type { AsmCall, AsmCounts } from "./asm/counters.ts";
export type { FaultKind, FaultRule } from "./asm/faults.ts";
export type { AccessKey, Role, Statement } from "./asm/identity.ts";

/** What can be set and asked at run time. All of it also works from other processes, through the admin endpoint. */
export interface AsmControl {
  /** Sums since the last reset. */
  counts(): AsmCounts;
  /** Single calls since the last reset. */
  calls(): AsmCall[];
  resetCounts(): void;
  /** @returns a number for `removeFault` */
  addFault(rule: FaultRule): number;
  removeFault(id: number): void;
  /** How often a rule struck. */
  faultStruck(id: number): number;
  /** Removes all rules and lets hanging calls go on. */
  clearFaults(): void;
  /** Lets the calls that hang now go on to their answer. */
  release(): void;
  /** Calls that hang now. */
  hanging(): number;
  /** A change is shown by ListSecrets only after `ms`; 0 (the default) is fresh. */
  setListStaleness(ms: number): void;
  /** From now on only these keys are known; `null` lets everybody in again. Keys made by STS stay known. */
  setKeys(keys: readonly AccessKey[] | null): void;
  /** From now on only these roles can be assumed; `null`: each one. */
  setRoles(roles: readonly Role[] | null): void;
}

/** A running proxy. */
export interface AsmProxy extends AsmControl {
  /** `http://127.0.0.1:PORT`; Secrets Manager and STS. */
  readonly url: string;
  /** `https://127.0.0.1:PORT`, when an authority was given. */
  readonly tlsUrl: string | undefined;
  /** Account of callers whose key names none. */
  readonly account: string;
  stop(): Promise<void>;
}

/** What a proxy is started with. */
export interface AsmProxyOptions {
  readonly motoUrl: string;
  readonly clock?: Clock;
  /**
   * Twelve digits. Two proxies on one moto need two accounts: each keeps its own list of what is there.
   * Default `123456789012`.
   */
  readonly account?: string;
  /** Also serve TLS, for loopback and the names of AWS's endpoints in `regions`. */
  readonly authority?: CertificateAuthority;
  readonly regions?: readonly string[];
}

const maxBodyBytes = 1024 * 1024;

function readBody(request: IncomingMessage): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const parts: Buffer[] = [];
    let size = 0;
    request.on("data", (part: Buffer) => {
      size += part.length;
      if (size > maxBodyBytes) reject(new AwsError("RequestEntityTooLarge", "The request is too large.", 413));
      else parts.push(part);
    });
    request.on("end", () => resolve(Buffer.concat(parts)));
    request.on("error", reject);
    request.on("close", () => reject(new Error("closed")));
  });
}

/** Header that gives moto region and service; it checks no signatures. */
const motoAuthorization = (region: string, service: string): string =>
  `AWS4-HMAC-SHA256 Credential=AKIALOCALLOCALLOCAL/20260101/${region}/${service}/aws4_request, SignedHeaders=host, Signature=0`;

function motoPort(motoUrl: string): MotoPort {
  return async (account, region, action, body) => {
    const answer = await call({
      method: "POST",
      url: motoUrl,
      timeoutMs: 30_000,
      headers: {
        "content-type": "application/x-amz-json-1.1",
        "x-amz-target": `secretsmanager.${action}`,
        "x-moto-account-id": account,
        authorization: motoAuthorization(region, "secretsmanager"),
      },
      body,
    });
    let parsed: Json;
    try {
      parsed = answer.json<Json>();
    } catch {
      throw new AwsError("InternalServiceError", "The emulator gave no JSON.", 500);
    }
    if (answer.status >= 300) throw motoError(answer.status, parsed);
    return parsed;
  };
}

function stsPort(motoUrl: string): StsPort {
  return async (account, region, form) => {
    const answer = await call({
      method: "POST",
      url: motoUrl,
      headers: {
        "content-type": "application/x-www-form-urlencoded",
        "x-moto-account-id": account,
        authorization: motoAuthorization(region, "sts"),
      },
      body: form.toString(),
    });
    return { status: answer.status, xml: answer.text };
  };
}

/** A call while it is being answered. */
interface Exchange {
  readonly action: string;
  readonly accessKeyId: string;
  readonly region: string;
  secretIds: readonly string[];
  valueReads: number;
}

/** Thrown to end a call without an answer. */
class NoAnswer extends Error {
  override readonly name = "NoAnswer";
}

class Proxy implements AsmControl {
  readonly account: string;
  readonly #clock: Clock;
  readonly #service: AsmService;
  readonly #sts: StsPort;
  readonly #counters = new Counters();
  readonly #faults = new Faults();
  readonly #held = new Set<() => void>();
  readonly #learned = new Map<string, AccessKey>();
  #keys: ReadonlyMap<string, AccessKey> | undefined;
  #roles: readonly Role[] | undefined;

  constructor(options: AsmProxyOptions) {
    this.account = options.account ?? "123456789012";
    this.#clock = options.clock ?? systemClock;
    this.#service = new AsmService(motoPort(options.motoUrl), this.#clock);
    this.#sts = stsPort(options.motoUrl);
  }

  counts(): AsmCounts {
    return this.#counters.counts();
  }
  calls(): AsmCall[] {
    return this.#counters.calls();
  }
  resetCounts(): void {
    this.#counters.reset();
  }
  addFault(rule: FaultRule): number {
    return this.#faults.add(rule);
  }
  removeFault(id: number): void {
    this.#faults.remove(id);
  }
  faultStruck(id: number): number {
    return this.#faults.struck(id);
  }
  clearFaults(): void {
    this.#faults.clear();
    this.release();
  }
  release(): void {
    for (const go of [...this.#held]) go();
  }
  hanging(): number {
    return this.#held.size;
  }
  setListStaleness(ms: number): void {
    this.#service.setListStaleness(ms);
  }
  setKeys(keys: readonly AccessKey[] | null): void {
    this.#keys = keys === null ? undefined : new Map(keys.map((key) => [key.accessKeyId, key]));
  }
  setRoles(roles: readonly Role[] | null): void {
    this.#roles = roles ?? undefined;
  }

  /** Answers one HTTP request. */
  async serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (request.method === "GET") {
      response.writeHead(200, { "content-type": "text/plain" }).end("AWS Secrets Manager emulator\n");
      return;
    }
    const body = await readBody(request);
    const scope = parseAuthorization(request.headers.authorization);
    const target = request.headers["x-amz-target"];
    const secretsManager = typeof target === "string" && target.startsWith("secretsmanager.");
    const form = secretsManager ? undefined : new URLSearchParams(body.toString("utf8"));
    const named = secretsManager ? target.slice("secretsmanager.".length) : `sts:${form?.get("Action") ?? ""}`;
    const exchange: Exchange = {
      // Counters are keyed by it: an unknown operation must not make a new key.
      action: secretsManager && !isKnownAction(named) ? "Unknown" : named,
      accessKeyId: scope?.accessKeyId ?? "",
      region: scope?.region ?? "us-east-1",
      secretIds: [],
      valueReads: 0,
    };
    this.#counters.begin(exchange.action);
    let status = 0;
    let code = "";
    try {
      const text =
        form === undefined
          ? JSON.stringify(await this.#secretsManager(request, response, scope, named, body, exchange))
          : await this.#securityTokens(request, response, scope, form, body, exchange);
      status = 200;
      send(response, status, text, form === undefined);
    } catch (error) {
      if (error instanceof NoAnswer) {
        code = error.message;
        (request.socket as Socket).resetAndDestroy();
      } else {
        const known =
          error instanceof AwsError ? error : new AwsError("InternalServiceError", "The emulator failed.", 500);
        ({ status, code } = known);
        const text =
          form === undefined ? JSON.stringify({ __type: known.code, Message: known.message }) : stsErrorXml(known);
        send(response, status, text, form === undefined, known.code);
      }
    } finally {
      this.#counters.end({
        at: this.#clock.now(),
        status: response.destroyed && !response.writableFinished && status !== 200 ? 0 : status,
        code,
        userAgent: request.headers["user-agent"] ?? "",
        ...exchange,
      });
    }
  }

  async #secretsManager(
    request: IncomingMessage,
    response: ServerResponse,
    scope: Scope | undefined,
    action: string,
    raw: Buffer,
    exchange: Exchange,
  ): Promise<Json> {
    let body: Json;
    try {
      body = JSON.parse(raw.toString("utf8")) as Json;
    } catch {
      throw new AwsError("SerializationException", "The request is no JSON.");
    }
    exchange.secretIds = [body["SecretId"], body["Name"], body["SecretIdList"]]
      .flat()
      .filter((id) => typeof id === "string");
    const key = this.#authenticate(scope, request, raw);
    const account = key.account ?? this.account;
    const names = await this.#service.namesOf(account, exchange.region, action, body);
    const denied = await this.#strike(response, exchange, key, names);
    const answer = await this.#service.handle(
      {
        key,
        account,
        region: exchange.region,
        denies: (name) => denied.some((pattern) => matchGlob(pattern, name)),
      },
      action,
      body,
    );
    exchange.valueReads = answer.valueReads;
    return answer.body;
  }

  async #securityTokens(
    request: IncomingMessage,
    response: ServerResponse,
    scope: Scope | undefined,
    form: URLSearchParams,
    raw: Buffer,
    exchange: Exchange,
  ): Promise<string> {
    const key = scope === undefined ? undefined : this.#authenticate(scope, request, raw);
    await this.#strike(response, exchange, key ?? this.#anybody(""), []);
    const account = form.get("RoleArn")?.split(":")[4] ?? key?.account ?? this.account;
    const answer = await answerSts(this.#sts, account, exchange.region, form, key, this.#roles);
    if (answer.key !== undefined) this.#learned.set(answer.key.accessKeyId, answer.key);
    return answer.xml;
  }

  #anybody(accessKeyId: string): AccessKey {
    return { accessKeyId, principalArn: `arn:aws:iam::${this.account}:user/local` };
  }

  #authenticate(scope: Scope | undefined, request: IncomingMessage, body: Buffer): AccessKey {
    if (scope === undefined) throw new AwsError("MissingAuthenticationTokenException", "Missing Authentication Token");
    const key = this.#learned.get(scope.accessKeyId) ?? this.#keys?.get(scope.accessKeyId);
    if (key === undefined) {
      if (this.#keys === undefined) return this.#anybody(scope.accessKeyId);
      throw new AwsError("UnrecognizedClientException", "The security token included in the request is invalid.");
    }
    const token = request.headers["x-amz-security-token"];
    if (key.sessionToken !== undefined && token !== key.sessionToken)
      throw new AwsError("UnrecognizedClientException", "The security token included in the request is invalid.");
    const signed = { method: request.method ?? "POST", url: request.url ?? "/", headers: request.headers, body };
    if (key.secretAccessKey !== undefined && !signatureFits(scope, key.secretAccessKey, signed)) {
      throw new AwsError(
        "InvalidSignatureException",
        "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details.",
      );
    }
    return key;
  }

  /** Applies the fault rules. @returns name patterns that are denied inside a batch */
  async #strike(
    response: ServerResponse,
    exchange: Exchange,
    key: AccessKey,
    names: readonly string[],
  ): Promise<string[]> {
    const inBatch: string[] = [];
    const { action } = exchange;
    for (const rule of this.#faults.strike({ action, accessKeyId: key.accessKeyId, names })) {
      switch (rule.kind) {
        case "latency":
          await this.#clock.sleep(rule.ms ?? 0);
          break;
        case "hang":
          await this.#hold(response);
          break;
        case "throttle":
          throw new AwsError("ThrottlingException", "Rate exceeded");
        case "error":
          throw new AwsError(
            rule.code ?? "InternalServiceError",
            rule.message ?? "An error occurred on the server side.",
            rule.status ?? 500,
          );
        case "reset":
          throw new NoAnswer("reset");
        case "deny":
          if (action === "BatchGetSecretValue" && rule.names !== undefined) inBatch.push(...rule.names);
          else throw accessDenied(key, action, names[0]);
          break;
      }
    }
    return inBatch;
  }

  /** Waits until `release`, or gives up with the caller. */
  async #hold(response: ServerResponse): Promise<void> {
    const gone = await new Promise<boolean>((resolve) => {
      const finish = (callerLeft: boolean): void => {
        this.#held.delete(go);
        resolve(callerLeft);
      };
      const go = (): void => finish(false);
      this.#held.add(go);
      response.once("close", () => finish(true));
    });
    if (gone) throw new NoAnswer("hang");
  }
}

function send(response: ServerResponse, status: number, text: string, json: boolean, errorType?: string): void {
  response
    .writeHead(status, {
      "content-type": json ? "application/x-amz-json-1.1" : "text/xml",
      "content-length": Buffer.byteLength(text),
      "x-amzn-requestid": randomUUID(),
      ...(errorType === undefined || !json ? {} : { "x-amzn-errortype": errorType }),
    })
    .end(text);
}

async function listen(server: Server): Promise<number> {
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, loopback, resolve);
  });
  return (server.address() as AddressInfo).port;
}

/** Names under which AWS serves a region. */
function endpointNames(regions: readonly string[]): string[] {
  return regions.flatMap((region) => [
    `secretsmanager.${region}.amazonaws.com`,
    `secretsmanager-fips.${region}.amazonaws.com`,
    `sts.${region}.amazonaws.com`,
  ]);
}

/** Starts a proxy on loopback in this process. */
export async function startAsmProxy(options: AsmProxyOptions): Promise<AsmProxy> {
  const proxy = new Proxy(options);
  const sockets = new Set<Socket>();
  const handler = (request: IncomingMessage, response: ServerResponse): void => {
    // A caller that hangs up in the middle is no failure of ours.
    proxy.serve(request, response).catch(() => response.destroy());
  };
  const settings = { keepAliveTimeout: 120_000 };
  const plain = createHttp(settings, handler);
  const regions = options.regions ?? ["eu-central-1", "eu-west-1", "us-east-1", "us-west-2"];
  const secure = options.authority
    ? createHttps(
        {
          ...settings,
          ...options.authority.issue({
            commonName: "aws-emulator",
            names: [loopback, "::1", "localhost", "sts.amazonaws.com", ...endpointNames(regions)],
          }),
        },
        handler,
      )
    : undefined;
  for (const server of [plain, secure]) {
    server?.on("connection", (socket: Socket) => {
      sockets.add(socket);
      socket.once("close", () => sockets.delete(socket));
    });
  }
  const port = await listen(plain);
  const tlsPort = secure === undefined ? undefined : await listen(secure);
  return Object.assign(proxy, {
    url: `http://${loopback}:${port}`,
    tlsUrl: tlsPort === undefined ? undefined : `https://${loopback}:${tlsPort}`,
    async stop(): Promise<void> {
      const closed = [plain, secure].map(
        (server) => new Promise<void>((resolve) => (server === undefined ? resolve() : server.close(() => resolve()))),
      );
      for (const socket of sockets) socket.destroy();
      await Promise.all(closed);
    },
  });
}
