import { randomBytes } from "node:crypto";
import { BlockList, isIP } from "node:net";
import { BINDING_ID_PREFIX, CONDITION_CODES } from "../assumptions.ts";
import { ApiError } from "../errors.ts";
import { isValidGlob, matchesGlob } from "./glob.ts";
import type { Principal } from "./principal.ts";

/** Permissions of a rule; `admin` is all of them. [core-concepts/policies-and-permissions] */
export type Permission = "read" | "write" | "delete" | "list" | "rotate" | "admin";

/** All given conditions must hold. */
export interface RuleConditions {
  /** CIDRs or addresses. */
  readonly ip_ranges?: readonly string[];
  readonly require_mfa?: boolean;
  /** Times of day in UTC, `HH:MM`, start included, end not. */
  readonly time_windows?: readonly { readonly start: string; readonly end: string }[];
}

export interface PolicyRule {
  readonly path_pattern: string;
  readonly permissions: readonly Permission[];
  readonly conditions?: RuleConditions;
}

interface Policy {
  readonly id: string;
  readonly name: string;
  readonly rules: readonly PolicyRule[];
}

/** What the conditions are checked against. */
export interface AccessContext {
  readonly sourceIp: string;
  readonly now: number;
}

/** Policies and whom they are bound to. Bindings hold within one tenant. */
export class Policies {
  readonly #bound = new Map<string, Map<string, Policy>>();

  /**
   * Makes a policy of `rules` and binds it to an identity or group of a tenant.
   * @throws ApiError `invalid_glob`.
   */
  bind(
    tenantId: string,
    identityId: string,
    rules: readonly PolicyRule[],
    name = "policy",
  ): { policyId: string; bindingId: string } {
    for (const rule of rules)
      if (!isValidGlob(rule.path_pattern)) throw new ApiError("invalid_glob", "not a path glob");
    const policyId = `pol_${randomBytes(8).toString("hex")}`;
    const bindingId = `${BINDING_ID_PREFIX}${randomBytes(8).toString("hex")}`;
    const key = bindingKey(tenantId, identityId);
    const bindings = this.#bound.get(key) ?? new Map<string, Policy>();
    bindings.set(bindingId, { id: policyId, name, rules });
    this.#bound.set(key, bindings);
    return { policyId, bindingId };
  }

  /** Removes a binding. @returns whether there was one. */
  unbind(bindingId: string): boolean {
    for (const bindings of this.#bound.values()) if (bindings.delete(bindingId)) return true;
    return false;
  }

  /** Removes all bindings of an identity in a tenant. */
  unbindAll(tenantId: string, identityId: string): void {
    this.#bound.delete(bindingKey(tenantId, identityId));
  }

  allows(principal: Principal, path: string, permission: Permission, context: AccessContext): boolean {
    return this.#evaluate(principal, path, permission, context) === "allowed";
  }

  /** Whether a rule matches, its conditions aside: for events, which have no source address. */
  mentions(principal: Principal, path: string, permission: Permission): boolean {
    return this.#evaluate(principal, path, permission, { sourceIp: "", now: 0 }) !== "denied";
  }

  /** @throws ApiError `access_denied`, or the code of the one condition that stood in the way. */
  require(principal: Principal, path: string, permission: Permission, context: AccessContext): void {
    const outcome = this.#evaluate(principal, path, permission, context);
    if (outcome === "allowed") return;
    if (outcome === "denied") throw new ApiError("access_denied", "no policy rule allows this", { details: { path } });
    throw new ApiError(CONDITION_CODES[outcome] as "ip_not_allowed", "a condition of the policy rule does not hold", {
      details: { path, failed_condition: outcome },
    });
  }

  #evaluate(principal: Principal, path: string, permission: Permission, context: AccessContext): Outcome {
    let failed: keyof RuleConditions | undefined;
    for (const identity of [principal.identityId, ...principal.groups]) {
      for (const policy of this.#bound.get(bindingKey(principal.tenantId, identity))?.values() ?? []) {
        for (const rule of policy.rules) {
          if (!rule.permissions.includes(permission) && !rule.permissions.includes("admin")) continue;
          if (!matchesGlob(rule.path_pattern, path)) continue;
          const condition = failedCondition(rule.conditions ?? {}, principal, context);
          if (condition === undefined) return "allowed";
          failed ??= condition;
        }
      }
    }
    return failed ?? "denied";
  }
}

type Outcome = "allowed" | "denied" | keyof RuleConditions;

const bindingKey = (tenantId: string, identityId: string): string => `${tenantId}\n${identityId}`;

function failedCondition(
  conditions: RuleConditions,
  principal: Principal,
  context: AccessContext,
): keyof RuleConditions | undefined {
  if (conditions.ip_ranges !== undefined && !inRanges(conditions.ip_ranges, context.sourceIp)) return "ip_ranges";
  if (conditions.require_mfa === true && principal.mfaVerifiedAt === null) return "require_mfa";
  if (conditions.time_windows !== undefined) {
    const timeOfDay = new Date(context.now).toISOString().slice(11, 16);
    const inside = conditions.time_windows.some((window) => window.start <= timeOfDay && timeOfDay < window.end);
    if (!inside) return "time_windows";
  }
  return undefined;
}

function inRanges(ranges: readonly string[], address: string): boolean {
  const list = new BlockList();
  for (const range of ranges) {
    const [net, bits] = range.split("/");
    const family = isIP(net ?? "");
    if (net === undefined || family === 0) continue;
    const type = family === 6 ? "ipv6" : "ipv4";
    if (bits === undefined) list.addAddress(net, type);
    else list.addSubnet(net, Number(bits), type);
  }
  return list.check(address, isIP(address) === 6 ? "ipv6" : "ipv4");
}
