import * as z from "zod";
import {
  conditions,
  counts,
  lastHandledApproval,
  lastHandledSyncRequest,
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
import {
  dnsSubdomainRule,
  fieldRule,
  nameTemplateRule,
  nameTemplateTokenRule,
  plainPathRule,
  printableRule,
  scaivaultPathRule,
  secretKeyRule,
  secretTypeRule,
  sourcePathRules,
  stageRule,
  subtreeRule,
  versionRule,
} from "./grammar.ts";
import { API_VERSION, MAX_DATA_KEYS } from "./names.ts";
import { described } from "./rules.ts";
import {
  flipRules,
  scaivaultTargetNeeded,
  adoptKeepsVersions,
  sourceRules,
  targetRules,
  authorityRules,
  pairingRules,
  secretNameRule,
} from "./secret-sync-rules.ts";

const source = described(
  z.object({
    backendRef: described(
      z.object({
        name: text("Name of the FederationBackend.", 253, [dnsSubdomainRule]),
        namespace: namespaceName(
          "Namespace of the FederationBackend, which needs a grant for this namespace. Default: this object's own.",
        ).optional(),
      }),
      "The store to read from.",
    ),
    path: text(
      "One secret by its logical path: the ASM name or ARN, or Vault mount and key without `data/`. Exactly one of path and subtree.",
      512,
      [...sourcePathRules, plainPathRule],
    ).optional(),
    subtree: text("All secrets below a path, such as prod/billing/**. Exactly one of path and subtree.", 512, [
      ...sourcePathRules,
      subtreeRule,
    ]).optional(),
    stage: text("ASM staging label, such as AWSPREVIOUS. Default: AWSCURRENT. Not with version or subtree.", 256, [
      stageRule,
    ]).optional(),
    version: described(
      z.union([z.int(), z.string().min(1).max(64)]),
      "One version: the ASM version id, or the number of a Vault KV v2 version. Default: the newest. Not with stage or subtree.",
      [versionRule],
      { "x-kubernetes-int-or-string": true },
    ).optional(),
  }),
  "What to read.",
  sourceRules,
);

const scaivaultTarget = described(
  z.object({
    path: text(
      "ScaiVault path that the secret is written to, whole and unshaped. With subtree it ends in `/**` too. The operator's configuration must allow it for this namespace (tenancy.scaivault.write).",
      512,
      [scaivaultPathRule],
    ),
    tags: described(z.array(text("One tag.", 256, [printableRule])).max(32), "Tags in ScaiVault.", [], {
      "x-kubernetes-list-type": "set",
    }).optional(),
    owner: text("Owner in ScaiVault, such as team:billing.", 128, [printableRule]).optional(),
    description: text("Description in ScaiVault.", 512, [printableRule]).optional(),
    maxVersions: described(
      z.int().min(2).max(1000),
      "How many versions ScaiVault keeps, at least 2. Default: ScaiVault's own.",
    ).optional(),
  }),
  "A copy in ScaiVault.",
);

const dataEntry = described(
  z.object({
    key: text("Key of the Kubernetes Secret.", 253, [secretKeyRule]),
    field: text(
      'Where the value is in the secret: .api_key, .db.password, or ."tls.crt" for a name with dots. Default: the whole secret as text.',
      512,
      [fieldRule],
    ).optional(),
    decode: described(z.enum(["Base64"]), "Base64: the value is Base64 text and is written decoded.").optional(),
  }),
  "One key of the Kubernetes Secret.",
);

const kubernetesSecretTarget = described(
  z.object({
    name: text("Name of the Secret. Default: the name of this object. Not with subtree.", 253, [
      dnsSubdomainRule,
    ]).optional(),
    nameTemplate: text(
      "Names of the Secrets of a subtree: {path} is the path below the subtree with `/` as `-`, {name} its last segment. Default: {path}. With subtree only.",
      253,
      [nameTemplateRule, nameTemplateTokenRule],
    ).optional(),
    type: text("Type of the Secret. It cannot change once written. Default: Opaque.", 253, [secretTypeRule]).optional(),
    data: described(
      z.array(dataEntry).min(1).max(MAX_DATA_KEYS),
      "Keys to write. Default: every top-level key of the secret as it is. With subtree the same keys are taken from each secret.",
      [],
      { "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["key"] },
    ).optional(),
  }),
  "A Secret in this object's namespace. Write `kubernetesSecret: {}` for one with this object's name and all keys.",
  [secretNameRule],
);

const targets = described(
  z.object({
    scaivault: scaivaultTarget.optional(),
    kubernetesSecret: kubernetesSecretTarget.optional(),
  }),
  "Where copies are kept. At least one.",
  targetRules,
);

export const authorities = ["Source", "ScaiVault"] as const;
export const conflictResolutions = ["remote_wins", "local_wins", "manual"] as const;

export const adoptPolicies = ["Never", "IfEqual", "WithApproval"] as const;

export const secretSyncSpec = described(
  z.object({
    source,
    targets,
    authority: described(
      z.enum(authorities),
      "Who may change the secret: Source (the old store), or ScaiVault after the flip. A flip is held until both sides are equal. Default: Source.",
    ).optional(),
    conflictResolution: described(
      z.enum(conflictResolutions),
      "What happens when ScaiVault was changed by another: remote_wins (the source wins; authority Source), local_wins (ScaiVault wins; authority ScaiVault), manual (nothing is written until people decide). Default: remote_wins with authority Source, local_wins with ScaiVault.",
    ).optional(),
    adopt: described(
      z.enum(adoptPolicies),
      "What happens to a target that exists and is not ours: Never (left alone, NotOwned), IfEqual (taken over when bytes and type are equal) or WithApproval (that, and what differs is written over once status.plan is approved; a Secret also needs its owner's annotation adopt). Default: Never.",
    ).optional(),
    deletionPolicy: described(
      z.enum(["Retain", "Delete"]),
      "What happens to copies when the source secret is gone. Default: Retain.",
    ).optional(),
    cleanupPolicy: described(
      z.enum(["Retain", "Release", "Delete"]),
      "What happens to copies when this object, a target or a key goes: Retain (kept, with the mark), Release (kept, label, mark and field ownership taken off), Delete (adds a finalizer). Default: Retain.",
    ).optional(),
    apply: described(
      z.enum(["Automatic", "OnApproval", "Never"]),
      "When to write: Automatic, OnApproval (status.plan is written only after the annotation approve names its hash), Never (observe and report). Default: Automatic.",
    ).optional(),
    syncInterval: syncInterval(
      "How often the source is looked at: 30s to 24h. Default: that of the backend, which is 15m by default.",
    ).optional(),
    suspend: described(z.boolean(), "True stops all work on this object; copies stay. Default: false.").optional(),
  }),
  "What to copy where, and how.",
  [...pairingRules, scaivaultTargetNeeded, adoptKeepsVersions, ...authorityRules, ...flipRules],
);
export type SecretSyncSpec = z.infer<typeof secretSyncSpec>;
export type SecretSyncSource = z.infer<typeof source>;
export type ScaiVaultTargetSpec = z.infer<typeof scaivaultTarget>;
export type KubernetesSecretTargetSpec = z.infer<typeof kubernetesSecretTarget>;
export type DataEntry = z.infer<typeof dataEntry>;

const keyNames = (description: string) =>
  described(z.array(statusText("Name of a key.", 253)).max(20), description, [], {
    "x-kubernetes-list-type": "atomic",
  });

export const targetStates = ["InSync", "Pending", "Held", "Conflict", "Failed", "Retained", "Unknown"] as const;

const targetStatus = described(
  z.object({
    kind: described(z.enum(["ScaiVault", "KubernetesSecret"]), "Kind of target."),
    ref: statusText("ScaiVault path, or name of the Secret.", 600),
    state: described(z.enum(targetStates), "How it stands."),
    sourceVersion: statusText("Source version that it holds.", 128).optional(),
    targetVersion: statusText("Its own version in ScaiVault.", 64).optional(),
    keys: described(
      z.object({
        equal: described(z.int().min(0).max(100_000), "How many keys are equal."),
        differs: keyNames("Keys that differ, at most 20.").optional(),
        missing: keyNames("Keys that the target does not have, at most 20.").optional(),
        extra: keyNames("Keys that only the target has, at most 20.").optional(),
      }),
      "With apply Never: how its keys compare. Names only, never values.",
    ).optional(),
  }),
  "One target.",
);
export type TargetStatus = z.infer<typeof targetStatus>;

export const secretSyncStatus = described(
  z.object({
    observedGeneration: observedGeneration.optional(),
    conditions: conditions.optional(),
    effective: described(
      z.object({
        syncInterval: statusText("Interval that is in force.", 8).optional(),
        authority: described(
          z.enum(authorities),
          "Authority that is in force; differs from spec while a flip is held.",
        ).optional(),
        conflictResolution: described(z.enum(conflictResolutions), "Conflict resolution that is in force.").optional(),
      }),
      "Values in force, defaults filled in.",
    ).optional(),
    sourceVersion: statusText("Version that the source has now. Not with subtree.", 128).optional(),
    targets: described(z.array(targetStatus).max(2), "How each target stands. Not with subtree.", [], {
      "x-kubernetes-list-type": "map",
      "x-kubernetes-list-map-keys": ["kind"],
    }).optional(),
    counts: counts.optional(),
    plan: planStatus.optional(),
    problems: problems.optional(),
    lastWriteTime: timestamp("When a target was last written. An old one is healthy.").optional(),
    lastHandledSyncRequest: lastHandledSyncRequest.optional(),
    lastHandledApproval: lastHandledApproval.optional(),
  }),
  "What the operator found out; written by the operator only.",
);
export type SecretSyncStatus = z.infer<typeof secretSyncStatus>;

/** The whole object as the operator reads it; unknown members are dropped. */
export const secretSync = z.object({
  apiVersion: z.literal(API_VERSION),
  kind: z.literal("SecretSync"),
  metadata: objectMeta,
  spec: secretSyncSpec,
  status: secretSyncStatus.optional(),
});
export type SecretSync = z.infer<typeof secretSync>;
