import { randomBytes } from "node:crypto";
import type { Clock } from "../../src/time/clock.ts";
import { ROTATION_POLICIES_ABSENT } from "../assumptions.ts";
import { ApiError } from "../errors.ts";
import { durationMs } from "../secrets/duration.ts";
import { Collection } from "../store/objects.ts";
import type { Store } from "../store/store.ts";
import type { RotationTimes } from "./turn.ts";

/** What people say of a rotation policy; durations as written. */
export interface RotationSettings {
  readonly name: string;
  readonly description: string;
  readonly interval: string;
  readonly gracePeriod: string;
  readonly warnBefore: readonly string[];
  readonly autoGenerate: boolean;
  readonly secretPolicyId: string | null;
  readonly webhookIds: readonly string[];
}

/** A rotation policy as it is kept. Times in ms since the epoch. */
export interface RotationPolicy extends RotationSettings {
  /** `rot_…` */
  readonly id: string;
  readonly tenantId: string;
  readonly isActive: boolean;
  readonly createdAt: number;
  readonly updatedAt: number;
}

/** The policy's durations in ms. */
export function timesOf(policy: RotationPolicy): RotationTimes {
  return {
    intervalMs: durationMs(policy.interval),
    graceMs: durationMs(policy.gracePeriod),
    warnMs: policy.warnBefore.map(durationMs),
  };
}

/** Rotation policies of all tenants, without the secrets under them. */
export class RotationPolicies {
  readonly #clock: Clock;
  readonly #items: Collection<RotationPolicy>;

  constructor(store: Store, clock: Clock) {
    this.#clock = clock;
    this.#items = new Collection(store.objects, "rotation-policy");
  }

  reload(): void {
    this.#items.reload();
  }

  list(tenantId: string): RotationPolicy[] {
    return this.#items.values().filter((item) => item.tenantId === tenantId);
  }

  /** By id alone, for what runs by itself. */
  find(id: string): RotationPolicy | undefined {
    return this.#items.get(id);
  }

  /** @throws ApiError `rotation_policy_not_found`. */
  get(tenantId: string, id: string): RotationPolicy {
    const found = this.#items.get(id);
    if (found?.tenantId !== tenantId) throw new ApiError(ROTATION_POLICIES_ABSENT, "no such rotation policy");
    return found;
  }

  /** @throws ApiError `policy_exists`. */
  create(tenantId: string, settings: RotationSettings): RotationPolicy {
    this.#checkName(tenantId, settings.name);
    const now = this.#clock.now();
    const id = `rot_${randomBytes(12).toString("hex")}`;
    return this.#items.save({ ...settings, id, tenantId, isActive: true, createdAt: now, updatedAt: now });
  }

  /** @throws ApiError `policy_exists`. */
  change(policy: RotationPolicy, settings: Partial<RotationSettings & { readonly isActive: boolean }>): RotationPolicy {
    if (settings.name !== undefined && settings.name !== policy.name) this.#checkName(policy.tenantId, settings.name);
    return this.#items.save({ ...policy, ...settings, updatedAt: this.#clock.now() });
  }

  remove(id: string): void {
    this.#items.remove(id);
  }

  #checkName(tenantId: string, name: string): void {
    if (this.list(tenantId).some((item) => item.name === name))
      throw new ApiError("policy_exists", "a policy of this name exists");
  }
}
