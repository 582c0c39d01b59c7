import { z } from "zod";
import { EXCHANGE_GRANT } from "../assumptions.ts";
import { jwksOf } from "../auth/jwt.ts";
import { identityType } from "../auth/principal.ts";
import type { Principal } from "../auth/principal.ts";
import { ApiError } from "../errors.ts";
import type { Answer, Call } from "../http/call.ts";
import { checkBody, parseObject } from "../secrets/body.ts";
import { timestamp } from "../secrets/service.ts";

const orNull = (ms: number | null): string | null => (ms === null ? null : timestamp(ms));

/** GET /v1/auth/whoami. [reference/authentication] */
export function whoami(call: Call): Answer {
  const { principal } = call;
  return {
    status: 200,
    body: {
      identity_id: principal.identityId,
      identity_type: identityType(principal.identityId),
      display_name: principal.displayName,
      tenant_id: principal.tenantId,
      partner_id: principal.partnerId,
      scopes: principal.scopes,
      groups: principal.groups,
      roles: principal.roles,
      mfa_verified_at: orNull(principal.mfaVerifiedAt),
      token_expires_at: orNull(call.token?.expiresAt ?? null),
    },
  };
}

const introspectBody = z.object({ token: z.string() });

/** POST /v1/auth/introspect: a bad token is `{"active": false}` with 200. [reference/authentication] */
export async function introspect(call: Call): Promise<Answer> {
  const body = checkBody(introspectBody, parseObject(await call.text()));
  const found = await call.app.tokens.authenticate(body.token).catch(() => undefined);
  // A token of another tenant is nobody's business here.
  if (found === undefined || found.principal.tenantId !== call.principal.tenantId)
    return { status: 200, body: { active: false } };
  return {
    status: 200,
    body: {
      active: true,
      identity_id: found.principal.identityId,
      identity_type: identityType(found.principal.identityId),
      tenant_id: found.principal.tenantId,
      scopes: found.principal.scopes,
      expires_at: orNull(found.expiresAt),
      issued_at: timestamp(found.issuedAt),
    },
  };
}

/** The scopes asked for, all that are granted when none are named; undefined when one is not granted. */
function grantedScopes(granted: readonly string[], asked: string | undefined): readonly string[] | undefined {
  const wanted = (asked ?? "").split(" ").filter((scope) => scope !== "");
  if (wanted.length === 0) return granted;
  return wanted.every((scope) => granted.includes(scope)) ? wanted : undefined;
}

async function tokenAnswer(call: Call, principal: Principal, clientId: string): Promise<Answer> {
  const lifetimeMs = call.app.tokenLifetimeMs;
  return {
    status: 200,
    headers: { Pragma: "no-cache" },
    body: {
      access_token: await call.app.tokens.issueJwt(principal, clientId, lifetimeMs),
      token_type: "Bearer",
      expires_in: Math.floor(lifetimeMs / 1000),
      scope: principal.scopes.join(" "),
    },
  };
}

const oauthError = (status: number, error: string): Answer => ({ status, body: { error } });

/** POST /oauth/token: client credentials, as ScaiKey answers them; errors in the form of OAuth 2. [getting-started/authentication] */
export async function oauthToken(call: Call): Promise<Answer> {
  let form: URLSearchParams;
  try {
    form = await call.form();
  } catch {
    return oauthError(400, "invalid_request");
  }
  if (form.get("grant_type") !== "client_credentials") return oauthError(400, "unsupported_grant_type");
  const [clientId, clientSecret] = basicCredentials(call.authorization) ?? [
    form.get("client_id") ?? "",
    form.get("client_secret") ?? "",
  ];
  const client = call.app.tokens.findClient(clientId, clientSecret);
  if (client === undefined) return { ...oauthError(401, "invalid_client"), headers: { "WWW-Authenticate": "Basic" } };
  const scopes = grantedScopes(client.principal.scopes, form.get("scope") ?? undefined);
  if (scopes === undefined) return oauthError(400, "invalid_scope");
  return tokenAnswer(call, { ...client.principal, scopes }, client.clientId);
}

/** Id and secret of HTTP Basic, each form-encoded as RFC 6749 2.3.1 says. */
function basicCredentials(header: string | undefined): [string, string] | undefined {
  const match = /^basic +([\w+/=-]+)$/i.exec(header ?? "");
  if (match?.[1] === undefined) return undefined;
  const text = Buffer.from(match[1], "base64").toString("utf8");
  const colon = text.indexOf(":");
  if (colon < 0) return undefined;
  try {
    const decode = (part: string): string => decodeURIComponent(part.replaceAll("+", " "));
    return [decode(text.slice(0, colon)), decode(text.slice(colon + 1))];
  } catch {
    return undefined;
  }
}

/** GET /oauth/jwks: public keys of the token endpoint. */
export async function jwks(call: Call): Promise<Answer> {
  return { status: 200, body: jwksOf(await call.app.tokens.signingKey()) };
}

const exchangeBody = z.object({
  grant_type: z.literal(EXCHANGE_GRANT.grantType),
  subject_token: z.string().min(1).max(32_768),
  subject_token_type: z.enum(EXCHANGE_GRANT.subjectTokenTypes as [string, ...string[]]),
  audience: z.string().optional(),
  scope: z.string().optional(),
  role: z.string().optional(),
});

/** POST /v1/auth/exchange: a trusted foreign token for one of ours. [reference/authentication] */
export async function exchange(call: Call): Promise<Answer> {
  const { app } = call;
  const body = checkBody(exchangeBody, parseObject(await call.text()));
  const mapping = app.exchange.resolve(body.subject_token, body.role);
  const scopes = grantedScopes(mapping.scopes, body.scope);
  if (scopes === undefined) throw new ApiError("insufficient_scope", "a scope is not granted to this identity");
  const tenantId = mapping.tenantId ?? app.homeTenantId;
  return tokenAnswer(
    call,
    {
      identityId: mapping.identity,
      displayName: mapping.identity,
      tenantId,
      partnerId: app.tenants.partnerOf(tenantId) ?? "",
      scopes,
      groups: [],
      roles: [],
      mfaVerifiedAt: null,
    },
    mapping.identity,
  );
}
