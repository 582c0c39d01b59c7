import {
  ACK_CATEGORY,
  ACK_SCOPE,
  EXCHANGE_CATEGORY,
  FEDERATION_SCOPES,
  METADATA_CATEGORY,
  ROTATION_CATEGORY,
  TOKEN_PATHS,
} from "./assumptions.ts";
import { auditLogs, auditOfIdentity, auditOfSecret, auditSummary } from "./handlers/audit.ts";
import { exchange, introspect, jwks, oauthToken, whoami } from "./handlers/auth.ts";
import { batchMetadata, batchRead } from "./handlers/batch.ts";
import * as federation from "./handlers/federation.ts";
import * as secrets from "./handlers/secrets.ts";
import { detailed, health, metrics, ready, version } from "./handlers/system.ts";
import * as rotation from "./handlers/rotation.ts";
import * as secretPolicies from "./handlers/secret-policies.ts";
import * as subscriptions from "./handlers/subscriptions.ts";
import * as webhooks from "./handlers/webhooks.ts";
import type { Route } from "./http/call.ts";

const metadataRead = METADATA_CATEGORY.read as "list";
const exchangeCategory = EXCHANGE_CATEGORY as "system";
const open = { token: false, category: "system" } as const;
const list = { method: "GET", category: "list", scope: "secrets:list", action: "list" } as const;
const subscription = { category: "subscription", scope: "subscriptions:read" } as const;
const subscriptionWrite = { category: "subscription", scope: "subscriptions:write" } as const;
const federationRead = { category: "federation", scope: FEDERATION_SCOPES.read, method: "GET" } as const;
const federationWrite = { category: "federation", scope: FEDERATION_SCOPES.write, action: "federation_sync" } as const;
const backends = "/v1/federation/backends";
const webhook = { category: "webhook", scope: "admin" } as const;
const policy = { category: ROTATION_CATEGORY.policies, scope: "admin" } as const;
const rotating = { category: ROTATION_CATEGORY.policies, scope: "secrets:rotate" } as const;
const rotationPolicy = "/v1/rotation/policies/{id}";
const secretPolicy = "/v1/secret-policies/{id}";
const audit = { method: "GET", category: "audit", scope: "audit:read" } as const;

/** All endpoints; the first that fits wins, so the reserved words stand in front of `{path+}`. */
export const routes: readonly Route[] = [
  // System [reference/system]
  { ...open, method: "GET", pattern: "/v1/health", handler: health },
  { ...open, method: "GET", pattern: "/v1/health/ready", handler: ready },
  { method: "GET", pattern: "/v1/health/detailed", category: "auth", scope: "admin", handler: detailed },
  { ...open, method: "GET", pattern: "/v1/version", handler: version },
  { ...open, method: "GET", pattern: "/v1/metrics", handler: metrics },

  // Tokens [getting-started/authentication, reference/authentication]
  ...TOKEN_PATHS.map((pattern): Route => ({ ...open, method: "POST", pattern, handler: oauthToken })),
  { ...open, method: "GET", pattern: "/oauth/jwks", handler: jwks },
  { method: "POST", pattern: "/v1/auth/exchange", token: false, category: exchangeCategory, handler: exchange },
  { method: "GET", pattern: "/v1/auth/whoami", category: "auth", handler: whoami },
  { method: "POST", pattern: "/v1/auth/introspect", category: "auth", scope: "admin", handler: introspect },

  // Secrets [api-guides/secrets, api-guides/batch-operations]
  { ...list, pattern: "/v1/secrets", handler: secrets.listSecrets },
  { ...list, pattern: "/v1/secrets/", handler: secrets.listSecrets },
  { ...list, pattern: "/v1/secrets/expiring", handler: secrets.expiringSecrets },
  {
    method: "POST",
    pattern: "/v1/secrets/batch",
    category: "batch_read",
    scope: "secrets:read",
    action: "read",
    handler: batchRead,
  },
  {
    method: "POST",
    pattern: "/v1/secrets/batch/metadata",
    category: "batch_metadata",
    scope: "secrets:list",
    action: "list",
    handler: batchMetadata,
  },
  {
    method: "POST",
    pattern: "/v1/secrets/{path+}/rotate",
    category: ROTATION_CATEGORY.one,
    scope: "secrets:rotate",
    action: "rotate",
    handler: rotation.rotateSecret,
  },
  { ...list, category: metadataRead, pattern: "/v1/secrets/{path+}/metadata", handler: secrets.secretMetadata },
  { ...list, category: metadataRead, pattern: "/v1/secrets/{path+}/versions", handler: secrets.secretVersions },
  {
    method: "GET",
    pattern: "/v1/secrets/{path+}",
    category: "read",
    scope: "secrets:read",
    action: "read",
    handler: secrets.readSecret,
  },
  {
    method: "PUT",
    pattern: "/v1/secrets/{path+}",
    category: "write",
    scope: "secrets:write",
    action: "write",
    handler: secrets.writeSecret,
  },
  {
    method: "PATCH",
    pattern: "/v1/secrets/{path+}",
    category: METADATA_CATEGORY.write as "write",
    scope: "secrets:write",
    action: "write",
    handler: secrets.patchSecret,
  },
  {
    method: "DELETE",
    pattern: "/v1/secrets/{path+}",
    category: "delete",
    scope: "secrets:delete",
    action: "delete",
    handler: secrets.deleteSecret,
  },

  // Federation [reference/federation]
  { ...federationRead, pattern: backends, handler: federation.listBackends },
  { ...federationWrite, method: "POST", pattern: backends, handler: federation.createBackend },
  { ...federationRead, pattern: `${backends}/{id}`, handler: federation.readBackend },
  { ...federationWrite, method: "PATCH", pattern: `${backends}/{id}`, handler: federation.patchBackend },
  { ...federationWrite, method: "DELETE", pattern: `${backends}/{id}`, handler: federation.deleteBackend },
  { ...federationRead, pattern: `${backends}/{id}/status`, handler: federation.backendStatus },
  { ...federationWrite, method: "POST", pattern: `${backends}/{id}/sync`, handler: federation.syncBackend },
  { ...federationRead, pattern: `${backends}/{id}/conflicts`, handler: federation.backendConflicts },

  // Audit [reference/audit]
  { ...audit, pattern: "/v1/audit/logs", handler: auditLogs },
  { ...audit, pattern: "/v1/audit/summary", handler: auditSummary },
  { ...audit, pattern: "/v1/audit/secrets/{path+}", handler: auditOfSecret },
  { ...audit, pattern: "/v1/audit/identities/{identity}", handler: auditOfIdentity },

  // Subscriptions [reference/subscriptions]
  { ...subscription, method: "GET", pattern: "/v1/subscriptions", handler: subscriptions.listSubscriptions },
  { ...subscriptionWrite, method: "POST", pattern: "/v1/subscriptions", handler: subscriptions.createSubscription },
  { ...subscription, method: "GET", pattern: "/v1/subscriptions/{id}", handler: subscriptions.readSubscription },
  {
    ...subscriptionWrite,
    method: "PATCH",
    pattern: "/v1/subscriptions/{id}",
    handler: subscriptions.patchSubscription,
  },
  {
    ...subscriptionWrite,
    method: "DELETE",
    pattern: "/v1/subscriptions/{id}",
    handler: subscriptions.deleteSubscription,
  },
  {
    method: "GET",
    pattern: "/v1/subscriptions/{id}/poll",
    category: "subscription_poll",
    scope: "subscriptions:read",
    handler: subscriptions.pollSubscription,
  },
  {
    method: "POST",
    pattern: "/v1/subscriptions/{id}/ack",
    category: ACK_CATEGORY as "subscription",
    scope: ACK_SCOPE as "subscriptions:write",
    handler: subscriptions.acknowledgeEvents,
  },

  // Webhooks [reference/webhooks]
  { ...webhook, method: "GET", pattern: "/v1/webhooks", handler: webhooks.listWebhooks },
  { ...webhook, method: "POST", pattern: "/v1/webhooks", handler: webhooks.createWebhook },
  { ...webhook, method: "GET", pattern: "/v1/webhooks/{id}", handler: webhooks.readWebhook },
  { ...webhook, method: "PATCH", pattern: "/v1/webhooks/{id}", handler: webhooks.patchWebhook },
  { ...webhook, method: "DELETE", pattern: "/v1/webhooks/{id}", handler: webhooks.deleteWebhook },
  { ...webhook, method: "POST", pattern: "/v1/webhooks/{id}/test", handler: webhooks.testWebhook },
  { ...webhook, method: "GET", pattern: "/v1/webhooks/{id}/deliveries", handler: webhooks.listDeliveries },

  // Rotation [reference/rotation]
  { ...policy, method: "GET", pattern: "/v1/rotation/policies", handler: rotation.listRotationPolicies },
  { ...policy, method: "POST", pattern: "/v1/rotation/policies", handler: rotation.createRotationPolicy },
  { ...policy, method: "GET", pattern: rotationPolicy, handler: rotation.readRotationPolicy },
  { ...policy, method: "PATCH", pattern: rotationPolicy, handler: rotation.patchRotationPolicy },
  { ...policy, method: "DELETE", pattern: rotationPolicy, handler: rotation.deleteRotationPolicy },
  { ...policy, method: "POST", pattern: `${rotationPolicy}/enable`, handler: rotation.enableRotationPolicy },
  { ...policy, method: "POST", pattern: `${rotationPolicy}/disable`, handler: rotation.disableRotationPolicy },
  { ...policy, method: "POST", pattern: `${rotationPolicy}/secrets`, handler: rotation.assignSecret },
  { ...policy, method: "DELETE", pattern: `${rotationPolicy}/secrets/{secret}`, handler: rotation.unassignSecret },
  { ...rotating, method: "POST", pattern: `${rotationPolicy}/rotate`, handler: rotation.rotatePolicy },
  {
    ...rotating,
    method: "GET",
    pattern: `${rotationPolicy}/history`,
    scope: "audit:read",
    handler: rotation.rotationHistory,
  },
  { ...rotating, method: "GET", pattern: "/v1/rotation/due", handler: rotation.dueRotations },
  { ...rotating, method: "GET", pattern: "/v1/rotation/pending", handler: rotation.dueRotations },

  // Value generation [reference/secret-policies]
  { ...policy, method: "GET", pattern: "/v1/secret-policies", handler: secretPolicies.listSecretPolicies },
  { ...policy, method: "POST", pattern: "/v1/secret-policies", handler: secretPolicies.createSecretPolicy },
  { ...policy, method: "GET", pattern: secretPolicy, handler: secretPolicies.readSecretPolicy },
  { ...policy, method: "PATCH", pattern: secretPolicy, handler: secretPolicies.patchSecretPolicy },
  { ...policy, method: "DELETE", pattern: secretPolicy, handler: secretPolicies.deleteSecretPolicy },
  { ...policy, method: "POST", pattern: `${secretPolicy}/preview`, handler: secretPolicies.previewSecretPolicy },
];
