import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import type { Reason } from "../errors/index.ts";
import { SecretValue } from "../model/index.ts";
import type { RateLane } from "./bucket.ts";
import { failureOf, noMetadata, ServerAndClients } from "./testing/server-client.ts";

let parts: ServerAndClients;
beforeAll(async () => {
  parts = await ServerAndClients.start();
});
afterEach(() => parts.server.admin.clearFaults());
afterAll(() => parts.stop());

const context = { signal: new AbortController().signal, lane: "user" as RateLane };
const canary = "canary-7f3a9c";

/** HTTP status, code, reason, and how often one read is sent. */
const table: readonly (readonly [number, string, Reason, number])[] = [
  [401, "authentication_required", "ScaiVaultDenied", 1],
  [401, "token_expired", "ScaiVaultDenied", 2],
  [401, "token_invalid", "ScaiVaultDenied", 2],
  [401, "token_revoked", "ScaiVaultDenied", 2],
  [403, "access_denied", "ScaiVaultDenied", 1],
  [403, "insufficient_scope", "ScaiVaultDenied", 1],
  [403, "mfa_required", "ScaiVaultDenied", 1],
  [403, "ip_not_allowed", "ScaiVaultDenied", 1],
  [403, "time_window_violation", "ScaiVaultDenied", 1],
  [403, "tenant_access_denied", "ScaiVaultDenied", 1],
  [403, "forbidden", "ScaiVaultDenied", 1],
  [400, "invalid_request", "InvalidSpec", 1],
  [400, "invalid_path", "InvalidPath", 1],
  [400, "invalid_secret_type", "InvalidSpec", 1],
  [400, "invalid_duration", "InvalidSpec", 1],
  [400, "invalid_cursor", "ScaiVaultUnavailable", 1],
  [400, "invalid_policy", "InvalidSpec", 1],
  [400, "invalid_glob", "InvalidSpec", 1],
  [400, "invalid_role", "ScaiVaultDenied", 1],
  [400, "invalid_config", "InvalidSpec", 1],
  [422, "validation_error", "InvalidSpec", 1],
  [404, "version_not_found", "VersionNotFound", 1],
  [404, "policy_not_found", "ScaiVaultDenied", 1],
  [404, "binding_not_found", "ScaiVaultDenied", 1],
  [404, "webhook_not_found", "ScaiVaultDenied", 1],
  [404, "subscription_not_found", "ScaiVaultDenied", 1],
  [404, "rotation_policy_not_found", "ScaiVaultDenied", 1],
  [404, "secret_policy_not_found", "ScaiVaultDenied", 1],
  [404, "ca_not_found", "ScaiVaultDenied", 1],
  [404, "certificate_not_found", "ScaiVaultDenied", 1],
  [404, "tenant_not_found", "ScaiVaultDenied", 1],
  [404, "identity_not_found", "ScaiVaultDenied", 1],
  [409, "policy_in_use", "ScaiVaultDenied", 1],
  [409, "secret_exists", "TargetSoftDeleted", 1],
  [409, "version_conflict", "TargetChanged", 1],
  [429, "rate_limited", "RateLimited", 1],
  [503, "service_unavailable", "ScaiVaultUnavailable", 1],
  [500, "internal_error", "ScaiVaultUnavailable", 2],
  // Codes that nobody knows go by their status.
  [404, "not_found", "ScaiVaultUnavailable", 1],
  [408, "slow", "ScaiVaultUnavailable", 1],
  [418, "teapot", "ScaiVaultDenied", 1],
  [429, "easy", "RateLimited", 1],
  [502, "backend_error", "ScaiVaultUnavailable", 1],
  [599, "", "ScaiVaultUnavailable", 1],
];

test.each(table)("%i %s: %s, and a read is sent %i times", async (status, code, reason, reads) => {
  const text = JSON.stringify({ error: { code, message: canary, details: { path: canary } } });
  const fault = parts.server.admin.inject({ action: { kind: "body", status, text } });
  const tokens = {
    token: async () => SecretValue.fromText(parts.server.token),
    renew: async () =>
      SecretValue.fromText(parts.server.admin.createToken({ identity: "sa:renewed", scopes: ["admin"] })),
  };
  const error = await failureOf(parts.client({ tokens }).get("team/a", context), canary);
  expect([error.reason, fault.hits()]).toEqual([reason, reads]);
  // A write is repeated only where it was not carried out for sure: each PUT makes a version.
  const before = fault.hits();
  const put = { data: SecretValue.fromText("{}"), secretType: "json", metadata: noMetadata };
  await failureOf(parts.client({ tokens }).put("team/a", put, context), canary);
  expect(fault.hits() - before).toBe(status === 401 ? reads : 1);
});

test("internal_error goes away by itself: the second answer counts", async () => {
  parts.server.admin.write("team/once", { data: '{"a":"1"}' });
  const fault = parts.server.admin.inject({
    times: 1,
    action: { kind: "status", status: 500, code: "internal_error" },
  });
  expect((await parts.client().get("team/once", context))?.version).toBe(1);
  expect(fault.hits()).toBe(1);
});
