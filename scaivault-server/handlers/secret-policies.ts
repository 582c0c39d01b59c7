import { z } from "zod";
import { ApiError } from "../errors.ts";
import { checkRecipe } from "../generate/generators.ts";
import { regenerate } from "../generate/service.ts";
import type { SecretPolicy, SecretPolicySettings } from "../generate/service.ts";
import type { Answer, Call } from "../http/call.ts";
import { RawJson } from "../json/raw-json.ts";
import { checkBody, parseObject } from "../secrets/body.ts";
import { timestamp } from "../secrets/service.ts";
import { listPage } from "./pages.ts";

const fields = {
  name: z.string().min(1).max(200),
  description: z.string().max(2000),
  policy_type: z.enum(["password", "api_key", "oauth_client", "ssh_key", "custom"]),
  fields: z
    .array(
      z.object({
        name: z.string().min(1).max(200),
        generator: z.string(),
        config: z.record(z.string(), z.unknown()).default({}),
      }),
    )
    .min(1)
    .max(100),
  is_active: z.boolean(),
};
const patchBody = z.object(fields).partial();
const createBody = patchBody.extend({ name: fields.name, fields: fields.fields });

function shown(item: SecretPolicy): Record<string, unknown> {
  return {
    id: item.id,
    name: item.name,
    description: item.description,
    policy_type: item.policyType,
    fields: item.fields,
    is_active: item.isActive,
    created_at: timestamp(item.createdAt),
    updated_at: timestamp(item.updatedAt),
  };
}

function named(call: Call): SecretPolicy {
  return call.app.secretPolicies.get(call.principal.tenantId, call.params["id"] ?? "");
}

function settingsOf(body: z.infer<typeof patchBody>): Partial<SecretPolicySettings> {
  for (const [index, recipe] of (body.fields ?? []).entries()) checkRecipe(recipe, `fields.${index}`);
  const { name, description, policy_type: policyType, is_active: isActive } = body;
  const given = { name, description, policyType, fields: body.fields, isActive };
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
}

/** GET /v1/secret-policies. */
export function listSecretPolicies(call: Call): Answer {
  return { status: 200, body: listPage(call, "data", call.app.secretPolicies.list(call.principal.tenantId), shown) };
}

/** POST /v1/secret-policies. */
export async function createSecretPolicy(call: Call): Promise<Answer> {
  const body = checkBody(createBody, parseObject(await call.text()));
  const base = { name: body.name, fields: body.fields, description: "", policyType: "custom", isActive: true };
  const policy = call.app.secretPolicies.create(call.principal.tenantId, { ...base, ...settingsOf(body) });
  return { status: 201, body: shown(policy) };
}

/** GET /v1/secret-policies/{id}. */
export function readSecretPolicy(call: Call): Answer {
  return { status: 200, body: shown(named(call)) };
}

/** PATCH /v1/secret-policies/{id}: the given fields. */
export async function patchSecretPolicy(call: Call): Promise<Answer> {
  named(call);
  const settings = settingsOf(checkBody(patchBody, parseObject(await call.text())));
  return { status: 200, body: shown(call.app.secretPolicies.change(named(call), settings)) };
}

/** DELETE /v1/secret-policies/{id}. */
export function deleteSecretPolicy(call: Call): Answer {
  const { id, tenantId } = named(call);
  if (call.app.rotationPolicies.list(tenantId).some((policy) => policy.secretPolicyId === id))
    throw new ApiError("policy_in_use", "a rotation policy uses it");
  call.app.secretPolicies.remove(id);
  return { status: 204 };
}

/** POST /v1/secret-policies/{id}/preview: values that nothing keeps. */
export function previewSecretPolicy(call: Call): Answer {
  return { status: 200, body: { data: new RawJson(regenerate("{}", named(call).fields)) } };
}
