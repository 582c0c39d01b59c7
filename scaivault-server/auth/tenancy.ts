import { FOREIGN_TENANT_CODE, PARTNER_ADMIN_ROLES } from "../assumptions.ts";
import { ApiError } from "../errors.ts";
import type { Principal } from "./principal.ts";

/** Tenants and the partner of each. */
export class Tenants {
  readonly #partnerOf = new Map<string, string>();

  add(tenantId: string, partnerId: string): void {
    this.#partnerOf.set(tenantId, partnerId);
  }

  partnerOf(tenantId: string): string | undefined {
    return this.#partnerOf.get(tenantId);
  }

  /**
   * The caller as seen in the tenant that the request names: path prefix before header before token.
   * @throws ApiError `tenant_access_denied`, `tenant_not_found`. [core-concepts/multi-tenancy]
   */
  select(caller: Principal, named: string | undefined): Principal {
    if (named === undefined || named === caller.tenantId) return caller;
    const everywhere = caller.roles.includes(PARTNER_ADMIN_ROLES.ofAll);
    if (!everywhere && !caller.roles.includes(PARTNER_ADMIN_ROLES.ofPartner)) throw denied();
    const partnerId = this.#partnerOf.get(named);
    if (partnerId === undefined) throw new ApiError("tenant_not_found", "no such tenant");
    if (!everywhere && partnerId !== caller.partnerId) throw denied();
    return { ...caller, tenantId: named, partnerId };
  }
}

/** @throws ApiError `access_denied` unless the caller may write partner-wide secrets. */
export function requirePartnerAdmin(caller: Principal): void {
  if (!caller.roles.includes(PARTNER_ADMIN_ROLES.ofPartner) && !caller.roles.includes(PARTNER_ADMIN_ROLES.ofAll))
    throw new ApiError("access_denied", "only partner admins write partner-wide secrets");
}

function denied(): ApiError {
  return new ApiError(FOREIGN_TENANT_CODE as "tenant_access_denied", "this tenant is not open to the caller");
}
