import { randomBytes } from "node:crypto";
import type { Clock } from "../../src/time/clock.ts";
import { DEFAULT_RECIPE_FIELDS } from "../assumptions.ts";
import { ApiError } from "../errors.ts";
import { joinMembers, rawMembers } from "../json/raw-json.ts";
import { Collection } from "../store/objects.ts";
import type { Store } from "../store/store.ts";
import { generate } from "./generators.ts";
import type { FieldRecipe } from "./generators.ts";

/** What people say of a value-generation policy. */
export interface SecretPolicySettings {
  readonly name: string;
  readonly description: string;
  /** A hint. */
  readonly policyType: string;
  readonly fields: readonly FieldRecipe[];
  readonly isActive: boolean;
}

/** A value-generation policy as it is kept. Times in ms since the epoch. */
export interface SecretPolicy extends SecretPolicySettings {
  /** `sp_…` */
  readonly id: string;
  readonly tenantId: string;
  readonly createdAt: number;
  readonly updatedAt: number;
}

/** Value-generation policies of all tenants. */
export class SecretPolicies {
  readonly #clock: Clock;
  readonly #items: Collection<SecretPolicy>;

  constructor(store: Store, clock: Clock) {
    this.#clock = clock;
    this.#items = new Collection(store.objects, "secret-policy");
  }

  reload(): void {
    this.#items.reload();
  }

  list(tenantId: string): SecretPolicy[] {
    return this.#items.values().filter((item) => item.tenantId === tenantId);
  }

  /** @throws ApiError `secret_policy_not_found`. */
  get(tenantId: string, id: string): SecretPolicy {
    const found = this.#items.get(id);
    if (found?.tenantId !== tenantId) throw new ApiError("secret_policy_not_found", "no such value-generation policy");
    return found;
  }

  /** @throws ApiError `policy_exists`. */
  create(tenantId: string, settings: SecretPolicySettings): SecretPolicy {
    this.#checkName(tenantId, settings.name);
    const now = this.#clock.now();
    const id = `sp_${randomBytes(12).toString("hex")}`;
    return this.#items.save({ ...settings, id, tenantId, createdAt: now, updatedAt: now });
  }

  /** @throws ApiError `policy_exists`. */
  change(policy: SecretPolicy, settings: Partial<SecretPolicySettings>): SecretPolicy {
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

/**
 * `data` with new values in the recipes' fields; other fields keep their text.
 * @param data JSON source text of an object.
 * @throws ApiError `validation_error` when a template names what is not there.
 */
export function regenerate(data: string, recipes: readonly FieldRecipe[]): string {
  const members = rawMembers(data);
  const known = new Map<string, string>();
  const made = new Set(recipes.map(({ name }) => name));
  for (const [name, text] of members) {
    const value: unknown = JSON.parse(text);
    if (typeof value === "string" && !made.has(name)) known.set(name, value);
  }
  for (const recipe of recipes)
    for (const [name, value] of generate(recipe, known)) {
      known.set(name, value);
      members.set(name, JSON.stringify(value));
    }
  return joinMembers(members);
}

/** What is made anew without a policy: the only field, or one whose name says that it is the secret part. */
export function defaultRecipes(data: string): readonly FieldRecipe[] | undefined {
  const names = [...rawMembers(data).keys()];
  const name = names.length === 1 ? names[0] : DEFAULT_RECIPE_FIELDS.find((field) => names.includes(field));
  return name === undefined ? undefined : [{ name, generator: "random", config: {} }];
}
