import * as z from "zod";
import { counts, localSecretRef, statusText, text, timestamp } from "./common.ts";
import {
  excludeGlobRules,
  federationRules,
  mappedSourceRule,
  mappingExcludeRule,
  mappingRule,
  overlapRule,
  tagGlobRule,
} from "./federation-rules.ts";
import { printableRule, scaivaultPathRule, scaivaultPlainPathRule, sourcePathRules } from "./grammar.ts";
import { MAX_COPIES, MAX_MAPPINGS } from "./names.ts";
import { described } from "./rules.ts";
import { adoptPolicies, authorities, conflictResolutions } from "./secret-sync.ts";

/** Values of `federation.mode`. */
export const federationModes = ["sync", "proxy"] as const;
/** Values of `federation.runsIn`. */
export const federationRunners = ["Operator", "ScaiVault"] as const;
/** Values of `federation.naming`. */
export const namingRules = ["Strict", "LowerDash"] as const;
/** Values of `federation.tags[].as`. */
export const tagForms = ["key=value", "key:value", "value", "Drop"] as const;

const mapping = described(
  z.object({
    scaivaultPath: text(
      "Where in ScaiVault: external/aws/** for a tree, or one path. Unique in the list, and not below another. The operator's configuration must allow it for this namespace (tenancy.scaivault.write).",
      512,
      [scaivaultPathRule],
    ),
    sourcePath: text(
      "What in the store, by logical path: prod/** for a tree, or one secret. Vault: mount and key without `data/`.",
      512,
      [...sourcePathRules, mappedSourceRule],
    ),
    exclude: described(
      z
        .array(text("One glob.", 512, excludeGlobRules))
        .min(1)
        .max(16),
      "Source paths that are left out, as globs: `*` stays within a segment, `**` spans segments. With a tree only.",
      [],
      { "x-kubernetes-list-type": "set" },
    ).optional(),
  }),
  "One mapping. What `**` stands for is the same on both sides.",
  [mappingRule, mappingExcludeRule],
);

const tagTransform = described(
  z.object({
    from: text("Key at the source, where `*` stands for any text, such as team or cost-*.", 128, [tagGlobRule]),
    as: described(
      z.enum(tagForms),
      "Its form in ScaiVault: key=value (team=billing), key:value (team:billing), value (billing), or Drop (no tag).",
    ),
  }),
  "One rule. The first rule whose `from` fits the key holds.",
);

const credentials = described(
  z.object({
    scaivaultPath: text(
      "ScaiVault path of the credentials that ScaiVault logs in with. The operator's configuration must allow it for this namespace (tenancy.scaivault.credentials), and its own metadata names the hosts it may be sent to.",
      512,
      [scaivaultPlainPathRule],
    ),
    secretRef: localSecretRef(
      "A Secret that is written to scaivaultPath before the backend is registered, and again when it changes.",
    ).optional(),
  }),
  "The login of ScaiVault itself. With runsIn ScaiVault only. Default: the role of ScaiVault's own host.",
);

export const federation = described(
  z.object({
    mode: described(
      z.enum(federationModes),
      "sync keeps copies in ScaiVault; proxy forwards each read to the store and keeps nothing.",
    ),
    runsIn: described(
      z.enum(federationRunners),
      "Who does it: Operator (this operator copies), or ScaiVault (registered there as a federation backend; only for namespaces with tenancy.federation). Default: Operator.",
    ).optional(),
    pathMapping: described(
      z.array(mapping).min(1).max(MAX_MAPPINGS),
      "Which part of the store is where in ScaiVault.",
      [overlapRule],
      { "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["scaivaultPath"] },
    ),
    authority: described(
      z.enum(authorities),
      "Who may change the secrets: Source (the store), or ScaiVault after the flip. Default: Source.",
    ).optional(),
    conflictResolution: described(
      z.enum(conflictResolutions),
      "What happens when ScaiVault was changed by another: remote_wins (the source wins; authority Source), local_wins (ScaiVault wins; authority ScaiVault), manual (nothing is written until people decide). Default: remote_wins with authority Source, local_wins with ScaiVault.",
    ).optional(),
    adopt: described(
      z.enum(adoptPolicies),
      "What happens to a ScaiVault path, or with runsIn ScaiVault a registration, that exists and is not ours: Never (left alone, NotOwned), IfEqual (taken over when equal) or, with runsIn Operator only, WithApproval (that, and what differs is written over once status.plan is approved). Default: Never.",
    ).optional(),
    apply: described(
      z.enum(["Automatic", "OnApproval", "Never"]),
      "When to write: Automatic, OnApproval (status.plan is written only after the annotation approve names its hash), Never (observe and report). With runsIn Operator only. Default: Automatic.",
    ).optional(),
    deletionPolicy: described(
      z.enum(["Retain", "Delete"]),
      "What happens to the copy when the source secret is gone. With runsIn Operator only. Default: Retain.",
    ).optional(),
    cleanupPolicy: described(
      z.enum(["Retain", "Delete"]),
      "What happens to copies, or with runsIn ScaiVault to the registration, when this object or a mapping goes: Retain (kept) or Delete (adds a finalizer). When `federation` itself is taken out, copies stay. Default: Retain.",
    ).optional(),
    naming: described(
      z.enum(namingRules),
      "Source names that break ScaiVault's path grammar: Strict (not copied, a problem by name) or LowerDash (lower case, each run of other characters becomes one `-`). Default: Strict.",
    ).optional(),
    tags: described(
      z.array(tagTransform).min(1).max(32),
      "How tags of AWS Secrets Manager, or custom metadata of Vault KV v2, become tags in ScaiVault. What no rule fits becomes key=value, as all do by default.",
      [],
      { "x-kubernetes-list-type": "atomic" },
    ).optional(),
    owner: text("Owner of the copies in ScaiVault, such as team:platform. With runsIn Operator only.", 128, [
      printableRule,
    ]).optional(),
    maxVersions: described(
      z.int().min(2).max(1000),
      "How many versions of each copy ScaiVault keeps, at least 2. With runsIn Operator only. Default: ScaiVault's own.",
    ).optional(),
    credentials: credentials.optional(),
  }),
  "Brings the store's secrets into ScaiVault. Absent: the backend is a login, and nothing is copied on its own.",
  federationRules,
);
export type FederationSpec = z.infer<typeof federation>;
export type PathMapping = z.infer<typeof mapping>;
export type TagTransform = z.infer<typeof tagTransform>;

/** Values of `status.federation.connection`, in our words. */
export const federationConnections = ["Connected", "Disconnected", "Error", "Unknown"] as const;

export const federationStatus = described(
  z.object({
    counts: described(counts, "How the secrets of the tree stand.").optional(),
    copies: described(
      z.array(statusText("ScaiVault path, as a mapping has it.", 512)).max(MAX_COPIES),
      "Where copies of the operator may stand: its mappings, and earlier ones while copies of ours are there, also of a federation that was taken out; with runsIn ScaiVault those whose marks are not released yet, and orphans.",
      [],
      { "x-kubernetes-list-type": "set" },
    ).optional(),
    name: statusText("Name of the registration in ScaiVault, with runsIn ScaiVault.", 128).optional(),
    id: statusText("ScaiVault's id of the registration, with runsIn ScaiVault.", 128).optional(),
    mode: described(z.enum(federationModes), "Mode that is registered, with runsIn ScaiVault.").optional(),
    connection: described(
      z.enum(federationConnections),
      "How ScaiVault reaches the store, with runsIn ScaiVault.",
    ).optional(),
    health: statusText(
      "ScaiVault's own word for how it stands, such as healthy, with runsIn ScaiVault.",
      64,
    ).optional(),
    creatingSince: timestamp(
      "A creation in ScaiVault was about to be sent then, and its answer is not known yet. By it the registration is known again.",
    ).optional(),
    lastSyncTime: timestamp("End of ScaiVault's own last sync, with runsIn ScaiVault and mode sync.").optional(),
  }),
  "How the federation stands.",
);
export type FederationStatus = z.infer<typeof federationStatus>;
