import type { Admin } from "./admin/admin.ts";
import { identitySpec, seedSchema } from "./admin/schemas.ts";
import { rawMembers } from "./json/raw-json.ts";
import { writePrivateFile } from "./private-file.ts";
import { checkBody, parseObject } from "./secrets/body.ts";

/**
 * Puts what a seed file says into a fresh server. Secrets that are there already (data file) stay as they are. Tokens and
 * client secrets go to the files that the seed names, readable by their owner only.
 * @throws ApiError with the fields that are wrong.
 */
export function applySeed(admin: Admin, text: string): { readonly secrets: number } {
  const seed = checkBody(seedSchema, parseObject(text));
  for (const tenant of seed.tenants) admin.addTenant(tenant.tenant_id, tenant.partner_id);
  for (const policy of seed.policies)
    admin.bindPolicy(
      policy.identity,
      policy.rules,
      policy.tenant_id === undefined ? {} : { tenantId: policy.tenant_id },
    );
  for (const token of seed.tokens) writePrivateFile(token.token_file, admin.createToken(identitySpec(token)));
  for (const client of seed.clients) {
    const made = admin.createClient({ ...identitySpec(client), clientId: client.client_id });
    writePrivateFile(client.client_secret_file, made.clientSecret);
  }
  if (seed.exchange.length > 0) admin.setExchangeTrust(seed.exchange);
  let written = 0;
  for (const [path, body] of rawMembers(rawMembers(text).get("secrets") ?? "{}")) {
    if (admin.peek(path) !== undefined) continue;
    admin.writeText(path, body);
    written++;
  }
  return { secrets: written };
}
