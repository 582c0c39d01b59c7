import * as z from "zod";
import {
  backendCounts,
  caRef,
  conditions,
  lastHandledApproval,
  lastHandledSyncRequest,
  localSecretRef,
  namespaceName,
  objectMeta,
  observedGeneration,
  planStatus,
  problems,
  statusText,
  syncInterval,
  text,
  timestamp,
} from "./common.ts";
import { federation, federationModes, federationRunners, federationStatus } from "./federation.ts";
import { federatedSpecRules } from "./federation-rules.ts";
import {
  grantGlobRules,
  dnsLabelRule,
  matchesRegion,
  vaultAddressRules,
  vaultMountRule,
  vaultNamespaceRule,
} from "./grammar.ts";
import { API_VERSION } from "./names.ts";
import { described, rule } from "./rules.ts";
import { authorities, conflictResolutions } from "./secret-sync.ts";

/** Values of `spec.type`. */
export const backendTypes = ["aws-secrets-manager", "hashicorp-vault"] as const;

const has = (object: object, key: string): boolean => (object as Record<string, unknown>)[key] !== undefined;

const awsAuth = described(
  z.object({
    secretRef: localSecretRef(
      "Static keys: a Secret with access_key_id, secret_access_key and, for temporary keys, session_token.",
    ).optional(),
    operator: described(
      z.object({}),
      "The operator's own AWS identity. Only for namespaces that the operator's configuration allows (tenancy.ambientIdentity).",
    ).optional(),
  }),
  "How to log in. Exactly one of secretRef and operator. Only a federation with runsIn ScaiVault can do without; the backend then cannot be a backendRef.",
  [
    rule<object>({
      id: "aws-auth-one",
      cel: "has(self.secretRef) != has(self.operator)",
      message: "set exactly one of `secretRef: { name: ... }` and `operator: {}`",
      reason: "FieldValueForbidden",
      test: (self) => has(self, "secretRef") !== has(self, "operator"),
    }),
  ],
);

const awsSecretsManager = described(
  z.object({
    region: text("AWS region, such as us-east-1.", 32, [matchesRegion]),
    auth: awsAuth.optional(),
  }),
  "AWS Secrets Manager of one account and region. With type aws-secrets-manager only.",
);

const vaultAuth = described(
  z.object({
    appRole: described(
      z.object({
        mount: text("Path where the AppRole method is mounted. Default: approle.", 128, [vaultMountRule]).optional(),
        secretRef: localSecretRef("A Secret with role_id and secret_id."),
      }),
      "Login by AppRole.",
    ).optional(),
    token: described(
      z.object({ secretRef: localSecretRef("A Secret with token.") }),
      "A Vault token. It is renewed while it can be.",
    ).optional(),
  }),
  "How to log in. Exactly one of appRole and token. Only a federation with runsIn ScaiVault can do without; the backend then cannot be a backendRef.",
  [
    rule<object>({
      id: "vault-auth-one",
      cel: "has(self.appRole) != has(self.token)",
      message: "set exactly one of `appRole: { secretRef: { name: ... } }` and `token: { secretRef: { name: ... } }`",
      reason: "FieldValueForbidden",
      test: (self) => has(self, "appRole") !== has(self, "token"),
    }),
  ],
);

const hashicorpVault = described(
  z.object({
    address: text(
      "Address of Vault, such as https://vault.example.com:8200. The operator's configuration must list the host for this namespace (tenancy.endpoints).",
      512,
      vaultAddressRules,
    ),
    namespace: text("Vault namespace (Enterprise, HCP), such as team/billing.", 256, [vaultNamespaceRule]).optional(),
    caRef: caRef.optional(),
    auth: vaultAuth.optional(),
  }),
  "HashiCorp Vault, KV version 1 or 2. With type hashicorp-vault only.",
);

const grant = described(
  z.object({
    name: text("Name of this grant; unique in the list.", 63, [dnsLabelRule]),
    namespaces: described(
      z.object({
        names: described(z.array(namespaceName("Name of a namespace.")).min(1).max(64), "Namespaces by name.", [], {
          "x-kubernetes-list-type": "set",
        }),
      }),
      "Whose SecretSyncs may use this backend.",
    ),
    read: described(
      z
        .array(text("One glob, such as prod/shared/** or prod/{namespace}/**.", 512, grantGlobRules))
        .min(1)
        .max(32),
      "Source paths that they may read, as globs: `*` stays within a segment, `**` spans segments, `{namespace}` is the reader's namespace and fills a whole segment.",
      [],
      { "x-kubernetes-list-type": "set" },
    ),
  }),
  "One grant.",
);

export const federationBackendSpec = described(
  z.object({
    type: described(z.enum(backendTypes), "Kind of store. It cannot change: make another FederationBackend instead.", [
      rule<string>({
        id: "type-immutable",
        cel: "self == oldSelf",
        message: "type cannot change; create another FederationBackend and move the SecretSyncs to it",
        reason: "FieldValueForbidden",
        test: (self, oldSelf) => self === oldSelf,
      }),
    ]),
    awsSecretsManager: awsSecretsManager.optional(),
    hashicorpVault: hashicorpVault.optional(),
    syncInterval: syncInterval(
      "How often the store is polled, and default of its SecretSyncs: 30s to 24h; 1m to 24h where ScaiVault runs the federation. Default: 15m.",
    ).optional(),
    federation: federation.optional(),
    grants: described(
      z.array(grant).max(32),
      "Who else may read through this backend, and what. Its own namespace may read everything. A grant never gives more than the operator's configuration does.",
      [],
      { "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"] },
    ).optional(),
    suspend: described(
      z.boolean(),
      "True stops polling and logins. Copies stay; dependants say BackendSuspended. Default: false.",
    ).optional(),
  }),
  "The store and how to log in to it.",
  [
    rule<{ type?: string }>({
      id: "aws-member",
      cel: "self.type != 'aws-secrets-manager' || has(self.awsSecretsManager)",
      message: "type aws-secrets-manager needs `awsSecretsManager: { region: ..., auth: ... }`",
      reason: "FieldValueRequired",
      at: ["awsSecretsManager"],
      test: (self) => self.type !== "aws-secrets-manager" || has(self, "awsSecretsManager"),
    }),
    rule<{ type?: string }>({
      id: "vault-member",
      cel: "self.type != 'hashicorp-vault' || has(self.hashicorpVault)",
      message: "type hashicorp-vault needs `hashicorpVault: { address: ..., auth: ... }`",
      reason: "FieldValueRequired",
      at: ["hashicorpVault"],
      test: (self) => self.type !== "hashicorp-vault" || has(self, "hashicorpVault"),
    }),
    rule<{ type?: string }>({
      id: "aws-member-only",
      cel: "self.type != 'aws-secrets-manager' || !has(self.hashicorpVault)",
      message: "type is aws-secrets-manager: remove hashicorpVault",
      reason: "FieldValueForbidden",
      at: ["hashicorpVault"],
      test: (self) => self.type !== "aws-secrets-manager" || !has(self, "hashicorpVault"),
    }),
    rule<{ type?: string }>({
      id: "vault-member-only",
      cel: "self.type != 'hashicorp-vault' || !has(self.awsSecretsManager)",
      message: "type is hashicorp-vault: remove awsSecretsManager",
      reason: "FieldValueForbidden",
      at: ["awsSecretsManager"],
      test: (self) => self.type !== "hashicorp-vault" || !has(self, "awsSecretsManager"),
    }),
    ...federatedSpecRules,
  ],
);
export type FederationBackendSpec = z.infer<typeof federationBackendSpec>;

/** How version facts are found out, as shown in `status.effective.poll`. */
export const pollMethods = ["List", "Batch", "Describe", "Metadata", "Read"] as const;

export const federationBackendStatus = described(
  z.object({
    observedGeneration: observedGeneration.optional(),
    conditions: conditions.optional(),
    identity: statusText(
      "Whom the operator is at the store, such as 111122223333/us-east-1/role/sm-reader.",
      512,
    ).optional(),
    effective: described(
      z.object({
        syncInterval: statusText("Interval that is in force.", 8).optional(),
        poll: described(z.enum(pollMethods), "How changes are found out.").optional(),
        federation: described(
          z.object({
            mode: described(z.enum(federationModes), "Mode that is in force.").optional(),
            runsIn: described(z.enum(federationRunners), "Who does it.").optional(),
            authority: described(
              z.enum(authorities),
              "Authority that is in force; differs from spec while a flip is held.",
            ).optional(),
            conflictResolution: described(
              z.enum(conflictResolutions),
              "Conflict resolution that is in force.",
            ).optional(),
          }),
          "Values of federation in force.",
        ).optional(),
        notes: described(
          z.array(statusText("One line.", 512)).max(8),
          "What this way of polling costs or cannot see.",
          [],
          { "x-kubernetes-list-type": "atomic" },
        ).optional(),
      }),
      "Values in force, defaults filled in.",
    ).optional(),
    counts: backendCounts.optional(),
    federation: federationStatus.optional(),
    plan: planStatus.optional(),
    lastWriteTime: timestamp("When a copy of the federation was last written. An old one is healthy.").optional(),
    lastPollTime: timestamp("End of the last good poll. The only field that moves when nothing changed.").optional(),
    lastHandledSyncRequest: lastHandledSyncRequest.optional(),
    lastHandledApproval: lastHandledApproval.optional(),
    problems: problems.optional(),
  }),
  "What the operator found out; written by the operator only.",
);
export type FederationBackendStatus = z.infer<typeof federationBackendStatus>;

/** The whole object as the operator reads it; unknown members are dropped. */
export const federationBackend = z.object({
  apiVersion: z.literal(API_VERSION),
  kind: z.literal("FederationBackend"),
  metadata: objectMeta,
  spec: federationBackendSpec,
  status: federationBackendStatus.optional(),
});
export type FederationBackend = z.infer<typeof federationBackend>;
