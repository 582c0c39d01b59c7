import * as z from "zod";
import { SyncError } from "../../errors/index.ts";
import { SecretValue } from "../../model/index.ts";
import type { HttpClient, HttpResponse } from "../../net/index.ts";
import type { Clock } from "../../time/clock.ts";
import { answerError, readErrorAnswer } from "../errors.ts";
import { exchange } from "../http.ts";
import { CachedToken, type IssuedToken } from "./cached-token.ts";
import type { SecretSupplier, TokenProvider } from "./provider.ts";

const LOGIN_TIMEOUT_MS = 10_000;

/** What both logins need. */
interface LoginParts {
  /** Connections to the host that is asked. */
  readonly http: HttpClient;
  readonly clock: Clock;
  readonly random?: () => number;
  readonly userAgent: string;
  /** Told of each login that failed. */
  readonly onFailure?: ((error: SyncError) => void) | undefined;
}

export interface ClientCredentialsOptions extends LoginParts {
  /** Path of the token endpoint on that host: two forms are documented (API facts 2.3), so it is a setting. */
  readonly tokenPath: string;
  readonly clientID: SecretSupplier;
  readonly clientSecret: SecretSupplier;
  /** Space separated; absent leaves it to the server. */
  readonly scope?: string;
  /** `Form`: id and secret as form fields; `Basic`: HTTP Basic (RFC 6749 2.3.1). */
  readonly clientAuth: "Form" | "Basic";
}

interface Client {
  readonly id: SecretValue;
  readonly secret: SecretValue;
}

/**
 * OAuth2 client credentials at ScaiKey (API facts 2.3). Id and secret may be replaced at any time: the next call logs in
 * with the new pair, and the old token serves on where that fails.
 */
export function clientCredentials(options: ClientCredentialsOptions): TokenProvider {
  const { clientID, clientSecret } = options;
  let used: Client | undefined;
  const login = async (): Promise<IssuedToken> => {
    let client: Client = { id: await clientID.readNow(), secret: await clientSecret.readNow() };
    let issued: IssuedToken;
    try {
      issued = await askAsClient(options, client);
    } catch (error) {
      // The two are replaced together but are two files: half of the old pair may have met half of the new one.
      const now: Client = { id: await clientID.readNow(), secret: await clientSecret.readNow() };
      if (!(error instanceof SyncError) || error.reason !== "ScaiVaultDenied" || sameClient(client, now)) throw error;
      client = now;
      issued = await askAsClient(options, client);
    }
    used = client;
    return issued;
  };
  const changed = async (): Promise<boolean> =>
    used !== undefined && !sameClient(used, { id: await clientID.read(), secret: await clientSecret.read() });
  return new CachedToken({ ...cacheOptions(options), login, changed });
}

function sameClient(a: Client, b: Client): boolean {
  return a.id.equals(b.id) && a.secret.equals(b.secret);
}

function cacheOptions({ clock, onFailure, random }: LoginParts) {
  return { clock, onFailure, ...(random === undefined ? {} : { random }) };
}

async function askAsClient(options: ClientCredentialsOptions, client: Client): Promise<IssuedToken> {
  const [id, secret] = [client.id.text(), client.secret.text()];
  if (id === undefined || secret === undefined)
    throw new SyncError("ScaiVaultDenied", "client id and client secret must be valid UTF-8");
  const form = new URLSearchParams({ grant_type: "client_credentials" });
  if (options.scope !== undefined) form.set("scope", options.scope);
  const headers: Record<string, string> = { "content-type": "application/x-www-form-urlencoded" };
  if (options.clientAuth === "Basic") {
    const pair = `${formEncode(id)}:${formEncode(secret)}`;
    headers["authorization"] = `Basic ${Buffer.from(pair, "utf8").toString("base64")}`;
  } else {
    form.set("client_id", id);
    form.set("client_secret", secret);
  }
  return askToken(options, options.tokenPath, headers, Buffer.from(form.toString(), "utf8"));
}

export interface TokenExchangeOptions extends LoginParts {
  /** What stands before `/v1/auth/exchange` in ScaiVault's base URL; default nothing. */
  readonly basePath?: string;
  /** The foreign token, such as a projected ServiceAccount token; read at each login. */
  readonly subjectToken: SecretSupplier;
  readonly audience?: string;
  readonly scope?: string;
  /** Identity to become, such as `sa:scaivault-operator`. */
  readonly role?: string;
}

/** Token exchange with the names of RFC 8693 in JSON (API facts 2.4). */
export function tokenExchange(options: TokenExchangeOptions): TokenProvider {
  const login = async (): Promise<IssuedToken> => {
    const subject = (await options.subjectToken.readNow()).text();
    if (subject === undefined) throw new SyncError("ScaiVaultDenied", "the subject token is not valid UTF-8");
    const body = JSON.stringify({
      grant_type: "urn:ietf:params:oauth:grant-type:token-exchange",
      subject_token: subject,
      subject_token_type: "urn:ietf:params:oauth:token-type:jwt",
      ...(options.audience === undefined ? {} : { audience: options.audience }),
      ...(options.scope === undefined ? {} : { scope: options.scope }),
      ...(options.role === undefined ? {} : { role: options.role }),
    });
    const path = `${(options.basePath ?? "").replace(/\/$/, "")}/v1/auth/exchange`;
    return askToken(options, path, { "content-type": "application/json" }, Buffer.from(body, "utf8"));
  };
  return new CachedToken({ ...cacheOptions(options), login });
}

const tokenAnswer = z.object({
  access_token: z
    .string()
    .min(1)
    .max(64 * 1024),
  expires_in: z.number().positive().optional().catch(undefined),
});

async function askToken(
  parts: LoginParts,
  path: string,
  headers: Readonly<Record<string, string>>,
  body: Uint8Array,
): Promise<IssuedToken> {
  // All callers share a login, so none of their signals ends it.
  const { signal } = new AbortController();
  const action = "log in to ScaiVault";
  const answer = await exchange(
    parts.http,
    {
      method: "POST",
      path,
      headers: { ...headers, accept: "application/json", "user-agent": parts.userAgent },
      body,
      timeoutMs: LOGIN_TIMEOUT_MS,
    },
    action,
    signal,
  );
  if (answer.status !== 200) throw refused(answer, action, parts.clock.now());
  const parsed = tokenAnswer.safeParse(parseQuietly(answer.body));
  if (!parsed.success) {
    throw new SyncError("ScaiVaultUnavailable", "the token endpoint's answer holds no usable token", {
      action,
      code: "bad_answer",
    });
  }
  const seconds = parsed.data.expires_in;
  return {
    value: SecretValue.fromText(parsed.data.access_token),
    lifetimeMs: seconds === undefined ? undefined : seconds * 1000,
  };
}

/** OAuth's own error shape `{"error": "invalid_client"}` (RFC 6749 5.2), else ScaiVault's envelope. */
function refused(answer: HttpResponse, action: string, nowMs: number): SyncError {
  const oauth = z.object({ error: z.string().regex(/^[a-z_]{1,40}$/) }).safeParse(parseQuietly(answer.body));
  if (oauth.success && (answer.status === 400 || answer.status === 401 || answer.status === 403)) {
    return new SyncError("ScaiVaultDenied", `the token endpoint refuses the login (${oauth.data.error})`, {
      action,
      code: oauth.data.error,
    });
  }
  return answerError({ action }, readErrorAnswer(answer.status, answer.body, answer.headers["retry-after"], nowMs));
}

function parseQuietly(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString("utf8"));
  } catch {
    // The parser's message quotes the text, which may hold the token.
    return undefined;
  }
}

/** `application/x-www-form-urlencoded` of one word, as RFC 6749 asks of Basic credentials. */
function formEncode(text: string): string {
  return new URLSearchParams([["", text]]).toString().slice(1);
}
