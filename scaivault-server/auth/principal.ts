import { ADMIN_IMPLIES_ALL } from "../assumptions.ts";

/** Scopes that this server knows. [getting-started/authentication and the reference pages] */
export const knownScopes = [
  "secrets:read",
  "secrets:write",
  "secrets:delete",
  "secrets:list",
  "secrets:rotate",
  "policies:read",
  "policies:write",
  "audit:read",
  "audit:export",
  "pki:issue",
  "pki:admin",
  "dynamic:read",
  "dynamic:manage",
  "federation:read",
  "federation:write",
  "subscriptions:read",
  "subscriptions:write",
  "identity:read",
  "identity:admin",
  "admin",
] as const;

export type Scope = (typeof knownScopes)[number];

/** Who calls, as a token says it. */
export interface Principal {
  /** Such as `sa:billing` or `user:a@example.com`. */
  readonly identityId: string;
  readonly displayName: string;
  readonly tenantId: string;
  readonly partnerId: string;
  readonly scopes: readonly string[];
  /** Group identities, such as `group:platform`. */
  readonly groups: readonly string[];
  readonly roles: readonly string[];
  /** ms since the epoch, null without. */
  readonly mfaVerifiedAt: number | null;
}

/** Kind of an identity by the form of its id. [core-concepts/multi-tenancy] */
export function identityType(identityId: string): "user" | "service_account" | "group" {
  if (identityId.startsWith("sa:")) return "service_account";
  return identityId.startsWith("group:") ? "group" : "user";
}

export function hasScope(principal: Principal, scope: Scope): boolean {
  return principal.scopes.includes(scope) || (ADMIN_IMPLIES_ALL && principal.scopes.includes("admin"));
}
