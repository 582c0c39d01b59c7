import { at, CannotCheck, equal, fact, holds, listAt, refused, status } from "../check.ts";
import type { Check } from "../check.ts";

/** Tokens, scopes, tenants. */
export const authChecks: readonly Check[] = [
  fact(
    "no-token",
    "2.11",
    "core-concepts/errors",
    "No or a malformed Authorization header answers 401 authentication_required.",
    [],
    async ({ client }) => {
      refused(await client.get("/v1/auth/whoami", { token: null }), 401, "authentication_required", "no header");
      const malformed = { token: null, headers: { authorization: "Token abc" } };
      refused(await client.get("/v1/auth/whoami", malformed), 401, "authentication_required", "a malformed header");
    },
  ),
  fact(
    "bad-token",
    "2.11",
    "reference/error-codes",
    "A token that is not valid answers 401 token_invalid.",
    [],
    async ({ client }) => {
      refused(
        await client.get("/v1/auth/whoami", { token: "skt_conformance-no-such-token" }),
        401,
        "token_invalid",
        "an unknown token",
      );
    },
  ),
  fact(
    "whoami",
    "3.13",
    "reference/authentication",
    "GET /v1/auth/whoami answers identity_id, identity_type, tenant_id and scopes for any valid token.",
    [],
    async ({ client }) => {
      const reply = await client.get("/v1/auth/whoami");
      status(reply, 200, "whoami");
      for (const field of ["identity_id", "identity_type", "tenant_id"])
        equal(typeof at(reply.json, field), "string", `the type of ${field}`);
      listAt(reply.json, "scopes");
      holds(
        ["user", "service_account", "group"].includes(String(at(reply.json, "identity_type"))),
        "identity_type is another kind",
      );
    },
  ),
  fact(
    "introspect-bad",
    "3.13",
    "reference/authentication",
    'POST /v1/auth/introspect answers a bad token with {"active": false} and 200.',
    ["admin"],
    async ({ client }) => {
      const reply = await client.post("/v1/auth/introspect", { token: "skt_conformance-no-such-token" });
      status(reply, 200, "introspect");
      equal(at(reply.json, "active"), false, "active");
    },
  ),
  fact(
    "client-credentials",
    "2.3",
    "getting-started/authentication",
    "The token endpoint takes grant_type, client_id, client_secret and scope as a form and answers access_token.",
    [],
    async ({ client, extras }) => {
      if (extras.oauth === undefined) throw new CannotCheck("no client was given");
      const { tokenUrl, clientId, clientSecret } = extras.oauth;
      const form = new URLSearchParams({
        grant_type: "client_credentials",
        client_id: clientId,
        client_secret: clientSecret,
      });
      const reply = await client.send("POST", "", {
        url: tokenUrl,
        token: null,
        body: form.toString(),
        headers: { "content-type": "application/x-www-form-urlencoded" },
      });
      status(reply, 200, "the token endpoint");
      const token = at(reply.json, "access_token");
      if (typeof token !== "string") throw new CannotCheck("access_token is no text");
      equal(at(reply.json, "token_type"), "Bearer", "token_type");
      equal(typeof at(reply.json, "expires_in"), "number", "the type of expires_in");
      status(await client.get("/v1/auth/whoami", { token }), 200, "whoami with the new token");
    },
  ),
  fact(
    "missing-scope",
    "2.11",
    "reference/error-codes",
    "A missing scope answers 403 (insufficient_scope; one page says access_denied).",
    [],
    async ({ client, path, extras }) => {
      if (extras.limitedToken === undefined) throw new CannotCheck("no second token was given");
      const reply = await client.put(
        `/v1/secrets/${path("scope")}`,
        { data: {}, secret_type: "kv" },
        { token: extras.limitedToken },
      );
      status(reply, 403, "a write without the scope");
      holds(
        ["insufficient_scope", "access_denied"].includes(String(at(reply.json, "error", "code"))),
        "the code is another one",
      );
    },
  ),
  fact(
    "own-tenant-works",
    "2.6",
    "core-concepts/multi-tenancy",
    "The tenant of the request comes from the path prefix, the header X-Tenant-ID, or the token.",
    ["secrets:read"],
    async ({ client, whoami, path }) => {
      const tenant = String(whoami["tenant_id"]);
      const missing = `/secrets/${path("tenant")}`;
      const plain = await client.get(`/v1${missing}`);
      const prefixed = await client.get(`/v1/t/${tenant}${missing}`);
      if (prefixed.status === 403) throw new CannotCheck("the token may not name its tenant");
      equal(prefixed.status, plain.status, "the status with the path prefix");
      equal(
        (await client.get(`/v1${missing}`, { headers: { "X-Tenant-ID": tenant } })).status,
        plain.status,
        "the status with the header",
      );
    },
  ),
  fact(
    "unknown-tenant",
    "2.6",
    "core-concepts/multi-tenancy",
    "An unknown tenant answers 404 tenant_not_found.",
    ["secrets:read"],
    async ({ client, path }) => {
      const reply = await client.get(`/v1/t/tnt_conformance_none/secrets/${path("tenant")}`);
      if (reply.status === 403) throw new CannotCheck("the token may not name other tenants");
      refused(reply, 404, "tenant_not_found", "an unknown tenant");
    },
  ),
];
