/** JSON shapes of the admin port and of seed files; snake_case outside, settings inside. */
import type { JsonWebKey } from "node:crypto";
import { z } from "zod";
import { knownScopes } from "../auth/principal.ts";
import type { PolicyRule } from "../auth/policies.ts";
import { defaultLimits } from "../limits/rate-limiter.ts";
import type { Category } from "../limits/rate-limiter.ts";
import type { ExchangeTrust, IdentitySpec } from "../settings.ts";
import type { Fault } from "./faults.ts";

/** Removes keys whose value is undefined, so that optional settings are absent instead. */
function present<T extends object>(value: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(value).filter(([, item]) => item !== undefined)) as {
    [K in keyof T]: Exclude<T[K], undefined>;
  };
}

const identity = z.string().regex(/^(?:user|sa|group|system|dynamic):.{1,200}$/);
const scopes = z.array(z.enum(knownScopes));

const ruleSchema = z.strictObject({
  path_pattern: z.string(),
  permissions: z.array(z.enum(["read", "write", "delete", "list", "rotate", "admin"])).min(1),
  conditions: z
    .strictObject({
      ip_ranges: z.array(z.string()).optional(),
      require_mfa: z.boolean().optional(),
      time_windows: z
        .array(z.strictObject({ start: z.string().regex(/^\d\d:\d\d$/), end: z.string().regex(/^\d\d:\d\d$/) }))
        .optional(),
    })
    .optional(),
});
const rules = z.array(ruleSchema).transform((list) => list as PolicyRule[]);

const identityShape = {
  identity,
  scopes,
  tenant_id: z.string().optional(),
  display_name: z.string().optional(),
  groups: z.array(identity).optional(),
  roles: z.array(z.string()).optional(),
  mfa_verified_at: z.iso.datetime().optional(),
  rules: rules.optional(),
};
type IdentityJson = z.infer<z.ZodObject<typeof identityShape>>;

/** The identity part of a parsed object. */
export function identitySpec(json: IdentityJson): IdentitySpec {
  return present({
    identity: json.identity,
    scopes: json.scopes,
    tenantId: json.tenant_id,
    displayName: json.display_name,
    groups: json.groups,
    roles: json.roles,
    mfaVerifiedAt: json.mfa_verified_at === undefined ? undefined : Date.parse(json.mfa_verified_at),
    rules: json.rules,
  }) as IdentitySpec;
}

export const tokenSchema = z.strictObject({ ...identityShape, lifetime_seconds: z.number().positive().optional() });
export const clientSchema = z.strictObject({ ...identityShape, client_id: z.string().min(1).optional() });
export const tenantSchema = z.strictObject({ tenant_id: z.string().min(1), partner_id: z.string().min(1).optional() });
export const policySchema = z.strictObject({
  identity,
  rules,
  tenant_id: z.string().optional(),
  name: z.string().optional(),
});
export const revokeSchema = z.strictObject({ token: z.string() });

/** Requests per minute by category; null lifts the limit. */
export const limitsSchema = z.partialRecord(
  z.enum(Object.keys(defaultLimits) as [Category, ...Category[]]),
  z.number().min(0).nullable(),
);

export const trustSchema = z
  .strictObject({
    issuer: z.string().min(1),
    audiences: z.array(z.string()).optional(),
    jwks: z.looseObject({ keys: z.array(z.looseObject({ kty: z.string() })) }).optional(),
    pem: z.array(z.string()).optional(),
    accept_unsigned: z.boolean().optional(),
    mappings: z.array(
      z.strictObject({ subject: z.string().min(1), identity, scopes, tenant_id: z.string().optional() }),
    ),
  })
  .transform(
    (json): ExchangeTrust =>
      present({
        issuer: json.issuer,
        audiences: json.audiences,
        jwks: json.jwks === undefined ? undefined : { keys: json.jwks.keys as JsonWebKey[] },
        pem: json.pem,
        acceptUnsigned: json.accept_unsigned,
        mappings: json.mappings.map(({ tenant_id, ...mapping }) => present({ ...mapping, tenantId: tenant_id })),
      }) as ExchangeTrust,
  );

const faultAction = z.discriminatedUnion("kind", [
  z.strictObject({
    kind: z.literal("status"),
    status: z.int().min(400).max(599),
    code: z.string().optional(),
    retryAfterSeconds: z.int().min(0).optional(),
  }),
  z.strictObject({
    kind: z.literal("body"),
    status: z.int().min(200).max(599),
    text: z.string(),
    contentType: z.string().optional(),
  }),
  z.strictObject({ kind: z.literal("hang") }),
  z.strictObject({ kind: z.literal("reset"), when: z.enum(["before", "after"]).optional() }),
  z.strictObject({ kind: z.literal("latency"), ms: z.number().min(0) }),
  z.strictObject({ kind: z.literal("dropMetadata"), keys: z.array(z.string()).optional() }),
]);

/** A fault as `Faults.inject` takes it. */
export const faultSchema = z
  .strictObject({
    match: z
      .strictObject({
        method: z.string().optional(),
        route: z.string().optional(),
        category: z.string().optional(),
        path: z.string().optional(),
        identity: z.string().optional(),
      })
      .optional(),
    times: z.int().min(1).optional(),
    action: faultAction,
  })
  .transform((json) => json as Fault);

/** How federation backends are reached: host names to the URLs that are asked instead, and a PEM to trust besides. */
export const networkSchema = z
  .strictObject({ overrides: z.record(z.string(), z.url()).optional(), ca: z.string().optional() })
  .transform((json) => present(json));

/** A seed file: what a server starts with. Secrets are looked at one by one, to keep their text. */
export const seedSchema = z.strictObject({
  tenants: z.array(tenantSchema).default([]),
  policies: z.array(policySchema).default([]),
  tokens: z.array(z.strictObject({ ...identityShape, token_file: z.string().min(1) })).default([]),
  clients: z
    .array(z.strictObject({ ...identityShape, client_id: z.string().min(1), client_secret_file: z.string().min(1) }))
    .default([]),
  exchange: z.array(trustSchema).default([]),
  secrets: z
    .record(
      z.string(),
      z.custom<object>((value) => typeof value === "object" && value !== null),
    )
    .default({}),
});
